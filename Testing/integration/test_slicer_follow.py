"""Follow, in the real panel on real MRML: the newest image wins, nothing old passes for new, doubtful poses are held
back, it ends when it should.
"""

import itertools
from datetime import datetime

import numpy as np
import pytest

from E3PoseLib.errors import NoHeadFoundError

from .conftest import add_blob, is_running

pytestmark = pytest.mark.usefixtures("panel")


def settle(app, panel) -> None:
    """Let what was put off be done."""
    app.processEvents()
    app.wait_until(lambda: not panel.follow._timer.active, timeout=10)


@pytest.fixture
def live(panel, scene, calibrated_model):
    """A small scan that is selected, as a connector would fill it, and a model that is sure of it."""
    node = add_blob(scene)
    panel.ui.inputVolumeSelector.setCurrentNode(node)
    panel._parameterNode.model = calibrated_model
    return node


@pytest.fixture
def worker(app, panel, estimates, monkeypatch):
    """The worker as a list of what it was asked: ``worker.answer()`` answers the oldest. Images come 10 s apart."""
    clock = itertools.count(step=10)

    class Asked(list):
        def answer(self) -> None:
            self.pop(0)[1]()
            settle(app, panel)

        def fail(self, error) -> None:
            self.pop(0)[2](error)
            settle(app, panel)

    asked = Asked()

    def estimate(scan, model, options, onFinished, onFailed, isWanted, series=None):
        volume, series = scan.volume, series and (series[0], float(next(clock)))
        asked.append((scan, lambda: onFinished(*estimates(volume, model, options, series)), onFailed))

    monkeypatch.setattr(panel._run, "estimate", estimate)
    return asked


def send(app, panel, node, shift: float) -> None:
    """Another image in the node, further to the right by some mm: written into the same memory, as a connector may."""
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    matrix.SetElement(0, 3, matrix.GetElement(0, 3) + shift)
    node.SetIJKToRASMatrix(matrix)
    slicer.util.arrayFromVolume(node)[0, 0, 0] += 1
    slicer.util.arrayFromVolumeModified(node)
    settle(app, panel)


def cut(app, panel, node) -> np.ndarray:
    """An image that shows half of the head, of which the model is not sure; returns the one before."""
    import slicer

    array = slicer.util.arrayFromVolume(node)
    before = array.copy()
    array[:, :, :20] = 0
    slicer.util.arrayFromVolumeModified(node)
    settle(app, panel)
    return before


def show(app, panel, node, array) -> None:
    import slicer

    slicer.util.arrayFromVolume(node)[:] = array
    slicer.util.arrayFromVolumeModified(node)
    settle(app, panel)


def pose_node(panel):
    return panel.ui.outputTransformSelector.currentNode()


def centre(panel) -> np.ndarray:
    from E3PoseLib import mrml

    return np.array(mrml.read_result(pose_node(panel))["canonical_to_ras"])[:3, 3]


def begin(app, panel, worker) -> None:
    """Follow, and have the first image answered."""
    panel.ui.followButton.click()
    settle(app, panel)
    worker.answer()


def test_the_newest_image_wins(app, panel, live, worker):
    panel.ui.followButton.click()
    settle(app, panel)
    assert len(worker) == 1
    worker.answer()
    first = centre(panel)
    assert worker == []
    for _ in range(20):
        send(app, panel, live, 1.0)
    assert len(worker) == 1  # the first of them; then the last
    worker.answer()
    assert np.allclose(centre(panel), np.add(first, [1, 0, 0]), atol=0.1)
    worker.answer()
    assert np.allclose(centre(panel), np.add(first, [20, 0, 0]), atol=0.1)
    assert worker == [] and panel.ui.followButton.checked
    assert "poses a second, 18 images passed over" in panel.ui.followLabel.text


