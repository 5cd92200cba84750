"""The pose looked at, corrected by hand and taken back, with axes and box on request; the real panel on real MRML."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytestmark = pytest.mark.usefixtures("panel")

NUDGE = np.eye(4)
NUDGE[:3, :3] = Rotation.from_euler("xyz", [8, -5, 3], degrees=True).as_matrix()
NUDGE[:3, 3] = 4, 0, -3


@pytest.fixture(params=["ALIGN", "PLACE"])
def either_way(panel, scan_node, estimate_at_once, request):
    """The panel with an estimate whose transform leads either way."""
    from E3PosePanel.parameters import Direction

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel._parameterNode.direction = Direction[request.param]
    estimate_at_once()
    return panel


def transform_of(panel):
    return panel.ui.outputTransformSelector.currentNode()


def drag(app, panel, nudge) -> None:
    """Move the handles in the head's own frame, as somebody who drags them does, and wait until they have rested."""
    import slicer

    axes = panel.overlays.axes
    assert isinstance(axes.transform, slicer.vtkMRMLLinearTransformNode)
    put(app, panel, axes.pose() @ nudge)


def put(app, panel, pose) -> None:
    """Put the handles at a pose, and wait until they have rested."""
    from E3PoseLib import mrml

    panel.overlays.axes.transform.SetMatrixTransformToParent(mrml.to_vtk(pose))
    app.wait_until(lambda: not panel.correction._timer.isActive(), timeout=5)


def test_correct_by_hand_and_go_back(app, either_way, scene):
    from E3PoseLib import mrml
    from E3PoseLib.imaging.geometry import pose_difference
    from E3PoseLib.running.summary import NOT_REVIEWED

    panel, transform = either_way, transform_of(either_way)
    before, told = mrml.head_pose(transform), panel.ui.rotationLabel.text
    panel.ui.correctButton.click()
    display = panel.overlays.axes.transform.GetDisplayNode()
    assert display.GetEditorVisibility() and display.GetEditorVisibility3D()
    assert display.GetEditorSliceIntersectionVisibility() and not display.GetEditorScalingEnabled()
    assert panel.ui.standardPlanesButton.checked
    drag(app, panel, NUDGE)
    assert np.allclose(mrml.head_pose(transform), before @ NUDGE, atol=1e-6)
    angle, distance = pose_difference(before @ NUDGE, before)
    assert panel.ui.verdictLabel.text.startswith(f"Corrected by hand, by {angle:.1f}° and {distance:.1f} mm.")
    assert panel.ui.rotationLabel.text != told
    # The planes have followed, and what is told is what is there.
    red = mrml.to_numpy(mrml.slice_nodes(scene)["Red"].GetSliceToRAS())
    assert np.allclose(red[:3, 2], (before @ NUDGE)[:3, 2], atol=1e-6)
    assert "moved since" not in panel.ui.warningsLabel.text
    assert panel.ui.checkedCheckBox.checked and not panel.ui.checkedCheckBox.enabled
    panel.ui.correctButton.click()
    assert not display.GetEditorVisibility()
    panel.ui.resetPoseButton.click()
    assert np.allclose(mrml.head_pose(transform), before, atol=1e-6)
    assert panel.ui.rotationLabel.text == told
    assert not panel.ui.resetPoseButton.enabled and not panel.ui.checkedCheckBox.checked
    assert mrml.read_result(transform)["review"] == NOT_REVIEWED


def test_two_corrections_are_one_difference_from_the_estimate(app, either_way):
    from E3PoseLib import mrml
    from E3PoseLib.imaging.geometry import pose_difference

    transform = transform_of(either_way)
    before = mrml.head_pose(transform)
    either_way.ui.correctButton.click()
    for _ in range(2):
        drag(app, either_way, NUDGE)
    review = mrml.read_result(transform)["review"]
    angle, distance = pose_difference(before @ NUDGE @ NUDGE, before)
    assert (review["rotation_degrees"], review["translation_mm"]) == pytest.approx((angle, distance), abs=1e-4)
    assert np.allclose(review["estimated"]["canonical_to_ras"], before, atol=1e-6)


def test_the_angles_told_are_those_of_the_library():
    import torch

    from E3PoseLib.imaging.rotations import matrix_to_euler
    from E3PoseLib.mrml.review import euler_xyz_degrees

    for rotation in Rotation.random(20, random_state=3).as_matrix():
        assert np.allclose(euler_xyz_degrees(rotation), matrix_to_euler(torch.from_numpy(rotation)), atol=1e-6)


