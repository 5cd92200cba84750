"""The non-linearity: scalars through activations, every other irrep scaled by a sigmoid of a scalar of its own."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import cache

import torch
from e3nn import o3
from e3nn.math import normalize2mom
from torch import nn

from .reach import only


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
    """Among the irreps that come in, each copy counted."""
    channels: slice
    channels_out: slice

    def vectors(self, features: torch.Tensor, out: bool = False) -> torch.Tensor:
        """The block's part ``[B, mul, dim, …]`` of the gate's input ``[B, channels, …]``, or of its output; a view."""
        return features[:, self.channels_out if out else self.channels].unflatten(1, (-1, self.dim))


def gate_input(irreps_out: o3.Irreps | str) -> o3.Irreps:
    """What must go into a gate for some irreps to come out, sorted and with equal irreps merged, as e3nn sorts them.

    Raises
    ------
    ValueError
        If the scalars do not stand first, 0e before 0o.
    """
    irreps_out = o3.Irreps(irreps_out)
    even, odd, *gated = irreps_out
    if even.ir != o3.Irrep("0e") or odd.ir != o3.Irrep("0o") or any(ir.l == 0 for _, ir in gated):
        raise ValueError(f"a gate needs 0e, then 0o, then irreps with l > 0, got {irreps_out}")
    n_gates = sum(mul for mul, _ in gated)
    return o3.Irreps([(even.mul + n_gates, even.ir), odd, *gated]).sort().irreps.simplify()


class Gate(nn.Module):
    """ReLU on 0e, tanh on 0o, and a sigmoid gate for each irrep with l > 0: e3nn's ``Gate``, channels first.

    Each activation is scaled to keep the second moment of a standard normal variable (``normalize2mom``). The input
    carries one additional 0e for each gated irrep, behind the scalars proper. `normalise_and_gate` evaluates it.

    Parameters
    ----------
    irreps_out : e3nn.o3.Irreps or str
        What comes out: first 0e, then 0o, then irreps with l > 0.
    carried : set of e3nn.o3.Irrep or None
        Those that the features hold, the others being zero (see `reach`); None for all. The gates of the others are
        still among the 0e that come in.

    Attributes
    ----------
    irreps_in : e3nn.o3.Irreps
        See `gate_input`.
    carried_in, carried_out : e3nn.o3.Irreps
        Of the features that come and go.

    Raises
    ------
    ValueError
        See `gate_input`.
    """

    def __init__(self, irreps_out: o3.Irreps | str, carried: Set[o3.Irrep] | None = None) -> None:
        super().__init__()
        self.irreps_in, self.irreps_out = gate_input(irreps_out), o3.Irreps(irreps_out)
        even, odd, *gated = self.irreps_out
        if carried is None:
            carried = {irrep for _, irrep in self.irreps_out}
        self.n_even, self.n_odd = even.mul, odd.mul if odd.ir in carried else 0
        self.carried_in, self.carried_out = only(self.irreps_in, carried), only(self.irreps_out, carried)

        starts = dict(zip((ir for _, ir in self.carried_in), self.carried_in.slices(), strict=True))
        first_irrep, position = {}, 0
        for mul, irrep in self.carried_in:
            first_irrep[irrep] = position
            position += mul
        self.odd, self.scalars = starts.get(odd.ir, slice(0, 0)), starts[even.ir]
        self.even = slice(self.scalars.start, self.scalars.start + self.n_even)
        self.gates = slice(self.even.stop, self.scalars.stop)
        self.gated: list[GatedBlock] = []
        gate, behind = 0, self.n_even + self.n_odd
        for mul, irrep in gated:
            if irrep in carried:
                self.gated.append(
                    GatedBlock(
                        dim=irrep.dim,
                        gates=slice(gate, gate + mul),
                        irreps=slice(first_irrep[irrep], first_irrep[irrep] + mul),
                        channels=starts[irrep],
                        channels_out=slice(behind, behind + mul * irrep.dim),
                    )
                )
                behind += mul * irrep.dim
            gate += mul
        self.relu_scale = _unit_second_moment(torch.relu)
        self.tanh_scale = _unit_second_moment(torch.tanh)
        self.sigmoid_scale = _unit_second_moment(torch.sigmoid)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.irreps_in} -> {self.irreps_out})"
