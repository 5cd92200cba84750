"""The selected scan, what the views show, and the visible results are one; what a person has arranged stays."""

import random

import pytest

from .conftest import add_phantom


@pytest.fixture
def scans(panel, scene, request) -> list:
    """As many small phantoms as asked for, side by side."""
    return [add_phantom(scene, f"scan {index}", 10.0 * index, step=3) for index in range(request.param)]


def backgrounds(scene) -> set:
    from E3PoseLib import mrml

    return {scene.GetNodeByID(node.GetBackgroundVolumeID() or "") for node in mrml.slice_composites(scene).values()}


def visible_masks(scene) -> list:
    """Of which scans a brain mask can be seen in the slices or in 3-D."""
    from E3PoseLib import mrml

    count = scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLSegmentationNode") for index in range(count)]
    return [node.GetNodeReference(mrml.VOLUME_REFERENCE) for node in nodes if any(mrml.mask_visibility(node))]


def assert_all_is_of(panel, scene, scan) -> None:
    from E3PoseLib import mrml

    assert backgrounds(scene) == {scan}
    assert not panel.ui.viewsLabel.visible
    transform = panel.ui.outputTransformSelector.currentNode()
    assert visible_masks(scene) == ([scan] if transform else [])
    if transform:
        assert transform.GetNodeReference(mrml.VOLUME_REFERENCE) == scan
        right = mrml.read_result(transform)["canonical_to_ras"][0][3]
        assert panel.ui.positionLabel.text.startswith(f"R {right:.1f} ")
    else:
        assert panel.ui.positionLabel.text == "–"


@pytest.mark.parametrize("scans", [2, 7], indirect=True)
def test_scans_in_turn_in_any_order(panel, scene, scans, estimate_at_once):
    order = random.Random(4)
    done = 0
    for turn in range(4 * len(scans)):
        scan = order.choice(scans)
        panel.ui.inputVolumeSelector.setCurrentNode(scan)
        assert_all_is_of(panel, scene, scan)
        if turn % 2 == 0:
            estimate_at_once()
            assert_all_is_of(panel, scene, scan)
            done += 1
    assert done >= 2 and len({node for node in scans if node}) == len(scans)


@pytest.mark.parametrize("scans", [2], indirect=True)
def test_a_scan_that_was_loaded_since_gives_way_to_the_one_estimated(panel, scene, scans, estimate_at_once):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scans[0])
    # As Slicer shows a volume that was loaded.
    slicer.app.applicationLogic().GetSelectionNode().SetActiveVolumeID(scans[1].GetID())
    slicer.app.applicationLogic().PropagateVolumeSelection()
    assert panel.ui.viewsLabel.visible
    assert "Red shows 'scan 1'" in panel.ui.viewsLabel.text
    estimate_at_once()
    assert_all_is_of(panel, scene, scans[0])


@pytest.mark.parametrize("scans", [2], indirect=True)
def test_views_that_a_person_has_arranged_stay_and_are_told(panel, scene, scans, estimate_at_once):
    from E3PoseLib import mrml

    panel.ui.inputVolumeSelector.setCurrentNode(scans[0])
    t2 = add_phantom(scene, "T2", step=4)
    views = mrml.slice_composites(scene)
    views["Green"].SetBackgroundVolumeID(t2.GetID())
    views["Yellow"].SetDoPropagateVolumeSelection(False)
    assert panel.ui.viewsLabel.text == "Not in all views: Green shows 'T2'."
    try:
        panel.ui.inputVolumeSelector.setCurrentNode(scans[1])
        estimate_at_once()
        shown = {name: scene.GetNodeByID(node.GetBackgroundVolumeID()).GetName() for name, node in views.items()}
        assert shown == {"Red": "scan 1", "Green": "T2", "Yellow": "scan 0"}
        assert panel.ui.viewsLabel.text == "Not in all views: Yellow shows 'scan 0', Green shows 'T2'."
    finally:
        views["Yellow"].SetDoPropagateVolumeSelection(True)


@pytest.mark.parametrize("scans", [2], indirect=True)
def test_the_check_boxes_speak_of_the_selected_scan(panel, scene, scans, estimate_at_once):
    for scan in scans:
        panel.ui.inputVolumeSelector.setCurrentNode(scan)
        estimate_at_once()
    panel.ui.showMask3DCheckBox.checked = False
    panel.ui.inputVolumeSelector.setCurrentNode(scans[0])
    assert panel.ui.showMask2DCheckBox.checked and panel.ui.showMask3DCheckBox.checked
    display = panel.ui.outputSegmentationSelector.currentNode().GetDisplayNode()
    display.SetVisibility(False)  # in the Data module
    assert not panel.ui.showMask2DCheckBox.checked and not panel.ui.showMask3DCheckBox.checked
    panel.ui.showMask2DCheckBox.checked = True
    assert display.GetVisibility() and display.GetVisibility2D() and not display.GetVisibility3D()
    panel.ui.inputVolumeSelector.setCurrentNode(scans[1])
    assert panel.ui.showMask2DCheckBox.checked and not panel.ui.showMask3DCheckBox.checked
    assert visible_masks(scene) == [scans[1]]


@pytest.mark.parametrize("scans", [2], indirect=True)
def test_the_mask_of_a_scan_that_is_no_longer_selected_stays_hidden(panel, scene, scans, estimate_at_once):
    panel.ui.inputVolumeSelector.setCurrentNode(scans[0])
    estimate_at_once.begin()
    panel.ui.inputVolumeSelector.setCurrentNode(scans[1])
    estimate_at_once.end()
    assert visible_masks(scene) == []
    assert backgrounds(scene) == {scans[1]}
    panel.ui.inputVolumeSelector.setCurrentNode(scans[0])
    assert_all_is_of(panel, scene, scans[0])


@pytest.mark.parametrize("scans", [1], indirect=True)
def test_other_segments_beside_the_mask_stay_visible(panel, scene, scans, estimate_at_once):
    import slicer

    estimate_at_once()
    segmentation = panel.ui.outputSegmentationSelector.currentNode()
    placenta = segmentation.GetSegmentation().AddEmptySegment("Placenta")
    other = add_phantom(scene, "other", 30.0, step=3)
    panel.ui.inputVolumeSelector.setCurrentNode(other)
    display = segmentation.GetDisplayNode()
    assert visible_masks(scene) == []
    assert display.GetVisibility() and display.GetSegmentVisibility(placenta)
    assert slicer.mrmlScene.GetNodeByID(segmentation.GetID()) is not None


@pytest.mark.parametrize("scans", [2], indirect=True)
def test_the_scan_in_the_views_is_selected_first(panel, scene, scans):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(None)
    slicer.util.setSliceViewerLayers(background=scans[1])
    panel.enter()
    assert panel.ui.inputVolumeSelector.currentNode() == scans[1]