def test_a_correction_of_a_scan_that_was_moved_since(app, estimated, scan_node, scene):
    from E3PoseLib import mrml

    transform = transform_of(estimated)
    scan_node.SetAndObserveTransformNodeID(transform.GetID())
    scan_node.HardenTransform()
    assert np.allclose(mrml.head_pose(transform), np.eye(4), atol=1e-6)
    estimated.ui.correctButton.click()
    drag(app, estimated, NUDGE)
    assert np.allclose(mrml.head_pose(transform), NUDGE, atol=1e-6)


def test_checked_by_eye_is_kept_with_the_scene_and_in_json(app, estimated, scene, tmp_path):
    import slicer

    estimated.ui.checkedCheckBox.click()
    assert estimated.ui.verdictLabel.text.startswith("Checked by eye.")
    assert not estimated.ui.firstWarningLabel.visible
    estimated.correction.saveTo(tmp_path / "pose.json")
    assert estimated.ui.statusLabel.text == "Saved: pose.npy, pose.tfm, pose.json."
    saved = json.loads((tmp_path / "pose.json").read_text(encoding="utf-8"))
    assert saved["review"] == {"state": "checked by eye"} and saved["name"] == "phantom"
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    scene.Clear(0)
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(tmp_path / "scene.mrb")}, None)
    assert estimated.ui.checkedCheckBox.checked
    assert estimated.ui.verdictLabel.text.startswith("Checked by eye.")
    estimated.ui.checkedCheckBox.click()
    assert "Checked" not in estimated.ui.verdictLabel.text
    estimated.correction.saveTo(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))["review"] == {"state": "estimated"}


def test_saved_files_hold_the_corrected_pose(app, estimated, tmp_path):
    from E3PoseLib import mrml
    from E3PoseLib.imaging.geometry import read_itk, read_npy

    estimated.ui.correctButton.click()
    drag(app, estimated, NUDGE)
    pose = mrml.head_pose(transform_of(estimated))
    estimated.correction.saveTo(tmp_path / "corrected")
    assert np.allclose(read_npy(tmp_path / "corrected.npy"), pose)
    assert np.allclose(read_itk(tmp_path / "corrected.tfm"), pose)
    saved = json.loads((tmp_path / "corrected.json").read_text(encoding="utf-8"))
    assert np.allclose(saved["canonical_to_ras"], pose)
    assert np.allclose(np.array(saved["ras_to_canonical"]) @ pose, np.eye(4))
    assert saved["review"]["state"] == "corrected by hand"
    assert not np.allclose(saved["review"]["estimated"]["canonical_to_ras"], pose)


def test_a_folder_that_is_not_there_is_said(estimated, tmp_path):
    estimated.correction.saveTo(tmp_path / "nowhere" / "pose.json")
    assert estimated.ui.statusLabel.text.startswith("Not done: ")


@pytest.mark.parametrize("how", ["checked", "corrected"])
def test_what_a_person_has_said_is_not_estimated_over(app, estimated, estimate_at_once, how):
    from E3PoseLib import mrml

    transform = transform_of(estimated)
    if how == "checked":
        estimated.ui.checkedCheckBox.click()
    else:
        estimated.ui.correctButton.click()
        drag(app, estimated, NUDGE)
    pose, result = mrml.head_pose(transform), mrml.read_result(transform)
    estimate_at_once()
    assert transform_of(estimated) != transform
    assert np.allclose(mrml.head_pose(transform), pose) and mrml.read_result(transform) == result
    assert "was checked or changed by hand" in estimated.ui.statusLabel.text


def test_handles_go_with_their_scan(app, estimated, second_scan):
    estimated.ui.correctButton.click()
    estimated.ui.inputVolumeSelector.setCurrentNode(second_scan)
    assert not estimated.ui.correctButton.checked and not estimated.ui.correctButton.enabled
    assert not estimated.overlays.axes.transform.GetDisplayNode().GetEditorVisibility()


def visible(scene, class_name: str, prefix: str) -> list[str]:
    nodes = scene.GetNodesByClass(class_name)
    return [
        node.GetName() for node in nodes if node.GetName().startswith(prefix) and node.GetDisplayNode().GetVisibility()
    ]


