"""The field of axes that an E(3)-CNN gives: what training makes small of it, and the head's axes by it.

Networks that are only used need no more of this package, so nothing that is slow to load is imported here.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from E3PoseLib.method.views import assemble_rotation
from E3PoseLib.networks.equivariant.network import pool_axes


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


def axes_of_field(field: Tensor) -> np.ndarray:
    """The head's axes ``[B, 3, 3]`` (rows, a proper rotation in voxel axes) by an E(3)-CNN's ``axes_field``."""
    raw = pool_axes(field.detach()).double().cpu().numpy().reshape(-1, 3, 3)
    return np.stack([assemble_rotation(axes).T for axes in raw])
