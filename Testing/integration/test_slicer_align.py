"""Stacks aligned in the panel on real MRML: new nodes in one folder, views side by side, and all of it taken back."""

import numpy as np
import pytest

from .aligning import MOTION, check, hierarchy, listed, made_by_alignment
from .conftest import add_phantom, nodes

pytestmark = pytest.mark.usefixtures("panel")


def shown_in(scene, column: int, plane: str):
    """What a view of the comparison shows, and where it lies."""
    from E3PoseLib import mrml

    view = scene.GetSingletonNode(f"E3PoseStack{column}{plane}", "vtkMRMLSliceNode")
    composite = next(
        node
        for node in mrml.matrices.nodes_of_class(scene, "vtkMRMLSliceCompositeNode")
        if node.GetLayoutName() == view.GetLayoutName()
    )
    return scene.GetNodeByID(composite.GetBackgroundVolumeID()), mrml.to_numpy(view.GetSliceToRAS())


def test_the_button_waits_for_two_stacks(panel, stacks, scan_node, scene):
    assert listed(panel) == ["a", "b", "c", "phantom"]
    assert not panel.ui.alignButton.enabled and "at least two" in panel.ui.alignButton.toolTip
    check(panel, "a")
    assert not panel.ui.alignButton.enabled
    check(panel, "a", "c")
    assert panel.ui.alignButton.enabled
    scene.RemoveNode(stacks[2])
    assert listed(panel) == ["a", "b", "phantom"] and not panel.ui.alignButton.enabled
    assert not panel.ui.compareStacksButton.enabled and not panel.ui.removeAlignmentButton.enabled


def test_each_stack_gets_a_transform_and_a_mask_in_one_folder(aligned, stacks, scene):
    from E3PoseLib import mrml

    made, tree = made_by_alignment(scene), hierarchy(scene)
    (alignment,) = mrml.alignments(scene)
    assert len(made) == 6 and alignment.left_out == []
    folders = {tree.GetItemParent(tree.GetItemByDataNode(node)) for node in made}
    assert len(folders) == 1 and tree.GetItemName(folders.pop()) == "Aligned stacks"
    heads = {}
    for stack in alignment.stacks:
        name = stack.volume.GetName()
        assert stack.numbers["likeness"] == pytest.approx(1.0, abs=0.01)
        # Under its transform each stack shows the head at one place.
        pose = mrml.head_pose(stack.transform)
        heads[name] = np.linalg.inv(pose) @ MOTION[name]
        assert np.allclose(mrml.mask_to_world(stack.segmentation), mrml.voxel_to_world(stack.volume), atol=1e-3)
        assert stack.volume.GetTransformNodeID() is None
    assert np.abs(heads["b"] - heads["a"]).max() < 0.05 and np.abs(heads["c"] - heads["a"]).max() < 0.05
    assert aligned.ui.alignmentLabel.text.count("likeness 1.00") == 3


def test_stacks_are_compared_each_in_the_planes_of_its_head(aligned, stacks, scene):
    from E3PoseLib import mrml

    (alignment,) = mrml.alignments(scene)
    layout = scene.GetSingletonNode("vtkMRMLLayoutNode", "vtkMRMLLayoutNode")
    assert aligned.ui.compareStacksButton.checked and layout.GetViewArrangement() == 7302
    for column, stack in enumerate(alignment.stacks, 1):
        for plane, row in (("Axial", 2), ("Sagittal", 0), ("Coronal", 1)):
            volume, place = shown_in(scene, column, plane)
            pose = mrml.head_pose(stack.transform)
            assert volume == stack.volume and np.allclose(place[:3, 3], pose[:3, 3], atol=1e-4)
            assert abs(place[:3, 2] @ pose[:3, row]) == pytest.approx(1)
        display = stack.segmentation.GetDisplayNode()
        assert [display.GetNthViewNodeID(index) for index in range(display.GetNumberOfViewNodeIDs())] == [
            f"vtkMRMLSliceNodeE3PoseStack{column}{plane}" for plane in ("Axial", "Sagittal", "Coronal")
        ]
        assert mrml.mask_visibility(stack.segmentation)[0]
    # Another volume is neither shown there, nor do the panel's words speak of these views.
    aligned.ui.inputVolumeSelector.setCurrentNode(add_phantom(scene, "other", step=3))
    assert shown_in(scene, 1, "Axial")[0] == alignment.stacks[0].volume
    assert mrml.mask_visibility(alignment.stacks[1].segmentation)[0]
    assert "E3PoseStack" not in aligned.ui.viewsLabel.text
    aligned.ui.compareStacksButton.click()
    assert layout.GetViewArrangement() == layout.SlicerLayoutConventionalView
    assert all(stack.segmentation.GetDisplayNode().GetNumberOfViewNodeIDs() == 0 for stack in alignment.stacks)
    assert not mrml.mask_visibility(alignment.stacks[1].segmentation)[0]


