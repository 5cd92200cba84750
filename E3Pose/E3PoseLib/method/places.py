"""The head's rotation from the place in the head that a network tells of each voxel."""

from __future__ import annotations

import roma
import torch
from torch import Tensor

KEPT = 0.7
"""Of the brain's voxels, by weight, those that fit the last rotation best and decide the next."""

ROUNDS = 5


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
