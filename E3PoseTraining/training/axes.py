"""From what a network of rotation gives for each voxel to the head's axes."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from E3PoseLib.method.views import assemble_rotation
from E3PoseLib.networks.equivariant.network import pool_axes


def axes_of_field(field: Tensor) -> np.ndarray:
    """The head's axes ``[B, 3, 3]`` (rows, a proper rotation in voxel axes) by an E(3)-CNN's ``axes_field``."""
    raw = pool_axes(field.detach()).double().cpu().numpy().reshape(-1, 3, 3)
    return np.stack([assemble_rotation(axes).T for axes in raw])
