"""The upright volume and the pose: one can be corrected in the other, and be of another."""

import numpy as np
import pytest

from .test_slicer_correction import NUDGE, drag, put, transform_of
from .test_slicer_saved_pose import MOVED, put_under

pytestmark = pytest.mark.usefixtures("panel")


def test_a_correction_in_the_upright_volume(app, estimated, reslice):
    from E3PoseLib import mrml

    estimated.ui.reslicedSpacingSliderWidget.value = 3.0
    reslice()
    before = mrml.head_pose(transform_of(estimated))
    estimated.ui.correctButton.click()
    estimated.ui.showUprightButton.click()
    assert np.allclose(estimated.overlays.axes.pose(), np.eye(4))
    drag(app, estimated, NUDGE)
    assert np.allclose(mrml.head_pose(transform_of(estimated)), before @ NUDGE, atol=1e-6)
    assert "reslice again" in estimated.ui.statusLabel.text
    # The handles stay where the person has put them; there again, they say the same pose.
    assert np.allclose(estimated.overlays.axes.pose(), NUDGE)
    put(app, estimated, NUDGE)
    assert np.allclose(mrml.head_pose(transform_of(estimated)), before @ NUDGE, atol=1e-6)


@pytest.mark.parametrize("change", ["upright", "scan"])
def test_what_moves_while_a_handle_is_held_is_no_part_of_the_correction(app, estimated, reslice, scan_node, change):
    """The upright volume is shown, or the scan is registered, before the handles have rested."""
    from E3PoseLib import mrml

    estimated.ui.reslicedSpacingSliderWidget.value = 6.0
    reslice()
    estimated.ui.showUprightButton.click()
    before = mrml.head_pose(transform_of(estimated))
    estimated.ui.correctButton.click()
    handles = estimated.overlays.axes.transform
    handles.SetMatrixTransformToParent(mrml.to_vtk(before @ NUDGE))
    if change == "upright":
        estimated.ui.showUprightButton.click()
        expected = before @ NUDGE
    else:
        put_under(scan_node.GetScene(), scan_node, MOVED)
        expected = MOVED @ before @ NUDGE
    app.wait_until(lambda: not estimated.correction._timer.isActive(), timeout=5)
    assert np.allclose(mrml.head_pose(transform_of(estimated)), expected, atol=1e-5)


def test_the_upright_volume_s_mask_is_shown_as_the_scan_s(estimated, reslice):
    from E3PoseLib import mrml

    estimated.ui.maskOpacitySliderWidget.value = 0.4
    estimated.ui.showMask3DCheckBox.checked = False
    estimated.ui.reslicedSpacingSliderWidget.value = 6.0
    reslice()
    mask = mrml.upright_mask(estimated.ui.reslicedVolumeSelector.currentNode())
    assert mrml.mask_opacity(mask) == pytest.approx(0.4) == estimated.ui.maskOpacitySliderWidget.value
    assert mrml.mask_visibility(mask) == (True, False)


def test_a_correction_in_an_upright_volume_of_another_estimate(app, estimated, reslice, scan_node, scene):
    """Also where the scan was moved after it was resliced."""
    from E3PoseLib import mrml

    estimated.ui.reslicedSpacingSliderWidget.value = 3.0
    reslice()
    transform = transform_of(estimated)
    of_upright = mrml.head_pose(transform)
    estimated.ui.showUprightButton.click()
    mrml.correct_pose(transform, of_upright @ NUDGE)
    moved = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    moved.SetMatrixTransformToParent(mrml.to_vtk(NUDGE @ NUDGE))
    scan_node.SetAndObserveTransformNodeID(moved.GetID())
    estimated.ui.correctButton.click()
    estimated.ui.showUprightButton.click()
    assert np.allclose(estimated.overlays.axes.pose(), NUDGE, atol=1e-6)
    put(app, estimated, np.linalg.inv(NUDGE))
    true = NUDGE @ NUDGE @ of_upright @ np.linalg.inv(NUDGE)
    assert np.allclose(mrml.head_pose(transform), true, atol=1e-6)


def test_handles_go_where_nobody_knows_what_pose_an_upright_volume_is_of(estimated, reslice):
    """As of scenes that an earlier version has saved."""
    from E3PoseLib.mrml.upright import POSE_ATTRIBUTE

    estimated.ui.reslicedSpacingSliderWidget.value = 3.0
    reslice()
    estimated.ui.reslicedVolumeSelector.currentNode().RemoveAttribute(POSE_ATTRIBUTE)
    estimated.ui.correctButton.click()
    assert estimated.ui.correctButton.checked and not estimated.views.showsUpright
    estimated.ui.showUprightButton.click()
    assert estimated.views.showsUpright and not estimated.ui.correctButton.checked
    assert not estimated.overlays.axes.transform.GetDisplayNode().GetEditorVisibility()


def test_an_upright_volume_of_another_pose_says_so(app, estimated, estimate_at_once, reslice):
    """Corrected, taken back, another pose selected; the arrows lie at the pose that is selected."""
    import slicer

    ui, views, stale = estimated.ui, estimated.views, "The upright volume is of another pose: reslice again."
    ui.reslicedSpacingSliderWidget.value = 3.0
    ui.showAxesCheckBox.checked = True
    reslice()
    assert views.showsUpright and not ui.viewsLabel.visible
    ui.correctButton.click()
    drag(app, estimated, NUDGE)
    ui.correctButton.click()
    assert not ui.viewsLabel.visible  # the scan is shown
    ui.showUprightButton.click()
    assert ui.viewsLabel.visible and ui.viewsLabel.text == stale
    assert np.allclose(estimated.overlays.axes.pose(), NUDGE, atol=1e-6)
    corrected = transform_of(estimated)
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "other")
    other.Copy(corrected)
    ui.resetPoseButton.click()
    assert views.showsUpright and not ui.viewsLabel.visible
    assert np.allclose(estimated.overlays.axes.pose(), np.eye(4), atol=1e-6)
    ui.outputTransformSelector.setCurrentNode(other)
    assert views.showsUpright and ui.viewsLabel.text == stale and ui.viewsLabel.visible
    reslice()
    assert views.showsUpright and not ui.viewsLabel.visible
