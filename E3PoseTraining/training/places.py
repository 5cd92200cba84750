"""What each voxel's place in the head is, and how far a network is from telling it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..augmentation.grid import centred_coordinates


class PlacesLoss(nn.Module):
    """Mean distance along an axis between the places that a network tells of a brain's voxels and the true ones.

    Of all of a batch's brains together, in radii of a ball of the brain's volume.
    """

    def forward(self, places: Tensor, brains: Tensor, axes: Tensor) -> Tensor:
        """The loss of places ``[B, 3, D, H, W]``; brains and axes as in `true_places`."""
        # Of bfloat16, in which the network may run, coordinates of a hundred voxels would be too coarse.
        with torch.autocast(places.device.type, enabled=False):
            brains = brains.float()
            error = (places.float() - true_places(brains, axes)).abs() * brains
            share = brains.mean().clamp(min=1 / brains.numel())
            return error.mean() / share


def true_places(brains: Tensor, axes: Tensor) -> Tensor:
    """The place of each voxel in the head's frame, in radii of a ball of the brain's volume.

    Parameters
    ----------
    brains : Tensor
        ``[B, 1, D, H, W]``, 1 in the brain.
    axes : Tensor
        ``[B, 3, 3]`` rows right, anterior, superior in voxel axes.

    Returns
    -------
    Tensor
        ``[B, 3, D, H, W]``: right, anterior, superior of the brain's centre of mass.
    """
    where = from_middle(brains)
    volumes = brains.sum((1, 2, 3, 4)).clamp(min=1)
    centres = torch.einsum("bdhw,cdhw->bc", brains[:, 0], where) / volumes[:, None]
    radii = (3 * volumes / (4 * math.pi)) ** (1 / 3)
    from_centre = where - centres[..., None, None, None]
    return torch.einsum("bij,bjdhw->bidhw", axes.to(brains) / radii[:, None, None], from_centre)


def from_middle(volumes: Tensor) -> Tensor:
    """Of each voxel of ``[B, C, D, H, W]`` its place from the middle of the grid, ``[3, D, H, W]``, voxels."""
    return centred_coordinates(tuple(volumes.shape[2:]), volumes.device).to(volumes)
