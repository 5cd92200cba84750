"""RbR, registration by regression: each voxel's place in the head, and from those the rotation in closed form."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

from E3PoseLib.imaging.rotations import trimmed_rotation
from E3PoseLib.networks.unet.unet import UNet

from ..training.places import PlacesLoss, from_middle
from .networks import Heads, RotationNetwork

SEGMENTATION_WEIGHT, DICE_WEIGHT, ENTROPY_WEIGHT = 0.1, 0.75, 0.25
"""Of the paper's loss."""


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
        self.places_loss = PlacesLoss()

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
        where = from_middle(crops).flatten(1).T.expand(len(crops), -1, -1)
        return trimmed_rotation(where, places.flatten(2).mT, logits.sigmoid().flatten(1))

    @cached_property
    def mask_loss(self) -> nn.Module:
        # MONAI takes seconds to load, and an answer needs none of it.
        from monai.losses import DiceCELoss

        return DiceCELoss(sigmoid=True, lambda_dice=DICE_WEIGHT, lambda_ce=ENTROPY_WEIGHT)

    def loss(self, heads: Heads, progress: float) -> Tensor:
        places, logits = self(heads.crops)
        brains = heads.brains.to(places)
        return self.places_loss(places, brains, heads.axes) + SEGMENTATION_WEIGHT * self.mask_loss(logits, brains)
