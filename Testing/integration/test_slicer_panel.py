"""The real panel in the stand-in for Slicer: select, click, wait, read, cancel, save, close, reload."""

import logging
import os
import signal
import sys
import time

import numpy as np
import pytest

from .conftest import MODULE_FILE, SHARED

pytestmark = pytest.mark.usefixtures("panel")


def estimate(app, panel) -> None:
    """Click and wait for the end."""
    panel.ui.estimateButton.click()
    assert panel._run.busy, panel.ui.statusLabel.text
    app.wait_until(lambda: not panel._run.busy, timeout=300)


def turn_views(app, panel, scan_node, scene):
    """Estimate, and turn the views to the head: the red slice node, and where it was before."""
    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate(app, panel)
    red = scene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    before = mrml.to_numpy(red.GetSliceToRAS())
    panel.ui.standardPlanesButton.click()
    return red, before


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def nodes(scene) -> set[str]:
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def test_the_button_says_why_it_is_disabled(panel, scene):
    assert not panel.ui.estimateButton.enabled
    assert "select the scan" in panel.ui.estimateButton.toolTip
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing in it")
    panel.ui.inputVolumeSelector.setCurrentNode(empty)
    assert not panel.ui.estimateButton.enabled
    assert "nothing in it" in panel.ui.estimateButton.toolTip


def test_click_to_result(app, panel, scan_node, installed_model):
    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert panel.ui.estimateButton.enabled, panel.ui.estimateButton.toolTip
    panel.ui.estimateButton.click()
    assert panel.ui.progressBar.visible and panel.ui.cancelButton.visible
    stages = set()
    app.wait_until(lambda: stages.add(panel.ui.progressBar.format) or not panel._run.busy, timeout=300)
    assert panel.ui.statusLabel.text == "Done."
    assert len(stages) >= 3
    assert not panel.ui.progressBar.visible and not panel.ui.cancelButton.visible

    transform = panel.ui.outputTransformSelector.currentNode()
    segmentation = panel.ui.outputSegmentationSelector.currentNode()
    reference = panel.logic.estimatePose(scan_node, transform_like(transform), model=str(installed_model))
    pose = mrml.to_numpy(transform.GetMatrixTransformToParent())
    assert np.allclose(pose, reference.ras_to_canonical, atol=1e-3)
    assert np.array_equal(exported_mask(segmentation, scan_node), reference.mask)
    right, anterior, superior = reference.canonical_to_ras[:3, 3]
    assert panel.ui.positionLabel.text == f"R {right:.1f}   A {anterior:.1f}   S {superior:.1f} mm"
    seconds = mrml.read_result(transform)["timings"]["total"]
    assert panel.ui.computedLabel.text == f"in {seconds:.1f} s on cpu"
    assert f"{reference.confidence.score:.2f}" in panel.ui.confidenceLabel.text


def transform_like(node):
    return node.GetScene().AddNewNodeByClass(node.GetClassName())


def exported_mask(segmentation, volume) -> np.ndarray:
    """The segment as a label map on the volume's grid, by Slicer's own export."""
    import slicer

    from E3PoseLib import mrml

    labels = volume.GetScene().AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    exported = slicer.vtkSlicerSegmentationsModuleLogic.ExportVisibleSegmentsToLabelmapNode(
        segmentation, labels, volume
    )
    assert exported
    return mrml.voxels(labels)


def test_the_window_stays_alive_and_the_model_warm(app, panel, scan_node):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate(app, panel)
    pid = panel._run.workerPid
    panel.ui.estimateButton.click()
    pauses = []
    while panel._run.busy:
        before = time.perf_counter()
        app.processEvents()
        pauses.append(time.perf_counter() - before)
        time.sleep(0.001)
    assert panel.ui.statusLabel.text == "Done."
    assert panel._run.workerPid == pid
    # The last pass of the loop is no inference any more: it writes the result into the scene.
    assert len(pauses) > 10
    assert max(pauses[:-1]) < 0.1


