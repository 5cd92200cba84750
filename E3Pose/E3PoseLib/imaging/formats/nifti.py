"""NIfTI-1 and NIfTI-2 in one file or two, and Analyze 7.5, by nibabel."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.analyze import AnalyzeHeader
from nibabel.nifti1 import Nifti1PairHeader
from nibabel.nifti2 import Nifti2PairHeader
from nibabel.spatialimages import HeaderDataError
from nibabel.spm2analyze import Spm2AnalyzeHeader
from nibabel.volumeutils import apply_read_scaling
from nibabel.wrapstruct import WrapStructError

from ...errors import DamagedFileError, VolumeError
from .contents import Contents, Layout, check_size, chosen_frame, layout
from .nifti_orientation import Orientation, orientation
from .streams import is_gzip, read_frame, read_frames, uncompressed

DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    LookupError,
    TypeError,
    zlib.error,
    HeaderDataError,
    WrapStructError,
)
"""What nibabel, numpy and zlib raise on a damaged file."""

_HEADERS: dict[bytes, type[AnalyzeHeader]] = {
    b"n+1": nib.Nifti1Header,
    b"ni1": Nifti1PairHeader,
    b"n+2": nib.Nifti2Header,
    b"ni2": Nifti2PairHeader,
}
_MAGIC_NIFTI_1, _MAGIC_NIFTI_2 = slice(344, 347), slice(4, 7)
_NO_SCANS = {1004, 1005, 1006, 1007, 1008, 1009, 1010, 2003, 2004}
"""Intent codes of matrices, vectors, points, triangles, quaternions and colours."""

_SECONDS = {0: 1.0, 8: 1.0, 16: 1e-3, 24: 1e-6}
"""By the header's code of the unit of time; unknown ones are seconds, as nearly all programs have them."""

_NOT_STATED = (0, 1.0)
"""Unit and time of a header in which no program has written any."""

LEAST_SECONDS, MOST_SECONDS = 0.05, 120.0
"""Between two volumes of a series: what is beyond is no repetition time, but a unit that is wrong."""


@dataclass(frozen=True)
class _Opened:
    """A header, and the file with its voxels."""

    header: AnalyzeHeader
    voxels: Path
    arrangement: Layout


def count_frames(path: Path) -> int:
    """How many frames the file holds, from its header alone.

    Raises
    ------
    VolumeError
        If it cannot be read.
    """
    opened = _open(path)
    return opened.arrangement.n_frames


def read(path: Path, frame: int | None) -> Contents:
    """Read one frame, with the header's slope and intercept applied.

    Raises
    ------
    VolumeError
        If the file cannot be read, or has several frames and none was chosen.
    """
    opened = _open(path)
    index = chosen_frame(opened.arrangement.n_frames, frame, path)
    position = _oriented(opened, path)
    raw = _read_frame(opened, index, path)
    try:
        array = apply_read_scaling(raw, *opened.header.get_slope_inter())
    except DAMAGED as error:
        raise DamagedFileError(f"{path}: the file is damaged ({error}); copy or export it again") from error
    return Contents(array, position.voxel_to_ras, (*opened.arrangement.notes, *position.notes), position.doubts)


def read_in_turn(path: Path) -> Iterator[Contents]:
    """Read all frames, the file once; see `read`.

    Raises
    ------
    VolumeError
        If the file cannot be read, or when the frames come to where it is damaged.
    """
    opened = _open(path)
    position = _oriented(opened, path)
    about = (position.voxel_to_ras, (*opened.arrangement.notes, *position.notes), position.doubts)
    try:
        scaling, offset = opened.header.get_slope_inter(), _offset(opened.header)
        for raw in read_frames(opened.voxels, opened.arrangement, opened.header.get_data_dtype(), offset):
            yield Contents(apply_read_scaling(raw, *scaling), *about)
    except DAMAGED as error:
        raise DamagedFileError(
            f"{path}: the file is damaged or cut short ({error}); copy or export it again"
        ) from error


def seconds_between_frames(path: Path) -> float | None:
    """The repetition time that the header states; None where it states none that can be.

    Raises
    ------
    VolumeError
        If the file cannot be read.
    """
    header = _open(path).header
    if not isinstance(header, nib.Nifti1Header):
        return None
    code, time = int(header["xyzt_units"]) & 0x38, float(header["pixdim"][4])
    if (code, time) == _NOT_STATED:
        return None
    seconds = time * _SECONDS.get(code, 0.0)
    return seconds if LEAST_SECONDS <= seconds <= MOST_SECONDS else None


