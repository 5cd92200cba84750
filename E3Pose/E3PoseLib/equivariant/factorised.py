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

    def stack(self, learned: Mapping[tuple[int, int], Learned]) -> list[Tensor | None]:
        """The weights in the order in which `forward` meets them.

        Returns
        -------
        list of torch.Tensor
            For each block of the output ``[paths · radial · copies, …; mul_out]``, None where no path leads there.
        """
        stacks: list[list[Tensor]] = [[] for _ in self.irreps_out]
        for group in self._from:
            for pair in group:
                weights = learned[pair.blocks]
                stacks[pair.blocks[1]].append(weights.paths.flatten(0, 2))
                if weights.point_wise is not None:
                    stacks[pair.blocks[1]].append(weights.point_wise)
        return [torch.cat(stack) if stack else None for stack in stacks]

    def forward(self, features: Tensor, stacks: list[Tensor | None]) -> Tensor:
        """Map ``[B, irreps_in.dim, D, H, W]`` to ``[B, irreps_out.dim, D, H, W]`` with weights from `stack`."""
        factors: list[list[Tensor]] = [[] for _ in self.irreps_out]
        widths = [mul * irrep.dim for mul, irrep in self.irreps_in]
        fields = features.index_select(1, self._component_major).split(widths, dim=1)
        # One block of irreps at a time, so that its surroundings stay in the cache.
        for a, (mul_in, irrep_in) in enumerate(self.irreps_in):
            windows = Tiles.apply(fields[a], 1, self.kernel_size).flatten(0, 2)
            field, group = windows[len(windows) // 2], self._from[a]
            # [radial · harmonics, taps] @ [taps, voxels · channels]
            response = self._functions @ windows.flatten(1)
            # [radial, harmonics, voxels, component, copy] to [harmonics · component, radial · voxels · copy]
            response = response.reshape(self.n_radial, -1, len(field), irrep_in.dim, mul_in).permute(1, 3, 0, 2, 4)
            coupled = getattr(self, f"_coupling{a}") @ response.flatten(0, 1).flatten(1)
            rows = [len(pair.paths) * pair.irrep_out.dim for pair in group]
            for pair, part in zip(group, coupled.split(rows), strict=True):
                # [component, voxels, paths · radial · copies]
                part = part.reshape(len(pair.paths), pair.irrep_out.dim, self.n_radial, len(field), mul_in)
                factor = factors[pair.blocks[1]]
                factor.append(part.permute(1, 3, 0, 2, 4).flatten(2))
                if pair.irrep_in == pair.irrep_out:
                    factor.append(field.unflatten(1, (irrep_in.dim, mul_in)).movedim(1, 0))
        outputs = []
        for (mul, irrep), factor, stack in zip(self.irreps_out, factors, stacks, strict=True):
            if stack is None:
                outputs.append(field.new_zeros(len(field), mul * irrep.dim))
            else:
                outputs.append((torch.cat(factor, dim=2) @ stack).permute(1, 2, 0).flatten(1))
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
