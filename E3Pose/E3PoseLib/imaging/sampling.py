"""What an array shows on grids that stand askew in it."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from .resampling import cut


def sample_grids(
    array: np.ndarray,
    grids_to_array: np.ndarray,
    shape: tuple[int, int, int],
    *,
    nearest: bool = False,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """What an array holds at the voxels of other grids, turned ones mostly; zero where these leave it.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[D, H, W]``.
    grids_to_array : np.ndarray
        Shape ``[V, 4, 4]``, from the voxels of each grid to those of the array.
    shape : tuple of int
        Of each grid.
    nearest : bool
        Take the nearest voxel's value instead of interpolating linearly.
    device : torch.device or str
        Where they are sampled.

    Returns
    -------
    torch.Tensor
        Shape ``[V, *shape]``, float32, on that device.
    """
    # Of the array what the grids' corners reach, with zeros beyond it: little of it, so that it stays in the cache. A
    # voxel more on either side, for positions that are rounded.
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
    """All grids at once by torch's own functions, which a card is quick at."""
    # affine_grid counts from the outer faces of the border voxels, half an edge as 1, and the last axis first.
    size, extent = np.array(shape), np.array(content.shape)
    theta = np.empty((len(linear), 3, 4), np.float32)
    theta[..., :3] = (linear * size / extent[:, None])[:, ::-1, ::-1]
    theta[..., 3] = ((linear @ (size - 1) + 2 * offset + 1) / extent - 1)[:, ::-1]
    positions = torch.from_numpy(theta).to(content.device)
    grids = functional.affine_grid(positions, (len(theta), 1, *shape), align_corners=False)
    contents = content.expand(len(theta), 1, *content.shape)
    mode = "nearest" if nearest else "bilinear"
    return functional.grid_sample(contents, grids, mode=mode, align_corners=False)[:, 0]


def _by_gathering(
    content: torch.Tensor, linear: np.ndarray, offset: np.ndarray, shape: tuple[int, int, int], nearest: bool
) -> torch.Tensor:
    """One grid, each step for all of its voxels: on a CPU in less than half the time of torch's voxel by voxel."""
    steps = [torch.arange(n, dtype=torch.float64) for n in shape]
    index, weights = None, []
    for size, slopes, start in zip(content.shape, linear.tolist(), offset.tolist(), strict=True):
        slow, middle, fast = (step * slope for step, slope in zip(steps, slopes, strict=True))
        position = (start + slow[:, None, None] + middle[:, None]).float() + fast.float()
        voxel = position.round() if nearest else position.floor()
        weights.append(position.sub_(voxel))
        index = voxel.int() if index is None else index.mul_(size).add_(voxel.int())
    flat, index = content.view(-1), index.view(-1)

    def between(shift: int, axis: int) -> torch.Tensor:
        """What lies `shift` behind the index, interpolated along this axis and those after it."""
        if nearest or axis == content.ndim:
            return flat[shift:].index_select(0, index).view(shape)
        low, high = between(shift, axis + 1), between(shift + content.stride(axis), axis + 1)
        return torch.lerp(low, high, weights[axis], out=low)

    return between(0, 0)
