"""*Remove alignment* in the real panel: it takes one alignment, can be undone, and spares what is not its own."""

import pytest

from .aligning import MOTION, check, hierarchy, made_by_alignment
from .conftest import nodes

pytestmark = pytest.mark.usefixtures("panel")


@pytest.fixture
def undo(scene):
    scene.SetUndoOn()
    yield
    scene.SetUndoOff()
    scene.ClearUndoStack()
    scene.ClearRedoStack()


def names(alignment) -> list[str]:
    return [stack.volume.GetName() for stack in alignment.stacks]


def test_a_double_click_takes_the_last_alone(app, panel, stacks, align, scene):
    from E3PoseLib import mrml

    check(panel, "a", "b")
    align()
    check(panel, *MOTION)
    align()
    last = names(mrml.alignments(scene)[-1])
    for _ in range(2):
        panel.ui.removeAlignmentButton.click()
    (left,) = mrml.alignments(scene)
    assert sorted(names(left)) == ["a", "b"]
    assert panel.ui.statusLabel.text == f"The alignment of {', '.join(last)} was removed."
    app.wait_until(lambda: panel.ui.removeAlignmentButton.enabled, timeout=10)
    panel.ui.removeAlignmentButton.click()
    assert mrml.alignments(scene) == []


def test_slicer_s_undo_brings_it_back(aligned, scene, undo):
    from E3PoseLib import mrml

    words, poses = aligned.ui.alignmentLabel.text, mrml.poses_of(mrml.alignments(scene)[0].stacks)
    made = {node.GetName() for node in made_by_alignment(scene)}
    aligned.ui.removeAlignmentButton.click()
    assert mrml.alignments(scene) == []
    scene.Undo()
    assert {node.GetName() for node in made_by_alignment(scene)} == made
    assert aligned.ui.alignmentLabel.text == words
    assert (mrml.poses_of(mrml.alignments(scene)[0].stacks) == poses).all()
    assert hierarchy(scene).GetNumberOfItemChildren(hierarchy(scene).GetItemByName("Aligned stacks")) == 6
    scene.Redo()
    assert mrml.alignments(scene) == [] and hierarchy(scene).GetItemByName("Aligned stacks") == 0


def test_a_model_stays_where_it_is_though_its_stack_was_deleted(aligned, scene):
    from E3PoseLib import mrml

    first, second, _ = mrml.alignments(scene)[0].stacks
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", "mine")
    model.SetAndObserveTransformNodeID(second.transform.GetID())
    first.segmentation.SetAndObserveTransformNodeID(first.transform.GetID())
    kept, gone = second.transform.GetName(), first.transform.GetName()
    scene.RemoveNode(second.volume)
    aligned.ui.removeAlignmentButton.click()
    assert model.GetParentTransformNode() == scene.GetFirstNodeByName(kept) and kept in aligned.ui.statusLabel.text
    assert scene.GetFirstNodeByName(gone) is None


def test_a_scene_that_was_added_to_itself_has_two(aligned, scene, tmp_path):
    import slicer

    from E3PoseLib import mrml

    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    before = {node.GetID() for node in made_by_alignment(scene)}
    slicer.util.loadScene(path)
    one, other = mrml.alignments(scene)
    assert {node.GetID() for node in one.nodes} == before
    assert len(list(other.nodes)) == 6 and len({stack.volume.GetID() for stack in (*one.stacks, *other.stacks)}) == 6
    aligned.enter()
    aligned.ui.removeAlignmentButton.click()
    assert {node.GetID() for node in made_by_alignment(scene)} == before


def test_the_latest_is_the_last_whatever_is_left_of_those_before(panel, stacks, align, scene):
    from E3PoseLib import mrml

    check(panel, "a", "b")
    align()
    for stack in mrml.alignments(scene)[0].stacks:
        scene.RemoveNode(stack.transform)
    check(panel, "b", "c")
    align()
    panel.ui.removeAlignmentButton.click()
    (left,) = mrml.alignments(scene)
    assert sorted(names(left)) == ["a", "b"]


def test_a_stack_comes_back_under_what_it_sat_under(panel, stacks, align, scene):
    from E3PoseLib import mrml

    above = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "above")
    stacks[0].SetAndObserveTransformNodeID(above.GetID())
    check(panel, *MOTION)
    align()
    for stack in mrml.alignments(scene)[0].stacks:
        stack.volume.SetAndObserveTransformNodeID(stack.transform.GetID())
    panel.ui.removeAlignmentButton.click()
    assert [stack.GetParentTransformNode() for stack in stacks] == [above, None, None]


def test_one_whose_nodes_were_all_deleted_is_no_longer_offered(aligned, scene):
    for node in made_by_alignment(scene):
        scene.RemoveNode(node)
    before = nodes(scene)
    aligned.ui.removeAlignmentButton.click()
    assert nodes(scene) == before and not aligned.ui.removeAlignmentButton.enabled


def test_a_stack_under_its_aligned_transform_is_estimated_into_a_new_one(aligned, stacks, scene, estimate_at_once):
    from E3PoseLib import mrml

    (stack,) = [one for one in mrml.alignments(scene)[0].stacks if one.volume == stacks[1]]
    before = mrml.to_numpy(stack.transform.GetMatrixTransformToParent())
    stack.volume.SetAndObserveTransformNodeID(stack.transform.GetID())
    aligned.ui.inputVolumeSelector.setCurrentNode(stack.volume)
    aligned.ui.outputTransformSelector.setCurrentNode(stack.transform)
    assert aligned.ui.estimateButton.enabled and aligned.ui.followButton.enabled
    estimate_at_once()
    new = aligned.ui.outputTransformSelector.currentNode()
    assert new not in (None, stack.transform) and mrml.pose_direction(new)
    assert (mrml.to_numpy(stack.transform.GetMatrixTransformToParent()) == before).all()
    # The aligned stack stands upright, so its head does.
    assert abs(mrml.head_pose(new)[:3, :3].trace() - 3) < 0.2
