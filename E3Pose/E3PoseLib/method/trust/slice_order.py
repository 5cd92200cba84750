"""Whether a file's slices are in the order in which they lie in space."""

from __future__ import annotations

import numpy as np

LEAST_SLICES = 16
"""Of fewer nobody can tell."""

LEAST_APART = 6
"""A head that moves between the passes of an acquisition makes slices alike that are as many apart as there are passes,
up to five or so; those that are further apart it does not."""

LEAST_PAIRS = 4
"""Of slices that show something, by which likeness is judged."""

AS_FAR = 0.9
"""Of how little neighbours are alike. Of 57 real scans in order the lowest is 2.5, and 0.8 the highest of these with
their odd slices first; of 1800 synthetic ones in order none is below (docs/accuracy.md)."""

EDGE = 24
"""Voxels along a slice by which slices are compared, at most: more tell no better."""


def slices_out_of_order(array: np.ndarray) -> bool:
    """Whether slices that lie far apart are more alike than neighbours are, across any axis.

    It is so where slices are stored as they were acquired, odd ones before even ones, and where a file holds several
    images of one head one after the other, as if they were one.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, intensities in [0, 1] on the scan's own voxels.
    """
    return any(_more_alike_apart(np.moveaxis(array, axis, 0)) for axis in range(3))


def _more_alike_apart(slices: np.ndarray) -> bool:
    n = len(slices)
    if n < LEAST_SLICES:
        return False
    steps = (max(1, -(-edge // EDGE)) for edge in slices.shape[1:])
    seen = slices[(slice(None), *(slice(None, None, step) for step in steps))].reshape(n, -1).astype(np.float32)
    seen -= seen.mean(axis=1, keepdims=True)
    sizes = np.linalg.norm(seen, axis=1)
    shows_something = sizes > 1e-3 * sizes.max()
    seen /= np.where(shows_something, sizes, 1)[:, None]
    first = np.arange(n)[:, None]
    second = first + np.arange(n)  # a column for each distance
    is_pair, second = second < n, second % n
    is_pair &= shows_something[first] & shows_something[second]
    unlike = (1 - seen @ seen.T)[first, second]  # 0 for the same, 1 for slices that have nothing in common
    counts = is_pair.sum(axis=0)
    differences = np.where(counts >= LEAST_PAIRS, (unlike * is_pair).sum(axis=0) / np.maximum(counts, 1), np.inf)
    least = max(LEAST_APART, n // 4)
    return bool(differences[least : n - least + 1].min() < AS_FAR * differences[1] < np.inf)
