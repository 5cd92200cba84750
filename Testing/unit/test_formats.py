"""Image files of every format, and of every kind that users' files are found in."""

import gzip
import struct
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from E3PoseLib.errors import VolumeError
from E3PoseLib.imaging.file_doubts import file_doubts
from E3PoseLib.imaging.formats import name_without_suffix, scans_in
from E3PoseLib.imaging.formats.contents import MAXIMUM_VOXELS, layout
from E3PoseLib.imaging.volume import Volume, count_frames, read_volume

SHAPE = (16, 14, 12)
AFFINE = np.array([[0, -3.0, 0, 20], [2.5, 0, 0.3, -30], [-0.25, 0, 3.5, 40], [0, 0, 0, 1]])
QFORM, SFORM = (254, "<h"), (280, "<12f")


@pytest.fixture(scope="module")
def voxels():
    return np.random.default_rng(0).integers(0, 1000, SHAPE).astype(np.int16)


def image(array, affine=AFFINE, kind=nib.Nifti1Image):
    made = kind(array, affine)
    made.set_qform(affine, 1)
    made.set_sform(affine, 1)
    made.header.set_xyzt_units("mm", "sec")
    return made


def patched(path, array, *patches, affine=AFFINE):
    """A NIfTI-1 file with header fields overwritten: (offset, layout, values)."""
    content = bytearray(image(array, affine).to_bytes())
    for offset, fields, *values in patches:
        struct.pack_into(fields, content, offset, *values)
    path.write_bytes(bytes(content))
    return path


def same(scan: Volume, array, affine=AFFINE, atol=1e-5):
    np.testing.assert_array_equal(scan.array, array)
    np.testing.assert_allclose(scan.voxel_to_ras, affine, atol=atol)


# Kinds of NIfTI


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "SCAN.NII.GZ", "scan.hdr", "scan.img", "scan.img.gz"])
@pytest.mark.parametrize(
    ("single", "pair"), [(nib.Nifti1Image, nib.Nifti1Pair), (nib.Nifti2Image, nib.Nifti2Pair)], ids=["1", "2"]
)
def test_nifti_1_and_2_in_one_file_and_in_two(voxels, tmp_path, name, single, pair):
    is_pair = name.endswith((".hdr", ".img", ".img.gz"))
    nib.save(image(voxels, kind=pair if is_pair else single), tmp_path / name)
    scan = read_volume(tmp_path / name)
    same(scan, voxels)
    assert scan.notes == scan.doubts == ()
    assert count_frames(tmp_path / name) == 1


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_types_of_8_to_64_bits_in_either_byte_order(tmp_path, kind, order):
    array = np.random.default_rng(0).integers(0, 100, SHAPE).astype(order + kind)
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(array.dtype)
    made = nib.Nifti1Image(array, AFFINE, header)
    nib.save(made, tmp_path / "scan.nii")
    scan = read_volume(tmp_path / "scan.nii")
    same(scan, array)
    assert scan.array.dtype.isnative
    np.testing.assert_array_equal(scan.intensities(), array.astype(np.float32))


@pytest.mark.parametrize("shape", [(1, *SHAPE, 1), (1, *SHAPE), (1, 1, *SHAPE), (*SHAPE, 1, 1)])
def test_axes_of_one_voxel_before_and_behind_are_left_out(voxels, tmp_path, shape):
    nib.save(image(voxels.reshape(shape)), tmp_path / "scan.nii.gz")
    scan = read_volume(tmp_path / "scan.nii.gz")
    same(scan, voxels)
    assert scan.doubts == () and bool(scan.notes) == (shape[0] == 1)


def test_frames_may_follow_a_leading_axis_of_one_voxel(voxels, tmp_path):
    nib.save(image(np.stack([voxels, voxels + 1], -1)[None]), tmp_path / "scan.nii.gz")
    assert count_frames(tmp_path / "scan.nii.gz") == 2
    same(read_volume(tmp_path / "scan.nii.gz", frame=1), voxels + 1)


@pytest.mark.parametrize("dimensions", [(4, 0), (5, 0, 0), (4, 1), (7, 0, 1, 0, 1)])
def test_a_dimension_of_0_behind_the_third_counts_as_1(voxels, tmp_path, dimensions):
    n, *behind = dimensions
    path = patched(tmp_path / "scan.nii", voxels, (40, "<h", n), *[(48 + 2 * k, "<h", d) for k, d in enumerate(behind)])
    same(read_volume(path), voxels)


