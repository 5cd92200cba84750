"""Cross-correlation of feature grids with equivariant kernels, tile by tile in the Fourier domain.

A kernel of 5³ taps costs 125 multiplications a voxel and channel pair; on a tile of 12³ samples, of which 8³ come out
whole ("overlap-save"), its spectrum costs 4. Symmetry halves even that: a kernel between irreps of equal parity is even
under inversion, one between opposite parities is odd, so the spectra are purely real or purely imaginary. With the
odd channels' spectra turned by i, every product is that of a *real* matrix over channels with complex features.

The transforms are matrix products too, an axis at a time and over all tiles and channels at once, which on small tiles
is faster than a library's FFT. Everything here is differentiable.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from e3nn import o3
from torch import Tensor
from torch.nn import functional


class Parities(NamedTuple):
    """Where a layer's channels of even and of odd parity stand, and how to put them back in their order."""

    even: Tensor
    odd: Tensor
    order: Tensor

    @classmethod
    def of(cls, irreps: o3.Irreps) -> Parities:
        """Those of the channels of some irreps."""
        is_odd = torch.tensor([irrep.p < 0 for mul, irrep in irreps for _ in range(mul * irrep.dim)])
        even, odd = (~is_odd).nonzero()[:, 0], is_odd.nonzero()[:, 0]
        return cls(even, odd, torch.cat([even, odd]).argsort())


class Transforms(NamedTuple):
    """Matrices of the discrete Fourier transform on tiles of n³ samples, of which the middle `valid`³ are kept.

    A complex number is a pair (real, imaginary) of rows. The first axis keeps the half of the frequencies that a real
    signal needs; F = (n // 2 + 1) · n².
    """

    first: tuple[Tensor, Tensor]
    """To the first axis' frequencies, ``[(n // 2 + 1) · 2, n]``: of even channels, and of odd ones times i."""
    other: Tensor
    """To another axis' frequencies, ``[n · 2, 2 · n]``."""
    other_back: Tensor
    """Back to the valid samples of another axis, ``[2 · valid, n · 2]``."""
    first_back: tuple[Tensor, Tensor]
    """Back to the valid samples of the first axis, real, ``[valid, (n // 2 + 1) · 2]``, of even and odd channels."""
    even_kernel: Tensor
    """Spectrum of an even kernel from its centre tap and those behind it, ``[F, (taps + 1) / 2]``."""
    odd_kernel: Tensor
    """Spectrum of an odd kernel from the taps behind its centre, divided by i, ``[F, (taps - 1) / 2]``."""


