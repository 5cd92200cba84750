"""The inputs of the networks that see the head alone: cubes around the brain, of fixed size or of fixed brain size."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from ..imaging.intensities import rescale
from ..imaging.masks import ball_radius, centre_of_mass, filled_box
from ..imaging.sampling import sample_grids

UPRIGHT_RADII = 3.6
"""Edge of the cube in which the head stands upright, in radii of a ball of the brain's volume. The eyes lie 1.15 such
radii from the brain's centre."""


def cube_around(mask: np.ndarray, edge: int) -> tuple[slice, ...]:
    """A cube of fixed size with the brain in its middle.

    Parameters
    ----------
    mask : np.ndarray
        Shape ``[D, H, W]``, the brain, not empty.
    edge : int
        Of the cube, voxels.

    Returns
    -------
    tuple of slice
        Voxels of the grid. The cube may reach beyond the grid on any side; `cropping.cut` and `put_back` allow that.
    """
    starts = [(edges.start + edges.stop - edge) // 2 for edges in filled_box(mask)]
    return tuple(slice(start, start + edge) for start in starts)


def crop_around(
    mask: np.ndarray,
    array: np.ndarray,
    field_of_view: tuple[slice, ...],
    edge: int,
    object_fraction: float,
    minimum_edge: int,
    clip_fraction: float = 0.0,
) -> np.ndarray:
    """Crop a cube in which the brain has a fixed fraction of the edge, and resize it.

    Parameters
    ----------
    mask, array : np.ndarray
        Shape ``[D, H, W]``, the brain and the intensities on cubic voxels.
    field_of_view : tuple of slice
        The part of the grid that the scan covers. The crop ends there, and then is no cube. It holds some of the brain.
    edge : int
        Voxels along the longest edge of the result.
    object_fraction : float
        Mean extent of the brain relative to the cube's edge.
    minimum_edge : int
        Shorter edges are zero-padded to this many voxels, which the network can halve at every level.
    clip_fraction : float
        See `rescale`.

    Returns
    -------
    np.ndarray
        Intensities in [0, 1], float32.
    """
    array = array[field_of_view]
    middle, half = _cube_around(mask[field_of_view], object_fraction)
    start = np.rint(middle - half).astype(int).clip(min=0)
    stop = np.minimum(np.rint(middle + half).astype(int), array.shape)
    cropped = array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    size = [max(1, round(n * edge / max(cropped.shape))) for n in cropped.shape]
    resized = functional.interpolate(torch.from_numpy(cropped)[None, None], size=size, mode="trilinear")[0, 0]
    missing = [max(0, minimum_edge - n) for n in size]
    return np.pad(rescale(resized.numpy(), clip_fraction), [(n // 2, n - n // 2) for n in missing])


def crop_views(
    mask: np.ndarray,
    array: np.ndarray,
    edge: int,
    object_fraction: float,
    rotations: np.ndarray,
    clip_fraction: float = 0.0,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """The cube of `crop_around` in several orientations; zero outside the scan.

    Parameters
    ----------
    mask, array : np.ndarray
        Shape ``[D, H, W]``, the brain, not empty, and the intensities on cubic voxels.
    edge : int
        Voxels along each edge of a view.
    object_fraction : float
        Mean extent of the brain relative to the cube's edge.
    rotations : np.ndarray
        Shape ``[V, 3, 3]``, proper: a vector v of a view is R·v in the scan's axes.
    clip_fraction : float
        See `rescale`.
    device : torch.device or str
        Where the views are sampled.

    Returns
    -------
    np.ndarray
        Shape ``[V, edge, edge, edge]``, intensities in [0, 1], float32.
    """
    middle, half = _cube_around(mask, object_fraction)
    # Sampled twice as fine and then averaged: structures between coarse samples are not lost.
    fine = 2 * edge
    views_to_array = np.tile(np.eye(4), (len(rotations), 1, 1))
    views_to_array[:, :3, :3] = rotations * half / edge
    views_to_array[:, :3, 3] = middle - views_to_array[:, :3, :3].sum(axis=2) * (fine - 1) / 2
    views = sample_grids(array, views_to_array, (fine,) * 3, device=device)
    return np.stack([rescale(view, clip_fraction) for view in functional.avg_pool3d(views, 2).cpu().numpy()])


def upright_cube(mask: np.ndarray, rotation: np.ndarray, edge: int) -> np.ndarray:
    """The cube in which a head stands upright and its brain has a fixed size, centred on the brain's centre of mass.

    Parameters
    ----------
    mask : np.ndarray
        Shape ``[D, H, W]``, the brain, not empty, on cubic voxels.
    rotation : np.ndarray
        Shape ``[3, 3]``: columns the head's right, anterior and superior axes in the grid's axes, orthonormal.
    edge : int
        Of the cube, voxels.

    Returns
    -------
    np.ndarray
        Shape ``[4, 4]``: from voxels of the cube, whose axes are the head's, to voxels of the grid.
    """
    radius = ball_radius(float(np.count_nonzero(mask)))
    cube_to_grid = np.eye(4)
    cube_to_grid[:3, :3] = rotation * radius * UPRIGHT_RADII / edge
    middle = np.full(3, (edge - 1) / 2)
    cube_to_grid[:3, 3] = centre_of_mass(mask) - cube_to_grid[:3, :3] @ middle
    return cube_to_grid


def _cube_around(mask: np.ndarray, object_fraction: float) -> tuple[np.ndarray, float]:
    """Middle ``[3]`` and half the edge, in voxels, of the cube of which the brain has that fraction.

    Extent and middle are taken between the centres of the first and last voxel, as the networks were trained.
    """
    box = filled_box(mask)
    first = np.array([edges.start for edges in box])
    last = np.array([edges.stop - 1 for edges in box])
    return (first + last) / 2, max((last - first).mean(), 1) / object_fraction / 2
