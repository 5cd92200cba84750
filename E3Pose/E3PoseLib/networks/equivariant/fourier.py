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
    runs: tuple[list[slice], list[slice]]
    """The channels of even parity that stand side by side, in their order, and those of odd parity."""

    @classmethod
    def of(cls, irreps: o3.Irreps) -> Parities:
        """Those of the channels of some irreps."""
        runs: tuple[list[slice], list[slice]] = ([], [])
        for (_, irrep), channels in zip(irreps, irreps.slices(), strict=True):
            runs[irrep.p < 0].append(channels)
        even, odd = (
            torch.tensor([channel for run in group for channel in range(run.start, run.stop)], dtype=torch.long)
            for group in runs
        )
        return cls(even, odd, torch.cat([even, odd]).argsort(), runs)

    def to(self, device: torch.device) -> Parities:
        """The same on a device."""
        return Parities(self.even.to(device), self.odd.to(device), self.order.to(device), self.runs)


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
@torch.inference_mode(False)  # what an estimate leaves in the cache, training must be able to use
def transforms(valid: int, kernel_size: int, device: torch.device, dtype: torch.dtype) -> Transforms:
    """The matrices for tiles of ``valid + kernel_size - 1`` samples, computed in float64."""
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
        return matrix.to(dtype).contiguous().to(device)

    return Transforms(
        first=tuple(map(ready, first)),
        other=ready(other),
        other_back=ready(other_back),
        first_back=tuple(map(ready, first_back)),
        even_kernel=ready(cos),
        odd_kernel=ready(sin[:, 1:]),
    )


class KernelSpectra(NamedTuple):
    """A kernel in the Fourier domain, as real matrices between the turned spectra of channels."""

    inputs: Parities
    outputs: Parities
    valid: int
    kernel_size: int
    blocks: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
    """``blocks[out][in]``, even before odd, each of shape ``[F, C_in, C_out]``."""


def kernel_spectra(kernel: Tensor, inputs: Parities, outputs: Parities, valid: int) -> KernelSpectra:
    """Bring a kernel to the Fourier domain.

    Parameters
    ----------
    kernel : torch.Tensor
        Shape ``[C_out, C_in, k, k, k]``, even under inversion between channels of equal parity, else odd.
    inputs, outputs : Parities
    valid : int
        Samples along the edge of a tile that come out whole.

    Returns
    -------
    KernelSpectra
        Differentiable.
    """
    matrices = transforms(valid, kernel.shape[-1], kernel.device, kernel.dtype)
    taps = kernel.flatten(2).permute(2, 1, 0)
    centre = len(taps) // 2

    def block(row: int, column: int) -> Tensor:
        part = taps.index_select(1, inputs[column]).index_select(2, outputs[row])
        if row == column:
            flat = matrices.even_kernel @ part[centre:].flatten(1)
        else:
            # Odd channels are turned by i: what goes out to an even one is turned back, and i · i = -1 the other way.
            flat = (matrices.odd_kernel if column else -matrices.odd_kernel) @ part[centre + 1 :].flatten(1)
        return flat.unflatten(1, part.shape[1:])

    blocks = tuple(tuple(block(row, column) for column in (0, 1)) for row in (0, 1))
    return KernelSpectra(inputs, outputs, valid, kernel.shape[-1], blocks)


