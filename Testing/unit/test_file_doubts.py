"""Damaged NIfTI files, which other readers fill with zeros."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from E3PoseLib.errors import DamagedFileError
from E3PoseLib.imaging.file_doubts import check_whole, file_doubts
from E3PoseLib.imaging.formats import streams


@pytest.fixture(params=["scan.nii", "scan.nii.gz"])
def file(request, tmp_path):
    """A whole file of noise, which gzip cannot shorten."""
    path = tmp_path / request.param
    values = np.random.default_rng(0).integers(0, 1000, (20, 20, 20)).astype(np.int16)
    image = nib.Nifti1Image(values, np.diag([3.0, 3, 3, 1]))
    image.set_qform(image.affine, code=1)
    nib.save(image, path)
    return path


def test_a_whole_file_passes(file):
    check_whole(file)
    assert file_doubts(file) == ()


@pytest.mark.parametrize("share", [0.3, 0.75, 0.999])
def test_a_file_cut_short_is_named(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DamagedFileError, match=r"scan\.nii.*damaged or cut short"):
        check_whole(file)
    (note,) = file_doubts(file)
    assert note.startswith("what is missing of the scan shows as zeros: ")
    assert "damaged or cut short" in note


def test_bytes_other_than_those_compressed_are_found(file):
    if file.suffix != ".gz":
        pytest.skip("a plain file has no checksum")
    raw = bytearray(gzip.decompress(file.read_bytes()))
    stored = bytearray(gzip.compress(bytes(raw), compresslevel=0))
    stored[5000] ^= 1
    file.write_bytes(bytes(stored))
    with pytest.raises(DamagedFileError, match="damaged"):
        check_whole(file)


def test_what_is_no_nifti_is_left_to_its_reader(tmp_path):
    text = tmp_path / "words.nii"
    text.write_text("this is not an image")
    for path in (text, tmp_path / "missing.nii.gz", tmp_path / "scan.nrrd"):
        check_whole(path)
        assert file_doubts(path) == ()


def test_a_file_is_read_once_until_it_changes(file, monkeypatch):
    if file.suffix != ".gz":
        pytest.skip("of a plain file the size tells")
    opened = []
    monkeypatch.setattr(streams.gzip, "open", lambda path: opened.append(path) or gzip.GzipFile(path))
    check_whole(file)
    first = len(opened)
    check_whole(file)
    assert len(opened) == first > 0
    file.write_bytes(file.read_bytes()[:-100])
    for _ in range(2):
        with pytest.raises(DamagedFileError):
            check_whole(file)
    assert len(opened) == 2 * first
