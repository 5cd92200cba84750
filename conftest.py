"""What every test may use, and which files hold no doctests because they run only inside (a stand-in for) Slicer."""

import importlib.util
import os

collect_ignore = ["E3Pose/E3Pose.py", "E3Pose/E3PosePanel", "E3Pose/Scripts", "E3Pose/Testing", "Testing/host"]
if importlib.util.find_spec("slicer") is None:  # the wheel slicer-core, which Python 3.10 has none of
    collect_ignore.append("E3Pose/E3PoseLib/mrml")
for module, packages in {"itk": ["SimpleITK"], "dicom": ["pydicom", "dcm2niix"]}.items():  # optional packages
    if not all(importlib.util.find_spec(package) for package in packages):
        collect_ignore.append(f"E3Pose/E3PoseLib/imaging/formats/{module}.py")

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    # Before torch is imported: each worker, and what it starts, has its share of the cores.
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))
