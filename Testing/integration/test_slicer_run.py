"""The run in the background: the window stays alive, and whatever happens meanwhile harms nothing."""

import gzip
import os
import signal
import struct
import time

import numpy as np
import pytest

from .conftest import estimate, is_running, nodes

pytestmark = pytest.mark.usefixtures("panel")


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


def test_a_scan_selected_during_the_run_of_another_keeps_its_result(panel, scan_node, second_scan, estimate_at_once):
    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(second_scan)
    estimate_at_once()
    second_pose = panel.ui.outputTransformSelector.currentNode()
    before = mrml.read_result(second_pose)
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once.begin()
    panel.ui.inputVolumeSelector.setCurrentNode(second_scan)
    estimate_at_once.end()
    assert panel.ui.statusLabel.text == "Done. The result is of 'phantom'."
    assert panel.ui.outputTransformSelector.currentNode() == second_pose
    assert mrml.read_result(second_pose) == before
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert panel.ui.outputTransformSelector.currentNode().GetName() == "phantom head pose"
    assert panel.ui.outputSegmentationSelector.currentNode().GetName() == "phantom brain mask"


def test_output_deleted_during_the_run(panel, scan_node, scene, estimate_at_once):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    transform = panel.ui.outputTransformSelector.addNode()
    estimate_at_once.begin()
    scene.RemoveNode(transform)
    estimate_at_once.end()
    assert panel.ui.statusLabel.text == "Done."
    assert panel.ui.outputTransformSelector.currentNode() is not None


def test_scan_put_under_the_output_transform_during_the_run(panel, scan_node, estimate_at_once):
    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    transform = panel.ui.outputTransformSelector.addNode()
    estimate_at_once.begin()
    scan_node.SetAndObserveTransformNodeID(transform.GetID())
    estimate_at_once.end()
    assert panel.ui.statusLabel.text.startswith("Done. The pose is in a new transform: ")
    assert "sits under the output transform" in panel.ui.statusLabel.text
    assert mrml.read_result(transform) is None
    made = panel.ui.outputTransformSelector.currentNode()
    assert np.allclose(mrml.head_pose(made), mrml.read_result(made)["canonical_to_ras"], atol=1e-3)


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


def test_a_segmentation_that_no_longer_fits_loses_no_result(panel, scan_node, scene, estimate_at_once):
    import slicer

    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    segmentation = panel.ui.outputSegmentationSelector.addNode()
    estimate_at_once.begin()
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    segmentation.GetSegmentation().SetSourceRepresentationName(surface)
    segmentation.GetSegmentation().AddEmptySegment("Brain")
    estimate_at_once.end()
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
        panel.estimation.write(scan, {"confidence": "no pose in it"}, None)
    assert nodes(scene) == before
    assert len(app.message_boxes) == 1
    assert "could not be written" in app.message_boxes[0]
    assert "could not be written" in panel.ui.statusLabel.text


def test_voxels_are_handed_over_without_a_copy_and_changes_meanwhile_are_told(app, panel, scan_node):
    import slicer

    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert np.shares_memory(mrml.read_scan(scan_node).array, mrml.voxels(scan_node))
    panel.ui.estimateButton.click()
    slicer.util.arrayFromVolume(scan_node)[:10] = 0
    slicer.util.arrayFromVolumeModified(scan_node)
    app.wait_until(lambda: not panel._run.busy)
    assert panel.ui.statusLabel.text.startswith("Not done: volume 'phantom' was changed while it was read")
    estimate(app, panel)
    assert panel.ui.statusLabel.text == "Done."


def test_a_scan_that_shows_other_voxels_meanwhile_is_estimated_as_it_was(app, panel, scan_node, estimates):
    """As a sequence that plays: the node gets another image, and the one handed over stays."""
    import vtk

    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    expected, _ = estimates(mrml.read_scan(scan_node).volume, panel.modelSection.arguments(), {"device": "cpu"})
    panel.ui.estimateButton.click()
    other = vtk.vtkImageData()
    other.DeepCopy(scan_node.GetImageData())
    other.GetPointData().GetScalars().Fill(7)
    scan_node.SetAndObserveImageData(other)
    app.wait_until(lambda: not panel._run.busy, timeout=300)
    found = mrml.read_result(panel.ui.outputTransformSelector.currentNode())
    assert np.allclose(found["canonical_to_ras"], expected["canonical_to_ras"], atol=1e-3)


def test_what_is_doubtful_about_a_file_is_told(app, panel, scene, tmp_path):
    """Slicer's reader shows zeros for what is missing, and says nothing; nor of whose coordinates they are."""
    import slicer

    from E3PosePanel.sample_data import SYNTHETIC_FILE

    content = bytearray(gzip.decompress(SYNTHETIC_FILE.read_bytes()))
    content[252:256] = struct.pack("<2h", 0, 4)  # the codes of qform and sform: MNI's coordinates
    content = gzip.compress(content)
    file = tmp_path / "damaged.nii.gz"
    file.write_bytes(content[: len(content) * 3 // 4])
    scan = slicer.util.loadVolume(str(file), {})
    panel.ui.inputVolumeSelector.setCurrentNode(scan)
    estimate(app, panel)
    assert panel.ui.statusLabel.text == "Done."
    assert "damaged.nii.gz: the file is damaged or cut short" in panel.ui.warningsLabel.text
    assert panel.ui.confidenceLabel.text.startswith("Low")
    panel.ui.prescriptionCollapsibleButton.collapsed = False
    panel.ui.stackFieldOfViewSpinBox.value = 400.0
    told = panel.ui.prescriptionText.plainText.splitlines()
    assert told[0].startswith("WARNING: the file leaves open whether its coordinates are the scanner's")
    assert told[1].startswith("  - by its sform code 4 its coordinates are those of the MNI's atlas")


def test_a_slice_alone_is_refused_before_the_click(panel, scene):
    import slicer

    picture = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "localizer")
    slicer.util.updateVolumeFromArray(picture, np.zeros((1, 64, 64)))
    panel.ui.inputVolumeSelector.setCurrentNode(picture)
    assert not panel.ui.estimateButton.enabled
    assert "'localizer' has 64 × 64 × 1 voxels: each edge of a scan needs at least 8" in panel.ui.estimateButton.toolTip
