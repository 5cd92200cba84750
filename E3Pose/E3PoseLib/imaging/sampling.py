"""Sampling an array on rotated grids, on the CPU or a GPU."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from .cropping import cut


def sample_grids(
    array: np.ndarray,
    grids_to_array: np.ndarray,
    shape: tuple[int, int, int],
    *,
    nearest: bool = False,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Sample an array at the voxels of other grids, which are usually rotated; zero outside the array.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[D, H, W]``.
    grids_to_array : np.ndarray
        Shape ``[V, 4, 4]``, from the voxels of each of the V grids to the voxels of the array.
    shape : tuple of int
        Shape of each grid.
    nearest : bool
        Take the value of the nearest voxel instead of interpolating linearly.
    device : torch.device or str
        Where the sampling is computed; the result stays there.

    Returns
    -------
    torch.Tensor
        Shape ``[V, *shape]``, float32.
    """
    # Only the part of the array that the grids' corners reach, padded with zeros, so that it fits into the cache. One
    # more voxel on each side, as positions are rounded.
    linear, offset = grids_to_array[:, :3, :3], grids_to_array[:, :3, 3]
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    reach = corners @ linear.transpose(0, 2, 1) + offset[:, None]
    first, last = np.floor(reach.min(axis=(0, 1))).astype(int) - 1, np.ceil(reach.max(axis=(0, 1))).astype(int) + 1
    part = cut(array, tuple(slice(start, stop + 1) for start, stop in zip(first, last, strict=True)))
    content = torch.from_numpy(part).to(device).float()
    offset = offset - first
    if content.device.type != "cpu":
        return _by_torch(content, linear, offset, shape, nearest)
    return torch.stack([_by_gathering(content, *place, shape, nearest) for place in zip(linear, offset, strict=True)])


def _by_torch(
    content: torch.Tensor, linear: np.ndarray, offset: np.ndarray, shape: tuple[int, int, int], nearest: bool
) -> torch.Tensor:
    """All grids at once by torch's own functions, which are fast on a GPU."""
    # affine_grid takes the last axis first, and coordinates of -1 and 1 at the outer faces of the border voxels.
    size, extent = np.array(shape), np.array(content.shape)
    theta = np.empty((len(linear), 3, 4), np.float32)
    theta[..., :3] = (linear * size / extent[:, None])[:, ::-1, ::-1]
    theta[..., 3] = ((linear @ (size - 1) + 2 * offset + 1) / extent - 1)[:, ::-1]
    positions = torch.from_numpy(theta).to(content.device)
    grids = functional.affine_grid(positions, [len(theta), 1, *shape], align_corners=False)
    contents = content.expand(len(theta), 1, *content.shape)
    mode = "nearest" if nearest else "bilinear"
    return functional.grid_sample(contents, grids, mode=mode, align_corners=False)[:, 0]


def _by_gathering(
    content: torch.Tensor, linear: np.ndarray, offset: np.ndarray, shape: tuple[int, int, int], nearest: bool
) -> torch.Tensor:
    """One grid by gathering; on a CPU this takes less than half the time of torch's own functions."""
    steps = [torch.arange(n, dtype=torch.float64) for n in shape]
    index = torch.zeros((), dtype=torch.int32)
    weights = []
    for size, slopes, start in zip(content.shape, linear.tolist(), offset.tolist(), strict=True):
        slow, middle, fast = (step * slope for step, slope in zip(steps, slopes, strict=True))
        position = (start + slow[:, None, None] + middle[:, None]).float() + fast.float()
        voxel = position.round() if nearest else position.floor()
        weights.append(position.sub_(voxel))
        index = voxel.int().add_(index.mul_(size))
    flat, index = content.view(-1), index.view(-1)

    def between(shift: int, axis: int) -> torch.Tensor:
        """Values at `index + shift`, interpolated along this axis and those after it."""
        if nearest or axis == content.ndim:
            return flat[shift:].index_select(0, index).view(shape)
        low, high = between(shift, axis + 1), between(shift + content.stride(axis), axis + 1)
        return torch.lerp(low, high, weights[axis], out=low)

    return between(0, 0)
