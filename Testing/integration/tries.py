"""Ways to part a scan from its results, or to put a person's own nodes in their place.

Each is given the panel, a person's nodes (`Theirs`) and the three results of scan A; what it makes that a person would
miss, it returns.
"""

import numpy as np

from .conftest import add_phantom
from .theirs import LABEL_MAP, add_segment, vtk_to_numpy

PARAMETERS = ("inputVolume", "outputTransform", "outputSegmentation", "reslicedVolume")
SELECTORS = ("outputTransformSelector", "outputSegmentationSelector", "reslicedVolumeSelector")


def delete_by_data_module(panel, theirs, results):
    for node in results:
        theirs.scene.RemoveNode(node)


def delete_by_data_module_last_first(panel, theirs, results):
    delete_by_data_module(panel, theirs, reversed(results))


def delete_by_selector(panel, theirs, results):
    for name in SELECTORS:
        getattr(panel.ui, name).removeCurrentNode()


def delete_in_a_batch(panel, theirs, results):
    theirs.scene.StartState(theirs.scene.BatchProcessState)
    delete_by_data_module(panel, theirs, results)
    theirs.scene.EndState(theirs.scene.BatchProcessState)


def delete_while_another_module_is_open(panel, theirs, results):
    import slicer

    slicer.modules.e3pose.exit()
    delete_by_data_module(panel, theirs, results)
    slicer.modules.e3pose.enter()


def hide(panel, theirs, results):
    for node in results:
        node.SetHideFromEditors(True)


def delete_and_undo(panel, theirs, results):
    theirs.scene.SetUndoOn()
    for node in results:
        node.SetUndoEnabled(True)
    theirs.scene.SaveStateForUndo()
    delete_by_data_module(panel, theirs, results)
    theirs.scene.Undo()


def undo_what_made_them(panel, theirs, results):
    """As Slicer's undo of the estimate does it: the nodes go."""
    scene = theirs.scene
    scene.SetUndoOn()
    keep = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "undoable")
    keep.SetUndoEnabled(True)
    scene.SaveStateForUndo()
    for node in results:
        node.SetUndoEnabled(True)
    scene.Undo()
    return [keep]


def restore_a_scene_view(panel, theirs, results):
    """As Slicer's Scene Views do it: what was deleted since comes back, what was made since goes."""
    import slicer

    view = theirs.scene.AddNode(slicer.vtkMRMLSceneViewNode())
    view.StoreScene()
    delete_by_data_module(panel, theirs, results)
    view.RestoreScene(True)


def import_a_scene_of_another_fetus(panel, theirs, results):
    """With parameters of the panel in it, whose nodes have the numbers of those here."""
    import slicer

    other = slicer.vtkMRMLScene()
    volume = add_phantom(other, "another fetus", step=4)
    transform = other.AddNewNodeByClass("vtkMRMLLinearTransformNode", "another pose")
    slicer.util.updateTransformMatrixFromArray(transform, np.diag([-1.0, -1, 1, 1]))
    segmentation = other.AddNewNodeByClass("vtkMRMLSegmentationNode", "another mask")
    add_segment(segmentation, "Brain", volume)
    named = other.AddNode(slicer.vtkMRMLScriptedModuleNode())
    named.SetSingletonTag("E3Pose")
    named.SetAttribute("ModuleName", "E3Pose")
    for name, node in zip(PARAMETERS, (volume, transform, segmentation, volume), strict=True):
        named.SetNodeReferenceID(name, node.GetID())
    other.SetRootDirectory(theirs.file(""))
    for node in (volume, transform, segmentation):
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(theirs.file(f"{node.GetName()}.nrrd" if node != transform else "another.tfm"))
        assert node.GetStorageNode().WriteData(node)
    other.SetURL(theirs.file("other.mrml"))
    assert other.Commit()
    theirs.scene.SetURL(other.GetURL())
    assert theirs.scene.Import()
    panel.ui.inputVolumeSelector.setCurrentNode(theirs.a)
    return [theirs.scene.GetFirstNodeByName(name) for name in ("another fetus", "another pose", "another mask")]


def import_this_scene_once_more(panel, theirs, results):
    import slicer

    assert slicer.util.saveScene(theirs.file("scene.mrb"), {})
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": theirs.file("scene.mrb")}, None)


def record_results_in_sequences(panel, theirs, results):
    scene = theirs.scene
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    sequences = []
    for node in results:
        sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{node.GetName()} in time")
        sequence.SetDataNodeAtValue(node, "0")
        browser.AddSynchronizedSequenceNode(sequence)
        browser.AddProxyNode(node, sequence, False)
        browser.SetSaveChanges(sequence, True)
        sequences.append(sequence.GetNthDataNode(0))
    return [*sequences, *results]


