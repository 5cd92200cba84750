"""A pose transform that was changed outside the panel, as in the module Transforms: told as that everywhere."""

import numpy as np
import pytest

from .test_slicer_correction import NUDGE, drag, transform_of
from .test_slicer_prescription import planned, set_confidence  # noqa: F401
from .test_slicer_saved_pose import MOVED, put_under, saved

pytestmark = pytest.mark.usefixtures("panel")


@pytest.fixture
def sure(planned):  # noqa: F811
    """The panel with a pose of high confidence, and its prescription."""
    set_confidence(
        transform_of(planned), [], level="high", probability=0.99, bound_degrees=5.0, bound_mm=3.0, border_share=0.0
    )
    planned._refreshResult()
    assert planned.ui.verdictLabel.text.startswith("High")
    assert planned.resultSection._verdict._level == "high"
    assert "WARNING" not in planned.ui.prescriptionText.plainText
    return planned


def in_another_module(panel, change) -> None:
    """Leave the panel, change something, and come back."""
    panel.exit()
    change()
    panel.enter()


def set_matrix(panel, matrix: np.ndarray) -> None:
    """Set the pose transform's matrix as somebody in the module Transforms does."""
    from E3PoseLib import mrml

    in_another_module(panel, lambda: transform_of(panel).SetMatrixTransformToParent(mrml.to_vtk(matrix)))


def edit(panel) -> np.ndarray:
    """Turn a pose of the direction Align in the module Transforms; the pose that it then holds."""
    from E3PoseLib import mrml

    pose = mrml.head_pose(transform_of(panel)) @ NUDGE
    set_matrix(panel, np.linalg.inv(pose))
    return pose


def test_an_edited_pose_is_told_as_edited_until_it_is_checked(sure, tmp_path):
    from E3PoseLib import mrml
    from E3PoseLib.imaging.geometry import pose_difference

    transform = transform_of(sure)
    before = mrml.head_pose(transform)
    pose = edit(sure)
    angle, distance = pose_difference(pose, before)
    words = f"Changed outside the panel since the estimate; now {angle:.1f}° and {distance:.1f} mm from the estimate."
    assert sure.ui.verdictLabel.text.startswith(words)
    assert sure.resultSection._verdict._level is None
    assert "transform was changed" in sure.ui.warningsLabel.text and "scan" not in sure.ui.warningsLabel.text
    right, anterior, superior = pose[:3, 3]
    assert sure.ui.positionLabel.text == f"R {right:.1f}   A {anterior:.1f}   S {superior:.1f} mm"
    text = sure.ui.prescriptionText.plainText
    assert text.startswith("WARNING: THE POSE IS DOUBTFUL") and words in text
    document = saved(sure, tmp_path)
    assert np.allclose(document["canonical_to_ras"], pose, atol=1e-5)
    review = document["review"]
    assert (review["state"], review["before"]) == ("changed outside the panel", "estimated")
    assert np.allclose(review["estimated"]["canonical_to_ras"], before, atol=1e-5)
    assert (review["rotation_degrees"], review["translation_mm"]) == pytest.approx((angle, distance), abs=1e-4)
    # Checked, it is a correction by hand.
    assert sure.ui.checkedCheckBox.enabled and not sure.ui.checkedCheckBox.checked
    sure.ui.checkedCheckBox.click()
    assert sure.ui.verdictLabel.text.startswith(f"Corrected by hand, by {angle:.1f}° and {distance:.1f} mm.")
    assert np.allclose(mrml.head_pose(transform), pose, atol=1e-5) and not mrml.is_edited_pose(transform)
    assert saved(sure, tmp_path, "checked")["review"]["state"] == "corrected by hand"
    assert not sure.ui.prescriptionText.plainText.startswith("WARNING: THE POSE IS DOUBTFUL")
    sure.ui.resetPoseButton.click()
    assert np.allclose(mrml.head_pose(transform), before, atol=1e-5)
    assert sure.ui.verdictLabel.text.startswith("High")


