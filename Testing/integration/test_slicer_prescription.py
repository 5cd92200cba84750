"""Slices planned in the panel: in the scanner's coordinates wherever the scan is put, doubts first, nothing harmed."""

import json
import re

import numpy as np
import pytest

from .test_slicer_following import ball, turned
from .theirs import clone

pytestmark = pytest.mark.usefixtures("panel")


@pytest.fixture
def planned(estimated, scan_node):
    """The panel with the section open, and a ball of 40 mm about the head as the phantom's mask."""
    from E3PoseLib import mrml

    pose = mrml.head_pose(estimated.ui.outputTransformSelector.currentNode())
    segmentation = estimated.ui.outputSegmentationSelector.currentNode()
    mrml.write_mask(segmentation, ball(scan_node, pose, 40.0), mrml.read_scan(scan_node))
    set_confidence(estimated.ui.outputTransformSelector.currentNode(), border_share=0.0)  # the ball is whole
    estimated.ui.prescriptionCollapsibleButton.collapsed = False
    return estimated


def stack_of(panel, scan_node):
    """The stack as planned outside the panel."""
    from E3PoseLib import mrml, prescription

    pose = np.array(mrml.read_result(panel.ui.outputTransformSelector.currentNode())["canonical_to_ras"])
    mask = ball(scan_node, pose, 40.0)
    return prescription.plan_stack("coronal", pose, mask, mrml.voxel_to_parent(scan_node))


def coronal(panel) -> str:
    panel.ui.stackPlaneComboBox.currentIndex = 1
    return panel.ui.prescriptionText.plainText


def set_confidence(transform, warnings: list[str] | None = None, **confidence) -> None:
    from E3PoseLib import mrml

    result = mrml.read_result(transform)
    result["confidence"].update(confidence)
    result["warnings"] = result["warnings"] if warnings is None else warnings
    transform.SetAttribute(mrml.RESULT_ATTRIBUTE, json.dumps(result))


def test_nothing_is_planned_while_the_section_is_folded_away(planned, scene):
    planned.ui.stackFieldOfViewSpinBox.value = 300.0
    assert "field of view 300" in planned.ui.prescriptionText.plainText
    planned.ui.prescriptionCollapsibleButton.collapsed = True
    assert planned.ui.prescriptionText.plainText == "" and not planned.ui.copyPrescriptionButton.enabled
    assert drawn(scene) == []


def test_the_text_is_that_of_the_command_line_and_is_copied_whole(app, planned, scan_node):
    from E3PoseLib import prescription

    set_confidence(planned.ui.outputTransformSelector.currentNode(), [], level="high")
    text = coronal(planned)
    assert text == prescription.prescription_text("phantom", [stack_of(planned, scan_node)], "high", [])
    planned.ui.copyPrescriptionButton.click()
    assert app.clipboard().text() == text


def test_choices_change_the_stack(planned):
    planned.ui.stackThicknessSpinBox.value = 5.0
    planned.ui.stackGapSpinBox.value = 1.0
    planned.ui.stackMarginSpinBox.value = 0.0
    planned.ui.stackFieldOfViewSpinBox.value = 200.0
    text = planned.ui.prescriptionText.plainText
    # A ball of 80 mm and the edges of its voxels of 3 mm: 15 slices of 5 mm with 14 gaps of 1 mm are 89 mm.
    assert "AXIAL of the head: 15 slices of 5 mm, gap 1 mm, 89 mm in all" in text
    assert "field of view 200 × 200 mm" in text
    planned.ui.stackFieldOfViewSpinBox.value = 50.0
    assert planned.ui.prescriptionText.plainText.startswith("No slices: axial: a field of view of 50 × 50 mm does not")
    assert not planned.ui.copyPrescriptionButton.enabled


