"""Which way to evaluate a steerable convolution while it trains: the one expected to be fastest, forward and backward.

The costs are nanoseconds on one core with AVX-512, fitted to forward and backward passes of layers of 30 to 480
channels on grids of 4³ to 32³ voxels; the fit is within a third of the measured times. Near a crossing either way will
do.
"""

from __future__ import annotations

from functools import lru_cache

DENSE, WINDOWS = "dense", "windows"
"""An ordinary convolution; or the weights behind the basis. Any other way is the `valid` of `fourier.correlate`."""

FOURIER_COSTS = {4: (86.0, 1.2), 8: (41.0, 0.47), 16: (22.0, 0.26)}
"""By `valid`: per voxel and channel for the transforms, per voxel and pair of channels for the product."""


@lru_cache
def fastest_way(voxels: int, smallest_edge: int, channels_in: int, channels_out: int, kernel_size: int) -> str | int:
    """The way for so many voxels in all of a batch, on grids with that smallest edge.

    Returns
    -------
    str or int
        `DENSE`, `WINDOWS`, or the `valid` to give to `fourier.correlate`.
    """
    pairs, taps = channels_in * channels_out, kernel_size**3
    costs: dict[str | int, float] = {
        DENSE: pairs * taps * (6.3 + 0.0616 * voxels),
        WINDOWS: voxels * channels_in * (785 + 10.9 * taps),
    }
    if kernel_size >= 5:
        for valid, (transform, product) in FOURIER_COSTS.items():
            n = valid + kernel_size - 1
            frequencies = (n // 2 + 1) * n * n
            if valid <= smallest_edge:
                kernel = pairs * (2.8 * taps + 8 * frequencies)
                costs[valid] = kernel + voxels * ((channels_in + channels_out) * transform + pairs * product)
    return min(costs, key=costs.__getitem__)