def test_the_comparison_follows_a_stack_and_ends_with_its_layout(aligned, scene):
    from E3PoseLib import mrml

    (alignment,) = mrml.alignments(scene)
    first = alignment.stacks[0]
    first.volume.SetAndObserveTransformNodeID(first.transform.GetID())
    assert np.allclose(shown_in(scene, 1, "Axial")[1][:3, 3], 0, atol=1e-3)
    layout = scene.GetSingletonNode("vtkMRMLLayoutNode", "vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutFourUpView)
    assert not aligned.ui.compareStacksButton.checked
    assert layout.GetViewArrangement() == layout.SlicerLayoutFourUpView
    aligned.ui.compareStacksButton.click()
    scene.RemoveNode(first.volume)
    aligned.alignSection.refresh()
    assert layout.GetViewArrangement() == 7301
    aligned.ui.compareStacksButton.click()
    assert layout.GetViewArrangement() == layout.SlicerLayoutFourUpView


def test_a_maximised_view_neither_hides_the_comparison_nor_outlives_it(aligned, scene):
    layout = scene.GetSingletonNode("vtkMRMLLayoutNode", "vtkMRMLLayoutNode")
    aligned.ui.compareStacksButton.click()  # off
    for view in ("Red", "E3PoseStack1Axial"):
        shown = aligned.ui.compareStacksButton.checked
        layout.AddMaximizedViewNode(scene.GetSingletonNode(view, "vtkMRMLSliceNode"))
        aligned.ui.compareStacksButton.click()
        assert aligned.ui.compareStacksButton.checked != shown
        assert layout.GetNumberOfMaximizedViewNodes() == 0


def test_removed_the_scene_is_as_it_was(panel, stacks, align, scene):
    layout = scene.GetSingletonNode("vtkMRMLLayoutNode", "vtkMRMLLayoutNode")
    check(panel, *MOTION)
    align()  # the first comparison brings views, which stay with the application
    panel.ui.removeAlignmentButton.click()
    before, items = nodes(scene), hierarchy(scene).GetNumberOfItems()
    align()
    assert len(nodes(scene)) > len(before)
    panel.ui.removeAlignmentButton.click()
    assert nodes(scene) == before and hierarchy(scene).GetNumberOfItems() == items
    assert layout.GetViewArrangement() == layout.SlicerLayoutConventionalView
    assert panel.ui.alignmentLabel.text == "" and not panel.ui.removeAlignmentButton.enabled


def test_what_a_person_has_gone_on_with_stays(aligned, scene):
    from E3PoseLib import mrml

    (alignment,) = mrml.alignments(scene)
    first, second, third = alignment.stacks
    mrml.mark_checked(first.transform, True)
    other = add_phantom(scene, "other", step=3)
    other.SetAndObserveTransformNodeID(second.transform.GetID())
    second.volume.SetAndObserveTransformNodeID(second.transform.GetID())
    third.volume.SetAndObserveTransformNodeID(third.transform.GetID())
    names = [first.transform.GetName(), second.transform.GetName()]
    aligned.ui.removeAlignmentButton.click()
    assert all(name in aligned.ui.statusLabel.text for name in names)
    assert [scene.GetFirstNodeByName(name) is not None for name in names] == [True, True]
    assert other.GetTransformNodeID() and third.volume.GetParentTransformNode() is None
    assert mrml.alignments(scene) == []


def test_slicer_s_undo_takes_it_back_at_once_and_redo_brings_it_again(panel, stacks, align, scene):
    scene.SetUndoOn()
    try:
        check(panel, *MOTION)
        align()
        made = {node.GetName() for node in made_by_alignment(scene)}
        scene.Undo()
        assert not any(scene.GetFirstNodeByName(name) for name in made)
        assert hierarchy(scene).GetItemByName("Aligned stacks") == 0
        layout = scene.GetSingletonNode("vtkMRMLLayoutNode", "vtkMRMLLayoutNode")
        assert layout.GetViewArrangement() == layout.SlicerLayoutConventionalView
        assert [stack.GetName() for stack in stacks] == list(MOTION)
        scene.Redo()
        assert {node.GetName() for node in made_by_alignment(scene)} == made
        folder = hierarchy(scene).GetItemByName("Aligned stacks")
        assert hierarchy(scene).GetNumberOfItemChildren(folder) == 6
    finally:
        scene.SetUndoOff()
        scene.ClearUndoStack()
        scene.ClearRedoStack()


def test_no_node_of_the_person_is_written_into(panel, stacks, align, scene, estimate_at_once):
    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(stacks[0])
    estimate_at_once()
    pose, mask = (panel.ui.outputTransformSelector.currentNode(), panel.ui.outputSegmentationSelector.currentNode())
    before = pose.GetAttribute("E3Pose.Result")
    mine = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "a aligned")
    check(panel, *MOTION)
    align()
    assert pose.GetAttribute("E3Pose.Result") == before and mrml.is_empty(mine)
    assert pose not in made_by_alignment(scene) and mask not in made_by_alignment(scene)
    assert panel.ui.outputTransformSelector.currentNode() == pose
    # Nor is an alignment written into by an estimate.
    made = made_by_alignment(scene)
    results = [node.GetAttribute("E3Pose.Result") for node in made]
    panel.ui.inputVolumeSelector.setCurrentNode(stacks[1])
    assert panel.ui.outputTransformSelector.currentNode() in made
    estimate_at_once()
    assert "belongs to aligned stacks" in panel.ui.statusLabel.text
    assert panel.ui.outputTransformSelector.currentNode() not in made
    assert [node.GetAttribute("E3Pose.Result") for node in made] == results