def test_the_next_run_replaces_the_result_shown(app, panel, scan_node):
    """Also where it is written into the same nodes, for other voxels of the same volume node."""
    import slicer

    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate(app, panel)
    transform = panel.ui.outputTransformSelector.currentNode()
    before = panel.ui.positionLabel.text
    slicer.util.arrayFromVolume(scan_node)[:, :, :40] = 0
    slicer.util.arrayFromVolumeModified(scan_node)
    estimate(app, panel)
    assert panel.ui.outputTransformSelector.currentNode() == transform
    right, anterior, superior = np.array(mrml.read_result(transform)["canonical_to_ras"])[:3, 3]
    assert panel.ui.positionLabel.text == f"R {right:.1f}   A {anterior:.1f}   S {superior:.1f} mm" != before


def test_each_scan_keeps_its_own_results(app, panel, scan_node, second_scan, reslice):
    from E3PoseLib import mrml

    selectors = (
        panel.ui.outputTransformSelector,
        panel.ui.outputSegmentationSelector,
        panel.ui.reslicedVolumeSelector,
    )
    results, positions = [], []
    for scan in (scan_node, second_scan):
        panel.ui.inputVolumeSelector.setCurrentNode(scan)
        assert [selector.currentNode() for selector in selectors] == [None, None, None]
        assert panel.ui.positionLabel.text == "–" and not panel.ui.resliceButton.enabled
        estimate(app, panel)
        reslice()
        results.append([selector.currentNode() for selector in selectors])
        positions.append(mrml.head_pose(results[-1][0])[:3, 3])
    assert np.allclose(positions[1] - positions[0], [30, 0, 0], atol=1e-3)
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert [selector.currentNode() for selector in selectors] == results[0]
    assert panel.ui.positionLabel.text.startswith(f"R {positions[0][0]:.1f} ")
    # Also by way of a scan that has none.
    third = panel.ui.inputVolumeSelector.addNode()
    panel.ui.inputVolumeSelector.setCurrentNode(third)
    assert [selector.currentNode() for selector in selectors] == [None, None, None]
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert [selector.currentNode() for selector in selectors] == results[0]
    # Whoever asks for it reslices one scan by the pose of another, and is told.
    panel.ui.outputTransformSelector.setCurrentNode(results[1][0])
    reslice()
    assert panel.ui.statusLabel.text.endswith("by the pose of another scan: second head pose.")


def test_a_scan_selected_during_the_run_of_another_keeps_its_result(app, panel, scan_node, second_scan):
    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(second_scan)
    estimate(app, panel)
    second_pose = panel.ui.outputTransformSelector.currentNode()
    before = mrml.read_result(second_pose)
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.estimateButton.click()
    panel.ui.inputVolumeSelector.setCurrentNode(second_scan)
    app.wait_until(lambda: not panel._run.busy, timeout=300)
    assert panel.ui.statusLabel.text == "Done. The result is of 'phantom'."
    assert panel.ui.outputTransformSelector.currentNode() == second_pose
    assert mrml.read_result(second_pose) == before
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert panel.ui.outputTransformSelector.currentNode().GetName() == "phantom head pose"
    assert panel.ui.outputSegmentationSelector.currentNode().GetName() == "phantom brain mask"


def test_cancel(app, panel, scan_node, scene):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    before = nodes(scene)
    panel.ui.estimateButton.click()
    app.wait_until(lambda: panel._run.workerPid is not None)
    pid = panel._run.workerPid
    started = time.monotonic()
    panel.ui.cancelButton.click()
    app.wait_until(lambda: not is_running(pid), timeout=1.0)
    assert time.monotonic() - started < 1.0
    assert nodes(scene) == before
    assert panel.ui.statusLabel.text == "Cancelled."
    assert panel.ui.estimateButton.enabled
    estimate(app, panel)
    assert panel.ui.statusLabel.text == "Done."


def test_cancel_before_the_worker_has_said_hello(app, panel, scan_node):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.estimateButton.click()
    panel.ui.cancelButton.click()
    assert not panel._run.busy
    estimate(app, panel)
    assert panel.ui.statusLabel.text == "Done."


