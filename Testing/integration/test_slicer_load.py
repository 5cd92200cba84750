"""The module on a fresh Slicer: no torch, e3nn or nibabel."""

import json
import os
import subprocess
import sys

import pytest

from .conftest import MODULE_FILE, REPOSITORY

SCRIPT = """
import importlib.metadata, json, sys, time

ABSENT = ("torch", "e3nn", "nibabel")

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
version = importlib.metadata.version
def installed(name):
    if name in ABSENT:
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = installed

import host
app = host.start()
import slicer, qt
import slicer.ScriptedLoadableModule, slicer.parameterNodeWrapper
sys.path.insert(0, sys.argv[2])
start = time.process_time()  # what else the machine does meanwhile is no time of ours
import E3Pose
seconds = time.process_time() - start
panel = app.open_module(sys.argv[1])
volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
import numpy
slicer.util.updateVolumeFromArray(volume, numpy.random.rand(20, 20, 20))
panel.ui.inputVolumeSelector.setCurrentNode(volume)
transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
try:
    panel.logic.estimatePose(volume, transform)
    error = None
except Exception as raised:
    error = f"{type(raised).__name__}: {raised}"
import unittest
sys.path.insert(0, sys.argv[2] + "/Testing/Python")
slicer.modules.E3PoseInstance.runTest()
tests = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromName("E3PoseSceneTest"))
print("RESULT" + json.dumps({
    "testsRun": tests.testsRun,
    "testsPassed": tests.wasSuccessful(),
    "seconds": seconds,
    "heavy": [name for name in (*ABSENT, "scipy", "safetensors", "roma") if name in sys.modules],
    "enabled": panel.ui.estimateButton.enabled,
    "toolTip": panel.ui.estimateButton.toolTip,
    "packages": panel.ui.packagesLabel.text,
    "setupOpen": not panel.ui.setupCollapsibleButton.collapsed,
    "installable": panel.ui.installButton.enabled,
    "error": error,
}))
"""


@pytest.fixture(scope="module")
def fresh(app):
    """What the panel shows where the three packages are absent."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "Testing"), "QT_QPA_PLATFORM": "offscreen"}
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(MODULE_FILE), str(MODULE_FILE.parent)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "RESULT" in process.stdout, process.stdout + process.stderr
    return json.loads(process.stdout.rpartition("RESULT")[2])


def test_loads_in_a_moment_and_imports_nothing_heavy(fresh):
    assert fresh["seconds"] < 0.3
    assert fresh["heavy"] == []


def test_says_what_is_missing(fresh):
    assert not fresh["enabled"]
    assert "Not installed: torch, e3nn, nibabel" in fresh["toolTip"]
    assert "torch>=2.2.2: not installed" in fresh["packages"]
    assert "nibabel>=5.2: not installed" in fresh["packages"]
    assert fresh["setupOpen"] and fresh["installable"]


def test_the_logic_says_so_too(fresh):
    assert fresh["error"].startswith("DependencyError: not installed: torch, e3nn, nibabel")


def test_the_module_s_own_tests_need_none_of_them(fresh):
    """Slicer's build machines run them, and have no PyTorch; a test that is not whole ends without a result."""
    assert fresh["testsRun"] == 5 and fresh["testsPassed"]
