"""A head that moved between odd and even slices: whether it did, and the pose halfway.

Slices are excited in turns, the odd ones and then the even ones. Where the head moved in between, the scan shows it
twice, in slices that alternate, and what networks say of such a picture may be the pose of neither.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage

from ..imaging.geometry import pose_difference, rigid
from ..imaging.masks import box_around
from ..imaging.rotations import orthonormalise
from ..imaging.volume import Volume
from .estimate import PoseEstimate

FURTHEST_DEGREES = 30.0
"""Between poses that are further apart than this there is none that means anything."""


def interleave_ratios(array: np.ndarray, mask: np.ndarray) -> tuple[float, float, float]:
    """Whether every other slice shows something else, along each axis.

    Where the head lies still, neighbouring slices are more alike than those two apart; where it moved, less.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, intensities on the scan's own voxels.
    mask : np.ndarray
        Of that shape, the brain.

    Returns
    -------
    tuple of float
        Mean difference of neighbouring slices over that of slices two apart, in the brain and two voxels around it: a
        half for smooth scans at rest, 1 for noise; 0 where nothing can be told.
    """
    if not mask.any():
        return 0.0, 0.0, 0.0
    box = box_around(mask, margin=2)
    around = ndimage.binary_dilation(mask[box], iterations=2)
    ratios = []
    for axis in range(3):
        slices, inside = np.moveaxis(array[box], axis, 0), np.moveaxis(around, axis, 0)[1:-1]
        steps = np.abs(np.diff(slices, axis=0))
        neighbours, two_apart = (steps[1:] + steps[:-1]) / 2, np.abs(slices[2:] - slices[:-2])
        known = inside.any() and two_apart[inside].any()
        ratios.append(float(neighbours[inside].mean() / two_apart[inside].mean()) if known else 0.0)
    return tuple(ratios)


def every_other_slice(array: np.ndarray, axis: int, first: int) -> np.ndarray:
    """What the even (`first` 0) or odd (1) slices show, the others filled in between them.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, float.
    axis : int
        Across the slices, of which there are at least three.
    first : int

    Returns
    -------
    np.ndarray
        Of the array's shape: each other slice is the mean of its neighbours, or the one neighbour that it has.
    """
    slices = np.moveaxis(array, axis, 0)
    kept = slices[first::2]
    # A slice before the first and one behind the last stand for neighbours that are missing.
    before, behind = (kept[:1] if first else kept[:0]), (kept[-1:] if (len(slices) - first) % 2 == 0 else kept[:0])
    padded = np.concatenate([before, kept, behind])
    filled = slices.copy()
    filled[1 - first :: 2] = (padded[:-1] + padded[1:]) / 2
    return np.moveaxis(filled, 0, axis)


def between(
    volume: Volume, axis: int, even: PoseEstimate, odd: PoseEstimate, whole: PoseEstimate
) -> PoseEstimate | None:
    """The estimate halfway between those of even and of odd slices.

    Parameters
    ----------
    volume : Volume
        The scan.
    axis : int
        Across the slices, of `Volume.closest_canonical`.
    even, odd : PoseEstimate
        By the scan in that order, as `every_other_slice` gives it.
    whole : PoseEstimate
        By the scan as it is.

    Returns
    -------
    PoseEstimate or None
        With the confidence of the less certain half and, slice by slice, the mask of the half that it is of. None where
        that half is no more certain than the whole, or both are further apart than `FURTHEST_DEGREES`.
    """
    # Their brains were compared with that of the whole, which shows the head twice: it speaks against neither.
    even, odd = (half.with_evidence(upright_agreement=None) for half in (even, odd))
    degrees, mm = pose_difference(even.canonical_to_ras, odd.canonical_to_ras)
    less, more = sorted((even, odd), key=lambda half: half.confidence.score)
    if degrees > FURTHEST_DEGREES or less.confidence.score <= whole.confidence.score:
        return None
    confidence = replace(
        less.confidence,
        interleave_ratio=whole.confidence.interleave_ratio,
        touches_border=less.confidence.touches_border or more.confidence.touches_border,
        halves_apart_degrees=degrees,
        halves_apart_mm=mm,
    )
    mask = even.mask.copy()
    np.moveaxis(mask, axis, 0)[1::2] = np.moveaxis(odd.mask, axis, 0)[1::2]
    return replace(
        less,
        canonical_to_ras=halfway(even.canonical_to_ras, odd.canonical_to_ras),
        mask=volume.in_own_order(mask),
        confidence=confidence,
        warnings=(*volume.warnings(), *confidence.warnings()),
        eyes=even.eyes.halfway_to(odd.eyes) if even.eyes and odd.eyes else None,
    )


def halfway(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The pose between two.

    Parameters
    ----------
    one, other : np.ndarray
        Shape ``[4, 4]``, rigid, mm.

    Returns
    -------
    np.ndarray
        Shape ``[4, 4]``, rigid: the rotation nearest to both, and the middle of both origins.
    """
    mean = (one + other) / 2
    return rigid(orthonormalise(torch.from_numpy(mean[:3, :3])).numpy(), mean[:3, 3])