def test_one_transform_takes_all_poses(app, panel, live, worker, scene):
    panel.ui.followButton.click()
    settle(app, panel)
    worker.answer()
    transform = panel.ui.outputTransformSelector.currentNode()
    count = scene.GetNumberOfNodes()
    modified = []
    transform.AddObserver(transform.TransformModifiedEvent, lambda caller, event: modified.append(1))
    for _ in range(5):
        send(app, panel, live, 2.0)
        worker.answer()
    assert panel.ui.outputTransformSelector.currentNode() == transform
    assert scene.GetNumberOfNodes() == count and len(modified) == 5


def test_an_image_is_read_at_once_though_the_next_one_is_written_over_it(app, panel, live, worker):
    panel.ui.followButton.click()
    settle(app, panel)
    scan = worker[0][0]
    before = scan.array.copy()
    send(app, panel, live, 1.0)
    assert np.array_equal(scan.array, before)
    scan.check_unchanged()


def test_only_another_image_is_estimated(app, panel, live, worker):
    panel.ui.followButton.click()
    settle(app, panel)
    worker.answer()
    live.SetName("renamed")
    live.GetDisplayNode().SetWindow(17)
    live.Modified()
    settle(app, panel)
    assert worker == []


def test_the_views_jump_to_the_head_once_and_then_stay(app, panel, live, worker, scene):
    from E3PoseLib import mrml

    panel.ui.followButton.click()
    settle(app, panel)
    worker.answer()
    red = mrml.slice_nodes(scene)["Red"]
    red.JumpSliceByOffsetting(7.0, 8.0, 9.0)
    before = mrml.to_numpy(red.GetSliceToRAS())
    send(app, panel, live, 2.0)
    worker.answer()
    assert np.array_equal(mrml.to_numpy(red.GetSliceToRAS()), before)
    panel.ui.standardPlanesButton.click()
    send(app, panel, live, 2.0)
    worker.answer()
    assert np.allclose(mrml.to_numpy(red.GetSliceToRAS())[:3, 3], centre(panel), atol=1e-3)


def test_an_image_without_a_head_leaves_no_pose_that_seems_to_be_of_it(app, panel, live, worker):
    panel.ui.followButton.click()
    settle(app, panel)
    worker.answer()
    panel.ui.prescriptionCollapsibleButton.collapsed = False
    panel.ui.stackFieldOfViewSpinBox.value = 900.0
    send(app, panel, live, 1.0)
    worker.fail(NoHeadFoundError("no fetal head was found"))
    assert panel.ui.verdictLabel.text.startswith("NOT OF THE IMAGE SHOWN: no pose of the image shown, since ")
    assert "(no fetal head was found)" in panel.ui.verdictLabel.text
    said = panel.ui.followLabel.text
    assert said.startswith("NOT SENT since ") and "(1 images): the newest image has no pose" in said
    assert "The transform keeps the pose of the image of " in said
    assert panel.ui.prescriptionText.plainText.startswith("WARNING: THE POSE IS DOUBTFUL")
    assert panel.ui.followButton.checked
    send(app, panel, live, 1.0)
    worker.answer()
    assert panel.ui.verdictLabel.text.startswith("High")
    assert panel.ui.followLabel.text.startswith("Following: ")


