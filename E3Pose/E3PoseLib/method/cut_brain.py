"""A brain that the end of the scan cuts: the middle and the size of the whole of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..imaging.masks import centre_of_mass, filled_box

BRAIN_MOMENTS = np.array([[0.0739, 0.0, 0.0], [0.0, 0.0978, 0.0217], [0.0, 0.0217, 0.0679]])
"""Second moments of an ellipsoid of volume 1 that is stretched as brains are, about its centre in the head's frame: the
median of 374 synthetic brains of 18 to 40 weeks (standard deviation of each 0.01), scaled to that volume."""

AT_END_VOXELS = 2
"""Between the outline of a brain that is cut and the zeros behind it: one of them may be partly filled."""

REACH = 2.2
"""What lies beyond is looked at up to so many times the extent of an ellipsoid of what is seen, from its middle: a
brain of which three fifths are lost reaches no further."""

VOXEL_DISTANCE = 1.6
"""Edge of a voxel in the distances of `_distance`: an ellipsoid of size 1 has a mean radius of 0.62."""

SETTLED_VOXELS = 0.002
MOST_STEPS = 200


@dataclass(frozen=True, eq=False)
class ScanEnd:
    """A brain and what lies around it, within the scan and beyond its end.

    Parameters
    ----------
    brain : np.ndarray
        Bool, ``[D, H, W]``: the brain mask in the box of it and a margin, which may reach beyond the grid.
    beyond : np.ndarray
        Bool, of that shape: what the scan does not show.
    start : np.ndarray
        Shape ``[3]``: of that box, voxels of the grid.
    """

    brain: np.ndarray
    beyond: np.ndarray
    start: np.ndarray


def end_around(array: np.ndarray, mask: np.ndarray, margin: int) -> ScanEnd:
    """Where the scan ends around a brain.

    The end is where the grid ends, or where nothing but zeros follows, three voxels deep or more: a scan that was
    resampled onto another grid ends on slanted planes. Single dark voxels are no end.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[D, H, W]``, intensities.
    mask : np.ndarray
        Of that shape, the brain, not empty.
    margin : int
        Voxels around the brain.
    """
    box = filled_box(mask)
    start = np.array([edges.start - margin for edges in box])
    stop = np.array([edges.stop + margin for edges in box])
    first, last = np.maximum(start, 0), np.minimum(stop, mask.shape)
    part = tuple(map(slice, first, last))
    missing = list(zip(first - start, stop - last, strict=True))
    empty = np.pad(array[part] == 0, missing, constant_values=True)
    beyond = ndimage.binary_opening(empty, np.ones((3, 3, 3))) if empty.any() else empty
    return ScanEnd(np.pad(mask[part], missing), beyond, start)


def whole_brain(array: np.ndarray, mask: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre of mass and size of a brain, with what of it may lie beyond the end of the scan.

    That is what an ellipsoid has there which is turned and stretched as the brain is, and has its centre and volume:
    both are sought, by turns, until they settle. What is within `AT_END_VOXELS` of the end counts as beyond, as masks
    are unsure there. A brain that does not come near the end has the centre and size of its mask.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[D, H, W]``, intensities on cubic voxels, 0 beyond the scan.
    mask : np.ndarray
        Of that shape, the brain, not empty.
    rotation : np.ndarray
        Shape ``[3, 3]``: columns the head's right, anterior and superior axes in the grid's axes, orthonormal.

    Returns
    -------
    centre : np.ndarray
        Shape ``[3]``, voxels; may lie beyond the scan.
    size : float
        Voxels.
    """
    n_seen = np.count_nonzero(mask)
    end = end_around(array, mask, margin=math.ceil(n_seen ** (1 / 3)))
    beyond = end.beyond.any() and ndimage.binary_dilation(end.beyond, iterations=AT_END_VOXELS)
    certain = end.brain & ~beyond
    if not (end.brain & beyond).any() or not certain.any():
        return centre_of_mass(mask), float(n_seen)
    seen, places = np.argwhere(certain), np.argwhere(beyond).astype(np.float32)
    n, total = len(seen), seen.sum(axis=0)
    centre, size = seen.mean(axis=0), float(n)
    form = np.linalg.inv(5 * rotation @ BRAIN_MOMENTS @ rotation.T).astype(np.float32)
    places = places[_distance(places, centre, form) <= REACH * np.cbrt(size)]
    for _ in range(MOST_STEPS):
        # A voxel that the surface cuts counts in part: in whole voxels the last steps would be too small to change any.
        inside = ((np.cbrt(size) - _distance(places, centre, form)) / VOXEL_DISTANCE + 0.5).clip(0, 1)
        before, centre = centre, (total + inside @ places) / (n + inside.sum())
        size = float(n + inside.sum())
        if np.linalg.norm(centre - before) < SETTLED_VOXELS:
            break
    return centre + end.start, size


def _distance(places: np.ndarray, centre: np.ndarray, form: np.ndarray) -> np.ndarray:
    """Of each place ``[N, 3]``, where an ellipsoid of that form is a ball whose radius is the cube root of its size."""
    from_centre = places - centre.astype(np.float32)
    return np.sqrt(((from_centre @ form) * from_centre).sum(axis=1))