def test_shapes_that_are_no_scan_are_refused():
    for shape, word in [((20, 20), "3-D or 4-D"), ((20, 20, 20, 3, 2), "3-D or 4-D"), ((20, 0, 20), "empty")]:
        with pytest.raises(VolumeError, match=rf"my file.*{word}"):
            layout(shape, "my file")


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_gzip_is_known_by_its_content(voxels, tmp_path, name):
    content = image(voxels).to_bytes()
    (tmp_path / name).write_bytes(content if name.endswith(".gz") else gzip.compress(content))
    same(read_volume(tmp_path / name), voxels)


@pytest.mark.parametrize("rows", [np.zeros(12), [*np.zeros(4), *AFFINE[1:3].ravel()], np.full(12, np.nan)])
def test_an_impossible_sform_gives_way_to_a_qform(voxels, tmp_path, rows):
    rigid = np.diag([3.0, 3, 4, 1])
    path = patched(tmp_path / "scan.nii", voxels, (*SFORM, *rows), affine=rigid)
    scan = read_volume(path)
    same(scan, voxels, rigid)
    assert scan.notes == ("the file's sform is no possible matrix; the qform was used",) and scan.doubts == ()
    alone = patched(tmp_path / "alone.nii", voxels, (*SFORM, *rows), (252, "<h", 0), affine=rigid)
    with pytest.raises(VolumeError, match=r"alone\.nii: (voxel sizes of .* impossible|the matrix from)"):
        read_volume(alone)


@pytest.mark.parametrize("quaternion", [(0.9, 0.9, 0.9), (0, 0, 1.1), (-3, 0, 0)])
def test_a_quaternion_that_is_no_rotation_is_refused_in_words(voxels, tmp_path, quaternion):
    path = patched(tmp_path / "scan.nii", voxels, (*QFORM, 0), (256, "<3f", *quaternion))
    with pytest.raises(VolumeError, match=r"scan\.nii: its qform is no rotation.*export it again"):
        read_volume(path)


def test_a_rounded_quaternion_is_a_rotation(voxels, tmp_path):
    path = patched(tmp_path / "scan.nii", voxels, (*QFORM, 0), (256, "<3f", 0, 0, 1.00001), (76, "<4f", 1, 3, 3, 3))
    scan = read_volume(path)
    np.testing.assert_allclose(scan.voxel_to_ras[:3, :3], np.diag([-3, -3, 3]), atol=1e-5)
    assert scan.doubts == ()


def test_complex_scans_are_taken_by_magnitude(voxels, tmp_path):
    phase = np.exp(1j * np.random.default_rng(1).uniform(0, 6, SHAPE))
    for kind in (np.complex64, np.complex128):
        nib.save(image((voxels * phase).astype(kind)), tmp_path / "scan.nii.gz")
        scan = read_volume(tmp_path / "scan.nii.gz")
        np.testing.assert_allclose(scan.array, voxels, atol=1e-3)
        assert "magnitude" in scan.warnings()[0]


@pytest.mark.parametrize("affine", [np.eye(4), np.diag([-1.0, -1, 1, 1])])
def test_lost_voxel_sizes_are_doubtful_and_can_be_told(tmp_path, affine):
    array = np.arange(24**3).reshape(24, 24, 24).astype(np.int16)
    nib.save(nib.Nifti1Image(array, affine), tmp_path / "scan.nii.gz")
    scan = read_volume(tmp_path / "scan.nii.gz")
    assert "--voxel-size" in scan.doubts[0]
    told = read_volume(tmp_path / "scan.nii.gz", voxel_size=(3, 3, 4.5))
    np.testing.assert_allclose(told.spacing, [3, 3, 4.5])
    middle = [11.5, 11.5, 11.5, 1]
    np.testing.assert_allclose(told.voxel_to_ras @ middle, scan.voxel_to_ras @ middle)
    assert "3 × 3 × 4.5 mm, as told" in told.notes[-1]
    np.testing.assert_allclose(read_volume(tmp_path / "scan.nii.gz", voxel_size=2).spacing, 2)


