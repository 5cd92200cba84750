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
    Clebsch-Gordan coupling of harmonics and irreps, the same for every copy of an irrep; the weights. Even harmonics
    see the sum of opposite taps, odd ones their difference, which halves the first two.

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
        self._from: list[list[Pair]] = [[p for p in pairs if p.blocks[0] == a] for a in range(len(irreps_in))]
        offsets = lattice(kernel_size).flatten(0, 2)
        radial = radial_functions(offsets.norm(dim=-1), kernel_size / 2, n_radial)
        for parity, orders in enumerate((range(0, lmax + 1, 2), range(1, lmax + 1, 2))):
            harmonics = o3.Irreps([(1, (order, (-1) ** order)) for order in orders])
            values = o3.spherical_harmonics(harmonics, offsets, normalize=True, normalization="component")
            functions = torch.einsum("tr,tm->rmt", radial, values).flatten(0, 1)
            # Of an even function the centre tap and those behind it, of an odd one those behind the centre.
            functions = functions[:, len(offsets) // 2 + parity :]
            self.register_buffer(f"_functions{parity}", functions.contiguous(), persistent=False)
            for a in range(len(irreps_in)):
                coupling = [_coupling(pair, harmonics) for pair in self._of_parity(a, parity)]
                if coupling:
                    self.register_buffer(f"_coupling{a}_{parity}", torch.cat(coupling), persistent=False)
        order = [
            torch.arange(part.start, part.stop).reshape(mul, -1).T.flatten()
            for (mul, _), part in zip(irreps_in, irreps_in.slices(), strict=True)
        ]
        self.register_buffer("_component_major", torch.cat(order), persistent=False)

    def _of_parity(self, a: int, parity: int) -> list[Pair]:
        """The pairs of an input's block whose harmonics are even (0) or odd (1): irreps of equal or opposite parity."""
        return [pair for pair in self._from[a] if pair.harmonics[0] % 2 == parity]

    def stack(self, learned: Mapping[tuple[int, int], Learned]) -> list[Tensor | None]:
        """The weights in the order in which `forward` meets them.

        Returns
        -------
        list of torch.Tensor
            For each block of the output ``[paths · radial · copies, …; mul_out]``, None where no path leads there.
        """
        stacks: list[list[Tensor]] = [[] for _ in self.irreps_out]
        for a in range(len(self.irreps_in)):
            for pair in (*self._of_parity(a, 0), *self._of_parity(a, 1)):
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
            centre = len(windows) // 2
            before, field, behind = windows[:centre].flip(0), windows[centre], windows[centre + 1 :]
            halves = torch.cat([field[None], behind + before]), behind - before
            for parity, half in enumerate(halves):
                group = self._of_parity(a, parity)
                if not group:
                    continue
                # [radial · harmonics, taps] @ [taps, voxels · channels]
                response = getattr(self, f"_functions{parity}") @ half.flatten(1)
                # [radial, harmonics, voxels, component, copy] to [harmonics · component, radial · voxels · copy]
                response = response.reshape(self.n_radial, -1, len(field), irrep_in.dim, mul_in).permute(1, 3, 0, 2, 4)
                coupled = getattr(self, f"_coupling{a}_{parity}") @ response.flatten(0, 1).flatten(1)
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
    """Clebsch-Gordan coefficients ``[paths · dim_out, harmonics · dim_in]`` of a pair; harmonics of its parity only."""
    rows = []
    for order in pair.harmonics:
        row = torch.zeros(pair.irrep_out.dim, harmonics.dim, pair.irrep_in.dim)
        part = harmonics.slices()[order // 2]
        row[:, part] = o3.wigner_3j(pair.irrep_in.l, order, pair.irrep_out.l).permute(2, 1, 0)
        rows.append(row.flatten(1))
    return torch.cat(rows)
