"""Normalisation of irreps over the voxels of one sample."""

from __future__ import annotations

import torch
from e3nn import o3
from torch import nn


class InstanceNorm(nn.Module):
    """Give every irrep unit mean square over the volume, and true scalars zero mean, then scale and shift.

    The same function as e3nn's ``BatchNorm(instance=True)``, channels first: one pass for the statistics and one to
    apply them.

    Parameters
    ----------
    irreps : e3nn.o3.Irreps or str
    eps : float
        Added to the mean square.

    Attributes
    ----------
    weight : torch.nn.Parameter
        Shape ``[irreps.num_irreps]``.
    bias : torch.nn.Parameter
        Shape ``[number of 0e]``: only a true scalar may be shifted.
    """

    def __init__(self, irreps: o3.Irreps | str, eps: float = 1e-5) -> None:
        super().__init__()
        self.irreps = o3.Irreps(irreps)
        self.eps = eps
        dims = torch.tensor([irrep.dim for mul, irrep in self.irreps for _ in range(mul)])
        irrep_of_channel = torch.repeat_interleave(torch.arange(len(dims)), dims)
        is_scalar = torch.tensor([irrep.is_scalar() for mul, irrep in self.irreps for _ in range(mul)])
        average = torch.zeros(len(irrep_of_channel), len(dims))
        average[torch.arange(len(irrep_of_channel)), irrep_of_channel] = 1 / dims[irrep_of_channel]
        self.register_buffer("_irrep_of_channel", irrep_of_channel, persistent=False)
        self.register_buffer("_scalar_channels", is_scalar[irrep_of_channel].nonzero()[:, 0], persistent=False)
        self.register_buffer("average", average, persistent=False)
        self.weight = nn.Parameter(torch.ones(len(dims)))
        self.bias = nn.Parameter(torch.zeros(int(is_scalar.sum())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.irreps})"

    def scale_and_shift(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Per sample and channel, the a and b of the normalised features a·x + b.

        Parameters
        ----------
        features : torch.Tensor
            Shape ``[B, irreps.dim, D, H, W]``.

        Returns
        -------
        tuple of torch.Tensor
            Two of shape ``[B, irreps.dim]``.
        """
        variance, mean = torch.var_mean(features.flatten(2), dim=2, correction=0)
        scalar_mean = torch.zeros_like(mean).index_copy(
            1, self._scalar_channels, mean.index_select(1, self._scalar_channels)
        )
        mean_square = variance + (mean - scalar_mean).square()
        norm = (mean_square @ self.average + self.eps).rsqrt() * self.weight
        scale = norm.index_select(1, self._irrep_of_channel)
        bias = torch.zeros_like(mean[0]).index_copy(0, self._scalar_channels, self.bias.to(mean.dtype))
        return scale, bias - scalar_mean * scale

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise features of shape ``[B, irreps.dim, D, H, W]``."""
        scale, shift = self.scale_and_shift(features)
        return torch.addcmul(shift[..., None, None, None], features, scale[..., None, None, None])