def test_vectors_and_colours_are_refused(voxels, tmp_path):
    field = image(np.stack([voxels] * 3, -1)[..., None, :])
    field.header.set_intent("vector")
    nib.save(field, tmp_path / "field.nii.gz")
    colours = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, AFFINE), tmp_path / "colours.nii")
    for name in ("field.nii.gz", "colours.nii"):
        with pytest.raises(VolumeError, match=rf"{name}: (holds vectors or colours|a 3-D or 4-D)"):
            read_volume(tmp_path / name)


def test_an_analyze_file_is_read_with_a_doubt(voxels, tmp_path):
    nib.save(nib.AnalyzeImage(voxels, np.diag([-3.0, 3, 3, 1])), tmp_path / "scan.img")
    scan = read_volume(tmp_path / "scan.hdr")
    np.testing.assert_array_equal(scan.array, voxels)
    assert "which side is left" in scan.doubts[0]


def test_half_a_pair_is_named(voxels, tmp_path):
    nib.save(image(voxels, kind=nib.Nifti1Pair), tmp_path / "scan.img")
    (tmp_path / "scan.img").rename(tmp_path / "other.img")
    with pytest.raises(VolumeError, match=r"scan\.hdr: its voxels are in a second file, scan\.img"):
        read_volume(tmp_path / "scan.hdr")
    with pytest.raises(VolumeError, match=r"other\.img: its header is in a second file, other\.hdr"):
        read_volume(tmp_path / "other.img")


# Bounds


