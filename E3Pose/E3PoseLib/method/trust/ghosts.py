"""Nyquist ghosts: a faint copy of the head half a field of view away is no head, though it looks like one."""

from __future__ import annotations

import numpy as np

from ...imaging.cropping import shown_box
from ...imaging.masks import box_around

LEAST_LIKENESS = 0.6
"""From this correlation on, the head is a copy of what lies half a field of view away. True heads came to 0.34 at most,
a ghost to 0.92 (docs/making.md)."""

TIMES_FAINTER = 1.5
"""A ghost is at least this much fainter, also in a brightened scan, in which ratios become their square roots."""


def is_ghost(array: np.ndarray, mask: np.ndarray) -> bool:
    """Whether what is called brain is the Nyquist ghost of something brighter, along any axis.

    Echoes read in alternate directions disagree, and a faint copy of an echo-planar scan appears half a field of view
    away along the phase-encoding axis.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, intensities on the scan's own voxels: a grid that is not the acquired field of view hides
        its ghosts, but for margins of its least value.
    mask : np.ndarray
        Of that shape, the brain.
    """
    if _copies_something(array, mask):
        return True
    above_least = array > array.min()
    if not above_least.any():
        return False
    # Somebody may have put margins there, though the scanner may as well have found nothing to show in them.
    shown = shown_box(above_least)
    return array[shown].shape != array.shape and _copies_something(array[shown], mask[shown])


def _copies_something(array: np.ndarray, mask: np.ndarray) -> bool:
    """The same of a grid that is taken for the acquired field of view."""
    if not mask.any():
        return False
    box = box_around(mask, margin=4)
    here = array[box].ravel()
    if not here.std() > 0:
        return False
    for axis, length in enumerate(array.shape):
        for half in {length // 2, length - length // 2}:
            places = (np.arange(box[axis].start, box[axis].stop) + half) % length
            there = array[(*box[:axis], places, *box[axis + 1 :])].ravel()
            if there.std() >= TIMES_FAINTER * here.std() and np.corrcoef(here, there)[0, 1] >= LEAST_LIKENESS:
                return True
    return False
