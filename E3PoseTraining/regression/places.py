"""RbR, registration by regression: each voxel's place in the head, and from those the rotation in closed form."""

from __future__ import annotations

import math

import roma
import torch
from monai.losses import DiceCELoss
from torch import Tensor
from torch.nn import functional

from E3PoseLib.networks.unet.unet import UNet

from .networks import Heads, RotationNetwork

SEGMENTATION_WEIGHT, DICE_WEIGHT, ENTROPY_WEIGHT = 0.1, 0.75, 0.25
"""Of the paper's loss."""

KEPT = 0.7
"""Of the brain's voxels, by weight, those that fit the last rotation best and decide the next."""

ROUNDS = 5


class RegistrationByRegression(RotationNetwork):
    """After Gopinath et al. (2024): a U-Net gives each voxel its place in an atlas and the brain's mask.

    Their atlas is an adult's; here it is the head's frame, in radii of a ball of the brain's volume, as crops tell no
    size in mm. Their fit is affine; here it is a rotation, a shift and a scale, by trimmed least squares.

    Parameters
    ----------
    n_levels, n_features : int
        Of the U-Net, whose features double from level to level. Theirs are 5 and 4.
    """

    def __init__(self, n_levels: int = 4, n_features: int = 8) -> None:
        super().__init__()
        self.unet = UNet(n_levels, n_features, activation="leaky_relu", n_classes=4)
        # A step on a CPU takes half the time so, that of inference too.
        self.unet.to(memory_format=torch.channels_last_3d)
        self.mask_loss = DiceCELoss(sigmoid=True, lambda_dice=DICE_WEIGHT, lambda_ce=ENTROPY_WEIGHT)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Places ``[B, 3, 24, 24, 24]`` (right, anterior, superior) and logits of the mask ``[B, 1, 24, 24, 24]``."""
        edge = crops.shape[-1]
        missing = -edge % self.unet.stride
        before = missing // 2
        padded = functional.pad(crops, [before, missing - before] * 3)
        kept = slice(before, before + edge)
        output = self.unet(padded.contiguous(memory_format=torch.channels_last_3d))[..., kept, kept, kept]
        return output[:, :3], output[:, 3:]

    def rotation(self, crops: Tensor) -> Tensor:
        places, logits = self(crops)
        where = _from_middle(crops).flatten(1).T.expand(len(crops), -1, -1)
        return trimmed_rotation(where, places.flatten(2).mT, logits.sigmoid().flatten(1))

    def loss(self, heads: Heads, progress: float) -> Tensor:
        places, logits = self(heads.crops)
        brains = heads.brains.to(places)
        error = (places - true_places(brains, heads.axes)).abs() * brains
        share = brains.mean().clamp(min=1 / brains.numel())
        return error.mean() / share + SEGMENTATION_WEIGHT * self.mask_loss(logits, brains)


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
    where = _from_middle(brains)
    volumes = brains.sum((1, 2, 3, 4)).clamp(min=1)
    centres = torch.einsum("bdhw,cdhw->bc", brains[:, 0], where) / volumes[:, None]
    radii = (3 * volumes / (4 * math.pi)) ** (1 / 3)
    from_centre = where - centres[..., None, None, None]
    return torch.einsum("bij,bjdhw->bidhw", axes.to(brains) / radii[:, None, None], from_centre)


@torch.inference_mode(False)  # roma keeps a constant of its first call, which training cannot use if made in that mode
def trimmed_rotation(points: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """Rotation of the rotation, shift and scale that carry points to places, by trimmed least squares.

    Parameters
    ----------
    points, places : Tensor
        ``[B, N, 3]``.
    weights : Tensor
        ``[B, N]``, not negative, their sum positive.

    Returns
    -------
    Tensor
        ``[B, 3, 3]``, proper.
    """
    kept = weights
    for remaining in reversed(range(ROUNDS)):
        rotation, shift, scale = roma.rigid_points_registration(points, places, kept, compute_scaling=True)
        if remaining:
            fitted = scale[:, None, None] * points @ rotation.mT + shift[:, None]
            residuals, order = (fitted - places).norm(dim=2).sort(dim=1)
            enough = KEPT * weights.sum(1, keepdim=True)
            last = (weights.gather(1, order).cumsum(1) < enough).sum(1, keepdim=True).clamp(max=points.shape[1] - 1)
            kept = weights * ((fitted - places).norm(dim=2) <= residuals.gather(1, last))
    return rotation


def _from_middle(volumes: Tensor) -> Tensor:
    """Of each voxel of ``[B, C, D, H, W]`` its place from the middle of the grid, ``[3, D, H, W]``, voxels."""
    axes = [torch.arange(n, device=volumes.device, dtype=volumes.dtype) - (n - 1) / 2 for n in volumes.shape[2:]]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))