def test_a_doubtful_pose_is_held_back_and_the_last_sure_one_stays(app, panel, live, worker):
    from E3PoseLib import mrml

    begin(app, panel, worker)
    send(app, panel, live, 1.0)
    worker.answer()
    transform, events = pose_node(panel), []
    matrix, sure = mrml.to_numpy(transform.GetMatrixTransformToParent()), centre(panel)
    assert transform.GetAttribute(mrml.CONFIDENCE_ATTRIBUTE) == "high"
    assert transform.GetAttribute(mrml.MARKS_ATTRIBUTE) is None
    came = transform.GetAttribute(mrml.IMAGE_TIME_ATTRIBUTE)
    assert abs((datetime.now().astimezone() - datetime.fromisoformat(came)).total_seconds()) < 60
    # A connector sends a node on at any event of it.
    transform.AddObserver("AnyEvent", lambda caller, event: events.append(event))
    mask = mrml.mask_voxels(panel.ui.outputSegmentationSelector.currentNode())[0].copy()
    before = cut(app, panel, live)
    worker.answer()
    assert events == []
    assert np.array_equal(mrml.to_numpy(transform.GetMatrixTransformToParent()), matrix)
    assert np.array_equal(mrml.mask_voxels(panel.ui.outputSegmentationSelector.currentNode())[0], mask)
    assert transform.GetAttribute(mrml.IMAGE_TIME_ATTRIBUTE) == came
    assert "the newest pose is doubtful and not sent, since " in mrml.why_outdated(transform)
    assert panel.ui.verdictLabel.text.startswith("NOT OF THE IMAGE SHOWN: the newest pose is doubtful and not sent")
    said = panel.ui.followLabel.text
    assert said.startswith("NOT SENT since ") and "(1 images)" in said and "under 1 % to be right" in said
    assert "the head reaches the border" in said and "The transform keeps the pose of the image of " in said
    assert "a second" not in said
    live.Modified()
    send(app, panel, live, 0.0)
    worker.answer()
    assert "(2 images)" in panel.ui.followLabel.text and said.partition(" (")[0] in panel.ui.followLabel.text
    show(app, panel, live, before)
    worker.answer()
    assert events and mrml.why_outdated(transform) is None
    assert np.allclose(centre(panel), sure, atol=0.1)
    assert transform.GetAttribute(mrml.IMAGE_TIME_ATTRIBUTE) > came
    assert panel.ui.verdictLabel.text.startswith("High") and panel.ui.followLabel.text.startswith("Following: ")


def test_without_a_sure_pose_nothing_is_made(app, panel, live, worker):
    cut(app, panel, live)
    begin(app, panel, worker)
    assert pose_node(panel) is None and panel.ui.outputSegmentationSelector.currentNode() is None
    assert panel.ui.followLabel.text.endswith("No pose was sent yet.")
    assert panel.ui.verdictLabel.text == ""


def test_a_check_box_sends_doubtful_poses_too(app, panel, live, worker, scene):
    from E3PoseLib import mrml

    assert not panel.ui.sendDoubtfulCheckBox.checked
    begin(app, panel, worker)
    sure = centre(panel)
    cut(app, panel, live)
    worker.answer()
    assert np.allclose(centre(panel), sure)
    panel.ui.sendDoubtfulCheckBox.checked = True  # the one that was held back goes out now
    transform = pose_node(panel)
    assert np.linalg.norm(centre(panel) - sure) > 5
    assert transform.GetAttribute(mrml.CONFIDENCE_ATTRIBUTE) == "low"
    assert transform.GetAttribute(mrml.MARKS_ATTRIBUTE) == "doubtful" and mrml.why_outdated(transform) is None
    assert panel.ui.followLabel.text.startswith("DOUBTFUL, sent all the same (")
    assert panel.ui.verdictLabel.text.startswith("Low: under 1 %")
    send(app, panel, live, 2.0)
    doubtful = centre(panel)
    worker.answer()
    assert np.allclose(centre(panel), [doubtful[0] + 2, *doubtful[1:]], atol=0.1)
    panel.ui.sendDoubtfulCheckBox.checked = False
    send(app, panel, live, 2.0)
    worker.answer()
    assert "The transform keeps the doubtful pose of the image of " in panel.ui.followLabel.text
    # It is remembered with the scene.
    panel.ui.sendDoubtfulCheckBox.checked = True
    parameters = scene.GetSingletonNode("E3Pose", "vtkMRMLScriptedModuleNode")
    assert parameters.GetParameter("sendDoubtful") == "True"


def test_a_single_estimate_is_shown_however_doubtful(app, panel, live, worker):
    cut(app, panel, live)
    panel.ui.estimateButton.click()
    worker.answer()
    assert panel.ui.verdictLabel.text.startswith("Low: under 1 %") and centre(panel) is not None


