"""The mask lies on the head wherever the scan goes, in the real panel and on real MRML."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("panel")


def ball(scan_node, pose, radius: float) -> np.ndarray:
    """A mask on the grid of a scan: a ball about the head's centre."""
    from E3PoseLib import mrml

    shape = mrml.voxels(scan_node).shape
    indices = np.stack([*np.indices(shape).reshape(3, -1), np.ones(np.prod(shape))])
    points = np.linalg.inv(pose) @ mrml.voxel_to_world(scan_node) @ indices
    return (np.linalg.norm(points[:3], axis=0) < radius).reshape(shape).astype(np.uint8)


@pytest.fixture
def masked(estimated, scan_node):
    """The panel with a ball about the head as the phantom's mask."""
    from E3PoseLib import mrml

    pose = mrml.head_pose(estimated.ui.outputTransformSelector.currentNode())
    segmentation = estimated.ui.outputSegmentationSelector.currentNode()
    mrml.write_mask(segmentation, ball(scan_node, pose, 40.0), mrml.read_scan(scan_node))
    estimated.maskControls.show()
    return estimated


def exported(segmentation, volume) -> np.ndarray:
    """The mask on a volume's grid, by Slicer's own export, which takes both to the world."""
    import slicer

    from E3PoseLib import mrml

    labels = volume.GetScene().AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    export = slicer.vtkSlicerSegmentationsModuleLogic.ExportVisibleSegmentsToLabelmapNode
    assert export(segmentation, labels, volume)
    mask = mrml.voxels(labels).copy()
    volume.GetScene().RemoveNode(labels)
    return mask


def turned(scene, degrees: float, shift: float):
    from scipy.spatial.transform import Rotation

    from E3PoseLib import mrml

    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "turned")
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [degrees, 10, -degrees], degrees=True).as_matrix()
    matrix[:3, 3] = shift, -5, 2 * shift
    node.SetMatrixTransformToParent(mrml.to_vtk(matrix))
    return node


def put_under_the_pose(masked, scan, scene):
    scan.SetAndObserveTransformNodeID(masked.ui.outputTransformSelector.currentNode().GetID())


def harden_the_pose(masked, scan, scene):
    put_under_the_pose(masked, scan, scene)
    scan.HardenTransform()


def put_under_one_transform_then_another(masked, scan, scene):
    scan.SetAndObserveTransformNodeID(turned(scene, 30, 20).GetID())
    scan.SetAndObserveTransformNodeID(turned(scene, -50, 7).GetID())


def change_the_transform_above(masked, scan, scene):
    from E3PoseLib import mrml

    transform = turned(scene, 20, 9)
    scan.SetAndObserveTransformNodeID(transform.GetID())
    transform.SetMatrixTransformToParent(mrml.to_vtk(mrml.to_numpy(turned(scene, 70, -9).GetMatrixTransformToParent())))


def go_and_come_back(masked, scan, scene):
    harden_the_pose(masked, scan, scene)
    scan.SetAndObserveTransformNodeID(turned(scene, 30, 20).GetID())
    scan.SetAndObserveTransformNodeID(None)


def move_the_mask_first(masked, scan, scene):
    transform = turned(scene, 40, 12)
    masked.ui.outputSegmentationSelector.currentNode().SetAndObserveTransformNodeID(transform.GetID())
    scan.SetAndObserveTransformNodeID(transform.GetID())


def move_the_origin(masked, scan, scene):
    scan.SetOrigin(10, 20, 30)


MOVES = (
    put_under_the_pose,
    harden_the_pose,
    put_under_one_transform_then_another,
    change_the_transform_above,
    go_and_come_back,
    move_the_mask_first,
    move_the_origin,
)


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.__name__)
def test_the_mask_follows_the_scan(masked, scan_node, scene, move):
    from E3PoseLib import mrml

    segmentation = masked.ui.outputSegmentationSelector.currentNode()
    before = exported(segmentation, scan_node)
    assert before.sum() > 5000
    move(masked, scan_node, scene)
    assert np.array_equal(exported(segmentation, scan_node), before)
    assert not mrml.is_edited_mask(segmentation)
    assert segmentation.GetSegmentation().ContainsRepresentation("Closed surface")


