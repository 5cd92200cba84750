"""The real panel in the stand-in for Slicer: select, click, wait, read."""

import logging
import sys

import numpy as np
import pytest

from .conftest import MODULE_FILE, estimate, nodes

pytestmark = pytest.mark.usefixtures("panel")


def test_the_button_says_why_it_is_disabled(panel, scene):
    assert not panel.ui.estimateButton.enabled
    assert "select the scan" in panel.ui.estimateButton.toolTip
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing in it")
    panel.ui.inputVolumeSelector.setCurrentNode(empty)
    assert not panel.ui.estimateButton.enabled
    assert "nothing in it" in panel.ui.estimateButton.toolTip


def test_click_to_result(app, panel, scan_node, installed_model):
    from E3PoseLib import mrml
    from E3PoseLib.models.loading import load_model

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
    model = load_model(installed_model).identity
    assert panel.ui.computedLabel.text == f"in {seconds:.1f} s on cpu by {model}"
    concentrations = " / ".join(f"{value:.2f}" for value in reference.confidence.axis_concentration)
    assert (
        f"Probability unknown; agreement of the votes for each axis {concentrations}" in panel.ui.confidenceLabel.text
    )


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


def test_the_next_run_replaces_the_result_shown(panel, scan_node, estimate_at_once):
    """Also where it is written into the same nodes, for other voxels of the same volume node."""
    import slicer

    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    transform = panel.ui.outputTransformSelector.currentNode()
    before = panel.ui.positionLabel.text
    slicer.util.arrayFromVolume(scan_node)[:, :, :40] = 0
    slicer.util.arrayFromVolumeModified(scan_node)
    estimate_at_once()
    assert panel.ui.outputTransformSelector.currentNode() == transform
    right, anterior, superior = np.array(mrml.read_result(transform)["canonical_to_ras"])[:3, 3]
    assert panel.ui.positionLabel.text == f"R {right:.1f}   A {anterior:.1f}   S {superior:.1f} mm" != before


def test_each_scan_keeps_its_own_results(panel, scan_node, second_scan, estimate_at_once, reslice):
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
        estimate_at_once()
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


def test_reslice_and_mask_visibility(panel, scan_node, scene, estimate_at_once, reslice):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.reslicedSpacingSliderWidget.value = 2.0
    estimate_at_once()
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


def test_the_first_scan_is_selected_not_a_label_map(app, panel, scan_node, scene):
    panel.ui.inputVolumeSelector.setCurrentNode(None)
    scene.RemoveNode(scan_node)
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    scan = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
    panel.enter()
    assert panel.ui.inputVolumeSelector.currentNode() == scan


def test_only_scans_are_on_offer(panel, scan_node, scene):
    for name in ("vtkMRMLLabelMapVolumeNode", "vtkMRMLVectorVolumeNode", "vtkMRMLDiffusionTensorVolumeNode"):
        scene.AddNewNodeByClass(name)
    assert panel.ui.inputVolumeSelector.nodes() == [scan_node]


def test_time_point_of_a_sequence_is_shown_and_followed(panel, scan_node, scene, estimate_at_once, reslice):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert not panel.ui.timePointLabel.visible or panel.ui.timePointLabel.text == ""
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode")
    for index in range(3):
        slicer.util.arrayFromVolume(scan_node)[:] += 1  # no two images of a series are the same
        sequence.SetDataNodeAtValue(scan_node, str(index))
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.AddProxyNode(scan_node, sequence, False)
    browser.SetSelectedItemNumber(2)
    scan_node.Modified()
    assert panel.ui.timePointLabel.text == "Time point 3 of 3"
    estimate_at_once()
    assert "time point" not in panel.ui.warningsLabel.text
    browser.SetSelectedItemNumber(0)
    scan_node.Modified()
    assert panel.ui.warningsLabel.text.endswith("it is of time point 3, the scan shows time point 1")
    reslice()
    assert "time point 3, the scan shows time point 1" in panel.ui.statusLabel.text


def test_a_browser_with_nothing_selected_shows_no_time_point(panel, scan_node, scene):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode")
    sequence.SetDataNodeAtValue(scan_node, "0")
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.AddProxyNode(scan_node, sequence, False)
    browser.SetSelectedItemNumber(-1)
    scan_node.Modified()
    assert not panel.ui.timePointLabel.visible
    browser.SetSelectedItemNumber(0)
    scan_node.Modified()
    assert panel.ui.timePointLabel.text == "Time point 1 of 1"


def test_what_was_said_of_the_estimate_stays_beside_the_reslicing(panel, scan_node, app, estimate_at_once):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.reslicedSpacingSliderWidget.value = 5.0
    panel.ui.reslicedVolumeSelector.addNode()
    estimate_at_once()
    app.wait_until(lambda: not panel._reslicingRun.busy)
    assert panel.ui.statusLabel.text == "Done. Resliced into Upright."


def test_what_was_said_of_one_scan_does_not_stay_under_another(panel, scan_node, second_scan, estimate_at_once):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    assert panel.ui.statusLabel.text == "Done."
    panel.ui.inputVolumeSelector.setCurrentNode(second_scan)
    assert panel.ui.statusLabel.text == ""


def test_another_direction_turns_the_transform_round(panel, scan_node, second_scan, scene, estimate_at_once):
    import slicer

    from E3PoseLib import mrml
    from E3PosePanel.parameters import Direction

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    transform = panel.ui.outputTransformSelector.currentNode()
    pose, aligning = mrml.head_pose(transform), slicer.util.arrayFromTransformMatrix(transform)
    panel.ui.directionComboBox.currentIndex = 1
    assert np.allclose(slicer.util.arrayFromTransformMatrix(transform), np.linalg.inv(aligning))
    assert np.allclose(mrml.head_pose(transform), pose)
    assert panel.ui.statusLabel.text == "The transform 'phantom head pose' was turned round."
    # Another scan's transform leads as it does, and the choice tells how.
    panel.ui.directionComboBox.currentIndex = 0
    panel.ui.inputVolumeSelector.setCurrentNode(second_scan)
    panel.ui.directionComboBox.currentIndex = 1
    estimate_at_once()
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert panel._parameterNode.direction is Direction.ALIGN and panel.ui.directionComboBox.currentIndex == 0
    assert np.allclose(slicer.util.arrayFromTransformMatrix(transform), aligning)
    # What sits under it would be moved.
    scene.AddNewNodeByClass("vtkMRMLModelNode").SetAndObserveTransformNodeID(transform.GetID())
    panel.ui.directionComboBox.currentIndex = 1
    assert np.allclose(slicer.util.arrayFromTransformMatrix(transform), aligning)
    assert "nodes sit under 'phantom head pose'" in panel.ui.statusLabel.text
    assert panel.ui.directionComboBox.currentIndex == 0


def test_nothing_is_logged_as_an_error(app, panel, scan_node, caplog, estimate_at_once, reslice):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    with caplog.at_level(logging.WARNING):
        estimate_at_once()
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


def test_a_pose_that_is_low_by_a_rule_is_not_told_to_be_likely_right():
    from E3PoseLib.method.trust.confidence import MODERATE
    from E3PosePanel import result_text

    assert result_text.LIKELY == MODERATE
    low = {"level": "low", "probability": 0.995, "bound_degrees": 8.0, "bound_mm": 5.0}
    assert result_text.level_in_words(low) == "Low: the pose may well be wrong; check it against the scan."
    assert result_text.level_in_words({**low, "probability": 0.6}).startswith("Low: 60 % to be right")