def test_axes_on_request(estimated, second_scan, estimate_at_once, reslice, scan_node, scene):
    """They lie on the head that is shown, and are neither listed nor saved."""
    from E3PoseLib import mrml

    assert visible(scene, "vtkMRMLModelNode", "Head axis") == []
    estimated.ui.showAxesCheckBox.checked = True
    assert len(visible(scene, "vtkMRMLModelNode", "Head axis")) == 3
    pose = mrml.head_pose(transform_of(estimated))
    arrows = [node for node in scene.GetNodesByClass("vtkMRMLModelNode") if node.GetName().startswith("Head axis")]
    for axis, model in enumerate(arrows):
        bounds = np.zeros(6)
        model.GetRASBounds(bounds)
        tip = pose[:3, 3] + 65 * pose[:3, axis]
        assert np.all(tip > bounds[::2] - 0.1) and np.all(tip < bounds[1::2] + 0.1)
        assert model.GetHideFromEditors() and not model.GetSaveWithScene()
        assert model.GetDisplayNode().GetVisibility2D()
    estimated.ui.reslicedSpacingSliderWidget.value = 3.0
    reslice()
    assert np.allclose(estimated.overlays.axes.pose(), np.eye(4))
    estimated.ui.inputVolumeSelector.setCurrentNode(second_scan)
    assert visible(scene, "vtkMRMLModelNode", "Head axis") == []
    estimated.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert np.allclose(estimated.overlays.axes.pose(), pose)
    estimated.ui.showAxesCheckBox.checked = False
    assert visible(scene, "vtkMRMLModelNode", "Head axis") == []


def test_the_box_holds_the_head_and_follows_it(app, estimated, second_scan, scan_node, scene):
    from E3PoseLib import mrml

    from .test_slicer_following import ball

    pose = mrml.head_pose(transform_of(estimated))
    segmentation = estimated.ui.outputSegmentationSelector.currentNode()
    mrml.write_mask(segmentation, ball(scan_node, pose, 40.0), mrml.read_scan(scan_node))
    estimated.ui.showBoxCheckBox.checked = True
    (box,) = scene.GetNodesByClass("vtkMRMLMarkupsROINode")
    assert box.GetName() == "phantom head box" and box.GetDisplayNode().GetVisibility()
    assert box.GetSize() == pytest.approx((104, 104, 104), abs=6)  # the ball, and 12 mm around
    assert np.allclose(mrml.to_numpy(box.GetObjectToWorldMatrix())[:3, :3], pose[:3, :3])
    assert np.allclose(box.GetCenterWorld(), pose[:3, 3], atol=3)
    box.SetSize(90, 100, 110)
    estimated.ui.correctButton.click()
    drag(app, estimated, NUDGE)
    assert box.GetSize() == pytest.approx((90, 100, 110))
    assert np.allclose(mrml.to_numpy(box.GetObjectToWorldMatrix())[:3, :3], (pose @ NUDGE)[:3, :3])
    estimated.ui.inputVolumeSelector.setCurrentNode(second_scan)
    assert not box.GetDisplayNode().GetVisibility()
    estimated.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert box.GetDisplayNode().GetVisibility()
    scene.RemoveNode(box)
    estimated.ui.maskOpacitySliderWidget.value = 0.3
    assert not estimated.ui.showBoxCheckBox.checked
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsROINode") == 0


def test_a_box_that_is_hidden_elsewhere_stays_hidden(estimated, scene):
    estimated.ui.showBoxCheckBox.checked = True
    (box,) = scene.GetNodesByClass("vtkMRMLMarkupsROINode")
    box.GetDisplayNode().SetVisibility(False)  # as the eye in the Data module does
    estimated._refreshResult()
    assert not box.GetDisplayNode().GetVisibility() and not estimated.ui.showBoxCheckBox.checked
    estimated.ui.showBoxCheckBox.checked = True
    assert box.GetDisplayNode().GetVisibility()


def test_a_drag_outlasts_whatever_else_changes(app, estimated):
    from E3PoseLib import mrml

    transform, axes = transform_of(estimated), estimated.overlays.axes
    before = mrml.head_pose(transform)
    estimated.ui.correctButton.click()
    axes.transform.SetMatrixTransformToParent(mrml.to_vtk(before @ NUDGE))
    estimated.ui.maskOpacitySliderWidget.value = 0.5
    assert np.allclose(axes.pose(), before @ NUDGE)
    app.wait_until(lambda: not estimated.correction._timer.isActive(), timeout=5)
    assert np.allclose(mrml.head_pose(transform), before @ NUDGE, atol=1e-6)