def test_worker_killed_from_outside(app, panel, scan_node, scene):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    before = nodes(scene)
    panel.ui.estimateButton.click()
    app.wait_until(lambda: panel._run.workerPid is not None)
    os.kill(panel._run.workerPid, signal.SIGKILL)
    app.wait_until(lambda: not panel._run.busy)
    assert "was killed" in panel.ui.statusLabel.text
    assert nodes(scene) == before
    estimate(app, panel)
    assert panel.ui.statusLabel.text == "Done."


def test_volume_deleted_during_the_run(app, panel, scan_node, scene):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.estimateButton.click()
    app.wait_until(lambda: panel._run.workerPid is not None)
    expected = nodes(scene) - {scan_node.GetID()}
    scene.RemoveNode(scan_node)
    app.wait_until(lambda: not panel._run.busy, timeout=5)
    assert "was deleted during the estimation" in panel.ui.statusLabel.text
    assert nodes(scene) <= expected


def test_scene_closed_during_the_run(app, panel, scan_node, scene):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.estimateButton.click()
    app.wait_until(lambda: panel._run.workerPid is not None)
    pid = panel._run.workerPid
    scene.Clear(0)
    app.wait_until(lambda: not is_running(pid), timeout=5)
    assert "scene was closed" in panel.ui.statusLabel.text
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert not panel.ui.estimateButton.enabled


def test_output_deleted_during_the_run(app, panel, scan_node, scene):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    transform = panel.ui.outputTransformSelector.addNode()
    panel.ui.estimateButton.click()
    scene.RemoveNode(transform)
    app.wait_until(lambda: not panel._run.busy)
    assert panel.ui.statusLabel.text == "Done."
    assert panel.ui.outputTransformSelector.currentNode() is not None


def test_scan_put_under_the_output_transform_during_the_run(app, panel, scan_node):
    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    transform = panel.ui.outputTransformSelector.addNode()
    panel.ui.estimateButton.click()
    scan_node.SetAndObserveTransformNodeID(transform.GetID())
    app.wait_until(lambda: not panel._run.busy, timeout=300)
    assert panel.ui.statusLabel.text.startswith("Done. The pose is in a new transform: ")
    assert "sits under the output transform" in panel.ui.statusLabel.text
    assert mrml.read_result(transform) is None
    made = panel.ui.outputTransformSelector.currentNode()
    assert np.allclose(mrml.head_pose(made), mrml.read_result(made)["canonical_to_ras"], atol=1e-3)


def test_no_head_found(app, panel, scan_node, scene):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.modelThresholdsCheckBox.checked = False
    panel.ui.backgroundThresholdSpinBox.value = 1.0
    panel.ui.brainThresholdSpinBox.value = 1.0
    before = nodes(scene)
    estimate(app, panel)
    # With both at 1 nothing but the third class, the eyes, is left.
    assert "no fetal head was found" in panel.ui.statusLabel.text
    assert nodes(scene) == before


def test_device_that_is_not_there(app, panel, scan_node, scene):
    import torch

    from E3PosePanel.parameters import Device

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel._parameterNode.device = Device.CUDA
    before = nodes(scene)
    estimate(app, panel)
    assert "there is no device 'cuda' here" in panel.ui.statusLabel.text
    assert nodes(scene) == before


def test_the_model_s_file_is_gone(app, panel, scan_node, installed_model):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    lost = installed_model.with_name("lost.safetensors")
    lost.write_bytes(installed_model.read_bytes())
    panel.modelSection.refresh()
    panel.ui.modelComboBox.setCurrentText("lost")
    lost.unlink()
    panel.ui.estimateButton.click()
    assert not panel._run.busy
    assert "no longer there" in panel.ui.statusLabel.text


def test_the_model_s_file_holds_something_else(app, panel, scan_node, installed_model, tmp_path):
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"no weights at all")
    panel.modelSection.importFiles([wrong])
    assert "not a readable model file" in panel.ui.statusLabel.text
    panel.modelSection.importFiles([tmp_path / "alone.ckpt"])
    assert "one .ckpt and one .pth together" in panel.ui.statusLabel.text
    pair = [tmp_path / "a.ckpt", tmp_path / "a.pth"]
    for file in pair:
        file.write_bytes(b"no weights at all")
    panel.modelSection.importFiles(pair)
    app.wait_until(lambda: not panel._run.busy)
    assert "Not imported" in panel.ui.statusLabel.text
    assert "a.ckpt" in panel.ui.statusLabel.text