def test_doubts_come_before_all_numbers(planned):
    transform = planned.ui.outputTransformSelector.currentNode()
    set_confidence(transform, ["the head is cut by the edge of the scan"], level="low")
    lines = coronal(planned).splitlines()
    assert lines[0].startswith("WARNING: THE POSE IS DOUBTFUL")
    assert lines[2] == "  - the head is cut by the edge of the scan"
    planned.ui.checkedCheckBox.click()
    lines = planned.ui.prescriptionText.plainText.splitlines()
    assert lines[0] == "Note on the pose:"
    assert lines[1] == "  - Checked by eye. The confidence of the estimate was low"
    # Of how the scan lies in the patient no eye can tell.
    doubt = "the file does not say how it lies in the patient"
    set_confidence(transform, [doubt], orientation_doubtful=True)
    planned.prescriptionSection.refresh()
    lines = planned.ui.prescriptionText.plainText.splitlines()
    assert lines[0].startswith("WARNING: the file leaves open") and lines[1] == f"  - of the estimate: {doubt}"


def test_the_whole_of_a_brain_that_is_cut_is_planned_for(planned, scan_node):
    from E3PoseLib import mrml

    transform = planned.ui.outputTransformSelector.currentNode()
    pose = np.array(mrml.read_result(transform)["canonical_to_ras"])
    seen, matrix = ball(scan_node, pose, 40.0), mrml.voxel_to_parent(scan_node)
    voxels = np.argwhere(seen)
    is_beyond = (voxels @ matrix[:3, :3].T + matrix[:3, 3] - pose[:3, 3]) @ pose[:3, 1] > 10
    seen[tuple(voxels[is_beyond].T)] = 0
    mrml.write_mask(planned.ui.outputSegmentationSelector.currentNode(), seen, mrml.read_scan(scan_node))
    coronal(planned)
    slices = []
    for share in (0.0, 0.1):
        set_confidence(transform, [], level="high", border_share=share)
        planned.prescriptionSection.refresh()
        text = planned.ui.prescriptionText.plainText
        slices.append(int(re.search(r"CORONAL of the head: (\d+) slices", text)[1]))
        assert ("the scan ends in the brain" in text) == (share > 0)
    assert 9 <= slices[1] - slices[0] <= 11  # some 30 mm at 3 mm


@pytest.mark.parametrize("when", ["before the estimate", "after it"])
def test_numbers_are_the_scanner_s_under_a_transform(panel, scan_node, scene, estimate_at_once, when):
    from E3PoseLib import mrml, prescription
    from E3PoseLib.mrml.matrices import parent_to_world

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.prescriptionCollapsibleButton.collapsed = False
    panel.ui.stackFieldOfViewSpinBox.value = 900.0
    transform = turned(scene, 30, 20)
    if when == "before the estimate":
        scan_node.SetAndObserveTransformNodeID(transform.GetID())
    estimate_at_once()
    scan_node.SetAndObserveTransformNodeID(transform.GetID())
    pose = mrml.head_pose(panel.ui.outputTransformSelector.currentNode())
    outer = parent_to_world(scan_node)
    voxels, to_world = mrml.mask_voxels(panel.ui.outputSegmentationSelector.currentNode())
    inverse = np.linalg.inv(outer)
    settings = prescription.StackSettings((900, 900), max_slices=256)
    # By this model the phantom's brain fills the scan.
    stack = prescription.plan_stack("axial", inverse @ pose, voxels, inverse @ to_world, settings, is_cut=True)
    text = panel.ui.prescriptionText.plainText
    assert prescription.siemens_numbers(stack).orientation in text
    assert prescription.siemens_numbers(stack).position in text
    assert "  - the scan sits under a transform; the numbers are those of the scan without it" in text


def test_a_hardened_scan_is_no_longer_the_scanner_s(planned, scan_node, scene):
    scan_node.SetAndObserveTransformNodeID(turned(scene, 30, 20).GetID())
    scan_node.HardenTransform()
    assert planned.ui.prescriptionText.plainText.startswith("WARNING: THE POSE IS DOUBTFUL")
    assert "the scan got other coordinates since" in planned.ui.prescriptionText.plainText


