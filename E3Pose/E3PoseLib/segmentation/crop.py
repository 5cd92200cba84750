"""What the rotation network sees: the head at a fixed size."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from ..resampling import rescale
from .posterior import bounding_box


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
        Voxels of the grid; the cube may reach beyond it on any side: `resampling.cut` and `put_back` take it so.
    """
    starts = [(edges.start + edges.stop - edge) // 2 for edges in bounding_box(mask)]
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
    """Crop a cube around the brain, as large as brings the brain to a fixed fraction of it, and resize.

    Parameters
    ----------
    mask, array : np.ndarray
        Shape ``[D, H, W]``, the brain and the intensities on cubic voxels.
    field_of_view : tuple of slice
        What the scan covers; the crop ends there, and then is no cube. Some of the brain lies in it.
    edge : int
        Voxels along the longest edge of the result.
    object_fraction : float
        Mean extent of the brain relative to the cube's edge.
    minimum_edge : int
        Shorter edges are zero-padded to this many voxels, the least that the network can halve at every level.
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
) -> np.ndarray:
    """The same cube as `crop_around` seen from several sides, zero where it leaves the scan.

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

    Returns
    -------
    np.ndarray
        Shape ``[V, edge, edge, edge]``, intensities in [0, 1], float32.
    """
    middle, half = _cube_around(mask, object_fraction)
    # Twice as fine and then averaged, so that structures between coarse samples are not lost.
    fine = torch.linspace(-1 + 0.5 / edge, 1 - 0.5 / edge, 2 * edge)
    offsets = half * torch.cartesian_prod(fine, fine, fine)
    positions = offsets @ torch.from_numpy(rotations).float().transpose(1, 2) + torch.from_numpy(middle).float()
    size = torch.tensor(array.shape, dtype=torch.float32)
    # grid_sample counts from the outer faces of the border voxels, and the last axis first.
    grid = ((2 * positions + 1) / size - 1).flip(-1).reshape(-1, 2 * edge, 2 * edge, 2 * edge, 3)
    content = torch.from_numpy(array).float().expand(len(grid), 1, *array.shape)
    sampled = functional.avg_pool3d(functional.grid_sample(content, grid, align_corners=False), 2)
    return np.stack([rescale(view, clip_fraction) for view in sampled[:, 0].numpy()])


def _cube_around(mask: np.ndarray, object_fraction: float) -> tuple[np.ndarray, float]:
    """Middle ``[3]`` and half of the edge of the cube in which the object has its fraction, voxels.

    Extent and middle are taken between the centres of the first and last voxel, as the networks were trained.
    """
    box = bounding_box(mask)
    first = np.array([edges.start for edges in box])
    last = np.array([edges.stop - 1 for edges in box])
    return (first + last) / 2, max((last - first).mean(), 1) / object_fraction / 2
