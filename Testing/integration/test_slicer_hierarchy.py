"""Where results stand in the subject hierarchy, and how an estimate is undone, on real MRML."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("panel")


@pytest.fixture
def hierarchy(scene):
    import slicer

    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def test_results_lie_with_the_scan_s_patient_and_study(panel, scan_node, hierarchy, estimate_at_once, reslice):
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Doe^Jane")
    study = hierarchy.CreateStudyItem(patient, "fetal MR")
    scan = hierarchy.GetItemByDataNode(scan_node)
    hierarchy.SetItemParent(scan, study)
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.reslicedSpacingSliderWidget.value = 4.0
    estimate_at_once()
    reslice()

    def parent(selector) -> int:
        return hierarchy.GetItemParent(hierarchy.GetItemByDataNode(selector.currentNode()))

    assert parent(panel.ui.outputTransformSelector) == study
    assert parent(panel.ui.outputSegmentationSelector) == study
    assert parent(panel.ui.reslicedVolumeSelector) == study


def shift_of(amount: float):
    """A transform in the scene that moves by so many millimetres to the right."""
    import slicer
    import vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, amount)
    node.SetMatrixTransformToParent(matrix)
    return node


def test_a_scan_that_the_data_module_moves_does_not_take_its_pose_along(
    panel, scan_node, hierarchy, scene, estimate_at_once
):
    import slicer

    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    transform = panel.ui.outputTransformSelector.currentNode()
    before = mrml.head_pose(transform)
    shift = shift_of(50.0)
    item = hierarchy.GetItemByDataNode(scan_node)
    slicer.vtkSlicerSubjectHierarchyModuleLogic.TransformBranch(hierarchy, item, shift, False)
    assert scan_node.GetTransformNodeID() == shift.GetID() and transform.GetTransformNodeID() is None
    assert np.allclose(mrml.head_pose(transform)[:3, 3], before[:3, 3] + [50, 0, 0])
    # To delete the scan in the Data module deletes what lies under it.
    hierarchy.RemoveItem(item, True, True)
    assert scene.GetNodeByID(transform.GetID()) is transform


def test_a_node_that_was_chosen_stays_where_it_is(panel, scan_node, hierarchy, estimate_at_once):
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "mine")
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    transform = panel.ui.outputTransformSelector.addNode()
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(transform), folder)
    estimate_at_once()
    assert panel.ui.outputTransformSelector.currentNode() == transform
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(transform)) == folder


@pytest.fixture
def undo(scene):
    """The scene with Slicer's undo on."""
    scene.SetUndoOn()
    yield scene
    scene.ClearUndoStack()
    scene.ClearRedoStack()
    scene.SetUndoOff()


def test_an_estimate_is_undone_in_one_step(panel, scan_node, undo, estimate_at_once):
    import slicer

    from E3PoseLib import mrml

    def kinds() -> list[int]:
        names = ("vtkMRMLLinearTransformNode", "vtkMRMLSegmentationNode", "vtkMRMLSegmentationDisplayNode")
        return [undo.GetNumberOfNodesByClass(name) for name in names]

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    before = kinds()
    estimate_at_once()
    transform = panel.ui.outputTransformSelector.currentNode()
    first, position = mrml.head_pose(transform), panel.ui.positionLabel.text
    assert undo.GetNumberOfUndoLevels() == 1

    whole = slicer.util.arrayFromVolume(scan_node).copy()
    slicer.util.arrayFromVolume(scan_node)[:, :, :40] = 0
    slicer.util.arrayFromVolumeModified(scan_node)
    estimate_at_once()
    assert panel.ui.outputTransformSelector.currentNode() == transform
    assert panel.ui.positionLabel.text != position
    undo.Undo()
    assert np.allclose(mrml.head_pose(transform), first)
    # It is the pose of the whole image, which Undo does not bring back.
    assert panel.ui.verdictLabel.text.startswith("NOT OF THE IMAGE SHOWN")
    slicer.util.updateVolumeFromArray(scan_node, whole)
    assert panel.ui.positionLabel.text == position
    assert not mrml.is_edited_mask(panel.ui.outputSegmentationSelector.currentNode())

    undo.Undo()
    assert kinds() == before
    assert panel.ui.outputTransformSelector.currentNode() is None and panel.ui.positionLabel.text == "–"
    undo.Redo()
    assert panel.ui.positionLabel.text == position


def test_where_undo_is_off_nothing_is_kept_for_it(panel, scan_node, scene, estimate_at_once):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    assert scene.GetNumberOfUndoLevels() == 0
    assert not panel.ui.outputTransformSelector.currentNode().GetUndoEnabled()
