"""What the person sees of the head after an estimate, in the real panel and on real MRML."""

import numpy as np
import pytest
from phantoms import BY_AXES

from .test_slicer_following import ball

pytestmark = pytest.mark.usefixtures("panel")


def test_the_mask_is_an_outline_of_adjustable_opacity(estimated, scan_node, second_scan, estimate_at_once):
    from E3PoseLib import mrml

    segmentation = estimated.ui.outputSegmentationSelector.currentNode()
    display = segmentation.GetDisplayNode()
    (segment,) = segmentation.GetSegmentation().GetSegmentIDs()
    assert not display.GetSegmentVisibility2DFill(segment)
    assert display.GetSegmentVisibility2DOutline(segment)
    assert display.GetSegmentOpacity2DOutline(segment) == 1
    estimated.ui.maskOpacitySliderWidget.value = 0.4
    assert display.GetSegmentOpacity2DOutline(segment) == pytest.approx(0.4)
    assert display.GetSegmentOpacity3D(segment) == pytest.approx(0.4)
    # The slider tells what is shown, of another scan's mask and whoever has changed it; a new mask is shown by it.
    estimated.ui.inputVolumeSelector.setCurrentNode(second_scan)
    estimated.ui.showMask3DCheckBox.checked = False
    estimate_at_once()
    second = estimated.ui.outputSegmentationSelector.currentNode()
    assert estimated.ui.maskOpacitySliderWidget.value == pytest.approx(0.4) == mrml.mask_opacity(second)
    assert mrml.mask_visibility(second) == (True, False) and not estimated.ui.showMask3DCheckBox.checked
    estimated.ui.maskOpacitySliderWidget.value = 0.9
    estimated.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert estimated.ui.maskOpacitySliderWidget.value == pytest.approx(0.4)
    display.SetSegmentOpacity2DOutline(segment, 0.7)
    assert estimated.ui.maskOpacitySliderWidget.value == pytest.approx(0.7)


def test_the_mask_is_brain_in_snomed_ct_and_in_slicer_s_colour(estimated):
    import slicer

    segmentation = estimated.ui.outputSegmentationSelector.currentNode().GetSegmentation()
    segment = segmentation.GetNthSegment(0)
    entry = slicer.vtkSlicerTerminologyEntry()
    assert slicer.vtkSlicerTerminologiesModuleLogic().DeserializeTerminologyEntry(segment.GetTerminology(), entry)
    organ = entry.GetTypeObject()
    assert (organ.GetCodingSchemeDesignator(), organ.GetCodeValue()) == ("SCT", "12738006")
    assert organ.GetCodeMeaning() == "Brain"
    assert entry.GetCategoryObject().GetCodeMeaning() == "Anatomical Structure"
    # recommendedDisplayRGBValue of Slicer's general anatomy list.
    assert [round(255 * part) for part in segment.GetColor()] == [250, 250, 225]


