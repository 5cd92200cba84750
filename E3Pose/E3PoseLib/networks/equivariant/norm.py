"""Normalisation of irreps over the voxels of one sample."""

from __future__ import annotations

from collections.abc import Set

import torch
from e3nn import o3
from torch import nn

from .reach import only


class InstanceNorm(nn.Module):
    """Give every irrep unit mean square over the volume, and true scalars zero mean, then scale and shift.

    The same function as e3nn's ``BatchNorm(instance=True)``; `normalise_and_gate` evaluates it.

    Parameters
    ----------
    irreps : e3nn.o3.Irreps or str
        Sorted and with equal irreps merged; 0e among them.
    carried : set of e3nn.o3.Irrep or None
        Those that the features hold, the others being zero (see `reach`); None for all.
    eps : float
        Added to the mean square.

    Attributes
    ----------
    weight : torch.nn.Parameter
        Shape ``[irreps.num_irreps]``.
    bias : torch.nn.Parameter
        Shape ``[number of 0e]``: only a true scalar may be shifted.
    """

    def __init__(self, irreps: o3.Irreps | str, carried: Set[o3.Irrep] | None = None, eps: float = 1e-5) -> None:
        super().__init__()
        self.irreps = o3.Irreps(irreps)
        self.carried = self.irreps if carried is None else only(self.irreps, carried)
        self.eps = eps
        every = [irrep for mul, irrep in self.irreps for _ in range(mul)]
        is_carried = torch.tensor([carried is None or irrep in carried for irrep in every])
        dims = torch.tensor([irrep.dim for irrep in every])[is_carried]
        irrep_of_channel = torch.repeat_interleave(torch.arange(len(dims)), dims)
        average = torch.zeros(len(irrep_of_channel), len(dims))
        average[torch.arange(len(irrep_of_channel)), irrep_of_channel] = 1 / dims[irrep_of_channel]
        self.register_buffer("_average", average, persistent=False)
        self.register_buffer("_carried", is_carried.nonzero()[:, 0], persistent=False)
        self.weight = nn.Parameter(torch.ones(len(every)))
        self.bias = nn.Parameter(torch.zeros(self.irreps.count("0e")))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.irreps})"

    def carried_weight(self) -> torch.Tensor:
        """The weights ``[carried.num_irreps]`` of the irreps that are carried; differentiable."""
        return self.weight.index_select(0, self._carried)

    def statistics(self, features: torch.Tensor, depth: int, scalars: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Inverse root mean square of every irrep, and the mean that is first taken off 0e.

        Squares are summed slice by slice first: the error of torch's norm grows with the length of a row. (torch's
        ``var_mean``, with one loop for mean and variance, takes ten times as long.)

        Parameters
        ----------
        features : torch.Tensor
            Shape ``[B, carried.dim, V]``.
        depth : int
            Number of slices that the V voxels are.
        scalars : slice
            Where the 0e stand among the channels.

        Returns
        -------
        tuple of torch.Tensor
            Shapes ``[B, carried.num_irreps]`` and ``[B, number of 0e]``.
        """
        mean = features[:, scalars].mean(2)
        centred = features[:, scalars] - mean[..., None]
        mean_squares = [
            torch.linalg.vector_norm(part.unflatten(2, (depth, -1)), dim=3).square().sum(2) / features.shape[2]
            for part in (features[:, : scalars.start], centred, features[:, scalars.stop :])
        ]
        mean_square = torch.cat(mean_squares, dim=1) @ self._average.to(features.dtype)
        return (mean_square + self.eps).rsqrt(), mean
