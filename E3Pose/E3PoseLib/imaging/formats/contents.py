"""What every reader returns, and the limits that are checked before voxels are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import DamagedFileError, VolumeError

MAXIMUM_VOXELS = 2**27
"""Of one frame: 512³, several times the largest MR scan of a uterus."""

MAXIMUM_BYTES = 2**30
"""Of one frame as it is stored."""

DEFLATE_RATIO = 1032
"""The most bytes that one byte of a gzip or zlib stream can hold (RFC 1951: 258 bytes in two bits)."""

PLACEHOLDER_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Contents:
    """One 3-D frame of an image file.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, real or complex, with the file's scaling applied.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``, from voxel centres (i, j, k) to RAS mm.
    notes : tuple of str
        What was done to read it, where that is not obvious.
    doubts : tuple of str
        Why the position of the scan in the patient is not certain.
    """

    array: np.ndarray
    voxel_to_ras: np.ndarray
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """How the dimensions of a file make frames.

    Parameters
    ----------
    edges : tuple of int
        Voxels along i, j, k.
    n_frames : int
    notes : tuple of str
        See `Contents`.
    """

    edges: tuple[int, int, int]
    n_frames: int
    notes: tuple[str, ...] = ()


def layout(shape: Sequence[int], path: str | os.PathLike) -> Layout:
    """Find the three spatial dimensions and the number of frames in the shape of an image.

    Dimensions of one voxel before the first and after the last of three others are left out, and a dimension of 0
    behind the third counts as 1. One dimension of any length may follow the three: the frames.

    Raises
    ------
    VolumeError
        If there are fewer than three dimensions, or more than one besides, or no voxels.

    >>> layout((1, 120, 110, 60, 1), "scan.nii").edges
    (120, 110, 60)
    """
    dimensions = [int(n) if index < 3 else max(int(n), 1) for index, n in enumerate(shape)]
    while len(dimensions) > 3 and dimensions[-1] == 1:
        dimensions.pop()
    notes: tuple[str, ...] = ()
    while len(dimensions) > 3 and dimensions[0] == 1:
        dimensions.pop(0)
        notes = ("the first axis of the file, of one voxel, was left out; its matrix was taken for the other three",)
    frames = [n for n in dimensions[3:] if n != 1]
    described = " × ".join(map(str, shape))
    if len(dimensions) < 3 or len(frames) > 1:
        raise VolumeError(f"{path}: a 3-D or 4-D image is needed, this one has shape {described}")
    if min(dimensions) < 1:
        raise VolumeError(f"{path}: an image of {described} voxels is empty; the file is damaged: export it again")
    first, second, third = dimensions[:3]
    return Layout((first, second, third), frames[0] if frames else 1, notes)


def chosen_frame(n_frames: int, frame: int | None, path: str | os.PathLike) -> int:
    """Which frame to read, from 0.

    Raises
    ------
    VolumeError
        If there are several and none was chosen, or there is none of that number.
    """
    if frame is None and n_frames > 1:
        raise VolumeError(
            f"{path}: holds {n_frames} frames, and one is needed: --frame N (0 to {n_frames - 1}), or a file of that "
            "frame alone; 'e3pose estimate' takes all with --all-frames, 'e3pose track' follows the head through them"
        )
    if frame is not None and not 0 <= frame < n_frames:
        raise VolumeError(f"{path}: has no frame {frame}; its frames are 0 to {n_frames - 1}")
    return frame or 0


def check_size(
    arrangement: Layout, voxel_bytes: int, path: str | os.PathLike, stored_bytes: int | None, compressed: bool
) -> int:
    """Check what a header claims before anything of that size is allocated.

    Parameters
    ----------
    arrangement : Layout
    voxel_bytes : int
        Bytes of one voxel.
    path : path-like
    stored_bytes : int or None
        Size of the file, or of the file that holds the voxels; None where it is not known.
    compressed : bool
        Whether that file is compressed by gzip or zlib.

    Returns
    -------
    int
        Bytes of one frame.

    Raises
    ------
    VolumeError
        If a frame is larger than any scan, or all frames are larger than the file can hold.
    """
    n_voxels = int(np.prod(arrangement.edges, dtype=object))
    described = " × ".join(map(str, arrangement.edges))
    if n_voxels > MAXIMUM_VOXELS or n_voxels * voxel_bytes > MAXIMUM_BYTES:
        raise VolumeError(
            f"{path}: says that it has {described} voxels of {voxel_bytes} bytes; at most {MAXIMUM_VOXELS / 1e6:.0f} "
            f"million voxels and {MAXIMUM_BYTES / 2**30:g} GiB are read. Where that is true crop it or store it coarser"
        )
    claimed = n_voxels * voxel_bytes * arrangement.n_frames
    capacity = None if stored_bytes is None else stored_bytes * (DEFLATE_RATIO if compressed else 1)
    if capacity is not None and claimed > capacity:
        raise DamagedFileError(
            f"{path}: the file is damaged or cut short ({claimed} bytes of voxels announced, {stored_bytes} bytes on "
            "disk); copy or export it again"
        )
    return n_voxels * voxel_bytes


def placeholder_doubt(voxel_to_ras: np.ndarray) -> tuple[str, ...]:
    """A doubt where a matrix is the one that programs write when they know neither position nor voxel size.

    Parameters
    ----------
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``.
    """
    linear = np.abs(voxel_to_ras[:3, :3])
    if np.allclose(linear, np.eye(3), atol=PLACEHOLDER_TOLERANCE) and not np.any(voxel_to_ras[:3, 3]):
        return (
            "voxels of exactly 1 × 1 × 1 mm at the origin: voxel size and orientation look lost; "
            "give the size with --voxel-size, or export the scan again",
        )
    return ()