def test_import_and_card(app, panel, installed_model, tmp_path):
    copy = tmp_path / "another one.safetensors"
    copy.write_bytes(installed_model.read_bytes())
    panel.modelSection.importFiles([copy])
    assert panel.ui.modelComboBox.currentText == "another one"
    assert panel._parameterNode.model == "another one"
    panel.ui.modelCardButton.click()
    assert "Trained on:\nnothing" in app.message_boxes[-1]
    (installed_model.parent / "another one.safetensors").unlink()


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the weights of ../shared")
def test_import_of_an_official_pair(app, panel, installed_model):
    weights = SHARED / "reference"
    panel.modelSection.importFiles([weights / "e3cnn.pth", weights / "unet.ckpt"])
    assert panel._run.busy
    app.wait_until(lambda: not panel._run.busy, timeout=300)
    assert panel.ui.statusLabel.text == "The model 'unet' was added."
    assert panel.ui.modelComboBox.currentText == panel._parameterNode.model == "unet"
    panel.ui.modelCardButton.click()
    assert "Imported from unet.ckpt and e3cnn.pth" in app.message_boxes[-1]
    (installed_model.parent / "unet.safetensors").unlink()


def test_standard_planes_and_back(app, panel, scan_node, scene):
    from E3PoseLib import mrml

    red, before = turn_views(app, panel, scan_node, scene)
    pose = mrml.head_pose(panel.ui.outputTransformSelector.currentNode())
    turned = mrml.to_numpy(red.GetSliceToRAS())
    assert np.allclose(turned[:3, 2], pose[:3, 2], atol=1e-6)
    assert np.allclose(turned[:3, 3], pose[:3, 3], atol=1e-6)
    # Meanwhile the window becomes twice as wide: the image may not come back stretched.
    columns, rows, slices = red.GetDimensions()
    red.SetDimensions(2 * columns, rows, slices)
    panel.ui.standardPlanesButton.click()
    assert np.allclose(mrml.to_numpy(red.GetSliceToRAS()), before)
    width, height, _ = red.GetFieldOfView()
    assert width / height == pytest.approx(2 * columns / rows)
    # Closing the scene turns the views back too.
    panel.ui.standardPlanesButton.click()
    assert red.GetOrientation() == "Reformat"
    scene.Clear(0)
    assert red.GetOrientation() == "Axial"


def test_reslice_and_mask_visibility(app, panel, scan_node, scene, reslice):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.reslicedSpacingSliderWidget.value = 2.0
    estimate(app, panel)
    reslice()
    upright = panel.ui.reslicedVolumeSelector.currentNode()
    assert upright.GetSpacing() == pytest.approx((2.0, 2.0, 2.0))
    panel.ui.showUprightButton.click()
    display = panel.ui.outputSegmentationSelector.currentNode().GetDisplayNode()
    assert display.GetVisibility2D() and display.GetVisibility3D()
    panel.ui.showMask2DCheckBox.checked = False
    assert not display.GetVisibility2D() and display.GetVisibility3D()
    panel.ui.showMask3DCheckBox.checked = False
    assert not display.GetVisibility()


def test_result_survives_saving_and_loading_the_scene(app, panel, scan_node, scene, tmp_path):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate(app, panel)
    shown = {name: getattr(panel.ui, name).text for name in ("positionLabel", "confidenceLabel", "computedLabel")}
    file = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(file), {})
    scene.Clear(0)
    assert panel.ui.positionLabel.text == "–"
    assert panel.ui.inputVolumeSelector.currentNode() is None
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(file)}, None)
    assert panel.ui.inputVolumeSelector.currentNode().GetName() == "phantom"
    assert panel.ui.outputTransformSelector.currentNode() is not None
    assert {name: getattr(panel.ui, name).text for name in shown} == shown
    panel.ui.standardPlanesButton.click()
    assert panel.ui.standardPlanesButton.checked
    estimate(app, panel)
    assert panel.ui.statusLabel.text == "Done."


