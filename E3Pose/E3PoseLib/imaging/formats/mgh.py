"""FreeSurfer's MGH and MGZ, by nibabel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader

from ...errors import VolumeError
from .contents import Contents, Layout, check_size, chosen_frame, layout, placeholder_doubt
from .nifti import DAMAGED
from .streams import is_gzip, read_frame, uncompressed

_HEADER_BYTES = 284
_RAS_FLAG = slice(28, 30)
"""Bytes of the header that say whether its orientation is valid."""


def count_frames(path: Path) -> int:
    """How many frames the file holds, from its header alone.

    Raises
    ------
    VolumeError
        If it cannot be read.
    """
    return _open(path)[1].n_frames


def read(path: Path, frame: int | None) -> Contents:
    """Read one frame.

    Raises
    ------
    VolumeError
        If the file cannot be read, or has several frames and none was chosen.
    """
    header, arrangement, doubts = _open(path)
    index = chosen_frame(arrangement.n_frames, frame, path)
    try:
        array = read_frame(path, arrangement, header.get_data_dtype(), _HEADER_BYTES, index)
        affine = np.array(header.get_affine(), dtype=np.float64)
    except DAMAGED as error:
        raise VolumeError(f"{path}: the file is damaged or cut short ({error}); copy or export it again") from error
    return Contents(array, affine, arrangement.notes, doubts or placeholder_doubt(affine))


def _open(path: Path) -> tuple[MGHHeader, Layout, tuple[str, ...]]:
    """Header, layout, and what is doubtful about the orientation."""
    try:
        with uncompressed(path) as stream:
            block = stream.read(_HEADER_BYTES)
        # The fields behind the voxels (repetition time and the like) are left out.
        header = MGHHeader(block)
        dtype = header.get_data_dtype()
        arrangement = layout(header["dims"], path)
    except DAMAGED as error:
        raise VolumeError(f"{path}: not a readable MGH file ({error}); copy or export it again") from error
    check_size(arrangement, dtype.itemsize, path, path.stat().st_size, is_gzip(path))
    doubts = (
        ()
        if any(block[_RAS_FLAG])
        else ("the file does not say how it lies in the patient nor how large its voxels are",)
    )
    return header, arrangement, doubts
