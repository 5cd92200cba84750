"""A steerable convolution without its kernel: first the fixed basis on each voxel's surroundings, then the weights.

The late levels have many channels on few voxels. There a kernel would be larger than everything that it is applied to,
and most of the time would go into building it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from e3nn import o3
from torch import Tensor, nn

from .basis import lattice, radial_functions
from .fourier import Tiles
from .pairs import Learned, Pair


class HarmonicWindows(nn.Module):
    """Evaluates a steerable convolution from its normalised weights.

    Three linear maps in turn: radial functions times harmonics on the taps, the same for every channel; the
    Clebsch-Gordan coupling of harmonics and irreps, the same for every copy of an irrep; the weights.

    Parameters
    ----------
    irreps_in, irreps_out : e3nn.o3.Irreps
    pairs : list of Pair
    kernel_size, n_radial, lmax : int
    """

    def __init__(
        self,
        irreps_in: o3.Irreps,
        irreps_out: o3.Irreps,
        pairs: list[Pair],
        kernel_size: int,
        n_radial: int,
        lmax: int,
    ) -> None:
        super().__init__()
        self.irreps_in, self.irreps_out = irreps_in, irreps_out
        self.kernel_size, self.n_radial = kernel_size, n_radial
        harmonics = o3.Irreps.spherical_harmonics(lmax)
        offsets = lattice(kernel_size).flatten(0, 2)
        radial = radial_functions(offsets.norm(dim=-1), kernel_size / 2, n_radial)
        values = o3.spherical_harmonics(harmonics, offsets, normalize=True, normalization="component")
        self.register_buffer("_functions", torch.einsum("tr,tm->rmt", radial, values).flatten(0, 1), persistent=False)
        self._from: list[list[Pair]] = [[p for p in pairs if p.blocks[0] == a] for a in range(len(irreps_in))]
        for a, group in enumerate(self._from):
            coupling = torch.cat([_coupling(pair, harmonics) for pair in group])
            self.register_buffer(f"_coupling{a}", coupling, persistent=False)
        order = [
            torch.arange(part.start, part.stop).reshape(mul, -1).T.flatten()
            for (mul, _), part in zip(irreps_in, irreps_in.slices(), strict=True)
        ]
        self.register_buffer("_component_major", torch.cat(order), persistent=False)

    def forward(self, features: Tensor, learned: Mapping[tuple[int, int], Learned]) -> Tensor:
        """Map ``[B, irreps_in.dim, D, H, W]`` to ``[B, irreps_out.dim, D, H, W]``."""
        windows = Tiles.apply(features.index_select(1, self._component_major), 1, self.kernel_size)
        windows = windows.flatten(0, 2)
        # [radial · harmonics, taps] @ [taps, voxels · channels]
        responses = (self._functions @ windows.flatten(1)).unflatten(1, windows.shape[1:])
        widths = [mul * irrep.dim for mul, irrep in self.irreps_in]
        factors: list[list[Tensor]] = [[] for _ in self.irreps_out]
        weights: list[list[Tensor]] = [[] for _ in self.irreps_out]
        for a, (response, field) in enumerate(
            zip(responses.split(widths, dim=2), windows[len(windows) // 2].split(widths, dim=1), strict=True)
        ):
            (mul_in, irrep_in), group = self.irreps_in[a], self._from[a]
            # [radial, harmonics, voxels, component, copy] to [harmonics · component, radial · voxels · copy]
            response = response.reshape(self.n_radial, -1, len(field), irrep_in.dim, mul_in).permute(1, 3, 0, 2, 4)
            coupled = getattr(self, f"_coupling{a}") @ response.flatten(0, 1).flatten(1)
            rows = [len(pair.paths) * pair.irrep_out.dim for pair in group]
            for pair, part in zip(group, coupled.split(rows), strict=True):
                # [component, voxels, paths · radial · copies]
                part = part.reshape(len(pair.paths), pair.irrep_out.dim, self.n_radial, len(field), mul_in)
                b = pair.blocks[1]
                factors[b].append(part.permute(1, 3, 0, 2, 4).flatten(2))
                weights[b].append(learned[pair.blocks].paths.flatten(0, 2))
                if learned[pair.blocks].point_wise is not None:
                    factors[b].append(field.unflatten(1, (irrep_in.dim, mul_in)).movedim(1, 0))
                    weights[b].append(learned[pair.blocks].point_wise)
        outputs = []
        for (mul, irrep), factor, weight in zip(self.irreps_out, factors, weights, strict=True):
            if factor:
                outputs.append((torch.cat(factor, dim=2) @ torch.cat(weight)).permute(1, 2, 0).flatten(1))
            else:
                outputs.append(windows.new_zeros(windows.shape[1], mul * irrep.dim))
        grid = torch.cat(outputs, dim=1).unflatten(0, (len(features), *features.shape[2:]))
        return grid.movedim(-1, 1).contiguous()


def _coupling(pair: Pair, harmonics: o3.Irreps) -> Tensor:
    """Clebsch-Gordan coefficients ``[paths · dim_out, harmonics · dim_in]`` of a pair."""
    rows = []
    for order in pair.harmonics:
        row = torch.zeros(pair.irrep_out.dim, harmonics.dim, pair.irrep_in.dim)
        row[:, harmonics.slices()[order]] = o3.wigner_3j(pair.irrep_in.l, order, pair.irrep_out.l).permute(2, 1, 0)
        rows.append(row.flatten(1))
    return torch.cat(rows)
