"""Interleaved slices: whether the head moved between odd and even ones, and what each half of them shows.

Slices are excited in turns, the odd ones and then the even ones. Where the head moved in between, the scan shows it
twice, in slices that alternate.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...imaging.masks import box_around


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
    return ratios[0], ratios[1], ratios[2]


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