def test_what_is_told_grows_old_with_the_pose():
    from E3PosePanel.estimating.follow_report import FollowReport

    now = [100.0]
    report = FollowReport(now=lambda: now[0])
    assert report.text() == "Following: no pose yet."
    for _ in range(3):
        report.came(isNew=True)
        came = report.asked()
        now[0] += 0.5
        report.sent(came, "")
    assert report.text().endswith(", 0.50 s after it, 2.0 poses a second.")
    now[0] += 60
    assert report.text().endswith(", 0.50 s after it. No image for 60 s.")
    report.came(isNew=True)
    now[0] += 2
    assert report.text().endswith(", 0.50 s after it.")
    report.came(isNew=True)
    now[0] += 13
    assert report.text().endswith(" A newer image has been waiting for 15 s.")
    came = report.asked()
    report.withheld(came, "the newest pose is doubtful.")
    assert report.text().startswith("NOT SENT since ") and "(1 images): the newest pose is doubtful." in report.text()
    assert report.text().endswith(" No image for 13 s.")
    report.sent(came, "cut")
    assert report.text().startswith("DOUBTFUL, sent all the same (cut), Following: pose of the image of ")
    assert "1 images passed over" in report.text()


def test_a_pose_that_was_overtaken_when_following_ended_says_so(app, panel, live, worker):
    begin(app, panel, worker)
    send(app, panel, live, 5.0)
    panel.ui.cancelButton.click()
    settle(app, panel)
    assert "following has ended before the newest image was looked at" in panel.ui.verdictLabel.text


def test_an_error_that_is_not_the_image_s_ends_it(app, panel, live, worker):
    panel.ui.followButton.click()
    settle(app, panel)
    worker.fail(RuntimeError("the worker process was killed"))
    assert not panel.ui.followButton.checked and not panel.isBusy
    assert panel.ui.statusLabel.text == "Not done: the worker process was killed."


