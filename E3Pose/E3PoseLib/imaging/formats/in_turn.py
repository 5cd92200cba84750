"""All frames of a file in turn, and the time between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .contents import Contents
from .registry import NIFTI, count_frames, read


def read_in_turn(path: Path) -> Iterator[Contents]:
    """Read the frames of a file one after the other; of NIfTI files without reading any part twice.

    Raises
    ------
    VolumeError
        If the file cannot be read, or when the frames come to where it is damaged.
    """
    if _is_nifti(path):
        from . import nifti

        yield from nifti.read_in_turn(path)
    else:
        yield from (read(path, frame) for frame in range(count_frames(path)))


def seconds_between_frames(path: Path) -> float | None:
    """The repetition time that a file states; None where it states none that can be, or the format has none.

    Raises
    ------
    VolumeError
        If the file cannot be read.
    """
    if not _is_nifti(path):
        return None
    from . import nifti

    return nifti.seconds_between_frames(path)


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI.suffixes)
