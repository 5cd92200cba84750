"""Scans, poses, masks and views on real MRML."""

import itertools
import json

import nibabel as nib
import numpy as np
import pytest
from head_phantom import head_phantom, head_pose
from scipy.spatial.transform import Rotation

slicer = pytest.importorskip("slicer", reason="needs the wheel slicer-core")
vtk = pytest.importorskip("vtk")

from E3PoseLib import mrml  # noqa: E402
from E3PoseLib.errors import OutputError, TransformError, VolumeError  # noqa: E402
from E3PoseLib.imaging.geometry import pose_difference, rigid, transform_points  # noqa: E402
from E3PoseLib.imaging.resampling import RESLICED_EDGE_MM  # noqa: E402
from E3PoseLib.imaging.resampling import reslice as reslice_directly  # noqa: E402
from E3PoseLib.imaging.volume import Volume, read_volume  # noqa: E402

pytestmark = pytest.mark.usefixtures("scene")

POSE = rigid(Rotation.from_euler("xyz", [40, -20, 70], degrees=True).as_matrix(), [12.0, -18.0, 9.0])

STORAGES = [
    (axes, signs) for axes in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


def stored(array, voxel_to_ras, axes, signs):
    """The same scan with its voxel axes permuted and flipped."""
    orientation = np.stack([np.argsort(axes), np.array(signs)[np.argsort(axes)]], axis=1)
    turned = nib.orientations.apply_orientation(array, orientation)
    return turned, voxel_to_ras @ nib.orientations.inv_ornt_aff(orientation, array.shape)


def add(class_name, name=""):
    return slicer.mrmlScene.AddNewNodeByClass(class_name, name)


def add_volume(array, voxel_to_ras, name="scan"):
    node = add("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, array.transpose(2, 1, 0))
    node.SetIJKToRASMatrix(mrml.to_vtk(voxel_to_ras))
    return node


def add_transform(matrix):
    node = add("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(mrml.to_vtk(matrix))
    return node


def add_warp(strength=4.0):
    warp = vtk.vtkThinPlateSplineTransform()
    warp.SetBasisToR()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    random = np.random.default_rng(1)
    for point in random.uniform(-120, 120, (12, 3)):
        source.InsertNextPoint(point)
        target.InsertNextPoint(point + random.normal(0, strength, 3))
    warp.SetSourceLandmarks(source)
    warp.SetTargetLandmarks(target)
    node = add("vtkMRMLTransformNode")
    node.SetAndObserveTransformToParent(warp)
    return node


def write_pose(volume, pose=POSE, direction=mrml.ALIGN_VOLUME):
    node = add("vtkMRMLLinearTransformNode", "pose")
    mrml.write_pose(node, {"canonical_to_ras": pose.tolist()}, direction, mrml.read_scan(volume))
    return node


@pytest.fixture(scope="module")
def session(installed_model):
    from E3PoseLib.running.session import Session

    session = Session()

    def estimate(volume):
        return session.estimate(volume, {"model": str(installed_model)}, device="cpu").canonical_to_ras

    return estimate


@pytest.fixture
def volume():
    return add_volume(*head_phantom())


def seen_by_networks(scan: Volume) -> tuple[np.ndarray, np.ndarray]:
    canonical = scan.closest_canonical()
    return canonical.array, canonical.voxel_to_ras


def test_slicer_s_reader_and_nibabel_agree_on_all_48_storages(session, tmp_path):
    """Left-handed storages included, where Slicer's NIfTI reader flips the third axis and nibabel does not."""
    array, voxel_to_ras = head_phantom()
    array, voxel_to_ras = array[::4, ::4, ::4], voxel_to_ras @ np.diag([4, 4, 4, 1.0])
    oblique = rigid(Rotation.from_euler("xyz", [10, 20, -15], degrees=True).as_matrix(), [5, 6, 7]) @ voxel_to_ras
    worst = np.zeros(2)
    handedness = set()
    for number, (axes, signs) in enumerate(STORAGES):
        turned, matrix = stored(array, oblique, axes, signs)
        handedness.add(np.linalg.det(matrix[:3, :3]) > 0)
        nifti, nrrd = tmp_path / f"{number}.nii.gz", tmp_path / f"{number}.nrrd"
        nib.save(nib.Nifti1Image(turned, matrix), nifti)
        assert slicer.util.saveNode(add_volume(turned, matrix), str(nrrd), {})
        expected = read_volume(nifti)
        for file in (nifti, nrrd):
            scan = mrml.read_scan(slicer.util.loadVolume(str(file), {})).volume
            # What the networks see is the same to the voxel; for a sixth of the storages the poses are compared too.
            for one, other in zip(seen_by_networks(scan), seen_by_networks(expected), strict=True):
                np.testing.assert_allclose(one, other, atol=1e-4)
            if number % 6 == 0:
                worst = np.maximum(worst, pose_difference(session(scan), session(expected)))
    assert handedness == {True, False}
    assert worst[0] < 0.01, f"{worst[0]} degrees"
    assert worst[1] < 0.01, f"{worst[1]} mm"


def test_transform_applied_then_resliced_is_the_direct_resampling(volume):
    """The volume under the pose transform, sampled on an upright grid, against the library's reslice by the pose."""
    transform = write_pose(volume, head_pose())
    volume.SetAndObserveTransformNodeID(transform.GetID())
    direct = reslice_directly(Volume(*head_phantom()), head_pose(), 2.0)
    applied = mrml.reslice(volume, direct.voxel_to_ras, direct.shape).astype(float)
    assert_same_image(applied, direct.array)
    upright = add("vtkMRMLScalarVolumeNode", "upright")
    mrml.reslice_upright(volume, transform, upright, 2.0)
    assert np.allclose(mrml.voxel_to_parent(upright), direct.voxel_to_ras)
    assert_same_image(mrml.voxels(upright).astype(float), direct.array)
    # Across the head's right the phantom is its own mirror image: the first axis is that axis.
    assert np.corrcoef(applied.ravel(), applied[::-1].ravel())[0, 1] > 0.99


def assert_same_image(first, second):
    """Equal but for rounding to integers, and for the outermost half voxel, which only one of the two fills."""
    difference = np.abs(first - second)
    assert np.median(difference) < 0.6
    assert (difference > 1.0).mean() < 0.02


def test_resliced_volume_node(volume):
    transform = write_pose(volume, head_pose())
    upright = add("vtkMRMLScalarVolumeNode", "upright")
    mrml.reslice_upright(volume, transform, upright, 1.5)
    assert upright.GetSpacing() == pytest.approx((1.5, 1.5, 1.5))
    assert upright.GetParentTransformNode() is None
    voxel_to_canonical = mrml.voxel_to_parent(upright)
    assert np.allclose(voxel_to_canonical[:3, :3], np.eye(3) * 1.5)
    assert upright.GetImageData().GetDimensions() == (120, 120, 120)
    assert RESLICED_EDGE_MM == mrml.HEAD_MM == 180
    # The brightest bodies of the phantom are the eyes, in front of and below its centre.
    voxels = mrml.voxels(upright).astype(float)
    bright = transform_points(voxel_to_canonical, np.argwhere(voxels > 665))
    assert bright[:, 1].mean() > 30 and bright[:, 2].mean() < -10

    # Whichever way the transform leads, upright is upright.
    placed = write_pose(volume, head_pose(), mrml.PLACE_AXES)
    mrml.reslice_upright(volume, placed, upright, 1.5)
    assert np.allclose(mrml.voxel_to_parent(upright), voxel_to_canonical)
    assert np.array_equal(mrml.voxels(upright), voxels)
    with pytest.raises(OutputError, match="'scan' is the scan itself: choose an empty volume"):
        mrml.reslice_upright(volume, transform, volume, 1.5)


def test_the_head_in_an_upright_volume_goes_where_that_is_moved(volume):
    upright = add("vtkMRMLScalarVolumeNode", "upright")
    assert mrml.head_in_upright(volume) is None
    mrml.reslice_upright(volume, write_pose(volume, head_pose()), upright, 3.0)
    assert np.allclose(mrml.head_in_upright(upright), np.eye(4))
    upright.SetAndObserveTransformNodeID(add_transform(POSE).GetID())
    assert np.allclose(mrml.head_in_upright(upright), POSE)
    upright.HardenTransform()
    assert np.allclose(mrml.head_in_upright(upright), POSE)


@pytest.mark.parametrize("warped", [False, True])
def test_reslicing_by_steps_is_reslicing_at_once(volume, warped):
    if warped:
        warp(volume)
    transform = write_pose(volume, head_pose())
    at_once = add("vtkMRMLScalarVolumeNode", "at once")
    mrml.reslice_upright(volume, transform, at_once, 3.0)
    reslicing, fractions = mrml.UprightReslicing(volume, transform, 3.0), [0.0]
    while fractions[-1] < 1:
        reslicing.go_on(1e-4)
        fractions.append(reslicing.fraction)
    assert len(fractions) > 5 and fractions == sorted(fractions)
    by_steps = add("vtkMRMLScalarVolumeNode", "by steps")
    reslicing.write(by_steps)
    assert np.array_equal(mrml.voxels(by_steps), mrml.voxels(at_once))
    assert np.ptp(mrml.voxels(by_steps)) > 300


@pytest.mark.parametrize("change", ["voxels", "place", "deleted"])
def test_a_scan_that_changes_while_it_is_resliced_gives_no_mixture(volume, change):
    transform, upright = write_pose(volume), add("vtkMRMLScalarVolumeNode", "upright")
    reslicing = mrml.UprightReslicing(volume, transform, 3.0)
    reslicing.go_on(0.001)
    if change == "voxels":
        slicer.util.arrayFromVolume(volume)[:] = 0
        slicer.util.arrayFromVolumeModified(volume)
    elif change == "place":
        volume.SetAndObserveTransformNodeID(transform.GetID())
    else:
        slicer.mrmlScene.RemoveNode(volume)
    reslicing.go_on(np.inf)
    with pytest.raises(VolumeError, match="changed while it was resliced"):
        reslicing.write(upright)
    assert upright.GetImageData() is None


def test_whole_scan_resliced(volume):
    transform = write_pose(volume)
    upright = add("vtkMRMLScalarVolumeNode", "upright")
    mrml.reslice_upright(volume, transform, upright, 3.0, extent=None)
    assert mrml.voxels(upright).astype(float).sum() == pytest.approx(mrml.voxels(volume).astype(float).sum(), rel=0.01)


@pytest.mark.parametrize("direction", [mrml.ALIGN_VOLUME, mrml.PLACE_AXES])
def test_pose_follows_the_scan(volume, direction):
    transform = write_pose(volume, direction=direction)
    assert np.allclose(mrml.head_pose(transform), POSE)
    moved = rigid(Rotation.from_euler("z", 30, degrees=True).as_matrix(), [1, 2, 3])
    volume.SetAndObserveTransformNodeID(add_transform(moved).GetID())
    assert np.allclose(mrml.head_pose(transform), moved @ POSE)
    volume.HardenTransform()
    assert np.allclose(mrml.head_pose(transform), moved @ POSE)


def crop(volume):
    slicer.util.updateVolumeFromArray(volume, slicer.util.arrayFromVolume(volume)[:, :, 4:].copy())


def mirror(volume):
    volume.SetAndObserveTransformNodeID(add_transform(np.diag([-1.0, 1, 1, 1])).GetID())


def warp(volume):
    volume.SetAndObserveTransformNodeID(add_warp().GetID())


@pytest.mark.parametrize("change", [crop, mirror, warp])
def test_a_pose_does_not_follow_where_the_head_cannot_be_told(volume, change):
    transform = write_pose(volume)
    change(volume)
    with pytest.raises(TransformError, match="has changed since its pose was estimated"):
        mrml.head_pose(transform)


def test_a_pose_found_under_a_warp_holds_under_it_alone(volume):
    warp(volume)
    transform = write_pose(volume)
    assert np.allclose(mrml.head_pose(transform), POSE)
    volume.SetAndObserveTransformNodeID(None)
    with pytest.raises(TransformError, match="estimate the pose again"):
        mrml.head_pose(transform)
    volume.SetAndObserveTransformNodeID(add_warp(strength=8.0).GetID())
    with pytest.raises(TransformError, match="estimate the pose again"):
        mrml.head_pose(transform)


def test_what_is_doubtful_about_a_file_comes_along(tmp_path):
    image = nib.Nifti1Image(head_phantom()[0][::4, ::4, ::4], None)
    image.header.set_zooms((6, 6, 6))
    nib.save(image, tmp_path / "lost.nii.gz")
    scan = mrml.read_scan(slicer.util.loadVolume(str(tmp_path / "lost.nii.gz"), {}))
    assert "left and right may be swapped" in scan.volume.doubts[0]


def test_a_pose_of_another_version_asks_to_be_estimated_again(volume):
    transform = write_pose(volume)
    assert mrml.changes_since(transform) == []
    transform.RemoveAttribute("E3Pose.ScanPlace")
    with pytest.raises(TransformError, match="another version"):
        mrml.head_pose(transform)
    assert "another version" in mrml.changes_since(transform)[0]


def test_applied_align_transform_brings_the_head_upright(volume):
    transform = write_pose(volume)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    assert np.allclose(mrml.head_pose(transform), np.eye(4), atol=1e-9)


def test_an_edited_pose_counts_as_edited_and_a_sheared_or_mirrored_one_is_refused(volume):
    transform = write_pose(volume)
    transform.SetMatrixTransformToParent(mrml.to_vtk(np.eye(4)))
    assert np.allclose(mrml.head_pose(transform), np.eye(4))
    for diagonal in ([1, 1.2, 1, 1], [-1, 1, 1, 1]):
        transform.SetMatrixTransformToParent(mrml.to_vtk(np.diag(diagonal)))
        with pytest.raises(TransformError, match="no longer rigid"):
            mrml.head_pose(transform)


def test_scan_under_a_linear_transform_is_read_in_world_ras(volume, session):
    array, voxel_to_ras = head_phantom()
    outer, inner = add_transform(POSE), add_transform(rigid(np.eye(3), [0, 0, 20]))
    inner.SetAndObserveTransformNodeID(outer.GetID())
    volume.SetAndObserveTransformNodeID(inner.GetID())
    scan = mrml.read_scan(volume)
    expected = POSE @ rigid(np.eye(3), [0, 0, 20]) @ voxel_to_ras
    assert np.allclose(scan.volume.voxel_to_ras, expected, atol=1e-9)
    assert np.array_equal(scan.volume.array, array)
    assert scan.parent_id == inner.GetID()
    expected_pose = session(Volume(array, expected))
    assert pose_difference(session(scan.volume), expected_pose) < (0.01, 0.01)


def test_scan_under_a_warp_is_resampled_into_the_world(volume):
    volume.SetAndObserveTransformNodeID(add_warp().GetID())
    scan = mrml.read_scan(volume)
    assert scan.parent_id is None
    # What Slicer itself makes of the warped volume.
    hardened = add_volume(*head_phantom(), "hardened")
    hardened.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    hardened.HardenTransform()
    grid, shape = scan.volume.voxel_to_ras, scan.volume.shape
    expected = mrml.reslice(hardened, grid, shape).astype(float)
    difference = np.abs(expected - scan.volume.array)
    assert difference.mean() < 0.02 * np.ptp(expected)
    assert np.corrcoef(expected.ravel(), scan.volume.array.ravel())[0, 1] > 0.99


def test_scan_under_a_shear_is_resampled_into_the_world(volume):
    shear = np.eye(4)
    shear[0, 1] = 0.4
    volume.SetAndObserveTransformNodeID(add_transform(shear).GetID())
    scan = mrml.read_scan(volume)
    assert scan.parent_id is None
    axes = scan.volume.voxel_to_ras[:3, :3]
    assert np.allclose(axes, np.diag(np.diag(axes)))
    point = head_pose()[:3, 3]
    brain = np.linalg.inv(scan.volume.voxel_to_ras) @ shear @ [*point, 1]
    original = np.linalg.inv(head_phantom()[1]) @ [*point, 1]
    index, before = np.round(brain[:3]).astype(int), np.round(original[:3]).astype(int)
    assert abs(int(scan.volume.array[tuple(index)]) - int(head_phantom()[0][tuple(before)])) < 200


def test_a_segment_of_the_mask_s_name_is_no_mask(volume):
    scan = mrml.read_scan(volume)
    segmentation = add("vtkMRMLSegmentationNode")
    binary = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation.GetSegmentation().SetSourceRepresentationName(binary)
    by_hand = segmentation.GetSegmentation().AddEmptySegment("Brain", "Brain")
    assert not mrml.has_mask(segmentation)
    for _ in range(2):
        mrml.write_mask(segmentation, np.ones(scan.volume.shape, np.uint8), scan)
    assert mrml.has_mask(segmentation)
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 2
    assert segmentation.GetSegmentation().GetSegment(by_hand).GetName() == "Brain"


def test_a_reslicing_that_fails_leaves_no_volume(volume, monkeypatch):
    from E3PosePanel.logic import E3PoseLogic

    monkeypatch.setattr(mrml.UprightReslicing, "write", lambda *_: (_ for _ in ()).throw(MemoryError()))
    transform, logic = write_pose(volume), E3PoseLogic()
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")
    with pytest.raises(MemoryError):
        logic.resliceVolume(volume, transform)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == before


@pytest.mark.parametrize("under", ["nothing", "a linear transform", "a warp"])
def test_mask_comes_back_voxel_for_voxel(volume, under):
    if under != "nothing":
        volume.SetAndObserveTransformNodeID((add_transform(POSE) if "linear" in under else add_warp()).GetID())
    scan = mrml.read_scan(volume)
    mask = np.random.default_rng(2).integers(0, 2, scan.volume.shape).astype(np.uint8)
    segmentation = add("vtkMRMLSegmentationNode")
    for _ in range(2):
        mrml.write_mask(segmentation, mask, scan)
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 1
    reference = add_volume(scan.volume.array, scan.volume.voxel_to_ras, "world grid") if under == "a warp" else volume
    labels = add("vtkMRMLLabelMapVolumeNode")
    export = slicer.vtkSlicerSegmentationsModuleLogic.ExportVisibleSegmentsToLabelmapNode
    assert export(segmentation, labels, reference)
    assert np.array_equal(mrml.voxels(labels), mask)
    assert np.allclose(mrml.voxel_to_world(labels), scan.volume.voxel_to_ras, atol=1e-6)


def test_a_mask_that_is_written_anew_keeps_its_surface(volume):
    scan, segmentation = mrml.read_scan(volume), add("vtkMRMLSegmentationNode")
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    bounds = np.zeros(6)
    for start in (20, 40):
        mask = np.zeros(scan.volume.shape, np.uint8)
        mask[start : start + 10, 20:30, 20:30] = 1
        mrml.write_mask(segmentation, mask, scan)
        if start == 20:
            assert not segmentation.GetSegmentation().ContainsRepresentation(surface)  # not before it is shown
            mrml.show_mask(segmentation, True, True)
    (segment_id,) = segmentation.GetSegmentation().GetSegmentIDs()
    segmentation.GetSegmentation().GetSegment(segment_id).GetRepresentation(surface).GetBounds(bounds)
    middle = np.linalg.inv(scan.volume.voxel_to_ras) @ [*bounds.reshape(3, 2).mean(axis=1), 1]
    assert np.allclose(middle[:3], [44.5, 24.5, 24.5], atol=0.5)


def test_standard_planes_are_the_head_s():
    before = mrml.show_standard_planes(slicer.mrmlScene, POSE)
    nodes = mrml.slice_nodes(slicer.mrmlScene)
    right, anterior, superior = POSE[:3, :3].T
    # Slicer's presets: patient right on screen left; axial seen from below, sagittal from the left, coronal in front.
    expected = {"Red": (-right, anterior), "Yellow": (-anterior, superior), "Green": (-right, superior)}
    for name, (across, up) in expected.items():
        matrix = mrml.to_numpy(nodes[name].GetSliceToRAS())
        assert np.allclose(matrix[:3, 0], across)
        assert np.allclose(matrix[:3, 1], up)
        assert np.allclose(matrix[:3, 3], POSE[:3, 3])
        assert nodes[name].GetXYZOrigin() == (0, 0, 0)
    mrml.restore_planes(slicer.mrmlScene, before)
    assert [node.GetOrientation() for node in nodes.values()] == ["Axial", "Sagittal", "Coronal"]


def test_time_point_of_a_sequence(volume):
    assert mrml.time_point(volume) is None
    sequence = add("vtkMRMLSequenceNode")
    for index in range(3):
        sequence.SetDataNodeAtValue(volume, str(index))
    browser = add("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.AddProxyNode(volume, sequence, False)
    browser.SetSelectedItemNumber(1)
    assert mrml.time_point(volume) == (2, 3)


def test_result_is_stored_with_the_pose(volume):
    transform = write_pose(volume)
    assert np.allclose(mrml.read_result(transform)["canonical_to_ras"], POSE)
    assert json.loads(transform.GetAttribute(mrml.RESULT_ATTRIBUTE)) == mrml.read_result(transform)
    assert transform.GetNodeReference(mrml.VOLUME_REFERENCE) == volume
