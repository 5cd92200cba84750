"""What ``pip install`` puts on a machine: the library with its sample scan, the training package with its recipe and
the weights of compared methods."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_carries_every_module_the_sample_scan_and_the_recipe(tmp_path):
    source = tmp_path / "source"  # building leaves folders behind
    for name in ("E3Pose", "E3PoseTraining"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE.txt"):
        shutil.copyfile(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(tmp_path), str(source)], check=True, capture_output=True, timeout=300)
    [wheel] = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    for package, folder in (("E3PoseLib", ROOT / "E3Pose" / "E3PoseLib"), ("E3PoseTraining", ROOT / "E3PoseTraining")):
        missing = {f"{package}/{path.relative_to(folder)}" for path in folder.rglob("*.py")} - held
        assert not missing
    resources = ROOT / "E3Pose" / "Resources"
    for path in [*(resources / "SampleData").iterdir(), *(resources / "Models").glob("*.safetensors")]:
        assert f"E3PoseLib/resources/{path.relative_to(resources)}" in held
    assert {"E3PoseTraining/recipe/default.mk", "E3PoseTraining/methods/weights/equitrack.safetensors"} <= held
