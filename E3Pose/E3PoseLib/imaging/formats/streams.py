"""Files as streams of bytes: what they are by their first bytes, gzip, and frames of voxels from them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ...errors import DamagedFileError
from .contents import Layout, check_size

GZIP_MAGIC = b"\x1f\x8b"
DICOM_MAGIC, DICOM_MAGIC_OFFSET = b"DICM", 128
DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")

_CHUNK = 1 << 24
_BYTES_BEHIND_VOXELS = 1 << 26
"""Read at most behind the last voxel to reach a stream's checksum."""


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed by gzip, by its first bytes."""
    with path.open("rb") as file:
        return file.read(2) == GZIP_MAGIC


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its content, or by its name where the content lacks the usual beginning."""
    try:
        with path.open("rb") as file:
            file.seek(DICOM_MAGIC_OFFSET)
            return file.read(len(DICOM_MAGIC)) == DICOM_MAGIC or path.name.lower().endswith(DICOM_SUFFIXES)
    except OSError:
        return False


def may_be_dicom(path: Path) -> bool:
    """Whether a file is named as DICOM files are: by their suffix, without any, or by a number such as a UID."""
    suffix = path.suffix.lower()
    return suffix in ("", *DICOM_SUFFIXES) or suffix[1:].isdigit()


def mistaken_for_a_scan(path: Path) -> str:
    """What a file is, and what to do, where its first bytes tell that it is no image; else ""."""
    try:
        with path.open("rb") as file:
            start = file.read(1024)
    except OSError as error:
        return f"cannot be read ({error.strerror}); check that you may read it"
    if not start:
        return "an empty file; copy or export it again"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file itself; fetch that with 'git lfs pull'"
    if b"/annex/objects/" in start[:256] and len(start) < 1024:
        return "a pointer of git-annex, not the file itself; fetch that with 'git annex get' or 'datalad get'"
    if start.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page, not a scan; download it again"
    if start.startswith(b"PK\x03\x04"):
        return "a zip archive; unpack it and give what is in it"
    return ""


@contextmanager
def uncompressed(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed where it is a gzip file."""
    if is_gzip(path):
        with gzip.open(path) as stream:
            yield cast(BinaryIO, stream)
    else:
        with path.open("rb") as file:
            yield file


def read_frame(path: Path, arrangement: Layout, dtype: np.dtype, offset: int, frame: int) -> np.ndarray:
    """Read the voxels of one frame, stored with the first axis fastest.

    Parameters
    ----------
    path : Path
        Compressed or not.
    arrangement : Layout
    dtype : np.dtype
        As stored.
    offset : int
        Of the first frame, bytes.
    frame : int

    Returns
    -------
    np.ndarray
        Shape ``arrangement.edges``, in that type with the machine's byte order.

    Raises
    ------
    VolumeError
        If the frame is too large, the file ends before, or its checksum is wrong.
    """
    compressed = is_gzip(path)
    size = check_size(arrangement, dtype.itemsize, path, path.stat().st_size, compressed)
    with uncompressed(path) as stream:
        stream.seek(offset + frame * size)
        content = _read_exactly(stream, size, path)
        if compressed:
            # Only the checksum at the end of the stream tells whether the voxels are those that were written.
            left = (arrangement.n_frames - frame - 1) * size + _BYTES_BEHIND_VOXELS
            while left > 0 and (chunk := stream.read(min(_CHUNK, left))):
                left -= len(chunk)
    return _voxels(content, arrangement, dtype)


def read_frames(path: Path, arrangement: Layout, dtype: np.dtype, offset: int) -> Iterator[np.ndarray]:
    """Read all frames in turn, the file once; see `read_frame`.

    Raises
    ------
    VolumeError
        If a frame is too large, or the file ends before; of a compressed file also behind the last frame, if its
        checksum is wrong.
    """
    compressed = is_gzip(path)
    size = check_size(arrangement, dtype.itemsize, path, path.stat().st_size, compressed)
    with uncompressed(path) as stream:
        stream.seek(offset)
        for _ in range(arrangement.n_frames):
            yield _voxels(_read_exactly(stream, size, path), arrangement, dtype)
        if compressed:
            stream.read(_CHUNK)


def _read_exactly(stream: BinaryIO, size: int, path: Path) -> bytearray:
    content = bytearray()
    while len(content) < size and (chunk := stream.read(min(_CHUNK, size - len(content)))):
        content += chunk
    if len(content) < size:
        raise DamagedFileError(
            f"{path}: the file is damaged or cut short ({len(content)} bytes of a frame of {size}); "
            "copy or export it again"
        )
    return content


def _voxels(content: bytearray, arrangement: Layout, dtype: np.dtype) -> np.ndarray:
    array = np.frombuffer(content, dtype).reshape(arrangement.edges, order="F")
    return array.astype(dtype.newbyteorder("="), copy=False)