@lru_cache
def transforms(valid: int, kernel_size: int, device: torch.device) -> Transforms:
    """The matrices for tiles of ``valid + kernel_size - 1`` samples, float32, computed in float64."""
    n, margin = valid + kernel_size - 1, kernel_size // 2
    samples, kept = torch.arange(n, dtype=torch.float64), torch.arange(margin, margin + valid, dtype=torch.float64)
    half = samples[: n // 2 + 1]

    def waves(frequency: Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
        angle = 2 * math.pi / n * torch.outer(frequency, sample)
        return angle.cos(), angle.sin()

    cos, sin = waves(half, samples)
    first = [torch.stack(rows, dim=1).flatten(0, 1) for rows in ((cos, -sin), (sin, cos))]
    cos, sin = waves(samples, samples)
    real, imaginary = torch.cat([cos, sin], dim=1), torch.cat([-sin, cos], dim=1)
    other = torch.stack([real, imaginary], dim=1).flatten(0, 1)
    cos, sin = waves(kept, samples)
    other_back = torch.cat([torch.stack(pair, dim=2).flatten(1) for pair in ((cos, -sin), (sin, cos))]) / n
    # A frequency left out is the complex conjugate of one that is kept, which therefore counts twice.
    times = torch.where((half == 0) | (half * 2 == n), 1.0, 2.0) / n
    cos, sin = (wave * times for wave in waves(kept, half))
    first_back = [torch.stack(pair, dim=2).flatten(1) for pair in ((cos, -sin), (sin, cos))]
    offsets = torch.arange(kernel_size, dtype=torch.float64) - margin
    taps = torch.cartesian_prod(offsets, offsets, offsets)
    centre = len(taps) // 2
    angle = 2 * math.pi / n * torch.cartesian_prod(half, samples, samples) @ taps[centre:].T
    cos, sin = 2 * angle.cos(), 2 * angle.sin()
    cos[:, 0] = 1

    def ready(matrix: Tensor) -> Tensor:
        return matrix.float().contiguous().to(device)

    return Transforms(
        first=tuple(map(ready, first)),
        other=ready(other),
        other_back=ready(other_back),
        first_back=tuple(map(ready, first_back)),
        even_kernel=ready(cos),
        odd_kernel=ready(sin[:, 1:]),
    )


def correlate(features: Tensor, kernel: Tensor, inputs: Parities, outputs: Parities, valid: int = 8) -> Tensor:
    """Cross-correlation with zero padding, equal to ``conv3d`` for a kernel whose blocks have definite parity.

    Parameters
    ----------
    features : torch.Tensor
        Shape ``[B, C_in, D, H, W]``.
    kernel : torch.Tensor
        Shape ``[C_out, C_in, k, k, k]``, even under inversion between channels of equal parity, else odd.
    inputs, outputs : Parities
    valid : int
        Samples along the edge of a tile that come out whole.

    Returns
    -------
    torch.Tensor
        Shape ``[B, C_out, D, H, W]``.
    """
    kernel_size = kernel.shape[-1]
    matrices = transforms(valid, kernel_size, features.device)
    groups = [(group, first) for group, first in zip(inputs[:2], matrices.first, strict=True) if len(group)]
    spectra = [_spectrum(features.index_select(1, group), first, matrices, valid) for group, first in groups]
    taps = kernel.flatten(2).permute(2, 1, 0)
    grids = []
    for row, (rows, back) in enumerate(zip(outputs[:2], matrices.first_back, strict=True)):
        total = None
        for spectrum, (columns, first) in zip(spectra, groups, strict=True):
            column = 0 if first is matrices.first[0] else 1
            block = _kernel_spectrum(taps.index_select(1, columns).index_select(2, rows), matrices, row, column)
            total = torch.bmm(spectrum, block) if total is None else torch.baddbmm(total, spectrum, block)
        grids.append(_grid(total, back, matrices, valid, features.shape))
    return torch.cat(grids, dim=1).index_select(1, outputs.order)


def _kernel_spectrum(taps: Tensor, matrices: Transforms, row: int, column: int) -> Tensor:
    """Real matrices ``[F, C_in, C_out]`` between turned spectra, of taps ``[taps, C_in, C_out]``."""
    centre = len(taps) // 2
    if row == column:
        flat = matrices.even_kernel @ taps[centre:].flatten(1)
    else:
        # Odd channels are turned by i: what goes out to an even one is turned back, and i · i = -1 the other way.
        flat = (matrices.odd_kernel if column else -matrices.odd_kernel) @ taps[centre + 1 :].flatten(1)
    return flat.unflatten(1, taps.shape[1:])


def _spectrum(features: Tensor, first: Tensor, matrices: Transforms, valid: int) -> Tensor:
    """Spectra of all tiles, ``[F, 2 · tiles, C]``, the real parts in front of the imaginary ones."""
    n = first.shape[1]
    tiles = Tiles.apply(features, valid, n)
    columns = tiles.shape[3] * features.shape[1]
    half = n // 2 + 1
    spectrum = first @ tiles.reshape(n, -1)
    spectrum = matrices.other @ spectrum.reshape(half, 2 * n, n * columns)
    spectrum = matrices.other @ spectrum.reshape(half * n, 2 * n, columns)
    return spectrum.reshape(half * n * n, -1, features.shape[1])


def _grid(spectrum: Tensor, back: Tensor, matrices: Transforms, valid: int, shape: torch.Size) -> Tensor:
    """The grid ``[B, C, D, H, W]`` whose tiles have the spectra ``[F, 2 · tiles, C]``; `shape` is that of the input."""
    n, channels = len(matrices.other) // 2, spectrum.shape[2]
    half = n // 2 + 1
    columns = spectrum.shape[1] * channels // 2
    tiles = matrices.other_back @ spectrum.reshape(half * n, 2 * n, columns)
    tiles = matrices.other_back @ tiles.reshape(half, 2 * n, valid * columns)
    tiles = back @ tiles.reshape(2 * half, -1)
    counts = [-(-size // valid) for size in shape[2:]]
    tiles = tiles.reshape(valid, valid, valid, shape[0], *counts, channels).permute(3, 4, 0, 5, 1, 6, 2, 7)
    grid = tiles.reshape(shape[0], *(valid * count for count in counts), channels)
    return grid[:, : shape[2], : shape[3], : shape[4]].movedim(-1, 1)


class Tiles(torch.autograd.Function):
    """Overlapping tiles of a zero-padded grid: ``[B, C, D, H, W]`` to ``[n, n, n, tiles, C]``."""

    @staticmethod
    def forward(ctx, features: Tensor, valid: int, n: int) -> Tensor:
        margin = (n - valid) // 2
        counts = [-(-size // valid) for size in features.shape[2:]]
        padding = []
        for size, count in zip(reversed(features.shape[2:]), reversed(counts), strict=True):
            padding += [margin, count * valid - size + n - valid - margin]
        ctx.shape, ctx.valid, ctx.counts = features.shape, valid, counts
        windows = functional.pad(features.movedim(1, -1), [0, 0, *padding])
        for axis in (1, 2, 3):
            windows = windows.unfold(axis, n, valid)
        return windows.permute(5, 6, 7, 0, 1, 2, 3, 4).flatten(3, 6)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        valid, n, channels = ctx.valid, len(gradient), gradient.shape[-1]
        margin = (n - valid) // 2
        tiles = gradient.reshape(n, n, n, ctx.shape[0], *ctx.counts, channels).permute(0, 4, 1, 5, 2, 6, 3, 7)
        # Each axis in turn stands in front, split in two, and goes behind the others when it is whole.
        for behind in (4, 3, 2):
            tiles = _overlap_add(tiles, valid).movedim(0, behind)
        grid = tiles[tuple(slice(margin, margin + size) for size in ctx.shape[2:])]
        return grid.permute(3, 4, 0, 1, 2), None, None


def _overlap_add(tiles: Tensor, valid: int) -> Tensor:
    """Sum of tiles ``[n, count, …]`` laid `valid` samples apart, ``[count · valid + n - valid, …]``."""
    n, count = tiles.shape[:2]
    overlap = n - valid
    summed = tiles.new_zeros(count * valid + overlap, *tiles.shape[2:])
    summed[: count * valid].unflatten(0, (count, valid)).copy_(tiles[:valid].movedim(0, 1))
    for sample in range(overlap):
        summed[valid + sample :: valid][:count] += tiles[valid + sample]
    return summed
