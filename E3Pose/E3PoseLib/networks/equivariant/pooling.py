"""Pooling that keeps vectors whole: by norm, as the official networks do, or by smoothing."""

from __future__ import annotations

from functools import lru_cache

import torch
from e3nn import o3
from torch import nn
from torch.nn import functional


class NormMaxPool(nn.Module):
    """Halve the grid: of each irrep keep the whole vector of largest norm in its 2³ cell, of a true scalar the maximum.

    Parameters
    ----------
    irreps : e3nn.o3.Irreps or str
    signed_odd_scalars : bool
        Pool a 0o by its signed maximum, as the official networks do, instead of its largest magnitude. A reflection
        swaps the maximum of a 0o with its minimum, so this keeps the symmetry under rotations alone.
    """

    def __init__(self, irreps: o3.Irreps | str, *, signed_odd_scalars: bool = False) -> None:
        super().__init__()
        self.irreps = o3.Irreps(irreps)
        self.signed_odd_scalars = signed_odd_scalars

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.irreps})"

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[B, irreps.dim, D, H, W]`` to ``[B, irreps.dim, D // 2, H // 2, W // 2]``."""
        pooled = []
        for (mul, irrep), channels in zip(self.irreps, self.irreps.slices(), strict=True):
            field = features[:, channels]
            if irrep.is_scalar() or (irrep.l == 0 and self.signed_odd_scalars):
                pooled.append(functional.max_pool3d(field, 2))
                continue
            vectors = field.unflatten(1, (mul, irrep.dim))
            squared_norm = vectors.detach().square().sum(dim=2)
            largest, where = functional.max_pool3d(squared_norm, 2, return_indices=True)
            where = where.flatten(2).unsqueeze(2).expand(-1, -1, irrep.dim, -1)
            picked = vectors.flatten(3).gather(3, where)
            pooled.append(picked.reshape(len(features), mul * irrep.dim, *largest.shape[2:]))
        return torch.cat(pooled, dim=1)


class SmoothPool(nn.Module):
    """Halve the grid: blur by the binomial (1, 3, 3, 1)/8 along each axis, then keep every second voxel.

    A maximum depends on where the lattice happens to lie, and keeping every second voxel of a rough field folds its
    fine structure into the coarse; either spoils the symmetry under rotations that are none of the lattice. Blurring
    first, as Zhang, *Making convolutional networks shift-invariant again*, ICML 2019, does for shifts, halves that
    error. Linear and the same for every channel, so it commutes with any mixing of an irrep's components.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[B, C, D, H, W]`` to ``[B, C, D // 2, H // 2, W // 2]``; beyond the border the field is zero."""
        for axis in (2, 3, 4):
            halving = _binomial_halving(features.shape[axis], features.device, features.dtype)
            features = torch.tensordot(features, halving, dims=([axis], [1])).movedim(-1, axis)
        return features.contiguous()


@lru_cache
@torch.inference_mode(False)  # what an estimate leaves in the cache, training must be able to use
def _binomial_halving(size: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Matrix ``[size // 2, size]`` that blurs and halves one axis."""
    matrix = torch.zeros(size // 2, size + 2)
    for row in range(size // 2):
        matrix[row, 2 * row : 2 * row + 4] = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return matrix[:, 1:-1].to(device, dtype)
