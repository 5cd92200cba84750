"""While a person works elsewhere: views of another module, a scene that is being loaded, volumes that go."""

import gc
import re
import weakref

import numpy as np
import pytest
import vtk

from .conftest import add_phantom, estimate

pytestmark = pytest.mark.usefixtures("panel")


def centre_of(view) -> list[float]:
    return [view.GetSliceToRAS().GetElement(row, 3) for row in range(3)]


def test_views_stay_where_they_are_while_another_module_is_open(panel, scene, scan_node, estimate_at_once):
    import slicer

    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once.begin()
    slicer.modules.e3pose.exit()
    red = scene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    red.JumpSliceByCentering(40, 40, 40)
    before = centre_of(red)
    estimate_at_once.end()
    assert centre_of(red) == before and panel.ui.statusLabel.text.startswith("Done.")
    slicer.modules.e3pose.enter()
    head = mrml.head_pose(panel.ui.outputTransformSelector.currentNode())[:3, 3]
    assert np.allclose(centre_of(red)[2], head[2], atol=1.0)
    red.JumpSliceByCentering(40, 40, 40)
    slicer.modules.e3pose.exit()
    slicer.modules.e3pose.enter()  # what was shown once is not shown again
    assert np.allclose(centre_of(red), before)


def test_an_answer_waits_until_a_scene_is_loaded(app, panel, scene, tmp_path):
    """Slicer's loading dialog has events processed at each node, and so the timer that asks the worker."""
    import slicer

    other = slicer.vtkMRMLScene()
    other.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "of another fetus")
    other.SetURL(str(tmp_path / "other.mrml"))
    assert other.Commit()
    scan = add_phantom(scene, "scan", step=3)
    panel.ui.inputVolumeSelector.setCurrentNode(scan)
    panel.ui.estimateButton.click()
    worker, answers = panel._run._worker, []
    app.wait_until(lambda: answers.extend(worker.poll()) or any(hasattr(one, "answer") for one in answers), timeout=300)
    poll, worker.poll = worker.poll, lambda: answers[-1:]
    asked = []

    def on_added(caller, event):
        if scene.IsImporting():
            asked.append(True)
            panel._run._poll()

    tag = scene.AddObserver(scene.NodeAddedEvent, on_added)
    try:
        slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": other.GetURL()}, None)
        assert asked and panel.ui.outputTransformSelector.currentNode() is None
        panel._run._poll()
    finally:
        worker.poll = poll
        scene.RemoveObserver(tag)
    assert panel.ui.inputVolumeSelector.currentNode() == scan
    assert panel.ui.outputTransformSelector.currentNode().GetName() == "scan head pose"
    assert panel.ui.outputSegmentationSelector.currentNode().GetName() == "scan brain mask"


def test_a_volume_that_was_never_selected_is_freed_when_it_is_deleted(panel, scene):
    add_phantom(scene, "selected", step=3)
    freed: list = []
    other = add_phantom(scene, "another", step=3)
    other.AddObserver("DeleteEvent", lambda *_: freed.append("another"))
    scene.RemoveNode(other)
    del other
    gc.collect()
    assert freed == ["another"]


def test_a_scan_is_let_go_once_its_answer_has_come(app, panel, scan_node, monkeypatch):
    """It holds the voxels, also of a scene that is closed since."""
    read, handed_over = panel.logic.readScan, []

    def read_and_note(*arguments):
        scan = read(*arguments)
        handed_over.append(weakref.ref(scan))
        return scan

    monkeypatch.setattr(panel.logic, "readScan", read_and_note)
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate(app, panel)
    gc.collect()
    assert [scan() for scan in handed_over] == [None]


def test_the_button_waits_while_weights_are_imported(panel, scan_node, tmp_path, monkeypatch):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert panel.ui.estimateButton.enabled
    isBusy = []
    monkeypatch.setattr(type(panel._run), "busy", property(lambda run: bool(isBusy)))
    monkeypatch.setattr(panel._run, "importWeights", lambda *arguments, **callbacks: isBusy.append(True))
    panel.modelSection.importFiles([tmp_path / "a.ckpt", tmp_path / "b.pth"])
    assert not panel.ui.estimateButton.enabled and "under way" in panel.ui.estimateButton.toolTip


def test_arrows_leave_nothing_behind(app, panel, estimated, scene, tmp_path):
    import slicer

    def displays() -> int:
        return len(slicer.util.getNodesByClass("vtkMRMLDisplayNode"))

    before = displays()
    panel.ui.showAxesCheckBox.checked = True
    assert displays() > before
    file = {"fileName": str(tmp_path / "scene.mrb")}
    assert slicer.util.saveScene(file["fileName"], {})
    panel.overlays.remove()
    assert displays() == before
    panel.ui.showAxesCheckBox.checked = False
    scene.Clear(0)
    app.coreIOManager().loadNodes("SceneFile", file, None)
    displayed = [node.GetDisplayableNode() for node in slicer.util.getNodesByClass("vtkMRMLTransformDisplayNode")]
    assert all(node is not None for node in displayed)


def test_a_view_that_is_shut_is_turned_back_too(panel, estimated, scene):
    red = scene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    before, size = centre_of(red), red.GetDimensions()
    panel.ui.standardPlanesButton.click()
    try:
        red.SetDimensions(0, 0, 1)
        panel.ui.standardPlanesButton.click()
    finally:
        red.SetDimensions(*size)
    assert np.allclose(centre_of(red), before) and not panel.ui.standardPlanesButton.checked


def test_what_other_modules_change_is_told_when_the_panel_is_opened_again(estimated, scan_node):
    import slicer

    from E3PoseLib import mrml

    from .test_slicer_following import ball

    transform, segmentation = (estimated.ui.outputTransformSelector, estimated.ui.outputSegmentationSelector)
    transform, segmentation = transform.currentNode(), segmentation.currentNode()
    pose = mrml.head_pose(transform)
    mrml.write_mask(segmentation, ball(scan_node, pose, 30.0), mrml.read_scan(scan_node))
    estimated.ui.showAxesCheckBox.checked = True
    estimated.ui.prescriptionCollapsibleButton.collapsed = False
    estimated.ui.correctButton.click()
    text = estimated.ui.prescriptionText.plainText
    slicer.modules.e3pose.exit()
    assert not estimated.ui.correctButton.checked
    assert not estimated.overlays.axes.transform.GetDisplayNode().GetEditorVisibility()
    mrml.write_mask(segmentation, ball(scan_node, pose, 45.0), mrml.read_scan(scan_node))
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToParent(matrix)
    matrix.SetElement(2, 3, matrix.GetElement(2, 3) + 5)
    transform.SetMatrixTransformToParent(matrix)
    slicer.modules.e3pose.enter()
    assert np.allclose(estimated.overlays.axes.pose(), mrml.head_pose(transform))
    assert not np.allclose(mrml.head_pose(transform), pose)

    def slices(words: str) -> int:
        return int(re.search(r"(\d+) slices", words)[1])

    now = slices(estimated.ui.prescriptionText.plainText)
    assert now >= slices(text) + 10  # of 3 mm, for 30 mm more brain
    # And when the text is copied, though the panel was open all the time.
    mrml.write_mask(segmentation, ball(scan_node, mrml.head_pose(transform), 30.0), mrml.read_scan(scan_node))
    estimated.ui.copyPrescriptionButton.click()
    assert slices(slicer.app.clipboard().text()) <= now - 10