def test_handles_that_are_put_back_correct_nothing(app, estimated):
    from E3PoseLib import mrml

    transform, axes = transform_of(estimated), estimated.overlays.axes
    before = mrml.head_pose(transform)
    estimated.ui.correctButton.click()
    for pose in (before @ NUDGE, before):
        axes.transform.SetMatrixTransformToParent(mrml.to_vtk(pose))
    app.wait_until(lambda: not estimated.correction._timer.isActive(), timeout=5)
    assert mrml.review_state(mrml.read_result(transform)) == mrml.ESTIMATED
    assert estimated.ui.checkedCheckBox.enabled and not estimated.ui.checkedCheckBox.checked


def test_the_pose_of_another_scan_is_neither_judged_nor_changed(estimated, second_scan, estimate_at_once, monkeypatch):
    import qt

    transform, proposed = transform_of(estimated), []
    estimated.ui.inputVolumeSelector.setCurrentNode(second_scan)
    estimate_at_once()
    estimated.ui.outputTransformSelector.setCurrentNode(transform)
    assert estimated.ui.verdictLabel.text == "THE POSE IS OF ANOTHER SCAN: phantom."
    assert estimated.ui.confidenceLabel.text == "–" and estimated.ui.resliceButton.enabled
    for name in ("correctButton", "checkedCheckBox", "resetPoseButton"):
        assert not getattr(estimated.ui, name).enabled, name
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *arguments: proposed.append(Path(arguments[2]).name))
    estimated.ui.savePoseButton.click()
    assert proposed == ["phantom.json"]
    # Nor is a scan needed for that.
    estimated.ui.inputVolumeSelector.setCurrentNode(None)
    estimated.ui.outputTransformSelector.setCurrentNode(transform)
    estimated.ui.showBoxCheckBox.checked = True
    estimated.ui.savePoseButton.click()
    assert proposed == ["phantom.json"] * 2 and not estimated.ui.correctButton.enabled


@pytest.mark.parametrize("how", ["checked", "corrected"])
def test_a_word_taken_back_makes_no_pose_that_of_the_image_shown(app, estimated, scan_node, how):
    """Other voxels came; what a person said of them goes with the word, and the estimate is again of those before."""
    import slicer

    array = slicer.util.arrayFromVolume(scan_node)
    before = array.copy()
    array[:] = before[::-1]
    slicer.util.arrayFromVolumeModified(scan_node)
    for _ in range(2):
        assert estimated.ui.verdictLabel.text.startswith("NOT OF THE IMAGE SHOWN")
        if how == "checked":
            estimated.ui.checkedCheckBox.click()
            assert estimated.ui.verdictLabel.text.startswith("Checked by eye")
            estimated.ui.checkedCheckBox.click()
        else:
            estimated.ui.correctButton.click()
            drag(app, estimated, NUDGE)
            drag(app, estimated, NUDGE)
            assert estimated.ui.verdictLabel.text.startswith("Corrected by hand")
            estimated.ui.correctButton.click()
            estimated.ui.resetPoseButton.click()
    assert estimated.ui.verdictLabel.text.startswith("NOT OF THE IMAGE SHOWN")
    array[:] = before
    slicer.util.arrayFromVolumeModified(scan_node)
    assert "NOT OF" not in estimated.ui.verdictLabel.text


@pytest.mark.parametrize("has_landmarks", [True, False])
def test_what_is_drawn_does_not_take_the_points_that_a_person_places(estimated, scene, has_landmarks):
    """Slicer's Markups module lets each markups node that comes into a scene take the points from then on."""
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsLineNode")
    selection.SetReferenceActivePlaceNodeID(None)
    landmarks = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "mine") if has_landmarks else None
    before = selection.GetActivePlaceNodeID(), selection.GetActivePlaceNodeClassName()
    assert before[0] == (landmarks.GetID() if has_landmarks else None)
    estimated.ui.showAxesCheckBox.checked = True
    estimated.ui.showBoxCheckBox.checked = True
    estimated.ui.correctButton.click()
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsNode") == 2 + has_landmarks
    assert (selection.GetActivePlaceNodeID(), selection.GetActivePlaceNodeClassName()) == before
    estimated.overlays.remove()
    assert (selection.GetActivePlaceNodeID(), selection.GetActivePlaceNodeClassName()) == before
