"""Which way to evaluate a steerable convolution: the one expected to be fastest, in training or with frozen weights.

The costs are nanoseconds on one core with AVX-512, fitted to layers of 30 to 480 channels on grids of 4³ to 32³ voxels,
forward and backward, and to frozen ones forward alone; the fit of the former is within a third of the measured times.
Near a crossing either way will do. On NVIDIA graphics all costs are lower, and their ranks the same but for one thing.
"""

from __future__ import annotations

import math
from functools import lru_cache

DENSE, WINDOWS = "dense", "windows"
"""An ordinary convolution; or the weights behind the basis. Any other way is the `valid` of `fourier.correlate`."""

FOURIER_COSTS = {4: (86.0, 1.2), 8: (41.0, 0.47), 16: (22.0, 0.26)}
"""By `valid`: per voxel and channel for the transforms, per voxel and pair of channels for the product."""

FROZEN_FOURIER_COSTS = {4: (22.0, 0.31), 8: (12.4, 0.16), 16: (11.0, 0.2)}
"""The same with frozen weights, whose spectra are at hand."""

MOST_FROZEN = 25_000_000
"""The spectra of no kernel may hold more numbers than this."""

DENSE_IN_FLOAT64 = 2.0
"""In float64 all else takes some 1.8 times as long, but dense convolutions 3.6 times: oneDNN has none."""

CUDA_TERM = 38.0
"""For each term of a dense convolution's sums, however few sums: there cuDNN adds them up one after the other."""


@lru_cache
def fastest_way(
    grid: tuple[int, ...],
    batch: int,
    channels_in: int,
    channels_out: int,
    kernel_size: int,
    frozen: bool,
    on_cuda: bool = False,
    in_float64: bool = False,
) -> str | int:
    """The way for a batch of grids.

    Parameters
    ----------
    grid : tuple of int
        Voxels along each axis.
    batch, channels_in, channels_out, kernel_size : int
    frozen : bool
        Forward alone, with all that the weights determine at hand; else forward and backward.
    on_cuda : bool
        On NVIDIA graphics.
    in_float64 : bool
        Else in float32.

    Returns
    -------
    str or int
        `DENSE`, `WINDOWS`, or the `valid` to give to `fourier.kernel_spectra`.
    """
    pairs, taps, voxels = channels_in * channels_out, kernel_size**3, batch * math.prod(grid)
    if frozen:
        costs: dict[str | int, float] = {
            DENSE: pairs * taps * (0.3 + 0.02 * voxels),
            WINDOWS: voxels * channels_in * (170 + 2.0 * taps),
        }
    else:
        costs = {
            DENSE: pairs * taps * (6.3 + 0.0616 * voxels),
            WINDOWS: voxels * channels_in * (213 + 8.1 * taps),
        }
    if in_float64:
        costs[DENSE] *= DENSE_IN_FLOAT64
    if on_cuda:
        costs[DENSE] += CUDA_TERM * channels_in * taps
    if kernel_size >= 5:
        for valid, (transform, product) in (FROZEN_FOURIER_COSTS if frozen else FOURIER_COSTS).items():
            n = valid + kernel_size - 1
            frequencies = (n // 2 + 1) * n * n
            if valid > min(grid) or (frozen and frequencies * pairs > MOST_FROZEN):
                continue
            kernel = pairs * (0.4 * frequencies if frozen else 2.8 * taps + 8 * frequencies)
            costs[valid] = kernel + voxels * ((channels_in + channels_out) * transform + pairs * product)
    return min(costs, key=costs.__getitem__)