def test_a_mask_that_somebody_has_moved_stays(masked, scan_node, scene):
    from E3PoseLib import mrml

    segmentation, theirs = masked.ui.outputSegmentationSelector.currentNode(), turned(scene, 25, 4)
    segmentation.SetAndObserveTransformNodeID(theirs.GetID())
    masked.ui.maskOpacitySliderWidget.value = 0.5
    assert segmentation.GetTransformNodeID() == theirs.GetID()
    there = mrml.mask_to_world(segmentation)
    scan_node.SetAndObserveTransformNodeID(turned(scene, 60, 15).GetID())
    assert np.allclose(mrml.mask_to_world(segmentation), there)


def test_a_mask_beside_other_segments_stays_and_the_panel_says_so(masked, scan_node, scene):
    from E3PoseLib import mrml

    segmentation = masked.ui.outputSegmentationSelector.currentNode()
    segmentation.GetSegmentation().AddEmptySegment("Placenta")
    there = mrml.mask_to_world(segmentation)
    put_under_the_pose(masked, scan_node, scene)
    assert np.allclose(mrml.mask_to_world(segmentation), there)
    assert "the mask stays where the scan was" in masked.ui.warningsLabel.text


def test_a_scan_that_was_cropped_leaves_its_mask_behind(masked, scan_node):
    import slicer

    from E3PoseLib import mrml

    segmentation = masked.ui.outputSegmentationSelector.currentNode()
    there = mrml.mask_to_world(segmentation)
    slicer.util.updateVolumeFromArray(scan_node, slicer.util.arrayFromVolume(scan_node)[4:].copy())
    assert np.allclose(mrml.mask_to_world(segmentation), there)
    assert masked.ui.warningsLabel.text.count("estimate the pose again") == 1


def test_the_mask_of_the_upright_volume_follows_that(masked, reslice, scene):
    from E3PoseLib import mrml

    masked.ui.reslicedSpacingSliderWidget.value = 2.0
    reslice()
    upright = masked.ui.reslicedVolumeSelector.currentNode()
    before = exported(mrml.upright_mask(upright), upright)
    upright.SetAndObserveTransformNodeID(turned(scene, 35, 8).GetID())
    red, pose = mrml.slice_nodes(scene)["Red"], mrml.head_in_upright(upright)
    assert np.allclose(mrml.to_numpy(red.GetSliceToRAS())[:3, 2], pose[:3, 2])
    masked.ui.showUprightButton.click()
    upright.HardenTransform()  # while the views show the scan
    masked.ui.showUprightButton.click()
    assert np.array_equal(exported(mrml.upright_mask(upright), upright), before)
    assert np.allclose(mrml.to_numpy(red.GetSliceToRAS())[:3, 2], pose[:3, 2])


def test_the_mask_catches_up_when_the_panel_is_opened(app, masked, scan_node, scene, tmp_path):
    """A scene in which the scan was moved while nobody looked."""

    segmentation = masked.ui.outputSegmentationSelector.currentNode()
    before = exported(segmentation, scan_node)
    masked.setParameterNode(None)
    harden = turned(scene, 33, 21)
    scan_node.SetAndObserveTransformNodeID(harden.GetID())
    scan_node.HardenTransform()
    assert not np.array_equal(exported(segmentation, scan_node), before)
    masked.enter()
    assert np.array_equal(exported(segmentation, scan_node), before)


def test_what_a_scan_sits_under_goes_under_the_pose(panel, scan_node, scene, estimate_at_once):
    from E3PoseLib import mrml

    outer = turned(scene, 25, 8)
    scan_node.SetAndObserveTransformNodeID(outer.GetID())
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    assert "To turn upright what sits under 'turned', put that transform under the new one" in panel.ui.statusLabel.text
    pose = panel.ui.outputTransformSelector.currentNode()
    outer.SetAndObserveTransformNodeID(pose.GetID())
    assert np.allclose(mrml.head_pose(pose), np.eye(4), atol=1e-3)