def test_what_is_left_out_is_named_with_the_reason(panel, stacks, align, scene):
    import slicer

    for right in (400.0, 800.0):
        add_phantom(scene, "far", right=right, step=3)
    few = add_phantom(scene, "few", step=3)
    slicer.util.updateVolumeFromArray(few, np.zeros((20, 20, 20), np.int16))
    check(panel, *MOTION, "far", "few")
    align()
    assert panel.ui.statusLabel.text.startswith("Done: 3 of 6 stacks aligned.")
    said = panel.ui.alignmentLabel.text
    assert said.count("far: left out: its head lies") == 2 and "few: left out: " in said
    assert not scene.GetFirstNodeByName("far aligned")


def test_stacks_that_share_nothing_are_told_and_nothing_is_made(panel, stacks, align, scene):
    add_phantom(scene, "far", right=400.0, step=3)
    check(panel, "a", "far")
    before = nodes(scene)
    align()
    assert "no two of the 2 stacks show the same head" in panel.ui.statusLabel.text
    assert nodes(scene) == before and panel.ui.alignmentLabel.text == ""


def test_a_stack_that_is_deleted_meanwhile_ends_it(panel, stacks, align, scene):
    check(panel, *MOTION)
    align.begin()
    scene.RemoveNode(stacks[1])
    before = nodes(scene)
    align.end()
    assert "'b' was deleted" in panel.ui.statusLabel.text and nodes(scene) == before


