"""Which of a scan's results is selected when the scan is selected again; the real panel on real MRML."""

import pytest
from vtk.util.numpy_support import vtk_to_numpy

from .aligning import MOTION, check
from .test_slicer_correction import NUDGE, drag

pytestmark = pytest.mark.usefixtures("panel")

NAMES = ("outputTransform", "outputSegmentation")


def selected(panel) -> list[str]:
    return [getattr(panel._parameterNode, name).GetName() for name in NAMES]


@pytest.fixture
def corrected(app, estimated, estimate_at_once):
    """The panel with a pose corrected and a mask painted by hand, both selected, and a newer estimate beside them."""
    from E3PoseLib import mrml

    parameters = estimated._parameterNode
    kept = [getattr(parameters, name) for name in NAMES]
    estimated.ui.correctButton.click()
    drag(app, estimated, NUDGE)
    estimated.ui.correctButton.click()
    labelmap = kept[1].GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    painted = vtk_to_numpy(labelmap.GetPointData().GetScalars())
    painted[:40] = 1 - painted[:40]
    labelmap.Modified()
    assert mrml.is_edited_mask(kept[1])
    estimate_at_once()
    assert selected(estimated) == ["phantom head pose_1", "phantom brain mask_1"]
    for name, node in zip(NAMES, kept, strict=True):
        setattr(parameters, name, node)
    return estimated


def test_what_was_selected_last_is_selected_again(corrected, second_scan, scan_node):
    for other in (second_scan, None):
        corrected.ui.inputVolumeSelector.setCurrentNode(other)
        assert corrected._parameterNode.outputTransform is None
        corrected.ui.inputVolumeSelector.setCurrentNode(scan_node)
        assert selected(corrected) == ["phantom head pose", "phantom brain mask"]


def test_an_answer_that_came_meanwhile_is_selected(corrected, second_scan, scan_node):
    """It was asked for after the other was selected."""
    from E3PoseLib import mrml

    scan = mrml.read_scan(scan_node)
    answer = mrml.read_result(corrected._parameterNode.outputTransform)
    mask = mrml.voxels(scan_node) > 0
    corrected.ui.inputVolumeSelector.setCurrentNode(second_scan)
    corrected.estimation.write(scan, answer, mask)
    corrected.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert selected(corrected) == ["phantom head pose_1", "phantom brain mask_1"]


def test_one_that_was_deleted_is_not_missed(corrected, second_scan, scan_node, scene):
    corrected.ui.inputVolumeSelector.setCurrentNode(second_scan)
    for name in ("phantom head pose", "phantom brain mask"):
        scene.RemoveNode(scene.GetFirstNodeByName(name))
    corrected.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert selected(corrected) == ["phantom head pose_1", "phantom brain mask_1"]


def test_what_an_alignment_has_written_is_selected_with_the_other_stacks(panel, stacks, align, estimate_at_once):
    """With the one that is selected meanwhile, what was selected stays."""
    for stack in stacks[1::-1]:
        panel.ui.inputVolumeSelector.setCurrentNode(stack)
        estimate_at_once()
    check(panel, *MOTION)
    align()
    assert selected(panel) == ["a head pose", "a brain mask"]
    for stack in stacks[1:]:
        panel.ui.inputVolumeSelector.setCurrentNode(stack)
        assert selected(panel) == [f"{stack.GetName()} aligned", f"{stack.GetName()} aligned brain"]
