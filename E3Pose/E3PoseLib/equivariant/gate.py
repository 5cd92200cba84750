"""The non-linearity: scalars through activations, every other irrep scaled by a sigmoid of a scalar of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from e3nn import o3
from e3nn.math import normalize2mom
from torch import nn


@cache
def _unit_second_moment(activation: Callable[[torch.Tensor], torch.Tensor]) -> float:
    """Scale that gives the activation of a standard normal variable a second moment of one."""
    return normalize2mom(activation).cst


@dataclass(frozen=True)
class GatedBlock:
    """Equal irreps with l > 0 and what opens them."""

    dim: int
    gates: slice
    """Among the gates."""
    irreps: slice
    """Among the input's irreps, each copy counted."""
    channels: slice
    channels_out: slice

    def vectors(self, features: torch.Tensor, out: bool = False) -> torch.Tensor:
        """The block's part ``[B, mul, dim, …]`` of the gate's input ``[B, channels, …]``, or of its output; a view."""
        return features[:, self.channels_out if out else self.channels].unflatten(1, (-1, self.dim))


class Gate(nn.Module):
    """ReLU on 0e, tanh on 0o, and a sigmoid gate for each irrep with l > 0: e3nn's ``Gate``, channels first.

    Each activation is scaled to keep the second moment of a standard normal variable (``normalize2mom``). The input
    carries one additional 0e for each gated irrep, behind the scalars proper.

    Parameters
    ----------
    irreps_out : e3nn.o3.Irreps or str
        What comes out: first 0e, then 0o, then irreps with l > 0.

    Attributes
    ----------
    irreps_in : e3nn.o3.Irreps
        What must go in: sorted and with equal irreps merged, as e3nn sorts them.

    Raises
    ------
    ValueError
        If the scalars do not stand first, 0e before 0o.
    """

    def __init__(self, irreps_out: o3.Irreps | str) -> None:
        super().__init__()
        self.irreps_out = o3.Irreps(irreps_out)
        even, odd, *gated = self.irreps_out
        if even.ir != o3.Irrep("0e") or odd.ir != o3.Irrep("0o") or any(ir.l == 0 for _, ir in gated):
            raise ValueError(f"a gate needs 0e, then 0o, then irreps with l > 0, got {self.irreps_out}")
        self.n_even, self.n_odd = even.mul, odd.mul
        n_gates = sum(mul for mul, _ in gated)
        order = o3.Irreps([(even.mul + n_gates, even.ir), odd, *gated]).sort()
        self.irreps_in = order.irreps.simplify()

        starts = dict(zip((ir for _, ir in self.irreps_in), self.irreps_in.slices(), strict=True))
        first_irrep, position = {}, 0
        for mul, irrep in self.irreps_in:
            first_irrep[irrep] = position
            position += mul
        self.odd, self.scalars = starts[odd.ir], starts[even.ir]
        self.even = slice(self.scalars.start, self.scalars.start + self.n_even)
        self.gates = slice(self.even.stop, self.scalars.stop)
        self.gated: list[GatedBlock] = []
        gate, behind = 0, self.n_even + self.n_odd
        for mul, irrep in gated:
            self.gated.append(
                GatedBlock(
                    dim=irrep.dim,
                    gates=slice(gate, gate + mul),
                    irreps=slice(first_irrep[irrep], first_irrep[irrep] + mul),
                    channels=starts[irrep],
                    channels_out=slice(behind, behind + mul * irrep.dim),
                )
            )
            gate += mul
            behind += mul * irrep.dim
        self.relu_scale = _unit_second_moment(torch.relu)
        self.tanh_scale = _unit_second_moment(torch.tanh)
        self.sigmoid_scale = _unit_second_moment(torch.sigmoid)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.irreps_in} -> {self.irreps_out})"

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[B, irreps_in.dim, D, H, W]`` to ``[B, irreps_out.dim, D, H, W]``."""
        opening = torch.sigmoid(features[:, self.gates]) * self.sigmoid_scale
        even, odd = features[:, self.even], features[:, self.odd]
        parts = [torch.relu(even) * self.relu_scale, torch.tanh(odd) * self.tanh_scale]
        for block in self.gated:
            vectors = block.vectors(features)
            parts.append((vectors * opening[:, block.gates].unsqueeze(2)).flatten(1, 2))
        return torch.cat(parts, dim=1)