def test_a_scaled_scan_has_no_slices(planned, scan_node, scene):
    import slicer

    from E3PoseLib import mrml

    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(mrml.to_vtk(np.diag([1.2, 1.2, 1.2, 1.0])))
    scan_node.SetAndObserveTransformNodeID(node.GetID())
    slicer.app.processEvents()
    assert "not rigid" in planned.ui.prescriptionText.plainText


def drawn(scene) -> list:
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLModelNode") for index in range(scene.GetNumberOfNodes())]
    return [node for node in nodes if node is not None and node.GetAttribute("E3Pose.Slices")]


def test_slices_are_drawn_where_they_are_planned_and_follow(planned, scan_node, second_scan, scene):
    from vtk.util.numpy_support import vtk_to_numpy

    from E3PoseLib import mrml

    stack = stack_of(planned, scan_node)
    coronal(planned)
    planned.ui.showStackCheckBox.checked = True
    (model,) = drawn(scene)
    assert model.GetName() == "phantom slices" and mrml.is_result_of(model, scan_node)
    corners = vtk_to_numpy(model.GetPolyData().GetPoints().GetData())
    assert len(corners) == 8 + 4 * (stack.n_slices - 1)
    assert np.allclose(corners[:8].mean(axis=0), stack.slice_centres[0], atol=1e-3)
    assert np.allclose(corners[-4:].mean(axis=0), stack.slice_centres[-1], atol=1e-3)
    assert np.allclose(np.ptp((corners - stack.centre) @ stack.row), 256, atol=1e-3)
    # It lies under the scan's transform.
    scan_node.SetAndObserveTransformNodeID(turned(scene, 30, 20).GetID())
    assert model.GetTransformNodeID() == scan_node.GetTransformNodeID()
    assert drawn(scene) == [model]
    # It is hidden with its scan, and comes back with it.
    planned.ui.inputVolumeSelector.setCurrentNode(second_scan)
    assert not model.GetDisplayNode().GetVisibility()
    planned.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert model.GetDisplayNode().GetVisibility() and drawn(scene) == [model]
    planned.ui.showStackCheckBox.checked = False
    assert not model.GetDisplayNode().GetVisibility()


def test_a_copy_of_the_slices_is_a_person_s_own(planned, scene):
    planned.ui.showStackCheckBox.checked = True
    (slices,) = drawn(scene)
    copy = clone(slices, "my slices")
    planned._refreshResult()
    planned.ui.showStackCheckBox.checked = False
    assert copy.GetDisplayNode().GetVisibility() and not slices.GetDisplayNode().GetVisibility()


def test_slices_that_were_deleted_do_not_come_again_and_models_of_others_stay(planned, scan_node, scene):
    import slicer
    import vtk

    theirs = scene.AddNewNodeByClass("vtkMRMLModelNode", "theirs")
    sphere = vtk.vtkSphereSource()
    sphere.Update()
    theirs.SetAndObservePolyData(sphere.GetOutput())
    theirs.CreateDefaultDisplayNodes()
    planned.ui.showStackCheckBox.checked = True
    (model,) = drawn(scene)
    model.SetAndObservePolyData(sphere.GetOutput())  # somebody has made something else of it
    planned.ui.stackGapSpinBox.value = 1.0
    another = next(node for node in drawn(scene) if node != model)
    assert model.GetPolyData() == theirs.GetPolyData() == sphere.GetOutput()
    assert theirs.GetDisplayNode().GetVisibility()
    slicer.mrmlScene.RemoveNode(another)
    planned.ui.stackGapSpinBox.value = 2.0
    assert not planned.ui.showStackCheckBox.checked


def test_a_scene_brings_its_slices_back(app, planned, scan_node, scene, tmp_path):
    import slicer

    coronal(planned)
    planned.ui.showStackCheckBox.checked = True
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    scene.Clear(0)
    slicer.util.loadScene(path)
    planned.enter()
    (model,) = drawn(scene)
    assert planned.ui.showStackCheckBox.checked and model.GetDisplayNode().GetVisibility()
    assert "CORONAL of the head" in planned.ui.prescriptionText.plainText
