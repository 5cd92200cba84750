"""Scaling of intensities before a network sees them."""

from __future__ import annotations

import numpy as np


def rescale(array: np.ndarray, clip_fraction: float = 0.0) -> np.ndarray:
    """Scale intensities linearly to [0, 1], float32; a constant array becomes 0.

    Parameters
    ----------
    array : np.ndarray
        Any shape, real.
    clip_fraction : float
        This fraction of the values is clipped first at each end, to the quantiles.
    """
    if clip_fraction:
        low, high = np.quantile(array, (clip_fraction, 1 - clip_fraction)).tolist()
        # Where almost all values are equal, the few others are the content, and clipping would remove them.
        if low < high:
            array = np.clip(array, low, high)
    low, high = array.min(), array.max()
    if low == high:
        return np.zeros(array.shape, np.float32)
    scaled = np.subtract(array, low, dtype=np.float32) if low else array
    return np.divide(scaled, high - low, dtype=np.float32)


def darken_fill(array: np.ndarray) -> None:
    """Replace the value that fills the corners of an interpolated scan by the scan's least value; in place.

    A scan that was resampled onto another grid is padded with a dark value, but the interpolated intensities may be
    darker still. The fill value is recognised as that of at least four of the eight corner voxels, no brighter than
    the median.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``.
    """
    corners = array[np.ix_(*[(0, -1)] * 3)]
    values, counts = np.unique(corners, return_counts=True)
    fill, least = values[counts.argmax()], array.min()
    if counts.max() >= 4 and least < fill <= np.median(array) and fill < array.max():
        array[array == fill] = least
