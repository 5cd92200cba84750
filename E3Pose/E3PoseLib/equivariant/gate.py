"""The non-linearity: scalars through activations, every other irrep scaled by a sigmoid of a scalar of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from e3nn import o3
from e3nn.math import normalize2mom
from torch import nn


@cache
def _unit_second_moment(activation: Callable[[torch.Tensor], torch.Tensor]) -> float:
    """Scale that gives the activation of a standard normal variable a second moment of one."""
    return normalize2mom(activation).cst


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
        self._even = slice(starts[even.ir].start, starts[even.ir].start + self.n_even)
        self._odd = starts[odd.ir]
        self._gates: list[tuple[slice, slice, int]] = []
        gate = self._even.stop
        for mul, irrep in gated:
            self._gates.append((slice(gate, gate + mul), starts[irrep], irrep.dim))
            gate += mul
        self.relu_scale = _unit_second_moment(torch.relu)
        self.tanh_scale = _unit_second_moment(torch.tanh)
        self.sigmoid_scale = _unit_second_moment(torch.sigmoid)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.irreps_in} -> {self.irreps_out})"

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[B, irreps_in.dim, D, H, W]`` to ``[B, irreps_out.dim, D, H, W]``."""
        parts = [
            torch.relu(features[:, self._even]) * self.relu_scale,
            torch.tanh(features[:, self._odd]) * self.tanh_scale,
        ]
        for gates, gated, dim in self._gates:
            weight = torch.sigmoid(features[:, gates]) * self.sigmoid_scale
            parts.append((features[:, gated].unflatten(1, (-1, dim)) * weight.unsqueeze(2)).flatten(1, 2))
        return torch.cat(parts, dim=1)