@pytest.mark.parametrize("how", ["checked by eye", "corrected by hand"])
def test_an_edit_after_a_persons_word_is_not_what_that_person_saw(app, sure, tmp_path, how):
    from E3PoseLib import mrml

    transform = transform_of(sure)
    before = mrml.head_pose(transform)
    if how == "checked by eye":
        sure.ui.checkedCheckBox.click()
    else:
        sure.ui.correctButton.click()
        drag(app, sure, NUDGE)
        sure.ui.correctButton.click()
    assert sure.ui.checkedCheckBox.checked
    edit(sure)
    assert sure.ui.verdictLabel.text.startswith(f"Changed outside the panel since it was {how}; now ")
    assert not sure.ui.checkedCheckBox.checked and sure.ui.checkedCheckBox.enabled
    assert sure.ui.prescriptionText.plainText.startswith("WARNING: THE POSE IS DOUBTFUL")
    review = saved(sure, tmp_path)["review"]
    assert (review["state"], review["before"]) == ("changed outside the panel", how)
    assert np.allclose(review["estimated"]["canonical_to_ras"], before, atol=1e-5)
    sure.ui.resetPoseButton.click()
    assert sure.ui.verdictLabel.text.startswith("High") and np.allclose(mrml.head_pose(transform), before, atol=1e-5)


def test_a_scan_that_was_moved_is_not_an_edit(sure, scan_node, scene):
    put_under(scene, scan_node, MOVED)
    assert sure.ui.verdictLabel.text.startswith("High")
    assert "the scan has been moved since" in sure.ui.warningsLabel.text
    assert "transform was changed" not in sure.ui.warningsLabel.text


@pytest.mark.parametrize("diagonal", [[1.0, 1.2, 1.0, 1.0], [-1.0, 1.0, 1.0, 1.0]])
def test_an_edit_to_what_is_no_pose_has_no_level(sure, diagonal):
    set_matrix(sure, np.diag(diagonal))
    assert sure.ui.verdictLabel.text.startswith("Changed outside the panel since the estimate.")
    assert sure.resultSection._verdict._level is None and "no longer rigid" in sure.ui.warningsLabel.text
    assert not sure.ui.checkedCheckBox.enabled and sure.ui.resetPoseButton.enabled


@pytest.fixture(params=["ALIGN", "PLACE"])
def either_way_sure(sure, request):
    """The panel with a sure pose whose transform leads either way."""
    from E3PosePanel.parameters import Direction

    sure._parameterNode.direction = Direction[request.param]
    return sure


def harden_branch(panel, scan_node, scene) -> None:
    """Put the study of scan and pose under a registration in the Data module, and harden that: both go along."""
    import slicer

    from E3PoseLib import mrml

    logic = slicer.vtkSlicerSubjectHierarchyModuleLogic
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "fetal MR")
    for node in (scan_node, transform_of(panel)):
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), item)
    registration = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "registration")
    registration.SetMatrixTransformToParent(mrml.to_vtk(MOVED))
    logic.TransformBranch(hierarchy, item, registration, False)
    assert transform_of(panel).GetTransformNodeID() == registration.GetID()
    logic.HardenTransformOnBranch(hierarchy, item)


def test_a_pose_hardened_with_its_scan_moves_once(either_way_sure, scan_node, scene, tmp_path):
    from E3PoseLib import mrml

    panel, transform = either_way_sure, transform_of(either_way_sure)
    before = mrml.head_pose(transform)
    in_another_module(panel, lambda: harden_branch(panel, scan_node, scene))
    assert np.allclose(mrml.head_pose(transform), MOVED @ before, atol=1e-4)
    assert not mrml.is_edited_pose(transform)
    assert panel.ui.verdictLabel.text.startswith("High")
    assert "the scan has been moved since" in panel.ui.warningsLabel.text
    assert np.allclose(saved(panel, tmp_path)["canonical_to_ras"], MOVED @ before, atol=1e-4)
    panel.ui.checkedCheckBox.click()
    assert panel.ui.verdictLabel.text.startswith("Checked by eye")
    assert np.allclose(mrml.head_pose(transform), MOVED @ before, atol=1e-4)


