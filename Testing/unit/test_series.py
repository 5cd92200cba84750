"""Series of scans: one file of four dimensions, or a folder of volumes in the order of their times."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from E3PoseLib.errors import DamagedFileError, VolumeError
from E3PoseLib.imaging.series import find_series, write_series
from E3PoseLib.imaging.volume import Volume, read_volume, write_volume

AFFINE = np.diag([-3.0, 3.0, 4.0, 1.0])
SHAPE = (12, 10, 9)


def frames(n):
    return np.random.default_rng(0).integers(0, 900, (n, *SHAPE)).astype(np.int16)


@pytest.fixture
def file(tmp_path):
    """A series of six frames, 2.5 s apart."""
    write_series(tmp_path / "bold.nii.gz", iter(frames(6)), (*SHAPE, 6), AFFINE, 2.5, np.dtype(np.int16))
    return tmp_path / "bold.nii.gz"


def test_a_file_is_written_and_read_frame_by_frame(file):
    image = nib.load(file)
    assert image.shape == (*SHAPE, 6) and image.header.get_zooms()[3] == 2.5
    np.testing.assert_allclose(image.affine, AFFINE)
    series = find_series(file)
    assert (series.n_frames, series.seconds, series.name) == (6, 2.5, "bold")
    found = list(series.frames())
    np.testing.assert_array_equal([one.array for one in found], frames(6))
    assert found[3].name.endswith("bold.nii.gz frame 3")
    for index in (0, 5):
        np.testing.assert_array_equal(found[index].array, read_volume(file, index).array)


def test_a_json_file_beside_it_states_the_time_where_the_header_does_not(file):
    sidecar = file.with_name("bold.json")
    sidecar.write_text('{"RepetitionTime": 2.504}', encoding="utf-8-sig")
    assert find_series(file).seconds == 2.5 and find_series(file).notes == ()
    sidecar.write_text('{"RepetitionTime": 0.8}', encoding="utf-8")
    (note,) = find_series(file).notes
    assert find_series(file).seconds == 2.5
    assert note == f"{file}: the time between volumes is 2.5 s by its header, which is used, but by bold.json 0.8 s"
    (note,) = find_series(file, 1.0).notes
    assert find_series(file, 1.0).seconds == 1.0 and note.endswith("but by its header 2.5 s and bold.json 0.8 s")
    write_series(file, iter(frames(6)), (*SHAPE, 6), AFFINE, 0.0, np.dtype(np.int16))
    assert find_series(file).seconds == 0.8 and find_series(file).notes == ()
    for text in ('{"RepetitionTime": 2500}', '{"RepetitionTime": "2"}', '{"RepetitionTime": true}', "[]", "{", ""):
        sidecar.write_text(text, encoding="utf-8")
        with pytest.raises(VolumeError, match="nor does a JSON file beside it; give the seconds by --tr"):
            find_series(file)


def test_scaling_and_units_of_time_are_those_of_the_header(tmp_path):
    image = nib.Nifti1Image(np.moveaxis(frames(3), 0, -1), AFFINE)
    image.header.set_slope_inter(0.5, 10)
    for unit, stated, seconds in (
        ("msec", 2500.0, 2.5),
        ("usec", 2.5e6, 2.5),
        ("unknown", 2.5, 2.5),
        ("sec", 1.0, 1.0),
        ("sec", 0.0, None),
        ("unknown", 1.0, None),  # what stands in a header in which nobody has written a time
    ):
        image.header["pixdim"][4] = stated
        image.header.set_xyzt_units("mm", unit)
        nib.save(image, tmp_path / "bold.nii")
        if seconds is None:
            with pytest.raises(VolumeError, match="by --tr"):
                find_series(tmp_path / "bold.nii")
            assert find_series(tmp_path / "bold.nii", 1.5).seconds == 1.5
        else:
            series = find_series(tmp_path / "bold.nii")
            assert series.seconds == pytest.approx(seconds)
            np.testing.assert_allclose(next(series.frames()).array, read_volume(tmp_path / "bold.nii", 0).array)


def test_frames_before_the_damage_of_a_file_are_read(file):
    whole = gzip.decompress(file.read_bytes())
    size = frames(1).nbytes
    file.write_bytes(gzip.compress(whole[: 352 + 4 * size + size // 2]))
    found = list(find_series(file).frames())
    assert [isinstance(one, Volume) for one in found] == [True] * 4 + [False] * 2
    assert "cut short" in str(found[4]) and "cut short" in str(found[5])


@pytest.mark.parametrize(
    ("offset", "values"),
    [(112, (2, np.nan)), (112, (2, np.inf)), (108, (np.nan,)), (108, (np.inf,))],
    ids=["intercept NaN", "intercept infinite", "voxels at NaN", "voxels at infinity"],
)
def test_a_header_of_impossible_numbers_is_told_of_every_frame(file, offset, values):
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[offset : offset + 4 * len(values)] = np.array(values, "<f4").tobytes()
    file.write_bytes(gzip.compress(content))
    found = list(find_series(file).frames())
    assert [type(one) for one in found] == [DamagedFileError] * 6
    assert "the file is damaged" in str(found[0]) and "export it again" in str(found[0])


def test_volumes_of_a_folder_come_in_the_order_of_the_numbers_in_their_names(tmp_path):
    for number in (10, 2, 1):
        array = np.random.default_rng(number).normal(number, 1, SHAPE).astype(np.float32)
        write_volume(tmp_path / f"vol_{number}.nii.gz", Volume(array, AFFINE))
    with pytest.raises(VolumeError, match="by --tr"):
        find_series(tmp_path)
    series = find_series(tmp_path, 2.0)
    assert [round(float(one.array.mean())) for one in series.frames()] == [1, 2, 10]


def test_a_frame_of_another_shape_and_one_that_is_damaged_stop_no_series(tmp_path):
    for number, shape in enumerate([SHAPE, (12, 10, 11), SHAPE], start=1):
        write_volume(tmp_path / f"{number}.nii", Volume(np.random.default_rng(0).normal(size=shape), AFFINE))
    (tmp_path / "0.nii").write_bytes(b"")
    (tmp_path / "4.nii").write_bytes(b"n")
    found = list(find_series(tmp_path, 2.0).frames())
    assert [isinstance(one, Volume) for one in found] == [False, True, False, True, False]
    assert "12 × 10 × 11 voxels, the frames before 12 × 10 × 9" in str(found[2])


def test_masks_beside_the_volumes_of_a_folder_are_no_frames(tmp_path):
    for name in ("v1", "v1_mask", "v2", "v2_mask"):
        write_volume(tmp_path / f"{name}.nii", Volume(frames(1)[0], AFFINE))
    series = find_series(tmp_path, 2.0)
    assert [file.name for file in series.files] == ["v1.nii", "v2.nii"]
    assert "left out, as label maps or masks by their names: v1_mask.nii, v2_mask.nii" in series.notes[0]


def test_what_is_no_series_is_refused(tmp_path, file):
    (tmp_path / "single").mkdir()
    write_volume(tmp_path / "single" / "one.nii", Volume(frames(1)[0], AFFINE))
    with pytest.raises(VolumeError, match=r"holds one volume.*e3pose estimate"):
        find_series(tmp_path / "single" / "one.nii")
    with pytest.raises(VolumeError, match="holds one volume"):
        find_series(tmp_path / "single", 2.0)
    write_volume(tmp_path / "other.nii", Volume(frames(1)[0], AFFINE))
    with pytest.raises(VolumeError, match="is a series itself"):
        find_series(tmp_path, 2.0)
    with pytest.raises(VolumeError, match="no such file"):
        find_series(tmp_path / "missing.nii")