def select_what_a_sequence_of_theirs_drives(panel, theirs, results):
    """An empty transform, which is the first of a series: what is written into it would go into the sequence."""
    scene = theirs.scene
    shown = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "motion")
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "motion in time")
    sequence.SetDataNodeAtValue(shown, "0")
    browser.AddSynchronizedSequenceNode(sequence)
    browser.AddProxyNode(shown, sequence, False)
    browser.SetSaveChanges(sequence, True)
    panel.ui.outputTransformSelector.setCurrentNode(shown)
    return [shown, sequence.GetNthDataNode(0)]


def copy_results_and_delete_them(panel, theirs, results):
    copies = []
    for node in results:
        copy = theirs.scene.AddNewNodeByClass(node.GetClassName(), "kept")
        copy.CopyContent(node)
        copy.Copy(node)
        copies.append(copy)
    delete_by_data_module(panel, theirs, results)
    return copies


def change_results_by_hand(panel, theirs, results):
    import slicer

    transform, segmentation, _ = results
    matrix = slicer.util.arrayFromTransformMatrix(transform)
    matrix[0, 3] += 2
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    voxels = vtk_to_numpy(mask_of(segmentation).GetPointData().GetScalars())
    voxels[np.flatnonzero(voxels)[:50]] = 0
    mask_of(segmentation).Modified()
    return [transform, segmentation]


def mask_of(segmentation_node):
    segmentation = segmentation_node.GetSegmentation()
    return segmentation.GetSegment(segmentation.GetNthSegmentID(0)).GetRepresentation(LABEL_MAP)


def draw_on_the_upright_volume(panel, theirs, results):
    segmentation = theirs.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "cerebellum")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(results[2])
    return [segmentation, results[2]]


def estimate_the_upright_volume(panel, theirs, results):
    from E3PoseLib import mrml

    transform = theirs.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "pose of the upright one")
    mrml.write_pose(transform, mrml.read_result(results[0]), mrml.ALIGN_VOLUME, mrml.read_scan(results[2]))
    return [transform, results[2]]


def select_theirs_by_script(panel, theirs, results):
    """The transform is asked about: the answer is no. Of the segmentation the mask would be a part, not a change."""
    panel._parameterNode.outputTransform = theirs.transform
    panel._parameterNode.reslicedVolume = theirs.b


def select_theirs_in_the_selectors(panel, theirs, results):
    panel.ui.outputTransformSelector.setCurrentNode(theirs.transform)
    panel.ui.reslicedVolumeSelector.setCurrentNode(theirs.b)


def select_the_scan_itself(panel, theirs, results):
    panel.ui.reslicedVolumeSelector.setCurrentNode(theirs.a)


def select_results_of_another_scan(panel, theirs, results):
    """A's, for B; and then A once more."""
    panel.ui.inputVolumeSelector.setCurrentNode(theirs.b)
    for name, node in zip(SELECTORS, results, strict=True):
        getattr(panel.ui, name).setCurrentNode(node)
    return results


def delete_the_scan(panel, theirs, results):
    theirs.scene.RemoveNode(theirs.a)
    panel.ui.inputVolumeSelector.setCurrentNode(theirs.b)
    return results


def go_to_another_scan_and_back(panel, theirs, results):
    delete_by_data_module(panel, theirs, results)
    panel.ui.inputVolumeSelector.setCurrentNode(theirs.b)
    panel.ui.inputVolumeSelector.setCurrentNode(theirs.a)


def load_a_scene_saved_after_a_jump(panel, theirs, results):
    """As versions of old would have saved it: the parameters name a person's nodes."""
    import slicer

    named = panel._parameterNode.parameterNode
    panel.setParameterNode(None)
    for name, node in zip(
        ("outputTransform", "outputSegmentation"), (theirs.transform, theirs.segmentation), strict=True
    ):
        named.SetNodeReferenceID(name, node.GetID())
    named.SetNodeReferenceID("reslicedVolume", theirs.b.GetID())
    assert slicer.util.saveScene(theirs.file("jumped.mrb"), {})
    theirs.scene.Clear(0)
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": theirs.file("jumped.mrb")}, None)
    theirs.find_again()


def close_and_load_the_scene(panel, theirs, results):
    import slicer

    assert slicer.util.saveScene(theirs.file("scene.mrb"), {})
    theirs.scene.Clear(0)
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": theirs.file("scene.mrb")}, None)
    theirs.find_again()


TRIES = (
    delete_by_data_module,
    delete_by_data_module_last_first,
    delete_by_selector,
    delete_in_a_batch,
    delete_while_another_module_is_open,
    hide,
    delete_and_undo,
    undo_what_made_them,
    restore_a_scene_view,
    import_a_scene_of_another_fetus,
    import_this_scene_once_more,
    record_results_in_sequences,
    select_what_a_sequence_of_theirs_drives,
    copy_results_and_delete_them,
    change_results_by_hand,
    draw_on_the_upright_volume,
    estimate_the_upright_volume,
    select_theirs_by_script,
    select_theirs_in_the_selectors,
    select_the_scan_itself,
    select_results_of_another_scan,
    delete_the_scan,
    go_to_another_scan_and_back,
    load_a_scene_saved_after_a_jump,
    close_and_load_the_scene,
)
