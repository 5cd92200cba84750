"""Fixtures of the tests in the stand-in for Slicer; they skip, with the reason, where it cannot run."""

import copy
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from head_phantom import head_phantom
from phantoms import BY_BORDER, make_head, make_small_model

from .aligning import align, aligned, bring_together, stacks  # noqa: F401 (fixtures)

REPOSITORY = Path(__file__).parents[2]
MODULE_FILE = REPOSITORY / "E3Pose" / "E3Pose.py"
SHARED = REPOSITORY.parent / "shared"


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    """The stand-in application. ``E3POSE_REQUIRE_HOST=1`` turns a skip into an error (continuous integration)."""
    os.environ["E3POSE_MODELS"] = str(tmp_path_factory.mktemp("models"))
    try:
        import host

        return host.start()
    except ImportError as error:
        if os.environ.get("E3POSE_REQUIRE_HOST") and sys.version_info >= (3, 11):  # slicer-core has none for 3.10
            raise
        pytest.skip(f"the stand-in for Slicer needs slicer-core, PySide6 and their system libraries: {error}")


@pytest.fixture
def scene(app):
    """An empty scene, its slice views as at the application's start."""
    import slicer

    slicer.mrmlScene.Clear(0)
    for name, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal")):
        slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLSliceNode").SetOrientation(orientation)
    yield slicer.mrmlScene
    slicer.mrmlScene.Clear(0)


@pytest.fixture(scope="session")
def installed_model(app) -> Path:
    """A model of the real architectures, but tiny and untrained, as the one called ``default``; it finds some head."""
    import torch

    from E3PoseLib.models.catalog import ModelHeader
    from E3PoseLib.models.model import Model
    from E3PoseLib.networks.equivariant.network import E3CNN
    from E3PoseLib.networks.unet.unet import UNet

    torch.manual_seed(0)
    segmentation = {"n_levels": 2, "n_features": 4}
    rotation = {"n_levels": 1, "multiplicity": 2}
    header = ModelHeader(
        "small",
        segmentation,
        rotation,
        spacing_mm=6.0,
        segmentation_edge=48,
        rotation_edge=12,
        thresholds=(-1.0, -1.0, -1.0),
        training_data="nothing",
        licence="none needed",
    )
    path = Path(os.environ["E3POSE_MODELS"]) / "default.safetensors"
    Model(UNet(**segmentation), E3CNN(**rotation), header).save(path)
    return path


@pytest.fixture(scope="session")
def calibrated_model(app) -> str:
    """The name of a model by which the pose of `add_blob` is sure, and that of a blob that is cut is not."""
    model = make_small_model()
    model.header = replace(model.header, calibration=BY_BORDER.as_dict())
    model.save(Path(os.environ["E3POSE_MODELS"]) / "calibrated.safetensors")
    return "calibrated"


@pytest.fixture
def panel(app, scene, installed_model):
    """The module's widget, opened on an empty scene."""
    widget = app.open_module(MODULE_FILE)
    app.message_boxes.clear()
    app.answers.clear()
    yield widget
    import slicer

    slicer.modules.E3PoseWidget._run.stop()
    slicer.modules.E3PoseWidget._reslicingRun.stop()


@pytest.fixture(scope="session")
def estimates(installed_model) -> Callable:
    """``estimates(volume, model, options, series)``: the worker's answer and the mask; of a scan that is no part of a
    series computed once.
    """
    from E3PoseLib.running.session import Session

    session, known = Session(), {}

    def answer(volume, model: dict, options: dict, series=None) -> tuple[dict, np.ndarray]:
        if series is not None:
            found = session.track(volume, model, series, **options)
            if found.estimate is None:
                raise found.error
            summary = session.summary(found.estimate, **options)
            return {**summary, "marks": list(found.marks)}, found.estimate.mask
        asked = json.dumps([model, options, volume.voxel_to_ras.tolist(), hash(volume.array.tobytes())])
        if asked not in known:
            estimate = session.estimate(volume, model, **options)
            known[asked] = session.summary(estimate, **options), estimate.mask
        summary, mask = known[asked]
        return copy.deepcopy(summary), mask

    return answer


