"""Fields over a scan: displacement along phase encoding, and the sensitivity of the coils."""

from collections.abc import Iterable

import numpy as np

from ..shapes import smooth_noise
from .grid import Grid


def distortion(
    grid: Grid, head_voxel: np.ndarray, head_radius: float, strength: float, rng: np.random.Generator
) -> np.ndarray:
    """Displacement in voxels along phase encoding [I, J, K]: smooth, `strength` mm in standard deviation.

    Near the head its best linear fit is taken away, so it bends the head but neither shifts nor turns it: the pose
    stays that of the labels. head_voxel: [3]; head_radius: mm.
    """
    cells = np.array(grid.shape) * grid.spacing / 110
    # Fewer than two bumps cannot be drawn; over a smaller field the same distortion is weaker instead.
    strength *= min(1.0, float(cells.min()) / 2) / grid.spacing[1]
    field = smooth_noise(rng, grid.shape, cells) * np.float32(strength)
    offsets = np.ix_(
        *(
            ((np.arange(n) - c) * s / head_radius).astype(np.float32)
            for n, c, s in zip(grid.shape, head_voxel, grid.spacing, strict=True)
        )
    )
    inside = np.ix_(*(np.flatnonzero(np.abs(offset.ravel()) < 1) for offset in offsets))
    if any(index.size < 2 for index in inside):
        return field
    near = [np.broadcast_to(offset, field.shape)[inside].ravel() for offset in offsets]
    design = np.stack([np.ones_like(near[0]), *near], axis=1)
    constant, *slopes = np.linalg.lstsq(design, field[inside].ravel(), rcond=None)[0]
    fit = constant + sum(slope * offset for slope, offset in zip(slopes, offsets, strict=True))
    for offset in offsets:
        fit = fit * np.exp(-0.5 * (offset / np.float32(2.5)) ** 4)  # flat over the head, nought far from it
    return field - fit


def receive_field(shape: Iterable[int], spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coil sensitivity [I, J, K] about 1: a smooth random field and a fall-off away from one or two sides."""
    shape = tuple(shape)
    bias = smooth_noise(rng, shape, (3, 3, 3)) * np.float32(rng.uniform(0.1, 0.5))
    for axis, n in enumerate(shape):
        slope = rng.normal(0, 0.6)
        bias += np.float32(slope) * np.linspace(-1, 1, n, dtype=np.float32).reshape(np.roll([-1, 1, 1], axis))
    return np.exp(bias, out=bias)


def coil_shading(grid: Grid, darkest: float, rng: np.random.Generator) -> np.ndarray:
    """Sensitivity [I, J, K] of a few coils about the mother: 1 where it is brightest, `darkest` where it is least.

    Each element's sensitivity falls with the square of the distance over its size; the logarithm of the whole is
    stretched to the range asked for, as scanners do who even it out more or less.
    """
    offsets = grid.offsets()
    reach = np.linalg.norm(grid.extent) / 2
    whole = np.zeros(grid.shape, np.float32)
    for _ in range(rng.integers(1, 6)):
        direction = rng.normal(0, 1, 3)
        at = direction / np.linalg.norm(direction) * rng.uniform(0.5, 1.3) * reach
        square = sum((offset - np.float32(a)) ** 2 for offset, a in zip(offsets, at, strict=True))
        whole += 1 / (1 + square / np.float32(rng.uniform(0.4, 1.0) * reach) ** 2)
    whole = np.log(whole) + np.float32(rng.uniform(0.0, 0.15)) * smooth_noise(rng, grid.shape, (3, 3, 3))
    whole -= whole.max()
    whole *= np.float32(np.log(darkest) / min(float(whole.min()), -1e-6))
    return np.exp(whole, out=whole)
