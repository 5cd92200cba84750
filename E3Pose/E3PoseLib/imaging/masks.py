"""Bool masks on grids: their components, boxes and centres, and how far two of them overlap."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .boxes import grown


def largest_components(mask: np.ndarray, n: int = 1, least_voxels: float = 0) -> list[np.ndarray]:
    """The largest 6-connected components of a bool array, largest first; of equal ones the first in memory order.

    Parameters
    ----------
    mask : np.ndarray
        Bool.
    n : int
        At most so many.
    least_voxels : float
        Components of fewer are left out, but for the largest.

    Returns
    -------
    list of np.ndarray
        Of the mask's shape, bool; empty where nothing is true.
    """
    box = bounding_box(mask)
    if box is None:
        return []
    labels, n_components = ndimage.label(mask[box])
    if n_components == 1:
        return [mask]
    sizes = np.bincount(labels.ravel())[1:]
    components = []
    for index in np.argsort(-sizes, kind="stable")[:n]:
        if not components or sizes[index] >= least_voxels:
            component = np.zeros_like(mask)
            component[box] = labels == index + 1
            components.append(component)
    return components


def thickest_part(mask: np.ndarray, reach: float) -> np.ndarray:
    """What of a thing lies about its thickest place: of two that touch, one.

    Parameters
    ----------
    mask : np.ndarray
        Shape ``[D, H, W]``, bool, not empty.
    reach : float
        How far from the centre of the largest ball that fits in, in radii of that ball.

    Returns
    -------
    np.ndarray
        Of the mask's shape, bool.
    """
    box = bounding_box(mask)
    depth = ndimage.distance_transform_edt(np.pad(mask[box], 1))[1:-1, 1:-1, 1:-1]
    centre = np.unravel_index(depth.argmax(), depth.shape)
    from_centre = np.linalg.norm(np.moveaxis(np.indices(depth.shape), 0, -1) - centre, axis=-1)
    part = np.zeros_like(mask)
    part[box] = mask[box] & (from_centre <= reach * depth.max())
    return part


def bounding_box(mask: np.ndarray) -> tuple[slice, ...] | None:
    """Slices around the true voxels of an array, or None where there are none."""
    if mask.ndim == 1:
        (where,) = mask.nonzero()
        return (slice(int(where[0]), int(where[-1]) + 1),) if len(where) else None
    # Without the first axis it is a small array.
    behind = bounding_box(mask.any(axis=0))
    if behind is None:
        return None
    return bounding_box(mask[(slice(None), *behind)].any(axis=tuple(range(1, mask.ndim)))) + behind


def centre_of_mass(mask: np.ndarray) -> np.ndarray:
    """Of the true voxels of a bool array that has some, ``[ndim]``, voxels."""
    box = bounding_box(mask)
    return np.array(ndimage.center_of_mass(mask[box])) + [edges.start for edges in box]


def box_around(mask: np.ndarray, margin: int) -> tuple[slice, ...]:
    """The part of a grid that holds the brain and a margin.

    Parameters
    ----------
    mask : np.ndarray
        Shape ``[D, H, W]``, the brain, not empty.
    margin : int
        Voxels on each side of the brain, fewer where the grid ends.

    Returns
    -------
    tuple of slice
    """
    return grown(bounding_box(mask), margin, tuple(slice(0, size) for size in mask.shape))


def dice_overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Twice what two bool arrays share over the sum of both, in [0, 1]; 0 where both are empty."""
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / total if total else 0.0