def test_an_answer_that_cannot_be_written_leaves_nothing(app, panel, stacks, align, scene, monkeypatch):
    from E3PoseLib.mrml.stacks import results

    write = results.write_mask

    def fail(node, mask, scan):
        if scan.name == "c":
            raise ValueError("no room")
        write(node, mask, scan)

    check(panel, *MOTION)
    align.begin()
    before, items = nodes(scene), hierarchy(scene).GetNumberOfItems()
    monkeypatch.setattr(results, "write_mask", fail)
    with pytest.raises(ValueError, match="no room"):
        align.end()
    assert nodes(scene) == before and hierarchy(scene).GetNumberOfItems() == items
    assert "could not be written" in panel.ui.statusLabel.text and "no room" in app.message_boxes[-1]


def test_a_saved_scene_brings_it_back(aligned, scene, tmp_path):
    import slicer

    from E3PoseLib import mrml

    words, poses = aligned.ui.alignmentLabel.text, mrml.poses_of(mrml.alignments(scene)[0].stacks)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    layout = scene.GetSingletonNode("vtkMRMLLayoutNode", "vtkMRMLLayoutNode")
    scene.Clear(0)
    assert layout.GetViewArrangement() == layout.SlicerLayoutConventionalView
    assert aligned.ui.alignmentLabel.text == ""
    slicer.util.loadScene(path)
    aligned.enter()
    assert aligned.ui.alignmentLabel.text == words
    assert np.allclose(mrml.poses_of(mrml.alignments(scene)[0].stacks), poses, atol=1e-5)
    assert [volume.GetName() for volume in aligned.alignSection._list.checked()] == list(MOTION)
    tree = hierarchy(scene)
    folders = {tree.GetItemParent(tree.GetItemByDataNode(node)) for node in made_by_alignment(scene)}
    assert folders == {tree.GetItemByName("Aligned stacks")} and folders != {0}
    if aligned.ui.compareStacksButton.checked:
        aligned.ui.compareStacksButton.click()
    assert layout.GetViewArrangement() == layout.SlicerLayoutConventionalView
    aligned.ui.removeAlignmentButton.click()
    assert hierarchy(scene).GetItemByName("Aligned stacks") == 0


def test_the_list_shows_a_stack_s_new_name(aligned, scene):
    scene.GetFirstNodeByName("b").SetName("coronal")
    assert listed(aligned) == ["a", "coronal", "c"] and "coronal: likeness" in aligned.ui.alignmentLabel.text
    assert [volume.GetName() for volume in aligned.alignSection._list.checked()] == ["a", "coronal", "c"]


def test_the_worker_aligns_and_is_cancelled(app, panel, stacks, scene):
    check(panel, "a", "b")
    before = nodes(scene)
    panel.ui.alignButton.click()
    assert panel.isBusy and not panel.ui.alignButton.enabled and panel.ui.cancelButton.visible
    assert not panel.ui.estimateButton.enabled
    panel.ui.cancelButton.click()
    assert not panel.isBusy and panel.ui.alignButton.enabled and nodes(scene) == before
    panel.ui.alignButton.click()
    app.wait_until(lambda: not panel.isBusy, timeout=300)
    assert panel.ui.statusLabel.text.startswith("Done: 2 of 2 stacks aligned."), panel.ui.statusLabel.text
    assert len(made_by_alignment(scene)) == 4


def test_a_scene_that_is_closed_ends_it(app, panel, stacks, scene):
    check(panel, *MOTION)
    panel.ui.alignButton.click()
    scene.Clear(0)
    assert not panel.isBusy and panel.ui.statusLabel.text == "Stopped: the scene was closed."
    assert listed(panel) == []