def test_a_pose_that_cannot_be_written_ends_it_and_is_not_told_as_sent(app, panel, live, worker, monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("no room left")

    begin(app, panel, worker)
    before = centre(panel)
    monkeypatch.setattr(panel.logic, "writeEstimate", refuse)
    send(app, panel, live, 5.0)
    worker.answer()
    assert not panel.ui.followButton.checked and not panel.isBusy and app.message_boxes == []
    assert panel.ui.statusLabel.text == "Not done: no room left." and panel.ui.followLabel.text == ""
    assert np.array_equal(centre(panel), before)
    assert "the newest pose could not be written" in panel.ui.verdictLabel.text


@pytest.mark.parametrize("how", ["cancel", "button", "delete", "select", "close"])
def test_it_ends(app, panel, live, scan_node, worker, scene, how):
    panel.ui.followButton.click()
    settle(app, panel)
    worker.answer()
    assert not panel.ui.estimateButton.enabled and not panel.ui.estimateAllButton.enabled
    assert panel.ui.cancelButton.visible
    if how == "cancel":
        panel.ui.cancelButton.click()
    elif how == "button":
        panel.ui.followButton.click()
    elif how == "delete":
        scene.RemoveNode(live)
    elif how == "select":
        panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    else:
        scene.Clear(0)
    settle(app, panel)
    assert not panel.ui.followButton.checked and not panel.follow.active and not panel.isBusy
    assert panel.ui.followLabel.text == "" and not panel.ui.cancelButton.visible
    if how in ("cancel", "button"):
        send(app, panel, live, 1.0)
    assert worker == []


def test_an_undo_is_not_filled_with_poses(app, panel, live, worker, scene):
    scene.SetUndoOn()
    try:
        panel.ui.followButton.click()
        settle(app, panel)
        worker.answer()
        send(app, panel, live, 1.0)
        worker.answer()
        assert scene.GetNumberOfUndoLevels() == 0
    finally:
        scene.SetUndoOff()


def test_twenty_updates_through_the_worker(app, panel, live):
    from E3PoseLib import mrml

    panel.ui.followButton.click()
    app.wait_until(lambda: panel.ui.followLabel.text.startswith("Following: pose of"), timeout=300)
    pid, first = panel._run.workerPid, centre(panel)
    for _ in range(20):
        send(app, panel, live, 0.2)
    wanted = np.add(first, [4, 0, 0])
    app.wait_until(lambda: np.allclose(centre(panel), wanted, atol=0.1), timeout=300)
    assert panel._run.workerPid == pid
    assert mrml.changes_since(panel.ui.outputTransformSelector.currentNode()) == []
    send(app, panel, live, 0.2)
    panel.ui.cancelButton.click()
    app.wait_until(lambda: not is_running(pid), timeout=10)
    assert not panel.follow.active and np.allclose(centre(panel), wanted, atol=0.1)


@pytest.mark.parametrize("isFollowed", [True, False])
def test_an_image_that_nobody_looked_at_has_no_pose(app, panel, live, worker, isFollowed):
    """It comes after following has ended, or after a single estimate, and lies where the one before lay."""
    import slicer

    from E3PoseLib import mrml

    if isFollowed:
        begin(app, panel, worker)
        panel.ui.followButton.click()
    else:
        panel.ui.estimateButton.click()
        worker.answer()
    verdict = panel.ui.verdictLabel.text
    assert "High" in verdict and mrml.changes_since(pose_node(panel)) == []
    before = slicer.util.arrayFromVolume(live).copy()
    show(app, panel, live, np.roll(before, 4, axis=2))
    assert panel.ui.verdictLabel.text.startswith("NOT OF THE IMAGE SHOWN: the scan shows other voxels")
    (change,) = mrml.changes_since(pose_node(panel))
    assert change.startswith("the pose is not of the image shown") and change in panel.ui.warningsLabel.text
    assert panel.ui.positionLabel.text == "–" and panel.ui.resliceButton.enabled
    show(app, panel, live, before)
    assert panel.ui.verdictLabel.text == verdict


def test_a_pose_that_a_person_finds_right_is_of_the_image_that_was_looked_at(app, panel, live, worker):
    """As after a correction of its intensities, which moves no head."""
    import slicer

    panel.ui.estimateButton.click()
    worker.answer()
    show(app, panel, live, slicer.util.arrayFromVolume(live) + 1)
    assert panel.ui.verdictLabel.text.startswith("NOT OF THE IMAGE SHOWN")
    panel.ui.checkedCheckBox.click()
    assert "Checked by eye" in panel.ui.verdictLabel.text and panel.ui.firstWarningLabel.text == ""


def test_a_pose_is_of_its_image_again_where_that_comes_back(app, panel, live, worker):
    import slicer

    from E3PoseLib import mrml

    begin(app, panel, worker)
    verdict, before = panel.ui.verdictLabel.text, slicer.util.arrayFromVolume(live).copy()
    cut(app, panel, live)
    worker.answer()
    assert panel.ui.verdictLabel.text.startswith("NOT OF THE IMAGE SHOWN: the newest pose is doubtful")
    panel.ui.followButton.click()
    assert "the newest pose is doubtful" in mrml.changes_since(pose_node(panel))[0]
    show(app, panel, live, before)
    assert panel.ui.verdictLabel.text == verdict and mrml.changes_since(pose_node(panel)) == []


def test_following_that_is_cancelled_leaves_the_pose_of_the_image_shown(app, panel, live, worker):
    from E3PoseLib import mrml

    panel.ui.estimateButton.click()
    worker.answer()
    mrml.mark_checked(pose_node(panel), True)
    panel._refreshResult()
    verdict = panel.ui.verdictLabel.text
    panel.ui.followButton.click()
    settle(app, panel)
    panel.ui.cancelButton.click()
    assert mrml.why_outdated(pose_node(panel)) is None
    assert panel.ui.verdictLabel.text == verdict and "Checked by eye" in verdict


def test_the_verdict_is_of_the_image_before_while_the_next_is_looked_at(app, panel, live, worker):
    begin(app, panel, worker)
    verdict = panel.ui.verdictLabel.text
    send(app, panel, live, 5.0)
    assert panel.ui.verdictLabel.text == verdict and len(worker) == 1
    worker.answer()
    assert "High" in panel.ui.verdictLabel.text
