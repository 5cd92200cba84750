"""Follow, in the real panel on real MRML: the newest image wins, nothing old passes for new, it ends when it should."""

import numpy as np
import pytest

from E3PoseLib.errors import NoHeadFoundError

from .conftest import add_phantom, is_running

pytestmark = pytest.mark.usefixtures("panel")


def settle(app, panel) -> None:
    """Let what was put off be done."""
    app.processEvents()
    app.wait_until(lambda: not panel.follow._timer.active, timeout=10)


@pytest.fixture
def live(panel, scene):
    """A small scan that is selected, as a connector would fill it."""
    node = add_phantom(scene, "live", step=3)
    panel.ui.inputVolumeSelector.setCurrentNode(node)
    return node


@pytest.fixture
def worker(app, panel, estimates, monkeypatch):
    """The worker as a list of what it was asked: ``worker.answer()`` answers the oldest."""

    class Asked(list):
        def answer(self) -> None:
            self.pop(0)[1]()
            settle(app, panel)

        def fail(self, error) -> None:
            self.pop(0)[2](error)
            settle(app, panel)

    asked = Asked()

    def estimate(scan, model, options, onFinished, onFailed, isWanted):
        volume = scan.volume
        asked.append((scan, lambda: onFinished(*estimates(volume, model, options)), onFailed))

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


def centre(panel) -> np.ndarray:
    from E3PoseLib import mrml

    result = mrml.read_result(panel.ui.outputTransformSelector.currentNode())
    return np.array(result["canonical_to_ras"])[:3, 3]


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
    assert panel.ui.verdictLabel.text == "No pose of the image shown: no fetal head was found."
    assert panel.ui.followLabel.text == "No pose of the newest image: no fetal head was found."
    assert panel.ui.prescriptionText.plainText.startswith("WARNING: THE POSE IS DOUBTFUL")
    assert panel.ui.followButton.checked
    send(app, panel, live, 1.0)
    worker.answer()
    assert not panel.ui.verdictLabel.text.startswith("No pose")
    assert panel.ui.followLabel.text.startswith("Following: ")


def test_an_error_that_is_not_the_image_s_ends_it(app, panel, live, worker):
    panel.ui.followButton.click()
    settle(app, panel)
    worker.fail(RuntimeError("the worker process was killed"))
    assert not panel.ui.followButton.checked and not panel._isBusy
    assert panel.ui.statusLabel.text == "Not done: the worker process was killed."


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
    assert not panel.ui.followButton.checked and not panel.follow.active and not panel._isBusy
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
    app.wait_until(lambda: panel.ui.followLabel.text.startswith("Following: "), timeout=300)
    pid, first = panel._run.workerPid, centre(panel)
    for _ in range(20):
        send(app, panel, live, 1.0)
    wanted = np.add(first, [20, 0, 0])
    app.wait_until(lambda: np.allclose(centre(panel), wanted, atol=0.1), timeout=300)
    assert panel._run.workerPid == pid
    assert mrml.changes_since(panel.ui.outputTransformSelector.currentNode()) == []
    send(app, panel, live, 1.0)
    panel.ui.cancelButton.click()
    app.wait_until(lambda: not is_running(pid), timeout=10)
    assert not panel.follow.active and np.allclose(centre(panel), wanted, atol=0.1)
