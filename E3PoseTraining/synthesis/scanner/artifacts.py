"""What a scanner adds to the signal of a stack or a volume, or loses of it."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from .contrast import Range
from .fields import coil_shading
from .grid import Grid


@dataclass(frozen=True)
class Artifacts:
    """Ranges to draw from, and probabilities.

    Parameters
    ----------
    blur : tuple of float
        Standard deviation of the point spread in plane, voxels.
    darkest : tuple of float
        Sensitivity of the coils where it is least, over where it is greatest.
    noise : tuple of float
        Standard deviation, relative to the brain's signal before shading.
    slice_gain : tuple of float
        Standard deviation of the signal's change over time, by which passes differ.
    lost : float
        Probability of each slice to lose most of its signal, as where the fetus kicks.
    dark_planes : float
        Mean number of planes through the field that were excited just before (spin history).
    ghost : float
        Probability of a Nyquist ghost.
    margins : float
        Probability that the scan is surrounded by zeros.
    clipped : float
        Probability that what is little above noise is zero.
    """

    blur: Range = (0.3, 0.8)
    darkest: Range = (0.1, 0.9)
    noise: Range = (0.005, 0.05)
    slice_gain: Range = (0.01, 0.08)
    lost: float = 0.01
    dark_planes: float = 0.5
    ghost: float = 0.0
    margins: float = 0.2
    clipped: float = 0.4


def receive(
    image: np.ndarray, grid: Grid, times: np.ndarray, artifacts: Artifacts, rng: np.random.Generator
) -> np.ndarray:
    """The scan [I, J, K], float32 from 0 up, of a signal [I, J, K] whose slices are taken at `times` [K]."""
    for axis in (0, 1):
        image = gaussian_filter1d(image, rng.uniform(*artifacts.blur), axis=axis, truncate=2.5)
    for _ in range(rng.poisson(artifacts.dark_planes)):
        image *= dark_plane(grid, rng)
    image *= slice_gains(times, artifacts, rng)
    image *= coil_shading(grid, float(np.exp(rng.uniform(*np.log(artifacts.darkest)))), rng)
    if rng.random() < artifacts.ghost:
        image += np.float32(rng.uniform(0.01, 0.08)) * np.roll(image, grid.shape[1] // 2, axis=1)
    sigma = np.float32(np.exp(rng.uniform(*np.log(artifacts.noise))))
    noise = rng.standard_normal((2, *grid.shape), np.float32) * sigma
    image = np.hypot(image + noise[0], noise[1])
    if rng.random() < artifacts.clipped:
        image = np.maximum(image - sigma * np.float32(rng.uniform(1, 3)), 0)
    if rng.random() < artifacts.margins:
        blank_margins(image, rng)
    return image


def slice_gains(times: np.ndarray, artifacts: Artifacts, rng: np.random.Generator) -> np.ndarray:
    """Signal of each slice [K] about 1: it changes with time, so that passes differ, and is lost now and then."""
    wave = np.sin(2 * np.pi * (times[:, None] * rng.uniform(0.3, 3, 4) + rng.random(4))) @ rng.normal(0, 0.7, 4)
    gains = 1 + rng.uniform(*artifacts.slice_gain) * (wave + rng.normal(0, 0.3, times.size))
    lost = rng.random(times.size) < artifacts.lost
    gains[lost] *= rng.uniform(0.1, 0.8, np.count_nonzero(lost))
    return np.maximum(gains, 0.1).astype(np.float32)


def dark_plane(grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Factor [I, J, K] of what a plane through the field, excited just before, leaves: 1 - a exp(-d^2 / 2 s^2)."""
    normal = rng.normal(0, 1, 3)
    normal /= np.linalg.norm(normal)
    distance = sum(np.float32(n) * offset for n, offset in zip(normal, grid.offsets(), strict=True))
    distance -= np.float32(normal @ (rng.uniform(-0.3, 0.3, 3) * grid.extent))
    width, depth = rng.uniform(1.5, 5), rng.uniform(0.3, 0.95)
    return 1 - np.float32(depth) * np.exp(-(distance**2) / np.float32(2 * width**2))


def blank_margins(image: np.ndarray, rng: np.random.Generator) -> None:
    """Zeros beyond a box of the field, in place; up to a seventh of it on each side, some sides without any."""
    for axis, size in enumerate(image.shape):
        stack = np.moveaxis(image, axis, 0)
        before, after = (int(size * rng.uniform(0, 0.15)) if rng.random() < 0.5 else 0 for _ in range(2))
        stack[:before] = 0
        stack[size - after :] = 0