@pytest.mark.parametrize("compressed", [False, True])
def test_a_header_that_claims_more_than_a_file_holds_is_refused_at_once(voxels, tmp_path, compressed):
    path = patched(tmp_path / "scan.nii", voxels, (42, "<3h", 500, 500, 500))
    if compressed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(VolumeError, match="damaged or cut short"):
        read_volume(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell a process's peak memory this way")
def test_a_bomb_is_refused_before_it_takes_memory(tmp_path):
    import resource

    header = nib.Nifti1Header()
    header.set_data_dtype(np.float64)
    header.set_data_shape((900, 900, 900))
    header["vox_offset"] = 352
    with gzip.open(tmp_path / "bomb.nii.gz", "wb", compresslevel=9) as stream:
        stream.write(header.binaryblock + bytes(4))
        for _ in range(5):
            stream.write(bytes(10_000_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(VolumeError, match=r"900 × 900 × 900 voxels of 8 bytes; at most 134 million"):
        read_volume(tmp_path / "bomb.nii.gz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
    assert MAXIMUM_VOXELS >= 512**3


# Other formats


@pytest.mark.parametrize("name", ["scan.mgz", "scan.mgh", "scan.mgh.gz"])
def test_mgh(voxels, tmp_path, name):
    array = voxels.astype(np.int32)
    nib.save(nib.MGHImage(array, AFFINE), tmp_path / "scan.mgh")
    content = (tmp_path / "scan.mgh").read_bytes()
    (tmp_path / name).write_bytes(content if name.endswith(".mgh") else gzip.compress(content))
    scan = read_volume(tmp_path / name)
    same(scan, array, atol=1e-4)
    assert scan.notes == scan.doubts == ()


def test_a_cut_mgh_is_refused(tmp_path):
    (tmp_path / "cut.mgh").write_bytes(bytes(100))
    with pytest.raises(VolumeError, match=r"cut\.mgh: not a readable MGH file"):
        read_volume(tmp_path / "cut.mgh")


def test_mgh_with_frames_and_without_orientation(voxels, tmp_path):
    nib.save(nib.MGHImage(np.stack([voxels, voxels + 1], -1), AFFINE), tmp_path / "scan.mgz")
    assert count_frames(tmp_path / "scan.mgz") == 2
    np.testing.assert_array_equal(read_volume(tmp_path / "scan.mgz", 1).array, voxels + 1)
    content = bytearray(gzip.decompress((tmp_path / "scan.mgz").read_bytes()))
    content[28:30] = b"\0\0"
    (tmp_path / "lost.mgh").write_bytes(bytes(content))
    with pytest.raises(VolumeError, match="16 mm is impossible"):  # 1 mm is what the format says of such a file
        read_volume(tmp_path / "lost.mgh", 0)
    assert "does not say how it lies" in read_volume(tmp_path / "lost.mgh", 0, voxel_size=3).doubts[0]


def itk_image(array, affine=AFFINE):
    sitk = pytest.importorskip("SimpleITK", reason="needs the optional package SimpleITK")
    made = sitk.GetImageFromArray(array.transpose())
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    made.SetSpacing(spacing.tolist())
    made.SetOrigin(lps[:3, 3].tolist())
    made.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    return made, sitk


ORTHOGONAL = np.array([[0, -3.0, 0, 20], [2.4, 0, 1.8, -30], [-1.8, 0, 2.4, 40], [0, 0, 0, 1]])


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nhdr", "scan.mha", "scan.mhd", "Söhne 1.NRRD"])
@pytest.mark.parametrize("compressed", [False, True])
def test_nrrd_and_metaimage(voxels, tmp_path, name, compressed):
    made, sitk = itk_image(voxels, ORTHOGONAL)
    sitk.WriteImage(made, str(tmp_path / name.lower()), compressed)
    (tmp_path / name.lower()).rename(tmp_path / name)
    scan = read_volume(tmp_path / name)
    same(scan, voxels, ORTHOGONAL)
    assert scan.notes == scan.doubts == ()
    assert [found.path.name for found in scans_in(tmp_path)] == [name]


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.mha"])
def test_frames_of_nrrd_and_metaimage(voxels, tmp_path, name):
    sitk = itk_image(voxels)[1]
    frames = np.stack([voxels, voxels + 1], -1)
    sitk.WriteImage(sitk.GetImageFromArray(frames.transpose(), isVector=False), str(tmp_path / name))
    assert count_frames(tmp_path / name) == 2
    np.testing.assert_array_equal(read_volume(tmp_path / name, 1, voxel_size=3).array, voxels + 1)


def test_a_sequence_of_slicer_has_its_frames_in_each_voxel(voxels, tmp_path):
    made, sitk = itk_image(voxels, ORTHOGONAL)
    two = sitk.Compose(made, made + 1)
    sitk.WriteImage(two, str(tmp_path / "scan.seq.nrrd"))
    content = (tmp_path / "scan.seq.nrrd").read_bytes()
    (tmp_path / "scan.seq.nrrd").write_bytes(content.replace(b"kinds: vector", b"kinds: list"))
    same(read_volume(tmp_path / "scan.seq.nrrd", 1), voxels + 1, ORTHOGONAL)
    (tmp_path / "vectors.nrrd").write_bytes(content)
    with pytest.raises(VolumeError, match="2 values a voxel"):
        read_volume(tmp_path / "vectors.nrrd")


def test_damaged_files_of_itk_are_named(voxels, tmp_path):
    made, sitk = itk_image(voxels, ORTHOGONAL)
    for name in ("scan.nrrd", "scan.mha"):
        sitk.WriteImage(made, str(tmp_path / name))
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-500])
        with pytest.raises(VolumeError, match=rf"{name}: the file is damaged"):
            read_volume(tmp_path / name)
        sizes = {
            "scan.nrrd": (b"sizes: 16 14 12", b"sizes: 9000 9000 9000"),
            "scan.mha": (b"= 16 14 12", b"= 9000 9000 9000"),
        }
        (tmp_path / name).write_bytes(content.replace(*sizes[name]))
        with pytest.raises(VolumeError, match=rf"{name}: says that it has 9000"):
            read_volume(tmp_path / name)


# DICOM


@pytest.fixture
def dicom():
    pytest.importorskip("pydicom", reason="needs the optional package pydicom")
    pytest.importorskip("dcm2niix", reason="needs the optional package dcm2niix")
    import dicom_files

    return dicom_files


def check_same_scan(found, expected):
    """The same voxels at the same places, in whatever order the file stores them."""
    one, other = found.closest_canonical(), expected.closest_canonical()
    np.testing.assert_array_equal(one.array, other.array)
    np.testing.assert_allclose(one.voxel_to_ras, other.voxel_to_ras, atol=1e-3)


@pytest.fixture
def scan(voxels):
    return Volume(np.pad(voxels, ((0, 4), (0, 2), (0, 0))).astype(np.uint16), ORTHOGONAL, "phantom")


def test_times_of_one_dicom_series_are_a_series_and_several_have_no_order(dicom, scan, tmp_path):
    import pydicom

    from E3PoseLib.imaging.series import find_series

    for moment in range(3):
        for path in dicom.write_series(tmp_path / "one", scan, name=f"t{moment}_{{:03d}}"):
            dataset = pydicom.dcmread(path)
            dataset.SeriesInstanceUID, dataset.TemporalPositionIdentifier = "1.2.3", moment + 1
            dataset.AcquisitionNumber, dataset.AcquisitionTime = moment + 1, f"12000{2 * moment}"
            dataset.InstanceNumber = int(dataset.InstanceNumber) + moment * scan.shape[2]
            dataset.save_as(path)
        dicom.write_series(tmp_path / "several", scan, 9 - moment, f"vol{moment}", name=f"t{moment}_{{:03d}}")
    series = find_series(tmp_path / "one", 2.0)
    assert series.n_frames == 3 and series.name == "one"
    for frame in series.frames():
        np.testing.assert_array_equal(frame.closest_canonical().array, scan.closest_canonical().array)
    with pytest.raises(VolumeError, match="holds 3 DICOM series"):
        find_series(tmp_path / "several", 2.0)


def test_each_series_of_a_folder_is_a_scan(dicom, scan, tmp_path):
    folder = tmp_path / "exam 7"
    first = dicom.write_series(folder, scan, 3, "HASTE: axial")
    other = replace(scan, array=scan.array[::-1])
    second = dicom.write_series(folder, other, 4, "TRUFI", name="z{:03d}.dcm")
    (folder / "README.txt").write_text("notes", encoding="utf-8")
    (folder / "12345").write_bytes(b"no DICOM")
    found = scans_in(folder)
    assert [(one.path, one.name) for one in found] == [
        (first[0], "exam 7_3_HASTE_axial"),
        (second[0], "exam 7_4_TRUFI"),
    ]
    check_same_scan(read_volume(first[5]), scan)
    check_same_scan(read_volume(second[0]), other)
    with pytest.raises(VolumeError, match=r"holds 2 DICOM series; name one file of one: IM0000 \(3_HASTE_axial\)"):
        read_volume(folder)
    for path in second:
        path.unlink()
    check_same_scan(read_volume(folder), scan)


def test_a_mosaic_is_a_scan(dicom, scan, tmp_path):
    path = dicom.write_mosaic(tmp_path / "exam", scan)
    check_same_scan(read_volume(path), scan)
    assert [one.path for one in scans_in(tmp_path / "exam")] == [path]


def test_a_series_of_several_frames_is_converted_once(dicom, scan, tmp_path, monkeypatch):
    import pydicom

    from E3PoseLib.imaging.formats import dicom as reader

    first = dicom.write_mosaic(tmp_path / "exam", scan)
    second = pydicom.dcmread(dicom.write_mosaic(tmp_path / "other", replace(scan, array=scan.array + 1)))
    second.SeriesInstanceUID = pydicom.dcmread(first).SeriesInstanceUID
    second.InstanceNumber = second.AcquisitionNumber = 2
    second.save_as(first.with_name("MR.2"))
    converted, run = [], reader.subprocess.run
    monkeypatch.setattr(reader.subprocess, "run", lambda *call, **how: converted.append(call) or run(*call, **how))
    assert count_frames(first) == 2
    for frame in (0, 1):
        check_same_scan(read_volume(first, frame), replace(scan, array=scan.array + frame))
    assert len(converted) == 1
    first.with_name("MR.2").unlink()
    assert count_frames(first) == 1 and len(converted) == 2


def test_dicom_that_is_no_mr_scan_is_refused(dicom, scan, tmp_path):
    files = dicom.write_series(tmp_path / "ct", scan, modality="CT")
    with pytest.raises(VolumeError, match="of modality CT"):
        read_volume(files[0])
    (tmp_path / "cut.dcm").write_bytes(files[0].read_bytes()[:300])
    with pytest.raises(VolumeError, match=r"cut\.dcm: a DICOM file without an image, or damaged"):
        read_volume(tmp_path / "cut.dcm")
    with pytest.raises(VolumeError, match="no DICOM images in this folder"):
        read_volume(tmp_path)


def without_a_slice(files, dataset):
    files[5].unlink()


def with_a_slice_twice(files, dataset):
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.9"
    dataset.InstanceNumber = len(files) + 1
    dataset.save_as(files[5].with_name("again"))


def with_a_slice_moved(files, dataset):
    dataset.ImagePositionPatient = [*dataset.ImagePositionPatient[:2], float(dataset.ImagePositionPatient[2]) + 1]
    dataset.save_as(files[5])


@pytest.mark.parametrize("spoil", [without_a_slice, with_a_slice_twice, with_a_slice_moved])
@pytest.mark.parametrize("bits", [12, 16])
def test_uneven_slices_are_named_with_what_to_do(dicom, scan, tmp_path, spoil, bits):
    import pydicom

    folder = tmp_path / "exam"
    files = dicom.write_series(folder, scan)
    for path in files:
        dataset = pydicom.dcmread(path)
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        dataset.save_as(path)
    spoil(files, pydicom.dcmread(files[5]))
    with pytest.raises(VolumeError) as refused:
        read_volume(folder)
    said = str(refused.value)
    assert "slices of series 1_HASTE are missing, stored twice or unevenly spaced" in said
    assert "Interslice distance varies" in said and "export it again" in said and "echoes" not in said
    # dcm2niix does not interpolate unsigned integers of 16 bits.
    assert (f"'dcm2niix -o FOLDER {folder}' and give the file that ends in _Eq_1" in said) == (bits == 12)


# What is not read


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("scan.nii.gz", b"", "an empty file"),
        ("scan.nii.gz", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS.*git lfs pull"),
        ("scan.nii", b"/annex/objects/MD5E-s123--0.nii\n", "git-annex.*git annex get"),
        ("scan.nii.gz", b"\n<!DOCTYPE html><html>", "a web page"),
        ("scan.nii.gz", b"PK\x03\x04 and so on", "zip archive"),
        ("scan.mnc", b"CDF", r"\.mnc files are not read; convert it: mnc2nii .*scan\.mnc scan\.nii"),
        ("scan.PAR", b"# === DATA", r"\.par files are not read; convert it: dcm2niix"),
        ("scan+orig.HEAD", b"type", r"3dAFNItoNIFTI -prefix scan\+orig\.nii\.gz"),
        ("scan.nii.bz2", b"BZh91", "bunzip2"),
        ("scan.txt", b"words", "none of the formats that are read"),
    ],
)
def test_what_is_not_read_says_what_to_do(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VolumeError, match=words):
        read_volume(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "package"), [("scan.nrrd", "SimpleITK"), ("scan.mha", "SimpleITK"), ("scan.dcm", "pydicom")]
)
def test_a_missing_package_is_named_with_a_way_round(tmp_path, monkeypatch, name, package):
    from E3PoseLib.imaging.formats import registry

    (tmp_path / name).write_bytes(b"x" * 400)
    monkeypatch.setattr(registry, "find_spec", lambda package: None)
    with pytest.raises(VolumeError, match=rf"{name}: to read .* install {package}.*e3pose\[formats\].*or convert it"):
        read_volume(tmp_path / name)
    assert [found.path.name for found in scans_in(tmp_path)] == [name]


def test_a_folder_lists_each_scan_once(voxels, tmp_path):
    for name in ("a.nii.gz", "b.nii", "c.hdr", "g.mgz"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("c.img", "d.img", ".hidden.nii", "._a.nii.gz", "a.json", "m.raw", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sub.nii").mkdir()
    if sys.platform != "win32":
        (tmp_path / "link.nii.gz").symlink_to(tmp_path / "nowhere")
    names = [(found.path.name, found.name) for found in scans_in(tmp_path)]
    links = [("link.nii.gz", "link")] if sys.platform != "win32" else []
    assert names == [("a.nii.gz", "a"), ("b.nii", "b"), ("c.hdr", "c"), ("d.img", "d"), ("g.mgz", "g"), *links]
    assert name_without_suffix(tmp_path / "x.Y.NII.GZ") == "x.Y"
    with pytest.raises(VolumeError, match="cannot be read"):
        scans_in(tmp_path / "missing")


def test_doubts_are_known_without_reading_the_voxels(voxels, tmp_path):
    path = patched(tmp_path / "scan.nii", voxels, (252, "<2h", 0, 0))
    assert file_doubts(path) == read_volume(path).doubts != ()
