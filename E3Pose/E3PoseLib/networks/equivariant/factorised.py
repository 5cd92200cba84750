"""A steerable convolution without its kernel: first the fixed basis on each voxel's surroundings, then the weights.

The late levels have many channels on few voxels. There a kernel would be larger than everything that it is applied to,
and most of the time would go into building it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from e3nn import o3
from torch import Tensor, nn

from .basis import lattice, radial_functions
from .fourier import Tiles, position_major, tile_windows
from .pairs import Learned, Pair

FEATURES_AT_ONCE = 1 << 15
"""A thread, for inference: with the windows of one block of irreps they fit into the second-level cache."""


class PairWeights(NamedTuple):
    """What a pair's coupled surroundings are multiplied by, and what the voxels themselves are."""

    paths: Tensor
    """Shape ``[paths · radial · mul_in, mul_out]``."""
    point_wise: Tensor | None
    """Shape ``[mul_in, mul_out]``; None where the irreps differ."""


class HarmonicWindows(nn.Module):
    """Evaluates a steerable convolution from its normalised weights.

    Three linear maps in turn: harmonics times radial functions on the taps, the same for every channel; the
    Clebsch-Gordan coupling of harmonics and irreps, the same for every copy of an irrep; the weights. A radial function
    that sees the centre tap alone, as the first of the official networks does, is a part of the self-connection.

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
        self.kernel_size = kernel_size
        self._pairs = pairs
        offsets = lattice(kernel_size).flatten(0, 2)
        radial = radial_functions(offsets.norm(dim=-1), kernel_size / 2, n_radial)
        centre = len(offsets) // 2
        beside = torch.arange(len(offsets)) != centre
        sees_neighbours = radial[beside].any(0)
        self.register_buffer("_neighbours", sees_neighbours.nonzero()[:, 0], persistent=False)
        self.register_buffer("_at_centre", torch.where(sees_neighbours, 0, radial[centre]), persistent=False)
        for parity, orders in enumerate((range(0, lmax + 1, 2), range(1, lmax + 1, 2))):
            harmonics = o3.Irreps([(1, (order, (-1) ** order)) for order in orders])
            values = o3.spherical_harmonics(harmonics, offsets, normalize=True, normalization="component")
            functions = torch.einsum("tm,tr->mrt", values, radial[:, sees_neighbours]).flatten(0, 1)
            self.register_buffer(f"_functions{parity}", functions.contiguous(), persistent=False)
            for a in range(len(irreps_in)):
                coupling = [_coupling(pair, harmonics) for pair in self._of_parity(a, parity)]
                if coupling:
                    self.register_buffer(f"_coupling{a}_{parity}", torch.cat(coupling), persistent=False)

    def _of_parity(self, a: int, parity: int) -> list[Pair]:
        """The pairs of an input's block whose harmonics are even (0) or odd (1): irreps of equal or opposite parity."""
        return [pair for pair in self._pairs if pair.blocks[0] == a and pair.harmonics[0] % 2 == parity]

    def weights(self, learned: Mapping[tuple[int, int], Learned]) -> dict[tuple[int, int], PairWeights]:
        """What `forward` needs of each pair's weights, by the blocks of irreps that it connects; differentiable."""
        result = {}
        for blocks, (paths, point_wise) in learned.items():
            if point_wise is not None:
                # Of the harmonics the constant, 1, stands first where the irreps are equal; its coupling is a multiple
                # of the identity.
                unit = self.irreps_in[blocks[0]].ir.dim ** -0.5
                at_centre = self._at_centre.to(paths.dtype) * unit
                point_wise = point_wise + torch.tensordot(at_centre, paths[0], dims=1)
            result[blocks] = PairWeights(paths.index_select(1, self._neighbours).flatten(0, 2), point_wise)
        return result

    def forward(self, features: Tensor, weights: Mapping[tuple[int, int], PairWeights]) -> Tensor:
        """Map ``[B, irreps_in.dim, D, H, W]`` to ``[B, irreps_out.dim, D, H, W]`` with weights from `weights`."""
        batch, _, *shape = features.shape
        fields = [
            # [component · B, copy, D, H, W]
            features[:, channels].unflatten(1, (mul, irrep.dim)).permute(2, 0, 1, 3, 4, 5).flatten(0, 1)
            for (mul, irrep), channels in zip(self.irreps_in, self.irreps_in.slices(), strict=True)
        ]
        if torch.is_grad_enabled() or features.is_cuda:
            grid = self._convolve([Tiles.apply(field, 1, self.kernel_size) for field in fields], weights)
            return grid.unflatten(0, (batch, *shape)).movedim(-1, 1).contiguous()
        # On a CPU some slices of the grid at a time, so that what their windows become stays in the cache.
        n_slices = max(1, FEATURES_AT_ONCE * torch.get_num_threads() * shape[0] // features.numel())
        windows = [tile_windows(field, 1, self.kernel_size).split(n_slices, dim=1) for field in fields]
        slices = [
            self._convolve(list(map(position_major, parts)), weights).unflatten(0, (batch, -1, *shape[1:]))
            for parts in zip(*windows, strict=True)
        ]
        return torch.cat(slices, dim=1).movedim(-1, 1).contiguous()

    def _convolve(self, windows: list[Tensor], weights: Mapping[tuple[int, int], PairWeights]) -> Tensor:
        """Channels ``[voxels, irreps_out.dim]`` from each block's windows ``[k, k, k, component · voxels, copy]``."""
        sums: list[Tensor | None] = [None] * len(self.irreps_out)

        def add(b: int, product: Tensor) -> None:
            sums[b] = product if sums[b] is None else sums[b] + product

        for a, (mul_in, irrep_in) in enumerate(self.irreps_in):
            taps = windows[a].flatten(0, 2)
            field = taps[len(taps) // 2]
            n_voxels = len(field) // irrep_in.dim
            # [component, taps, voxels · copy]
            taps = taps.unflatten(1, (irrep_in.dim, n_voxels)).transpose(0, 1).flatten(2)
            for parity in (0, 1):
                group = self._of_parity(a, parity)
                if not group:
                    continue
                functions = getattr(self, f"_functions{parity}").to(taps.dtype).expand(irrep_in.dim, -1, -1)
                # [component · harmonics, radial · voxels · copy]
                response = torch.bmm(functions, taps).reshape(-1, len(self._neighbours) * n_voxels * mul_in)
                coupled = getattr(self, f"_coupling{a}_{parity}").to(taps.dtype) @ response
                rows = [len(pair.paths) * pair.irrep_out.dim for pair in group]
                for pair, part in zip(group, coupled.split(rows), strict=True):
                    # [component_out, paths · radial, voxels, copy] to [component_out · voxels, paths · radial · copy]
                    part = part.reshape(pair.irrep_out.dim, -1, n_voxels, mul_in).transpose(1, 2)
                    paths, point_wise = weights[pair.blocks]
                    add(pair.blocks[1], part.reshape(-1, len(paths)) @ paths)
                    if point_wise is not None:
                        add(pair.blocks[1], field @ point_wise)
        channels = []
        for (mul, irrep), total in zip(self.irreps_out, sums, strict=True):
            if total is None:
                channels.append(field.new_zeros(n_voxels, mul * irrep.dim))
            else:
                channels.append(total.reshape(irrep.dim, n_voxels, mul).permute(1, 2, 0).flatten(1))
        return torch.cat(channels, dim=1)


def _coupling(pair: Pair, harmonics: o3.Irreps) -> Tensor:
    """Clebsch-Gordan coefficients ``[dim_out · paths, dim_in · harmonics]`` of a pair; harmonics of its parity only."""
    coupling = torch.zeros(pair.irrep_out.dim, len(pair.paths), pair.irrep_in.dim, harmonics.dim)
    for path, order in enumerate(pair.harmonics):
        part = harmonics.slices()[order // 2]
        coupling[:, path, :, part] = o3.wigner_3j(pair.irrep_in.l, order, pair.irrep_out.l).permute(2, 0, 1)
    return coupling.flatten(2).flatten(0, 1)
