"""The slice views in the head's standard planes, and back."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("panel")


def turn_views(panel, scan_node, scene, estimate_at_once):
    """Estimate, and turn the views to the head: the red slice node, and where it was before."""
    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    red = scene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    before = mrml.to_numpy(red.GetSliceToRAS())
    panel.ui.standardPlanesButton.click()
    return red, before


def test_standard_planes_and_back(panel, scan_node, scene, estimate_at_once):
    from E3PoseLib import mrml

    red, before = turn_views(panel, scan_node, scene, estimate_at_once)
    pose = mrml.head_pose(panel.ui.outputTransformSelector.currentNode())
    turned = mrml.to_numpy(red.GetSliceToRAS())
    assert np.allclose(turned[:3, 2], pose[:3, 2], atol=1e-6)
    assert np.allclose(turned[:3, 3], pose[:3, 3], atol=1e-6)
    # Meanwhile the window becomes twice as wide: the image may not come back stretched.
    columns, rows, slices = red.GetDimensions()
    red.SetDimensions(2 * columns, rows, slices)
    panel.ui.standardPlanesButton.click()
    assert np.allclose(mrml.to_numpy(red.GetSliceToRAS()), before)
    width, height, _ = red.GetFieldOfView()
    assert width / height == pytest.approx(2 * columns / rows)
    # Closing the scene turns the views back too.
    panel.ui.standardPlanesButton.click()
    assert red.GetOrientation() == "Reformat"
    scene.Clear(0)
    assert red.GetOrientation() == "Axial"


def test_a_transform_that_goes_turns_the_views_back(panel, scan_node, scene, estimate_at_once):
    from E3PoseLib import mrml

    red, before = turn_views(panel, scan_node, scene, estimate_at_once)
    scene.RemoveNode(panel.ui.outputTransformSelector.currentNode())
    assert not panel.ui.standardPlanesButton.checked and not panel.ui.standardPlanesButton.enabled
    assert np.allclose(mrml.to_numpy(red.GetSliceToRAS()), before)


def test_the_views_turn_along_when_the_scan_or_the_pose_does(
    app, panel, scan_node, second_scan, scene, estimate_at_once
):
    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(second_scan)
    estimate_at_once()
    other_pose = panel.ui.outputTransformSelector.currentNode()
    red, before = turn_views(panel, scan_node, scene, estimate_at_once)
    transform = panel.ui.outputTransformSelector.currentNode()
    assert "moved since" not in panel.ui.warningsLabel.text
    shift = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[1, 3] = 25
    shift.SetMatrixTransformToParent(mrml.to_vtk(matrix))
    scan_node.SetAndObserveTransformNodeID(shift.GetID())
    assert np.allclose(red.GetSliceToRAS().GetElement(1, 3), mrml.head_pose(transform)[1, 3])
    assert "has been moved since" in panel.ui.warningsLabel.text
    panel.ui.outputTransformSelector.setCurrentNode(other_pose)
    assert np.allclose(mrml.to_numpy(red.GetSliceToRAS())[:3, 3], mrml.head_pose(other_pose)[:3, 3])
    # Views that a person has turned since stay where they are, and unpressed the button turns them back.
    red.GetSliceToRAS().SetElement(2, 3, 7.0)
    red.UpdateMatrices()
    panel.ui.reslicedSpacingSliderWidget.value = 2.0
    assert red.GetSliceToRAS().GetElement(2, 3) == 7.0
    panel.ui.standardPlanesButton.click()
    assert np.allclose(mrml.to_numpy(red.GetSliceToRAS()), before)


def test_views_saved_turned_come_back_with_the_button_pressed(panel, scan_node, scene, tmp_path, estimate_at_once):
    import slicer

    from E3PoseLib import mrml

    red, before = turn_views(panel, scan_node, scene, estimate_at_once)
    turned = mrml.to_numpy(red.GetSliceToRAS())
    assert slicer.util.saveScene(str(tmp_path / "turned.mrb"), {})
    scene.Clear(0)
    assert not panel.ui.standardPlanesButton.checked
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(tmp_path / "turned.mrb")}, None)
    assert np.allclose(mrml.to_numpy(red.GetSliceToRAS()), turned)
    assert panel.ui.standardPlanesButton.checked
    panel.ui.standardPlanesButton.click()
    assert np.allclose(mrml.to_numpy(red.GetSliceToRAS()), before)


def test_an_upright_volume_saved_in_the_views_comes_back_with_its_button_pressed(
    panel, scan_node, scene, tmp_path, estimate_at_once, reslice
):
    import slicer

    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.reslicedSpacingSliderWidget.value = 4.0
    estimate_at_once()
    reslice()
    assert panel.ui.showUprightButton.checked
    assert slicer.util.saveScene(str(tmp_path / "upright.mrb"), {})
    scene.Clear(0)
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(tmp_path / "upright.mrb")}, None)
    assert mrml.volume_in_views(scene) == panel.ui.reslicedVolumeSelector.currentNode()
    assert panel.ui.showUprightButton.checked and not panel.ui.standardPlanesButton.checked
    panel.ui.showUprightButton.click()
    assert mrml.volume_in_views(scene) == panel.ui.inputVolumeSelector.currentNode()