def test_a_pose_edited_and_then_hardened_with_its_scan_is_refused(either_way_sure, scan_node, scene):
    """Whether the edit was part of the motion nobody can tell."""
    import slicer

    from E3PoseLib import mrml
    from E3PoseLib.errors import TransformError

    panel, transform = either_way_sure, transform_of(either_way_sure)
    before = mrml.head_pose(transform)
    nudged = mrml.to_vtk(slicer.util.arrayFromTransformMatrix(transform) @ NUDGE)
    in_another_module(panel, lambda: transform.SetMatrixTransformToParent(nudged))
    in_another_module(panel, lambda: harden_branch(panel, scan_node, scene))
    with pytest.raises(TransformError, match="Back to the estimate"):
        mrml.head_pose(transform)
    assert panel.ui.verdictLabel.text.startswith("Changed outside the panel")
    assert panel.resultSection._verdict._level is None
    assert panel.ui.prescriptionText.plainText.startswith("No slices") and not panel.ui.savePoseButton.enabled
    panel.ui.resetPoseButton.click()
    assert np.allclose(mrml.head_pose(transform), MOVED @ before, atol=1e-4)
    assert panel.ui.verdictLabel.text.startswith("High")


def test_an_edit_of_a_pose_whose_scan_sits_under_a_transform_moves_with_it(sure, scan_node, scene):
    from E3PoseLib import mrml

    transform = transform_of(sure)
    before = mrml.head_pose(transform)
    set_matrix(sure, np.linalg.inv(before @ NUDGE))
    put_under(scene, scan_node, MOVED)
    assert np.allclose(mrml.head_pose(transform), MOVED @ before @ NUDGE, atol=1e-5)
    assert sure.ui.verdictLabel.text.startswith("Changed outside the panel")
    for words in ("transform was changed", "the scan has been moved since"):
        assert words in sure.ui.warningsLabel.text


@pytest.mark.parametrize("by", ["registration", "its own pose"])
def test_a_pose_hardened_with_its_scan_goes_on_with_it(sure, scan_node, scene, by):
    from E3PoseLib import mrml

    transform = transform_of(sure)
    in_another_module(sure, lambda: harden_branch(sure, scan_node, scene))
    hardened = mrml.head_pose(transform)
    if by == "registration":
        put_under(scene, scan_node, MOVED)
        expected = MOVED @ hardened
    else:
        scan_node.SetAndObserveTransformNodeID(transform.GetID())
        expected = mrml.to_numpy(transform.GetMatrixTransformToParent()) @ hardened
    assert sure.ui.verdictLabel.text.startswith("High")
    assert np.allclose(mrml.head_pose(transform), expected, atol=1e-4)


def test_a_matrix_that_nobody_can_invert_is_no_pose(sure):
    before = np.array(pose_matrix(sure))
    set_matrix(sure, np.diag([1.0, 1.0, 0.0, 1.0]))
    assert sure.ui.verdictLabel.text.startswith("Changed outside the panel since the estimate.")
    assert "no longer rigid" in sure.ui.warningsLabel.text and sure.ui.resetPoseButton.enabled
    sure.ui.resetPoseButton.click()
    assert sure.ui.verdictLabel.text.startswith("High") and np.allclose(pose_matrix(sure), before)


def pose_matrix(panel) -> np.ndarray:
    from E3PoseLib import mrml

    return mrml.to_numpy(transform_of(panel).GetMatrixTransformToParent())


def test_what_others_change_is_told_while_the_panel_is_open(app, sure):
    from E3PoseLib import mrml

    sure.ui.showAxesCheckBox.checked = True
    sure.ui.checkedCheckBox.click()
    pose = mrml.head_pose(transform_of(sure)) @ NUDGE
    transform_of(sure).SetMatrixTransformToParent(mrml.to_vtk(np.linalg.inv(pose)))
    app.wait_until(lambda: sure.ui.verdictLabel.text.startswith("Changed outside the panel"), timeout=5)
    assert not sure.ui.checkedCheckBox.checked
    assert np.allclose(sure.overlays.axes.pose(), pose, atol=1e-5)
