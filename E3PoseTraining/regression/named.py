"""The networks by the name of their method."""

from __future__ import annotations

from .equivariant import EquivariantCNN, PooledLoss, VectorX, WithoutParity
from .networks import PlainCNN, RotationNetwork, RotationVector, SixNumbers
from .places import RegistrationByRegression

NETWORKS: dict[str, type[RotationNetwork]] = {
    "3dpose-net": RotationVector,
    "6drep": SixNumbers,
    "plain-cnn": PlainCNN,
    "rbr": RegistrationByRegression,
    "e3cnn": EquivariantCNN,
    "e3cnn-vector-x": VectorX,
    "e3cnn-so3": WithoutParity,
    "e3cnn-pooled-loss": PooledLoss,
    "e3cnn-no-spin-history": EquivariantCNN,
    "e3cnn-no-low-resolution": EquivariantCNN,
}

OWN_AUGMENTATION: dict[str, dict[str, float]] = {
    "e3cnn-no-spin-history": {"spin_history": 0},
    "e3cnn-no-low-resolution": {"max_res_iso": 0, "thick_slices": 0},
}
"""Flags of ``train_methods`` by which these differ from the others; they see other crops, so each has its own run."""

SIDE_BY_SIDE = [name for name in NETWORKS if name not in OWN_AUGMENTATION]
