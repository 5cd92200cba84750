"""What the two networks are trained to make small.

Both losses are means over the samples of a batch, so the mean over processes that each hold an equal share of
the batch is the loss of the whole batch.
"""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize


class SegmentationLoss(nn.Module):
    """Class-weighted cross-entropy plus `dice_weight` times class-weighted soft Dice.

    Parameters
    ----------
    class_weights : list[float]
        One weight a class, background first.
    dice_weight : float
        Weight of the Dice loss.
    """

    def __init__(self, class_weights: list[float], dice_weight: float) -> None:
        super().__init__()
        self.register_buffer("class_weights", torch.tensor(class_weights), persistent=False)
        self.dice_weight = dice_weight
        self.dice = DiceLoss(softmax=True, to_onehot_y=True, reduction="none")

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """The loss of ``[B, C, D, H, W]`` logits against ``[B, 1, D, H, W]`` integer labels, a scalar."""
        weights = self.class_weights.to(logits.dtype)
        voxelwise = cross_entropy(logits, label[:, 0].long(), weight=weights, reduction="none")
        weight_sum = weights[label[:, 0].long()].flatten(1).sum(1)
        entropy = voxelwise.flatten(1).sum(1) / weight_sum
        dice = self.dice(logits, label).flatten(1) @ weights / weights.sum()
        return (entropy + self.dice_weight * dice).mean()


class AxesLoss(nn.Module):
    """0.5·mean‖x × x*‖ + L1(y, y*; z, z*) over every voxel of the field of axes, all of them unit vectors.

    x is a pseudovector whose sign is free (right-handedness decides it later), so only its line is compared: the
    cross product vanishes for x = x* and x = −x*. Anterior y and superior z are compared by component. This is
    the loss of the E(3)-Pose paper (Muthukrishnan et al., 2025).
    """

    def forward(self, field: Tensor, axes: Tensor) -> Tensor:
        """The loss of a field ``[B, 9, d, h, w]`` (x, y, z, each of 3) against axes ``[B, 3, 3]`` (rows), a scalar."""
        batch = field.shape[0]
        predicted = normalize(field.reshape(batch, 3, 3, -1), dim=2)
        target = axes.to(field)[..., None].expand_as(predicted)
        right = torch.linalg.cross(predicted[:, 0], target[:, 0], dim=1).square().sum(1)
        # The gradient of a norm is undefined at zero, which is where training wants to go.
        line = (right + 1e-12).sqrt().mean()
        vectors = (predicted[:, 1:] - target[:, 1:]).abs().mean()
        return 0.5 * line + vectors