def composites(scene) -> list:
    return [scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode") for index in range(3)]


def backgrounds(scene) -> set:
    return {composite.GetBackgroundVolumeID() for composite in composites(scene)}


def offsets_to(scene, point) -> list[float]:
    """How far the slice views' planes, and their middles, are from a point, in mm."""
    from E3PoseLib import mrml

    matrices = [node.GetSliceToRAS() for node in mrml.slice_nodes(scene).values()]
    middles = np.array([[matrix.GetElement(row, 3) for row in range(3)] for matrix in matrices])
    return np.linalg.norm(middles - point, axis=1).tolist()


@pytest.fixture
def camera(scene):
    node = scene.AddNewNodeByClass("vtkMRMLCameraNode")
    node.SetPosition(0, 500, 0)
    node.SetFocalPoint(0, 0, 0)
    return node


def visible_masks(scene) -> set[str]:
    from E3PoseLib import mrml

    nodes = scene.GetNodesByClass("vtkMRMLSegmentationNode")
    return {node.GetName() for node in nodes if any(mrml.mask_visibility(node))}


def test_all_views_jump_to_the_head(panel, camera, estimated, scan_node, scene):
    from E3PoseLib import mrml

    centre = mrml.head_pose(estimated.ui.outputTransformSelector.currentNode())[:3, 3]
    assert backgrounds(scene) == {scan_node.GetID()}
    assert offsets_to(scene, centre) == pytest.approx([0, 0, 0], abs=1e-3)
    assert camera.GetFocalPoint() == pytest.approx(centre)
    # It still looks the way it did, from where it sees the whole head.
    direction = np.subtract(camera.GetPosition(), camera.GetFocalPoint())
    assert direction / np.linalg.norm(direction) == pytest.approx([0, 1, 0])
    assert np.linalg.norm(direction) * np.sin(np.deg2rad(camera.GetViewAngle() / 2)) >= 90


def test_a_view_that_a_person_has_arranged_does_not_jump(panel, scan_node, second_scan, estimate_at_once, scene):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    composites(scene)[0].SetBackgroundVolumeID(second_scan.GetID())
    before = offsets_to(scene, np.zeros(3))
    estimate_at_once()
    after = offsets_to(scene, np.zeros(3))
    assert after[0] == before[0] and after[1] != before[1]
    assert panel.ui.viewsLabel.text == "Not in all views: Red shows 'second'."


def test_planes_stay_the_head_s_from_scan_to_scan(panel, estimated, scan_node, second_scan, estimate_at_once, scene):
    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(second_scan)
    estimate_at_once()
    panel.ui.standardPlanesButton.click()
    for scan in (scan_node, second_scan):
        panel.ui.inputVolumeSelector.setCurrentNode(scan)
        pose = mrml.head_pose(panel.ui.outputTransformSelector.currentNode())
        assert panel.ui.standardPlanesButton.checked
        assert offsets_to(scene, pose[:3, 3]) == pytest.approx([0, 0, 0], abs=1e-3)
        red = mrml.to_numpy(mrml.slice_nodes(scene)["Red"].GetSliceToRAS())
        assert np.allclose(red[:3, 2], pose[:3, 2])
    panel.ui.standardPlanesButton.click()
    assert [node.GetOrientation() for node in mrml.slice_nodes(scene).values()] == ["Axial", "Sagittal", "Coronal"]
    # Where the views are now belongs to the scan that is selected, not to the first one.
    assert offsets_to(scene, pose[:3, 3]) == pytest.approx([0, 0, 0], abs=1e-3)


@pytest.mark.parametrize("direction", ["ALIGN", "PLACE"])
def test_the_upright_volume_is_shown_in_its_own_planes_with_the_mask_in_place(
    panel, scan_node, estimate_at_once, reslice, camera, scene, direction
):
    import slicer

    from E3PoseLib import mrml
    from E3PosePanel.parameters import Direction

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel._parameterNode.direction = Direction[direction]
    panel.ui.reslicedSpacingSliderWidget.value = 2.0
    estimate_at_once()
    pose = mrml.head_pose(panel.ui.outputTransformSelector.currentNode())
    segmentation, scan = panel.ui.outputSegmentationSelector.currentNode(), mrml.read_scan(scan_node)
    mrml.write_mask(segmentation, ball(scan_node, pose, radius=40), scan)
    planes = [mrml.to_numpy(node.GetSliceToRAS()) for node in mrml.slice_nodes(scene).values()]
    assert not panel.ui.showUprightButton.enabled
    reslice()
    upright = panel.ui.reslicedVolumeSelector.currentNode()
    assert upright.GetName() == panel.ui.statusLabel.text.removeprefix("Resliced into ").removesuffix(".")
    assert backgrounds(scene) == {upright.GetID()}
    assert [node.GetOrientation() for node in mrml.slice_nodes(scene).values()] == ["Axial", "Sagittal", "Coronal"]
    assert offsets_to(scene, np.zeros(3)) == pytest.approx([0, 0, 0], abs=1e-6)
    assert camera.GetFocalPoint() == pytest.approx((0, 0, 0))
    assert panel.ui.showUprightButton.checked and not panel.ui.standardPlanesButton.checked
    # The mask, exported onto the upright grid by Slicer itself, is the ball about the origin.
    assert visible_masks(scene) == {"phantom upright brain mask"}
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    export = slicer.vtkSlicerSegmentationsModuleLogic.ExportVisibleSegmentsToLabelmapNode
    assert export(mrml.upright_mask(upright), labels, upright)
    inside = np.argwhere(mrml.voxels(labels))
    points = mrml.voxel_to_world(labels) @ np.vstack([inside.T, np.ones(len(inside))])
    assert np.linalg.norm(points[:3].mean(axis=1)) < 0.5
    assert len(inside) * 2.0**3 / 1000 == pytest.approx(4 / 3 * np.pi * 4**3, rel=0.02)

    panel.ui.showUprightButton.click()
    assert backgrounds(scene) == {scan_node.GetID()} and visible_masks(scene) == {"phantom brain mask"}
    for node, before in zip(mrml.slice_nodes(scene).values(), planes, strict=True):
        assert np.allclose(mrml.to_numpy(node.GetSliceToRAS()), before)
    panel.ui.showUprightButton.click()
    assert backgrounds(scene) == {upright.GetID()}
    panel.ui.standardPlanesButton.click()
    assert backgrounds(scene) == {scan_node.GetID()} and not panel.ui.showUprightButton.checked
    panel.ui.showUprightButton.click()
    scene.RemoveNode(upright)
    assert backgrounds(scene) == {scan_node.GetID()} and not panel.ui.showUprightButton.enabled
    assert visible_masks(scene) == {"phantom brain mask"}


def test_a_large_reslicing_keeps_the_window_alive(panel, estimated, reslice):
    panel.ui.reslicedSpacingSliderWidget.value = 0.5  # 360^3 voxels
    pauses = reslice()
    assert panel.ui.statusLabel.text == "Resliced into phantom upright."
    # All but the last pass, which writes the volume and shows it, were steps of some 30 ms.
    assert len(pauses) > 10
    assert np.median(pauses) < 0.1


def test_a_reslicing_can_be_cancelled(app, panel, estimated, scene):
    before = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    panel.ui.reslicedSpacingSliderWidget.value = 0.4
    panel.ui.resliceButton.click()
    app.processEvents()
    assert panel.ui.progressBar.visible and panel.ui.progressBar.format.startswith("Reslicing")
    assert not panel.ui.estimateButton.enabled and not panel.ui.resliceButton.enabled
    panel.ui.cancelButton.click()
    assert not panel._reslicingRun.busy and not panel.ui.progressBar.visible
    assert panel.ui.statusLabel.text == "Cancelled."
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == before
    assert panel.ui.estimateButton.enabled and panel.ui.resliceButton.enabled


def word_wrapped_labels(app) -> list:
    from PySide6.QtWidgets import QLabel

    return [label for label in app.module_panel.findChildren(QLabel) if label.wordWrap and label.isVisible()]


def settle(app) -> None:
    for _ in range(10):
        app.processEvents()


@pytest.mark.parametrize("width", [400, 480, 700])
def test_no_text_is_cut(app, panel, width):
    """In Slicer's module panel, where a label gets the height of its size hint."""
    sections = [getattr(panel.ui, name) for name in vars(panel.ui) if name.endswith("CollapsibleButton")]
    closed = [section.collapsed for section in sections]
    for section in [*sections, app.module_panel.help_button]:
        section.collapsed = False
    app.module_panel.resize(width, 500)
    needed = []
    try:
        for n_warnings in (3, 1):
            panel.ui.warningsLabel.text = "\n".join([f"{'the head may lie elsewhere: ' * 5}."] * n_warnings)
            panel.ui.confidenceLabel.text = "Agreement of the votes for each axis, of the views and of the eyes; " * 4
            panel.ui.statusLabel.text = "The pose is in a new transform, as the one chosen moves the scan itself. " * 2
            settle(app)
            labels = word_wrapped_labels(app)
            heights = {label.objectName: (label.height, label.heightForWidth(label.width)) for label in labels}
            assert len(heights) >= 6
            assert {name: pair for name, pair in heights.items() if pair[0] < pair[1]} == {}
            needed.append(panel.ui.warningsLabel.height)
        assert needed[1] <= needed[0] / 2  # it does not keep the room of a text that is gone
    finally:
        for section, collapsed in zip(sections, closed, strict=True):
            section.collapsed = collapsed
        app.module_panel.help_button.collapsed = True


def with_level(level: str) -> dict:
    """A result's confidence and warnings at a level."""
    from E3PoseLib.method.trust.confidence import Confidence

    concentration = {"high": 0.95, "moderate": 0.75, "low": 0.5}[level]
    confidence = Confidence(
        (concentration,) * 3,
        1.0,
        200.0,
        touches_border=level == "low",
        eyes_agree=level != "low",
        calibration=BY_AXES,
    )
    assert confidence.level == level
    return {"confidence": confidence.as_dict(), "warnings": list(confidence.warnings())}


@pytest.mark.parametrize("level", ["high", "moderate", "low"])
def test_the_verdict_can_be_seen_in_a_small_window(app, panel, scan_node, estimate_at_once, level):
    """Of a window of 1280 x 720 Slicer leaves some 450 pixels to the module."""
    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    transform = panel.ui.outputTransformSelector.currentNode()
    result = {**mrml.read_result(transform), **with_level(level)}
    mrml.write_pose(transform, result, mrml.ALIGN_VOLUME, mrml.read_scan(scan_node))
    panel._onParametersChanged()
    app.module_panel.resize(460, 450)
    settle(app)
    assert panel.ui.verdictLabel.text.lower().startswith(level)
    shown = [panel.ui.verdictLabel]
    if result["warnings"]:
        shown.append(panel.ui.firstWarningLabel)
        assert panel.ui.firstWarningLabel.text.lower().startswith(result["warnings"][0])
        assert f"{len(result['warnings']) - 1} more" in panel.ui.firstWarningLabel.text
    else:
        assert not panel.ui.firstWarningLabel.visible
    for label in shown:
        bottom = label.mapTo(app.module_panel, label.rect.bottomLeft()).y()
        assert label.visible and bottom < 450


@pytest.mark.parametrize("window", ["#efefef", "#ffffff", "#2b2b2b", "#000000"])
def test_the_verdict_s_colour_can_be_read(app, panel, window):
    """Also where the style changes while it is shown."""
    import qt

    from E3PosePanel.head.verdict import LEVEL_HUES, contrast

    label, colours = panel.ui.verdictLabel, {}
    for level in LEVEL_HUES:
        panel.resultSection._verdict.show(with_level(level))
        palette = qt.QPalette(label.palette)
        palette.setColor(qt.QPalette.Window, qt.QColor(window))
        label.palette = palette
        settle(app)
        colours[level] = label.palette.color(qt.QPalette.WindowText)
        assert contrast(colours[level], qt.QColor(window)) >= 4.5
    assert colours["high"].green() > colours["high"].red()
    assert colours["low"].red() > 1.5 * colours["low"].green()
    label.palette = qt.QPalette()
