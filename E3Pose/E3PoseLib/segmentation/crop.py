"""What the rotation network sees: the head at a fixed size."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from ..resampling import rescale
from .posterior import bounding_box


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
    mask, array = mask[field_of_view], array[field_of_view]
    box = bounding_box(mask)
    # Extent and middle are taken between the centres of the first and last voxel, as the networks were trained.
    first = np.array([edges.start for edges in box])
    last = np.array([edges.stop - 1 for edges in box])
    half = max((last - first).mean(), 1) / object_fraction / 2
    middle = (first + last) / 2
    start = np.rint(middle - half).astype(int).clip(min=0)
    stop = np.minimum(np.rint(middle + half).astype(int), array.shape)
    cropped = array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    size = [max(1, round(n * edge / max(cropped.shape))) for n in cropped.shape]
    resized = functional.interpolate(torch.from_numpy(cropped)[None, None], size=size, mode="trilinear")[0, 0]
    missing = [max(0, minimum_edge - n) for n in size]
    return np.pad(rescale(resized.numpy(), clip_fraction), [(n // 2, n - n // 2) for n in missing])
