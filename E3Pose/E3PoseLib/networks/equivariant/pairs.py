"""Which irreps of a convolution's input meet which of its output, with which weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from e3nn import o3
from torch import Tensor


@dataclass(frozen=True)
class Pair:
    """Where one block of input irreps meets one block of output irreps."""

    blocks: tuple[int, int]
    """Their positions in the irreps that the features carry in and out, see `reach`."""
    layout: tuple[int, int]
    """Their positions in the irreps that the weights are laid out for."""
    irrep_in: o3.Irrep
    irrep_out: o3.Irrep
    mul_in: int
    mul_out: int
    paths: tuple[int, ...]
    """Positions of their paths in the tensor product, one for each harmonic."""
    harmonics: tuple[int, ...]
    """Orders of these harmonics."""
    path_weight: float
    self_path_weight: float

    @property
    def basis(self) -> str:
        """Name for the basis that all pairs of such irreps share."""
        return f"basis_{self.irrep_in}_{self.irrep_out}"


class Learned(NamedTuple):
    """Normalised weights of a pair."""

    paths: Tensor
    """Shape ``[paths, n_radial, mul_in, mul_out]``."""
    point_wise: Tensor | None
    """Of the self-connection, ``[mul_in, mul_out]``; None where the irreps differ."""


def find_pairs(
    product: o3.FullyConnectedTensorProduct, kernel_size: int, carried_in: o3.Irreps, carried_out: o3.Irreps
) -> list[Pair]:
    """The pairs of a tensor product with spherical harmonics, by input and output, of irreps that are carried.

    The product's "component", "element" normalisation is kept and the division by the number of taps added; the
    self-connection is normalised as e3nn's ``Linear``.
    """
    paths: dict[tuple[int, int], list[int]] = {}
    for index, instruction in enumerate(product.instructions):
        paths.setdefault((instruction.i_in1, instruction.i_out), []).append(index)
    rows = [a for a, (_, irrep) in enumerate(product.irreps_in1) if irrep in carried_in]
    columns = [b for b, (_, irrep) in enumerate(product.irreps_out) if irrep in carried_out]
    pairs = []
    for (a, b), indices in sorted(paths.items()):
        if a not in rows or b not in columns:
            continue
        (mul_in, irrep_in), (mul_out, irrep_out) = product.irreps_in1[a], product.irreps_out[b]
        instructions = [product.instructions[index] for index in indices]
        fan_in = sum(mul for mul, irrep in product.irreps_in1 if irrep == irrep_out)
        pairs.append(
            Pair(
                blocks=(rows.index(a), columns.index(b)),
                layout=(a, b),
                irrep_in=irrep_in,
                irrep_out=irrep_out,
                mul_in=mul_in,
                mul_out=mul_out,
                paths=tuple(indices),
                harmonics=tuple(product.irreps_in2[instruction.i_in2].ir.l for instruction in instructions),
                path_weight=instructions[0].path_weight / kernel_size**3,
                self_path_weight=fan_in**-0.5 if fan_in else 0.0,
            )
        )
    return pairs
