"""Pooling that keeps vectors whole."""

from __future__ import annotations

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
