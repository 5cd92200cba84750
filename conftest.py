"""What every test may use, and which files hold no doctests because they run only inside (a stand-in for) Slicer."""

import importlib.util

collect_ignore = ["E3Pose/E3Pose.py", "E3Pose/E3PosePanel", "E3Pose/Scripts", "E3Pose/Testing", "Testing/host"]
if importlib.util.find_spec("slicer") is None:  # the wheel slicer-core, which Python 3.10 has none of
    collect_ignore.append("E3Pose/E3PoseLib/mrml")
