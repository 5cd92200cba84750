"""Scans in and out, and those that are refused."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from phantoms import make_head
from storages import orientations, stored

from E3PoseLib.errors import VolumeError
from E3PoseLib.imaging.file_doubts import file_doubts
from E3PoseLib.imaging.geometry import transform_points
from E3PoseLib.imaging.volume import Volume, count_frames, read_volume, write_volume


def save(path, array):
    nib.save(nib.Nifti1Image(array, np.diag([3.0, 3, 3, 1])), path)
    return path


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(0, 1000, (12, 10, 9)).astype(np.int16)


def test_a_written_volume_comes_back(head, tmp_path):
    write_volume(tmp_path / "scan.nii.gz", head)
    back = read_volume(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(back.array, head.array)
    np.testing.assert_allclose(back.voxel_to_ras, head.voxel_to_ras, atol=1e-5)
    assert back.notes == back.doubts == ()


@pytest.mark.parametrize(
    ("held", "low", "high", "written"),
    [
        ("<i8", -32768, 32767, np.int16),
        (">i8", 0, 65535, np.uint16),
        ("<i8", -1, 32768, np.int32),
        ("<u8", 0, 2**31, np.uint32),
        ("<i8", -1, 2**31, np.float64),
        ("<u8", 0, 2**64 - 2048, np.float64),
        ("?", 0, 1, np.uint8),
        ("<f2", -1, 100, np.float32),
        ("longdouble", 0, 2**40, np.float64),
    ],
)
def test_types_that_other_programs_do_not_read_are_written_as_ones_that_they_do(tmp_path, held, low, high, written):
    array = np.full((12, 10, 9), low, np.dtype(held))
    array[::2] = high
    write_volume(tmp_path / "scan.nii.gz", Volume(array, np.diag([3.0, 3, 3, 1])))
    back = read_volume(tmp_path / "scan.nii.gz")
    assert back.array.dtype == written
    np.testing.assert_array_equal(back.array, array.astype(written))
    assert (int(back.array.min()), int(back.array.max())) == (low, high)


def test_slope_and_intercept_are_applied(array, tmp_path):
    path = save(tmp_path / "scan.nii", array)
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([0.5, -10], "<f4").tobytes()
    path.write_bytes(raw)
    np.testing.assert_allclose(read_volume(path).array, array * 0.5 - 10)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("meter", 1000), ("micron", 0.001)])
def test_lengths_are_mm_whatever_the_unit(array, tmp_path, unit, factor):
    image = nib.Nifti1Image(array, np.diag([3.0 / factor, 3.0 / factor, 3.0 / factor, 1]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "scan.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "scan.nii").spacing, [3, 3, 3], rtol=1e-6)


def test_all_storages_are_one_scan_in_canonical_order():
    scan = make_head(shape=(12, 10, 9))
    canonical = scan.closest_canonical()
    assert not canonical.is_left_handed
    handedness = []
    for orientation in orientations():
        other = stored(scan, orientation)
        handedness.append(other.is_left_handed)
        same = other.closest_canonical()
        np.testing.assert_array_equal(same.array, canonical.array)
        np.testing.assert_allclose(same.voxel_to_ras, canonical.voxel_to_ras, atol=1e-9)
        np.testing.assert_array_equal(other.in_own_order(same.array), other.array)
    assert sum(handedness) == 24


def test_a_frame_of_4d_is_chosen_or_asked_for(array, tmp_path):
    path = save(tmp_path / "bold.nii.gz", np.stack([array, array + 1], axis=-1))
    assert count_frames(path) == 2
    np.testing.assert_array_equal(read_volume(path, frame=1).array, array + 1)
    with pytest.raises(VolumeError, match=r"bold.*--frame N.*--all-frames"):
        read_volume(path)
    with pytest.raises(VolumeError, match="no frame 2"):
        read_volume(path, frame=2)


def test_a_single_frame_needs_no_choice(array, tmp_path):
    path = save(tmp_path / "one.nii", array[..., None])
    np.testing.assert_array_equal(read_volume(path).array, array)


@pytest.mark.parametrize(
    ("affine", "word"),
    [
        (np.diag([0.0, 3, 3, 1]), "impossible"),
        (np.diag([300.0, 3, 3, 1]), "impossible"),
        (np.diag([np.nan, 3, 3, 1]), "finite"),
        ([[3, 3, 0, 0], [0, 0.01, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]], "one plane"),
        (np.diag([0.003, 0.003, 0.003, 1]), "0.036 mm is impossible"),
    ],
)
def test_impossible_geometry_is_refused(array, affine, word):
    with pytest.raises(VolumeError, match=rf"my scan.*{word}"):
        Volume(array, np.array(affine), name="my scan")


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.zeros((20, 20)), "3-D"),
        (np.zeros((20, 20, 20, 3)), "3-D"),
        (np.zeros((20, 20, 7)), "too few"),
        (np.zeros((20, 20, 20), complex), "real numbers"),
    ],
)
def test_what_is_no_volume_is_refused(array, word):
    with pytest.raises(VolumeError, match=word):
        Volume(array, np.eye(4))


def test_few_bad_voxels_count_as_background_with_a_warning(array):
    values = array.astype(np.float32) + 1
    values[3, 4, 5], values[0, 0, 0] = np.nan, np.inf
    scan = Volume(values, np.diag([3.0, 3, 3, 1]))
    clean = scan.intensities()
    least = values[np.isfinite(values)].min()
    assert clean[3, 4, 5] == clean[0, 0, 0] == least > 0 and np.isfinite(clean).all()
    assert scan.warnings() == ("2 voxels are NaN or infinite and were taken as background",)


@pytest.mark.parametrize("nothing", [np.nan, np.inf, -np.inf])
def test_a_background_that_is_no_number_is_background_with_a_word(array, nothing):
    values = array.astype(np.float32)
    values[:5] = nothing
    scan = Volume(values, np.diag([3.0, 3, 3, 1]))
    assert (scan.intensities()[:5] == array[5:].min()).all()
    np.testing.assert_array_equal(scan.intensities()[5:], array[5:])
    assert scan.warnings() == ("450 voxels (42%) are NaN or infinite and were taken as background",)


def test_scans_without_contrast_are_refused(array):
    with pytest.raises(VolumeError, match="no voxel has a finite value"):
        Volume(np.full((9, 9, 9), np.nan), np.diag([3.0, 3, 3, 1])).intensities()
    with pytest.raises(VolumeError, match="same value"):
        Volume(np.full((9, 9, 9), 7), np.diag([3.0, 3, 3, 1])).intensities()
    with pytest.raises(VolumeError, match="same value"):
        # Differences that float32 cannot hold.
        Volume(1000 + 1e-6 * np.random.default_rng(0).random((9, 9, 9)), np.diag([3.0, 3, 3, 1])).intensities()


def test_damaged_files_are_named(array, tmp_path):
    good = save(tmp_path / "good.nii.gz", array)
    (tmp_path / "cut.nii.gz").write_bytes(good.read_bytes()[:-200])
    (tmp_path / "text.nii.gz").write_bytes(gzip.compress(b"not an image"))
    (tmp_path / "noise.nii").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "empty.nii").write_bytes(b"")
    for name in ("cut.nii.gz", "text.nii.gz", "noise.nii", "empty.nii", "missing.nii"):
        with pytest.raises(VolumeError, match=name):
            read_volume(tmp_path / name)


def test_a_file_that_does_not_know_its_orientation_says_so(array, tmp_path):
    path = tmp_path / "scan.nii"
    image = nib.Nifti1Image(array, None)
    image.header.set_zooms((3, 3, 3))
    nib.save(image, path)
    assert "left and right may be swapped" in read_volume(path).doubts[0]
    assert file_doubts(path) == read_volume(path).doubts
    assert file_doubts(tmp_path / "scan.nrrd") == file_doubts(tmp_path / "missing.nii") == ()


def test_disagreeing_qform_and_sform_are_noted(array, tmp_path):
    image = nib.Nifti1Image(array, np.diag([3.0, 3, 3, 1]))
    image.set_sform(np.diag([3.0, 3, 3, 1]), 1)
    image.set_qform(np.diag([-3.0, -3, 3, 1]), 1)
    nib.save(image, tmp_path / "scan.nii")
    scan = read_volume(tmp_path / "scan.nii")
    assert "disagree" in scan.doubts[0]
    np.testing.assert_allclose(transform_points(scan.voxel_to_ras, [1, 0, 0]), [3, 0, 0])


def test_a_scan_larger_than_any_scanner_is_refused():
    with pytest.raises(VolumeError, match="1200 mm is impossible"):
        Volume(np.zeros((120, 120, 60), np.int16), np.diag([10.0, 10, 3, 1]))


def test_a_qform_that_is_no_rotation_is_passed_over(array, tmp_path):
    path = tmp_path / "scan.nii"
    image = nib.Nifti1Image(array, np.diag([3.0, 3, 3, 1]))
    image.set_sform(np.diag([3.0, 3, 3, 1]), 1)
    image.set_qform(np.diag([3.0, 3, 3, 1]), 1)
    image.header["quatern_b"] = 1.0000004  # the rounding of some converters
    nib.save(image, path)
    scan = read_volume(path)
    np.testing.assert_allclose(scan.voxel_to_ras, np.diag([3.0, 3, 3, 1]))
    assert "qform is no rotation" in scan.doubts[0]


@pytest.mark.parametrize(("offset", "factor"), [(1e9, 1), (-1e12, 1), (0, 1e300), (-5e305, 1e303)])
def test_intensities_that_float32_could_not_tell_apart_keep_their_order(array, offset, factor):
    seen = Volume(array.astype(np.float64) * factor + offset, np.diag([3.0, 3, 3, 1])).intensities()
    assert seen.dtype == np.float32 and seen.min() == 0 and seen.max() == 1
    expected = (array - array.min()) / float(np.ptp(array))
    np.testing.assert_allclose(seen, expected, atol=1e-3 if offset == -1e12 else 1e-6)


def test_a_sheared_scan_is_written_with_one_orientation(tmp_path, array):
    sheared = np.diag([3.0, 3, 3, 1])
    sheared[0, 1] = 0.6
    write_volume(tmp_path / "sheared.nii.gz", Volume(array, sheared))
    again = read_volume(tmp_path / "sheared.nii.gz")
    np.testing.assert_allclose(again.voxel_to_ras, sheared)
    assert again.notes == again.doubts == ()


def test_a_qform_that_is_no_number_disagrees(tmp_path, array):
    image = nib.Nifti1Image(array, np.diag([3.0, 3, 3, 1]))
    image.set_qform(np.diag([3.0, 3, 3, 1]), code=1)
    image.header["quatern_b"] = np.nan
    nib.save(image, tmp_path / "nan.nii.gz")
    assert "qform" in read_volume(tmp_path / "nan.nii.gz").doubts[0]
