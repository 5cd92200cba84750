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
"""Of how little neighbours are alike. Of 57 real scans in order the lowest is 2.4, and 0.85 the highest of these with
their odd slices first; one of 1600 synthetic heads is below, which moved much and has 19 slices (docs/accuracy.md)."""

EDGE = 48
"""Voxels along a slice by which slices are compared, at most."""


def slices_out_of_order(array: np.ndarray) -> bool:
    """Whether slices that lie far apart are more alike than neighbours are, across any axis.

    It is so where slices are stored as they were acquired, odd ones before even ones, and where a file holds several
    images of one head one after the other, as if they were one.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, intensities on the scan's own voxels.
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
    unlike = 1 - seen @ seen.T

    def difference(apart: int) -> float:
        """Median over pairs of slices: 0 for the same, 1 for slices that have nothing in common."""
        known = shows_something[:-apart] & shows_something[apart:]
        return float(np.median(np.diagonal(unlike, apart)[known])) if known.sum() >= LEAST_PAIRS else np.inf

    least = max(LEAST_APART, n // 4)
    return min(difference(apart) for apart in range(least, n - least + 1)) < AS_FAR * difference(1) < np.inf
