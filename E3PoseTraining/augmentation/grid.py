"""Places of a grid's voxels, and what a label says of them. Evaluation needs them too, and nothing slow to load."""

from __future__ import annotations

import torch
from torch import Tensor

OBJECT_LABEL = 1
"""Of the object whose pose is wanted, in every label; 0 is background."""


def centred_coordinates(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """``[3, I, J, K]`` float32: every voxel's index relative to the middle of the grid."""
    return torch.stack(torch.meshgrid(*_centred_axes(shape, device), indexing="ij"))


def affine_coordinates(shape: tuple[int, ...], linear: Tensor, origin: Tensor) -> Tensor:
    """``linear @ x + origin`` for every x of `centred_coordinates`, in one pass over the grid.

    Parameters
    ----------
    shape : tuple[int, ...]
        ``(I, J, K)``.
    linear : Tensor
        ``[N, 3]``.
    origin : Tensor
        ``[N]``.

    Returns
    -------
    Tensor
        ``[N, I, J, K]`` float32, on `origin`'s device.
    """
    linear, origin = linear.to(origin.device, torch.float32), origin.float()
    i, j, k = (linear[:, n, None] * axis for n, axis in enumerate(_centred_axes(shape, origin.device)))
    return i[:, :, None, None] + (j[:, :, None] + (k + origin[:, None])[:, None])[:, None]


def _centred_axes(shape: tuple[int, ...], device: torch.device) -> list[Tensor]:
    return [torch.arange(n, device=device, dtype=torch.float32) - (n - 1) / 2 for n in shape]


def object_points(label: Tensor, limit: int = 4096) -> Tensor:
    """Voxels of the object (label 1) relative to the middle of the grid, evenly thinned to at most `limit`.

    Parameters
    ----------
    label : Tensor
        ``[1, I, J, K]``.

    Returns
    -------
    Tensor
        ``[N, 3]`` float32; N is 0 where the object is not in view.
    """
    voxels = (label[0] == OBJECT_LABEL).nonzero()
    voxels = voxels[:: max(1, -(-len(voxels) // limit))]
    middle = torch.tensor([(n - 1) / 2 for n in label.shape[1:]], device=label.device)
    return voxels.float() - middle