@pytest.fixture
def modules_restored():
    """A reload makes new classes; the tests that follow know the old ones."""
    import slicer

    packages = ("E3Pose", "E3PoseLib", "E3PosePanel")
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in packages}
    yield
    slicer.modules.E3PoseWidget.cleanup()
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]
    sys.modules.update(before)
    del slicer.modules.e3pose


def test_reload(app, panel, scan_node, modules_restored):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate(app, panel)
    pid = panel._run.workerPid
    panel.onReload()
    reloaded = slicer.modules.E3PoseWidget
    assert reloaded is not panel
    app.wait_until(lambda: not is_running(pid), timeout=2)
    assert reloaded.ui.positionLabel.text.startswith("R ")
    estimate(app, reloaded)
    assert reloaded.ui.statusLabel.text == "Done."


def test_reload_by_script(app, panel, scan_node, modules_restored):
    """``slicer.util.reloadScriptedModule`` alone keeps the library's modules; the panel is new all the same."""
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    slicer.util.reloadScriptedModule("E3Pose")
    reloaded = slicer.modules.E3PoseWidget
    assert reloaded is not panel
    assert reloaded.ui.inputVolumeSelector.currentNode() == scan_node
    estimate(app, reloaded)
    assert reloaded.ui.statusLabel.text == "Done."


def test_scene_loaded_while_another_module_is_open(app, panel, scan_node, scene, tmp_path, reslice):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate(app, panel)
    position = panel.ui.positionLabel.text
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    slicer.modules.e3pose.exit()
    scene.Clear(0)
    assert not panel.ui.estimateButton.enabled
    assert panel.ui.positionLabel.text == "–"
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(tmp_path / "scene.mrb")}, None)
    assert panel.ui.positionLabel.text == position
    reslice()
    assert panel.ui.statusLabel.text == "Resliced into phantom upright."


def test_a_scene_added_to_this_one_changes_no_selection(app, panel, scan_node, scene, tmp_path):
    import slicer

    other = slicer.vtkMRMLScene()
    other.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "of another fetus")
    other.SetURL(str(tmp_path / "other.mrml"))
    assert other.Commit()
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate(app, panel)
    selectors = (
        panel.ui.inputVolumeSelector,
        panel.ui.outputTransformSelector,
        panel.ui.outputSegmentationSelector,
    )
    before = [selector.currentNode() for selector in selectors]
    position = panel.ui.positionLabel.text
    for entered in (True, False):
        if not entered:
            slicer.modules.e3pose.exit()
        slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": other.GetURL()}, None)
        assert [selector.currentNode() for selector in selectors] == before
        assert panel.ui.positionLabel.text == position


def test_of_two_scans_the_saved_one_is_selected_again(app, panel, second_scan, scene, tmp_path):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(second_scan)
    assert slicer.util.saveScene(str(tmp_path / "two.mrb"), {})
    scene.Clear(0)
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(tmp_path / "two.mrb")}, None)
    assert panel.ui.inputVolumeSelector.currentNode().GetName() == "second"


def test_a_transform_that_goes_turns_the_views_back(app, panel, scan_node, scene):
    from E3PoseLib import mrml

    red, before = turn_views(app, panel, scan_node, scene)
    scene.RemoveNode(panel.ui.outputTransformSelector.currentNode())
    assert not panel.ui.standardPlanesButton.checked and not panel.ui.standardPlanesButton.enabled
    assert np.allclose(mrml.to_numpy(red.GetSliceToRAS()), before)