@pytest.fixture
def estimate_at_once(panel, estimates, monkeypatch) -> Callable:
    """``estimate_at_once()`` clicks on Estimate Pose and writes the answer, which no other process computes.

    For what happens to the scene before and after; what is done meanwhile goes between ``begin()`` and ``end()``.
    """
    waiting = []

    def estimate(scan, model, options, onFinished, onFailed, isWanted, series=None):
        volume = scan.volume
        waiting.append(lambda: (isWanted(), onFinished(*estimates(volume, model, options))))

    monkeypatch.setattr(panel._run, "estimate", estimate)

    return in_two_steps(panel, panel.ui.estimateButton, waiting)


def in_two_steps(panel, button, waiting: list) -> Callable:
    """A function that clicks and then has the answer written: its ``begin()`` and ``end()``, or both by a call.

    ``waiting`` gets from the click what writes the answer.
    """

    def begin() -> None:
        button.click()
        assert waiting, panel.ui.statusLabel.text

    def end() -> None:
        waiting.pop()()
        panel._onBusy()

    def both() -> None:
        begin()
        end()

    both.begin, both.end = begin, end
    return both


@pytest.fixture
def sequence(panel, scene):
    """The phantom as a sequence, selected."""
    from .sequences import Sequence

    found = Sequence(scene)
    panel.ui.inputVolumeSelector.setCurrentNode(found.scan)
    return found


@pytest.fixture
def answers(panel, estimates, monkeypatch):
    """``answers(count)`` lets the worker's next answers come, or all of them; no other process computes them."""
    waiting = []

    def estimate(scan, model, options, onFinished, onFailed, isWanted, series=None):
        volume = scan.volume
        waiting.append(lambda: (isWanted(), onFinished(*estimates(volume, model, options, series))))

    monkeypatch.setattr(panel._run, "estimate", estimate)

    def answer(count: int = 1000) -> None:
        while waiting and count:
            count -= 1
            waiting.pop()()

    return answer


@pytest.fixture
def tracked(panel, sequence, answers):
    """The panel after all time points."""
    panel.ui.estimateAllButton.click()
    answers()
    assert panel.ui.statusLabel.text.startswith("Done: 5 time points")
    return panel


@pytest.fixture
def two_steps() -> Callable:
    """`in_two_steps`, for fixtures of other files."""
    return in_two_steps


@pytest.fixture
def reslice(app, panel) -> Callable:
    """``reslice()`` clicks on Reslice volume, waits for the end, and returns how long the window was kept waiting each
    time, in seconds.
    """

    def click_and_wait() -> list[float]:
        panel.ui.resliceButton.click()
        pauses = []
        while panel._reslicingRun.busy:
            begin = time.perf_counter()
            app.processEvents()
            pauses.append(time.perf_counter() - begin)
        return pauses

    return click_and_wait


def estimate(app, panel) -> None:
    """Click and wait for the end."""
    panel.ui.estimateButton.click()
    assert panel._run.busy, panel.ui.statusLabel.text
    app.wait_until(lambda: not panel._run.busy, timeout=300)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def nodes(scene) -> set[str]:
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def add_phantom(scene, name: str = "phantom", right: float = 0.0, step: int = 1):
    """The phantom in the scene, moved to the right by some millimetres; every ``step``-th voxel of it."""
    import slicer

    array, voxel_to_ras = head_phantom()
    array, voxel_to_ras = array[::step, ::step, ::step], voxel_to_ras @ np.diag([step, step, step, 1.0])
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, array.transpose(2, 1, 0))
    voxel_to_ras[0, 3] += right
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(voxel_to_ras))
    node.CreateDefaultDisplayNodes()
    return node


def add_blob(scene, name: str = "live"):
    """The bright blob of the phantoms in the scene, as round as a brain, in which `calibrated_model` finds one."""
    import slicer

    head = make_head()
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, head.array.transpose(2, 1, 0).copy())
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(head.voxel_to_ras @ np.diag([1.0, 0.8, 4 / 3, 1.0])))
    node.CreateDefaultDisplayNodes()
    return node


@pytest.fixture
def scan_node(scene):
    """The phantom in the scene."""
    return add_phantom(scene)


@pytest.fixture
def second_scan(scan_node, scene):
    """Another scan in the scene: the phantom, 30 mm further to the right."""
    return add_phantom(scene, "second", 30.0)


@pytest.fixture
def estimated(panel, scan_node, estimate_at_once):
    """The panel when the answer for the phantom has come: the same steps as after a click, without the worker."""
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    assert panel.ui.statusLabel.text.startswith("Done.")
    return panel
