"""Save pose…: the files hold the pose in the scan's own coordinates, and what they say of it is of one piece."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from .test_slicer_correction import NUDGE, drag, transform_of

pytestmark = pytest.mark.usefixtures("panel")

MOVED = np.eye(4)
MOVED[:3, :3] = Rotation.from_euler("z", 60, degrees=True).as_matrix()
MOVED[:3, 3] = 10, 20, 0


def put_under(scene, node, matrix: np.ndarray):
    """Put a node under a new transform with a matrix, and return that."""
    from E3PoseLib import mrml

    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "registration")
    transform.SetMatrixTransformToParent(mrml.to_vtk(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def saved(panel, folder, name="pose") -> dict:
    """What Save pose… writes as JSON, once all that it says of the pose is found to agree."""
    from E3PoseLib.imaging.geometry import pose_difference, read_itk, read_npy

    panel.correction.saveTo(folder / f"{name}.json")
    document = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    pose = np.array(document["canonical_to_ras"])
    assert np.allclose(read_npy(folder / f"{name}.npy"), pose)
    assert np.allclose(read_itk(folder / f"{name}.tfm"), pose)
    assert np.allclose(np.array(document["ras_to_canonical"]) @ pose, np.eye(4), atol=1e-6)
    told = Rotation.from_euler("xyz", document["euler_xyz_degrees"], degrees=True).as_matrix()
    assert np.allclose(told, pose[:3, :3], atol=1e-5)
    if estimated := document["review"].get("estimated"):
        degrees, millimetres = pose_difference(pose, np.array(estimated["canonical_to_ras"]))
        said = document["review"]["rotation_degrees"], document["review"]["translation_mm"]
        assert said == pytest.approx((degrees, millimetres), abs=1e-4)
    return document


def test_a_scan_under_its_own_pose_is_saved_with_the_pose_of_its_file(estimated, scan_node, tmp_path):
    from E3PoseLib import mrml

    pose = mrml.head_pose(transform_of(estimated))
    assert saved(estimated, tmp_path)["changes"] == []
    scan_node.SetAndObserveTransformNodeID(transform_of(estimated).GetID())
    document = saved(estimated, tmp_path, "moved")
    assert np.allclose(document["canonical_to_ras"], pose, atol=1e-5)
    assert "in the scan's own coordinates" in document["changes"][0]
    assert "The scan sits under a transform: the pose is in the scan's own" in estimated.ui.statusLabel.text


@pytest.mark.parametrize("is_corrected", [False, True])
@pytest.mark.parametrize("is_hardened", [False, True])
def test_a_scan_that_was_moved(app, estimated, scan_node, scene, tmp_path, is_corrected, is_hardened):
    from E3PoseLib import mrml

    transform = transform_of(estimated)
    result = mrml.read_result(transform)
    eyes = {"left": [1.0, 2.0, 3.0], "right": [30.0, 2.0, 3.0], "probability": 0.9}
    transform.SetAttribute("E3Pose.Result", json.dumps({**result, "eyes": eyes}))
    before = mrml.head_pose(transform)
    if is_corrected:
        estimated.ui.correctButton.click()
        drag(app, estimated, NUDGE)
        estimated.ui.correctButton.click()
    pose = before @ NUDGE if is_corrected else before
    put_under(scene, scan_node, MOVED)
    own = np.eye(4)
    if is_hardened:
        scan_node.HardenTransform()
        own = MOVED
    document = saved(estimated, tmp_path)
    assert np.allclose(document["canonical_to_ras"], own @ pose, atol=1e-5)
    assert np.allclose(document["eyes"]["left"], (own @ [1, 2, 3, 1])[:3], atol=1e-6)
    assert document["eyes"]["probability"] == 0.9
    if is_corrected:
        assert np.allclose(document["review"]["estimated"]["canonical_to_ras"], own @ before, atol=1e-5)
    (change,) = document["changes"]
    assert ("got other coordinates" if is_hardened else "sits under a transform: ") in change


def test_a_scan_under_a_scaling_is_saved_in_the_world_which_is_said(estimated, scan_node, scene, tmp_path):
    from E3PoseLib import mrml

    before = mrml.head_pose(transform_of(estimated))
    put_under(scene, scan_node, np.diag([2.0, 2.0, 2.0, 1.0]))
    document = saved(estimated, tmp_path)
    assert np.allclose(np.array(document["canonical_to_ras"])[:3, 3], 2 * before[:3, 3], atol=1e-5)
    assert "in the world of the scene" in document["changes"][0]


def test_a_pose_of_another_image_is_saved_with_that_word(estimated, scan_node, tmp_path):
    import slicer

    array = slicer.util.arrayFromVolume(scan_node)
    array[:] = array[::-1].copy()
    slicer.util.arrayFromVolumeModified(scan_node)
    assert "not of the image shown" in saved(estimated, tmp_path)["changes"][0]


def test_a_pose_whose_scan_has_lost_its_voxels_can_be_corrected(app, estimated, scan_node):
    """As in a scene whose file of the scan is gone."""
    from E3PoseLib import mrml

    before = mrml.head_pose(transform_of(estimated))
    scan_node.SetAndObserveImageData(None)
    mrml.correct_pose(transform_of(estimated), before @ NUDGE)
    assert np.allclose(mrml.head_pose(transform_of(estimated)), before @ NUDGE, atol=1e-6)