def test_the_views_turn_along_when_the_scan_or_the_pose_does(app, panel, scan_node, second_scan, scene):
    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(second_scan)
    estimate(app, panel)
    other_pose = panel.ui.outputTransformSelector.currentNode()
    red, before = turn_views(app, panel, scan_node, scene)
    transform = panel.ui.outputTransformSelector.currentNode()
    assert "moved since" not in panel.ui.warningsLabel.text
    shift = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[1, 3] = 25
    shift.SetMatrixTransformToParent(mrml.to_vtk(matrix))
    scan_node.SetAndObserveTransformNodeID(shift.GetID())
    assert np.allclose(red.GetSliceToRAS().GetElement(1, 3), mrml.head_pose(transform)[1, 3])
    assert "has been moved since" in panel.ui.warningsLabel.text
    panel.ui.outputTransformSelector.setCurrentNode(other_pose)
    assert np.allclose(mrml.to_numpy(red.GetSliceToRAS())[:3, 3], mrml.head_pose(other_pose)[:3, 3])
    # Views that a person has turned since stay where they are, and unpressed the button turns them back.
    red.GetSliceToRAS().SetElement(2, 3, 7.0)
    red.UpdateMatrices()
    panel.ui.reslicedSpacingSliderWidget.value = 2.0
    assert red.GetSliceToRAS().GetElement(2, 3) == 7.0
    panel.ui.standardPlanesButton.click()
    assert np.allclose(mrml.to_numpy(red.GetSliceToRAS()), before)


def test_a_mask_that_was_hidden_stays_hidden(app, panel, scan_node, scene, tmp_path):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate(app, panel)
    panel.ui.outputSegmentationSelector.currentNode().GetDisplayNode().SetVisibility(False)
    assert slicer.util.saveScene(str(tmp_path / "hidden.mrb"), {})
    scene.Clear(0)
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(tmp_path / "hidden.mrb")}, None)
    display = panel.ui.outputSegmentationSelector.currentNode().GetDisplayNode()
    assert not display.GetVisibility()
    assert not panel.ui.showMask2DCheckBox.checked and not panel.ui.showMask3DCheckBox.checked
    panel.ui.showMask2DCheckBox.checked = True
    assert display.GetVisibility() and display.GetVisibility2D() and not display.GetVisibility3D()


def test_a_segmentation_that_no_longer_fits_loses_no_result(app, panel, scan_node, scene):
    import slicer

    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    segmentation = panel.ui.outputSegmentationSelector.addNode()
    panel.ui.estimateButton.click()
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    segmentation.GetSegmentation().SetSourceRepresentationName(surface)
    segmentation.GetSegmentation().AddEmptySegment("Brain")
    app.wait_until(lambda: not panel._run.busy, timeout=300)
    assert "The mask is in a new segmentation: " in panel.ui.statusLabel.text
    made = panel.ui.outputSegmentationSelector.currentNode()
    assert made != segmentation and mrml.has_mask(made) and not mrml.has_mask(segmentation)
    assert panel.ui.positionLabel.text.startswith("R ")
    # Nothing tells the panel of a new segment; the click looks again, and computes nothing in vain.
    made.GetSegmentation().SetSourceRepresentationName(surface)
    made.GetSegmentation().AddEmptySegment("Placenta")
    panel.ui.estimateButton.click()
    assert not panel._run.busy
    assert "holds other segments" in panel.ui.statusLabel.text


def test_the_first_scan_is_selected_not_a_label_map(app, panel, scan_node, scene):
    panel.ui.inputVolumeSelector.setCurrentNode(None)
    scene.RemoveNode(scan_node)
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    scan = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
    panel.enter()
    assert panel.ui.inputVolumeSelector.currentNode() == scan


def test_a_segmentation_of_others_that_would_suffer_is_refused(panel, scan_node, scene):
    import slicer

    contours = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "treatment plan")
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    contours.GetSegmentation().SetSourceRepresentationName(surface)
    contours.GetSegmentation().AddEmptySegment("Placenta")
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.outputSegmentationSelector.setCurrentNode(contours)
    assert not panel.ui.estimateButton.enabled
    assert "'treatment plan' holds other segments" in panel.ui.estimateButton.toolTip


def test_a_result_that_cannot_be_written_leaves_no_nodes(app, panel, scan_node, scene):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    scan = panel.logic.readScan(scan_node)
    before = nodes(scene)
    with pytest.raises(KeyError):
        panel._onEstimated(scan, {"confidence": "no pose in it"}, None)
    assert nodes(scene) == before
    assert len(app.message_boxes) == 1
    assert "could not be written" in app.message_boxes[0]
    assert "could not be written" in panel.ui.statusLabel.text