def correlate(features: Tensor, kernel: KernelSpectra) -> Tensor:
    """Cross-correlation with zero padding, equal to ``conv3d`` with the dense kernel.

    Parameters
    ----------
    features : torch.Tensor
        Shape ``[B, C_in, D, H, W]``.
    kernel : KernelSpectra

    Returns
    -------
    torch.Tensor
        Shape ``[B, C_out, D, H, W]``.
    """
    matrices = transforms(kernel.valid, kernel.kernel_size, features.device, features.dtype)
    n, valid = kernel.valid + kernel.kernel_size - 1, kernel.valid
    groups = [(column, features.index_select(1, group)) for column, group in enumerate(kernel.inputs[:2]) if len(group)]
    if torch.is_grad_enabled() or features.is_cuda:
        tiles = [(column, Tiles.apply(group, valid, n)) for column, group in groups]
        grids = [_grid(part, features.shape) for part in _correlate_tiles(tiles, kernel, matrices)]
        # Sample by sample and flat: else the concatenation would have its channels last, as the grids have.
        samples = [torch.cat([grid[sample].flatten(1) for grid in grids]) for sample in range(len(features))]
        stacked = samples[0][None] if len(samples) == 1 else torch.stack(samples)
        ordered = stacked.index_select(1, kernel.outputs.order).unflatten(2, (-1, *features.shape[3:]))
        return ordered[:, :, : features.shape[2]]
    # On a CPU few slices of the grid at a time, so that their spectra stay in the cache; but where the kernel's weigh
    # more, which are read anew each time, as many as weigh no more than these.
    n_in, n_out = (len(parities.order) for parities in (kernel.inputs, kernel.outputs))
    tiles_a_row = len(features) * math.prod(-(-size // valid) for size in features.shape[3:])
    n_rows = max(1, n_in * n_out // (2 * tiles_a_row * (n_in + n_out)))
    windows = [(column, tile_windows(group, valid, n).split(n_rows, dim=1)) for column, group in groups]
    result = features.new_empty(len(features), n_out, *features.shape[2:])
    for index, part in enumerate(result.split(n_rows * valid, dim=2)):
        tiles = [(column, position_major(rows[index])) for column, rows in windows]
        for group, runs in zip(_correlate_tiles(tiles, kernel, matrices), kernel.outputs.runs, strict=True):
            # Run by run, as a transposed copy is quick, and one into any order is not.
            for run, channels in zip(runs, group.split([run.stop - run.start for run in runs], dim=-1), strict=True):
                part[:, run] = _grid(channels, features.shape)[:, :, : part.shape[2]]
    return result


def _correlate_tiles(tiles: list[tuple[int, Tensor]], kernel: KernelSpectra, matrices: Transforms) -> list[Tensor]:
    """Tiles ``[valid, valid, valid, tiles, C]`` of even and of odd channels, from tiles ``[n, n, n, tiles, C]``."""
    spectra = [(column, _spectrum(part, matrices.first[column], matrices.other)) for column, part in tiles]
    results = []
    for row, back in zip(kernel.blocks, matrices.first_back, strict=True):
        (column, spectrum), *others = spectra
        total = torch.bmm(spectrum, row[column])
        for column, spectrum in others:
            total.baddbmm_(spectrum, row[column])
        results.append(_samples(total, back, matrices.other_back))
    return results


def _spectrum(tiles: Tensor, first: Tensor, other: Tensor) -> Tensor:
    """Spectra ``[F, 2 · tiles, C]`` of tiles ``[n, n, n, tiles, C]``, real parts in front of imaginary ones."""
    n, columns = len(tiles), tiles[0, 0, 0].numel()
    half = n // 2 + 1
    spectrum = first @ tiles.reshape(n, -1)
    spectrum = other @ spectrum.reshape(half, 2 * n, n * columns)
    spectrum = other @ spectrum.reshape(half * n, 2 * n, columns)
    return spectrum.reshape(half * n * n, -1, tiles.shape[-1])


def _samples(spectrum: Tensor, back: Tensor, other_back: Tensor) -> Tensor:
    """The valid samples ``[valid, valid, valid, tiles, C]`` of spectra ``[F, 2 · tiles, C]``."""
    n, valid = other_back.shape[1] // 2, len(back)
    half, tiles, channels = n // 2 + 1, spectrum.shape[1] // 2, spectrum.shape[2]
    columns = tiles * channels
    samples = other_back @ spectrum.reshape(half * n, 2 * n, columns)
    samples = other_back @ samples.reshape(half, 2 * n, valid * columns)
    return (back @ samples.reshape(2 * half, valid**2 * columns)).reshape(valid, valid, valid, tiles, channels)


def _grid(tiles: Tensor, shape: torch.Size) -> Tensor:
    """Tiles ``[valid, valid, valid, B · rows · t · t, C]`` as a grid ``[B, C, rows · valid, H, W]``, channels last.

    `shape` is that of the convolution's input.
    """
    counts = [-(-size // len(tiles)) for size in shape[3:]]
    grid = tiles.unflatten(3, (shape[0], -1, *counts)).permute(3, 4, 0, 5, 1, 6, 2, 7)
    grid = grid.flatten(5, 6).flatten(3, 4).flatten(1, 2)[:, :, : shape[3], : shape[4]]
    return grid.movedim(-1, 1)


def tile_windows(features: Tensor, valid: int, n: int) -> Tensor:
    """Overlapping tiles of a zero-padded grid ``[B, C, D, H, W]``: a view ``[B, t, t, t, C, n, n, n]``."""
    margin = (n - valid) // 2
    padding = [0, 0]
    for size in reversed(features.shape[2:]):
        padding += [margin, -size % valid + n - valid - margin]
    windows = functional.pad(features.movedim(1, -1), padding)
    for axis in (1, 2, 3):
        windows = windows.unfold(axis, n, valid)
    return windows


def position_major(windows: Tensor) -> Tensor:
    """Windows ``[B, t, t, t, C, n, n, n]`` as ``[n, n, n, tiles, C]``."""
    return windows.permute(5, 6, 7, 0, 1, 2, 3, 4).flatten(3, 6)


class Tiles(torch.autograd.Function):
    """Overlapping tiles of a zero-padded grid: ``[B, C, D, H, W]`` to ``[n, n, n, tiles, C]``."""

    @staticmethod
    def forward(ctx, features: Tensor, valid: int, n: int) -> Tensor:
        windows = tile_windows(features, valid, n)
        ctx.shape, ctx.valid, ctx.counts = features.shape, valid, windows.shape[1:4]
        return position_major(windows)

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
