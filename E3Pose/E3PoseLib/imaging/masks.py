"""Boolean masks: connected components, bounding boxes, centres, and the overlap of two masks."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from .boxes import Box, grown


def largest_components(
    mask: np.ndarray, n: int = 1, least_voxels: float = 0, touching: Box | None = None
) -> list[np.ndarray]:
    """The largest 6-connected components of a mask, largest first; among equals the first in memory order.

    Parameters
    ----------
    mask : np.ndarray
        Any shape, bool.
    n : int
        The largest number of components returned.
    least_voxels : float
        Smaller components are left out, except the largest of all.
    touching : tuple of slice, optional
        Components without a voxel in this box do not count at all.

    Returns
    -------
    list of np.ndarray
        Masks of the same shape, bool; an empty list where there is none.
    """
    box = bounding_box(mask)
    if box is None or (touching is not None and not mask[touching].any()):
        return []
    labels, n_components = ndimage.label(mask[box])
    if n_components == 1:
        return [mask]
    sizes = np.bincount(labels.ravel())[1:]
    order = np.argsort(-sizes, kind="stable")
    if touching is not None:
        first = [edges.start for edges in box]
        near = [
            slice(max(edges.start - a, 0), max(edges.stop - a, 0)) for edges, a in zip(touching, first, strict=True)
        ]
        is_near = np.isin(np.arange(1, n_components + 1), labels[tuple(near)])
        order = order[is_near[order]]
    components: list[np.ndarray] = []
    for index in order[:n]:
        if not components or sizes[index] >= least_voxels:
            component = np.zeros_like(mask)
            component[box] = labels == index + 1
            components.append(component)
    return components


def thickest_part(mask: np.ndarray, reach: float) -> np.ndarray:
    """The part of a mask around the largest ball that fits into it; separates a thick object from what touches it.

    Parameters
    ----------
    mask : np.ndarray
        Shape ``[D, H, W]``, bool, not empty.
    reach : float
        Largest distance from the centre of that ball, in radii of the ball.

    Returns
    -------
    np.ndarray
        The same shape, bool.
    """
    box = filled_box(mask)
    depth = ndimage.distance_transform_edt(np.pad(mask[box], 1))[1:-1, 1:-1, 1:-1]
    centre = np.unravel_index(depth.argmax(), depth.shape)
    part = np.zeros_like(mask)
    part[box] = mask[box] & ball(depth.shape, np.array(centre), reach * depth.max())
    return part


def ball(shape: tuple[int, ...], centre: np.ndarray, radius: float) -> np.ndarray:
    """The voxels of an array of that shape that are no further than the radius from a centre, bool; all in voxels."""
    from_centre = np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - centre, axis=-1)
    return from_centre <= radius


def bounding_box(mask: np.ndarray) -> Box | None:
    """The smallest box that holds all true voxels of a bool array; None for an empty mask."""
    if mask.ndim == 1:
        (where,) = mask.nonzero()
        return (slice(int(where[0]), int(where[-1]) + 1),) if len(where) else None
    # The first axis is left out first, which makes the array small.
    behind = bounding_box(np.asarray(mask.any(axis=0)))
    if behind is None:
        return None
    within = (slice(None), *behind)
    return filled_box(np.asarray(mask[within].any(axis=tuple(range(1, mask.ndim))))) + behind


def filled_box(mask: np.ndarray) -> Box:
    """The smallest box that holds all true voxels of a bool array that has some.

    Raises
    ------
    ValueError
        If no voxel is true.
    """
    box = bounding_box(mask)
    if box is None:
        raise ValueError(f"a mask of shape {mask.shape} without a true voxel has no bounding box")
    return box


def centre_of_mass(mask: np.ndarray) -> np.ndarray:
    """Centre of mass of the true voxels of a mask that is not empty, ``[ndim]``, voxels."""
    box = filled_box(mask)
    return np.array(ndimage.center_of_mass(mask[box])) + [edges.start for edges in box]


def ball_radius(volume: float) -> float:
    """Radius of the ball of a volume, in the unit whose cube that is in: how large a brain is in one number.

    >>> round(ball_radius(4.18879), 5)
    1.0
    """
    return (3 * volume / (4 * math.pi)) ** (1 / 3)


def box_around(mask: np.ndarray, margin: int) -> Box:
    """The box of the brain mask and a margin around it.

    Parameters
    ----------
    mask : np.ndarray
        Shape ``[D, H, W]``, bool, not empty.
    margin : int
        Voxels on each side, fewer where the grid ends.
    """
    return grown(filled_box(mask), margin, tuple(slice(0, size) for size in mask.shape))


def dice_overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Dice coefficient of two masks, twice their intersection over the sum of their sizes; 0 if both are empty."""
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / total if total else 0.0
