"""What every test may use, and which files hold no doctests because they run only inside (a stand-in for) Slicer."""

collect_ignore = ["E3Pose/E3Pose.py", "E3Pose/E3PosePanel", "E3Pose/Scripts", "E3Pose/Testing", "Testing/host"]
