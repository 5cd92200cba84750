"""The networks: direct regression of a rotation vector and of six numbers, and a plain CNN of E(3)-Pose's axes.

Each takes crops ``[B, 1, 24, 24, 24]`` in [0, 1], has a ``loss`` of its own, and gives the head's axes as rows (right,
anterior, superior, in voxel axes), a proper rotation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from E3PoseLib.compiler import compiler_left_out
from E3PoseLib.imaging.rotations import rotation_6d_to_matrix

from ..training.axes import AxesLoss, axes_of_field

with compiler_left_out():
    import roma

EDGE = 24
"""Voxels along a crop; what the papers see at 120 is here pooled less often."""

LARGEST_SINE = 1 - 1e-6
"""Of half an angle: the angle of a rotation has no gradient at 180°, so the last 0.2° before it have none."""


@dataclass(frozen=True)
class Heads:
    """What is known of the heads of a batch.

    Attributes
    ----------
    crops : Tensor
        ``[B, 1, 24, 24, 24]`` in [0, 1].
    axes : Tensor
        ``[B, 3, 3]`` rows right, anterior, superior in voxel axes, a proper rotation.
    brains : Tensor
        ``[B, 1, 24, 24, 24]``, 1 in the brain.
    """

    crops: Tensor
    axes: Tensor
    brains: Tensor


class RotationNetwork(nn.Module):
    """What the networks have in common."""

    turned = True
    """Whether training shows each crop in several of the 24 orientations of a cube."""

    def rotation(self, crops: Tensor) -> Tensor:
        """The head's axes ``[B, 3, 3]`` as rows, a proper rotation."""
        raise NotImplementedError

    def loss(self, heads: Heads, progress: float) -> Tensor:
        """A scalar; progress goes from 0 to 1 with the training."""
        raise NotImplementedError


class Regression(RotationNetwork):
    """The network of Salehi et al. (IEEE TMI 38(2), 2019) for crops of 24³ instead of 120³.

    Theirs: max-pool, conv 8, pool, conv 32, pool, conv 32, 64, 64, dense 512, 512, 256, all with batch normalisation.
    Here the first pooling is left out and one added before the dense layers, which have 128, 128 and 64 units.

    Parameters
    ----------
    n_outputs : int
        Numbers that the last layer gives.
    """

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n_in, n_out, pooled in ((1, 8, True), (8, 32, True), (32, 32, False), (32, 64, False), (64, 64, True)):
            layers += [nn.Conv3d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm3d(n_out), nn.ReLU()]
            layers += [nn.MaxPool3d(2)] if pooled else []
        layers.append(nn.Flatten())
        for n_in, n_out in ((64 * (EDGE // 8) ** 3, 128), (128, 128), (128, 64)):
            layers += [nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(64, n_outputs))
        self.to(memory_format=torch.channels_last_3d)  # A step on a CPU takes a quarter less time.

    def forward(self, crops: Tensor) -> Tensor:
        """``[B, n_outputs]``."""
        return self.layers(crops)

    def loss(self, heads: Heads, progress: float) -> Tensor:
        rotation = self.rotation(heads.crops)
        return roma.rotmat_geodesic_distance(rotation, heads.axes.to(rotation), clamping=LARGEST_SINE).mean()


class RotationVector(Regression):
    """3DPose-Net (Salehi et al., 2019): a rotation vector within π; its squared error first, then the angle."""

    SQUARED_UNTIL = 0.5
    """Of the training; the paper does not say when it goes over."""

    def __init__(self) -> None:
        super().__init__(3)

    def forward(self, crops: Tensor) -> Tensor:
        return math.pi * torch.tanh(self.layers(crops))

    def rotation(self, crops: Tensor) -> Tensor:
        return roma.rotvec_to_rotmat(self(crops))

    def loss(self, heads: Heads, progress: float) -> Tensor:
        if progress < self.SQUARED_UNTIL:
            vectors = self(heads.crops)
            return nn.functional.mse_loss(vectors, roma.rotmat_to_rotvec(heads.axes.to(vectors)))
        return super().loss(heads, progress)


class SixNumbers(Regression):
    """Six numbers, made a rotation by Gram-Schmidt (Zhou et al., CVPR 2019), as Faghihpirayesh et al. (2023) take them.

    They published no program; the trunk is that of `RotationVector`.
    """

    def __init__(self) -> None:
        super().__init__(6)

    def rotation(self, crops: Tensor) -> Tensor:
        return rotation_6d_to_matrix(self(crops))


class AxesNetwork(RotationNetwork):
    """A network with an ``axes_field`` and E(3)-Pose's own loss, voxel by voxel."""

    def __init__(self) -> None:
        super().__init__()
        self.axes_loss = AxesLoss()

    def axes_field(self, crops: Tensor) -> Tensor:
        """``[B, 9, d, h, w]``: x, y and z as seen from each voxel of the last grid."""
        raise NotImplementedError

    def rotation(self, crops: Tensor) -> Tensor:
        return torch.from_numpy(axes_of_field(self.axes_field(crops))).to(crops)

    def loss(self, heads: Heads, progress: float) -> Tensor:
        return self.axes_loss(self.axes_field(heads.crops), heads.axes)


class PlainCNN(AxesNetwork):
    """The ablation of equivariance: blocks, grids and loss of the E(3)-CNN, ordinary convolutions, as many weights."""

    def __init__(self, width: int = 6, n_convolutions: tuple[int, ...] = (1, 2, 2, 2)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = 1
        for level, repeats in enumerate(n_convolutions):
            layers += [nn.AvgPool3d(2)] if level else []
            n_out = width * 2**level
            for _ in range(repeats):
                layers += [nn.Conv3d(n_in, n_out, 3, padding=1, bias=False), nn.InstanceNorm3d(n_out, affine=True)]
                layers.append(nn.ReLU())
                n_in = n_out
        self.layers = nn.Sequential(*layers, nn.Conv3d(n_in, 9, 1))
        self.to(memory_format=torch.channels_last_3d)

    def axes_field(self, crops: Tensor) -> Tensor:
        return self.layers(crops)
