"""Fixtures of the tests in the stand-in for Slicer; they skip, with the reason, where it cannot run."""

import os
import sys
from pathlib import Path

import pytest
from head_phantom import head_phantom

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
    """An empty scene."""
    import slicer

    slicer.mrmlScene.Clear(0)
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


@pytest.fixture
def panel(app, scene, installed_model):
    """The module's widget, opened on an empty scene."""
    widget = app.open_module(MODULE_FILE)
    app.message_boxes.clear()
    app.answers.clear()
    yield widget
    import slicer

    slicer.modules.E3PoseWidget._run.stop()


@pytest.fixture
def scan_node(scene):
    """The phantom in the scene."""
    import slicer

    array, voxel_to_ras = head_phantom()
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "phantom")
    slicer.util.updateVolumeFromArray(node, array.transpose(2, 1, 0))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(voxel_to_ras))
    node.CreateDefaultDisplayNodes()
    return node


@pytest.fixture(scope="session")
def answer(installed_model):
    """What the worker answers for the phantom: an estimate's dictionary form, and the mask."""
    from E3PoseLib.imaging.volume import Volume
    from E3PoseLib.running.session import Session
    from E3PoseLib.running.summary import summarise

    estimate = Session().estimate(Volume(*head_phantom(), "phantom"), {"model": str(installed_model)}, device="cpu")
    return summarise(estimate), estimate.mask


@pytest.fixture
def estimated(panel, scan_node, answer):
    """The panel when the answer for the phantom has come: the same steps as after a click, without the worker."""
    import copy

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    result, mask = copy.deepcopy(answer)
    panel._onEstimated(panel.logic.readScan(scan_node), result, mask)
    assert panel.ui.statusLabel.text.startswith("Done.")
    return panel