def check_whole(path: Path) -> None:
    """Read the file through to its end.

    Raises
    ------
    DamagedFileError
        If it is cut short, or its checksum is wrong.
    VolumeError
        If it cannot be read for another reason.
    """
    opened = _open(path)
    _read_frame(opened, opened.arrangement.n_frames - 1, path)


def _read_frame(opened: _Opened, index: int, path: Path) -> np.ndarray:
    """The voxels of a frame as they are stored."""
    header = opened.header
    try:
        return read_frame(opened.voxels, opened.arrangement, header.get_data_dtype(), _offset(header), index)
    except DAMAGED as error:
        raise DamagedFileError(
            f"{path}: the file is damaged or cut short ({error}); copy or export it again"
        ) from error


def orientation_doubts(path: Path) -> tuple[str, ...]:
    """Why the position in the patient is not certain, from the header alone.

    Raises
    ------
    VolumeError
        If it cannot be read.
    """
    return _oriented(_open(path), path).doubts


def _open(path: Path) -> _Opened:
    header_file, voxel_file = _files(path)
    if not header_file.is_file():
        raise VolumeError(f"{path}: its header is in a second file, {header_file.name}, which is not there: copy both")
    try:
        with uncompressed(header_file) as stream:
            block = stream.read(nib.Nifti2Header.template_dtype.itemsize)
        header = _header(block)
        if header is None:
            raise VolumeError(f"{path}: not a NIfTI file; export it again as .nii.gz")
        arrangement = layout(header.get_data_shape(), path)
        dtype = header.get_data_dtype()
        intent = int(header["intent_code"]) if isinstance(header, nib.Nifti1Header) else 0
    except DAMAGED as error:
        raise VolumeError(f"{path}: not a readable NIfTI file ({error}); copy or export it again") from error
    if dtype.kind not in "iufc" or intent in _NO_SCANS:
        raise VolumeError(f"{path}: holds vectors or colours, not the intensities of a scan; give the scan itself")
    if getattr(header, "is_single", False):
        voxel_file = header_file
    elif not voxel_file.is_file():
        raise VolumeError(f"{path}: its voxels are in a second file, {voxel_file.name}, which is not there: copy both")
    check_size(arrangement, dtype.itemsize, path, voxel_file.stat().st_size, is_gzip(voxel_file))
    return _Opened(header, voxel_file, arrangement)


def _header(block: bytes) -> AnalyzeHeader | None:
    """The header in the first bytes of a file; None where they are none."""
    kind: type[AnalyzeHeader] | None = _HEADERS.get(block[_MAGIC_NIFTI_1]) or _HEADERS.get(block[_MAGIC_NIFTI_2])
    if kind is None and Spm2AnalyzeHeader.may_contain_header(block):
        kind = Spm2AnalyzeHeader
    size = 0 if kind is None else kind.template_dtype.itemsize
    return None if kind is None or len(block) < size else kind(block[:size])


def _offset(header: AnalyzeHeader) -> int:
    """Where the voxels begin, bytes; a single file that says 0 has them behind its header."""
    offset = int(header.get_data_offset())
    if offset < 0:
        raise ValueError(f"voxels at byte {offset}")
    return offset or (header.single_vox_offset if isinstance(header, nib.Nifti1Header) and header.is_single else 0)


def _files(path: Path) -> tuple[Path, Path]:
    """The file of the header and that of the voxels, where there are two; else the one file twice."""
    lower = path.name.lower()
    for suffix in (".hdr.gz", ".img.gz", ".hdr", ".img"):
        if lower.endswith(suffix):
            stem, is_upper = path.name[: -len(suffix)], path.name[-len(suffix) :].isupper()
            kinds = ("HDR", "IMG") if is_upper else ("hdr", "img")
            header, voxels = (_first_file(path, stem, kind) for kind in kinds)
            return (path, voxels) if ".hdr" in suffix else (header, path)
    return path, path


def _first_file(path: Path, stem: str, kind: str) -> Path:
    """The part of a pair beside `path`, compressed or not."""
    plain, compressed = path.with_name(f"{stem}.{kind}"), path.with_name(f"{stem}.{kind}.gz")
    return compressed if compressed.is_file() and not plain.is_file() else plain


def _oriented(opened: _Opened, path: Path) -> Orientation:
    """How the file lies in the patient."""
    if isinstance(opened.header, nib.Nifti1Header):
        return orientation(opened.header, opened.arrangement.edges, path)
    affine = np.array(opened.header.get_best_affine(), dtype=np.float64)
    return Orientation(affine, doubts=("an Analyze file does not say which side is left; convert the original scan",))