def test_only_scans_are_on_offer(panel, scan_node, scene):
    for name in ("vtkMRMLLabelMapVolumeNode", "vtkMRMLVectorVolumeNode", "vtkMRMLDiffusionTensorVolumeNode"):
        scene.AddNewNodeByClass(name)
    assert panel.ui.inputVolumeSelector.nodes() == [scan_node]


def test_time_point_of_a_sequence_is_shown_and_followed(app, panel, scan_node, scene, reslice):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert not panel.ui.timePointLabel.visible or panel.ui.timePointLabel.text == ""
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode")
    for index in range(3):
        sequence.SetDataNodeAtValue(scan_node, str(index))
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.AddProxyNode(scan_node, sequence, False)
    browser.SetSelectedItemNumber(2)
    scan_node.Modified()
    assert panel.ui.timePointLabel.text == "Time point 3 of 3"
    estimate(app, panel)
    assert "time point" not in panel.ui.warningsLabel.text
    browser.SetSelectedItemNumber(0)
    scan_node.Modified()
    assert panel.ui.warningsLabel.text.endswith("the pose is of time point 3, the scan shows time point 1")
    reslice()
    assert "time point 3, the scan shows time point 1" in panel.ui.statusLabel.text


def test_install_asks_first(app, panel, monkeypatch):
    from E3PoseLib import dependencies

    asked = dependencies.Package("e3nn>=99", "0.5.5")
    installed = []
    monkeypatch.setattr(dependencies, "missing", lambda: [asked])
    monkeypatch.setattr(dependencies, "install", installed.append)
    panel.setupSection.refresh()
    assert not panel.ui.setupCollapsibleButton.collapsed
    panel.ui.installButton.click()
    assert "e3nn>=99" in app.message_boxes[-1]
    assert installed == []
    import qt

    app.answers.append(qt.QMessageBox.Ok)
    panel.ui.installButton.click()
    assert installed == [[asked]]


def test_a_second_click_does_not_install_twice(app, panel, monkeypatch):
    """Slicer handles events while pip runs; so does this installation."""
    import qt

    from E3PoseLib import dependencies

    begun = []

    def install(packages):
        begun.append(packages)
        panel.enter()
        assert not panel.ui.installButton.enabled
        panel.setupSection.onInstallButton()

    monkeypatch.setattr(dependencies, "missing", lambda: [dependencies.Package("e3nn>=99", "0.5.5")])
    monkeypatch.setattr(dependencies, "install", install)
    panel.setupSection.refresh()
    app.answers.append(qt.QMessageBox.Ok)
    panel.ui.installButton.click()
    assert len(begun) == 1 and panel.ui.installButton.enabled


def test_missing_packages_disable_the_button(panel, scan_node, monkeypatch):
    from E3PoseLib import dependencies

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    monkeypatch.setattr(dependencies, "missing", lambda: [dependencies.Package("torch>=2.4", None)])
    panel.enter()
    assert not panel.ui.estimateButton.enabled
    assert "Not installed: torch" in panel.ui.estimateButton.toolTip


def test_nothing_is_logged_as_an_error(app, panel, scan_node, caplog, reslice):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    with caplog.at_level(logging.WARNING):
        estimate(app, panel)
        panel.ui.standardPlanesButton.click()
        reslice()
    assert caplog.records == []
    assert app.message_boxes == []


def test_the_module_s_own_tests(app):
    import unittest

    import slicer

    slicer.modules.E3PoseInstance.runTest()
    folder = MODULE_FILE.parent / "Testing" / "Python"
    sys.path.insert(0, str(folder))
    try:
        suite = unittest.defaultTestLoader.loadTestsFromName("E3PoseSceneTest")
        result = unittest.TextTestRunner().run(suite)
    finally:
        sys.path.remove(str(folder))
    assert result.testsRun >= 3 and result.wasSuccessful()
