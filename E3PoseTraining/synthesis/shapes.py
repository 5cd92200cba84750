"""Solid shapes as signed distances, and smooth random fields; all vectorised, in float32.

Points are a tuple of three arrays (x, y, z) in millimetres that broadcast against each other, so the same
shape is evaluated on an open grid or on scattered points. A signed distance is negative inside and exact to
first order near the surface, which is where `coverage` turns it into the fraction of a voxel that the shape
fills.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

Points = tuple[np.ndarray, np.ndarray, np.ndarray]
Vector = Sequence[float] | np.ndarray


def move(points: Points, matrix: np.ndarray) -> Points:
    """Apply a 3x4 or 4x4 affine matrix to points."""
    x, y, z = points
    m = np.asarray(matrix, np.float32)
    return tuple(m[row, 0] * x + m[row, 1] * y + m[row, 2] * z + m[row, 3] for row in range(3))


def ellipsoid(points: Points, centre: Vector, radii: Vector) -> np.ndarray:
    """First-order signed distance f / |grad f| to an ellipsoid along the axes, with f = |p / r| - 1."""
    normalised = gradient = 0.0
    for p, c, r in zip(points, centre, radii, strict=True):
        q = (p - np.float32(c)) / np.float32(r)
        square = q * q
        normalised = normalised + square
        gradient = gradient + square / np.float32(r * r)
    norm = np.sqrt(normalised)
    tiny = np.float32(1e-6)  # at the very centre the ratio is that of its surroundings
    return (norm - 1) * (norm + tiny) / (np.sqrt(gradient) + tiny / np.float32(min(radii)))


def capsule(points: Points, start: Vector, end: Vector, start_radius: float, end_radius: float) -> np.ndarray:
    """Signed distance to a limb: a ball that moves from start to end while its radius changes."""
    start, axis = np.asarray(start, np.float32), np.subtract(end, start).astype(np.float32)
    x, y, z = (p - s for p, s in zip(points, start, strict=True))
    along = (x * axis[0] + y * axis[1] + z * axis[2]) / np.float32(max(axis @ axis, 1e-6))
    along = np.clip(along, 0, 1)
    square = (x - along * axis[0]) ** 2 + (y - along * axis[1]) ** 2 + (z - along * axis[2]) ** 2
    return np.sqrt(square) - (np.float32(start_radius) + along * np.float32(end_radius - start_radius))


def smooth_union(distances: Sequence[np.ndarray], blend: float) -> np.ndarray:
    """Union whose seams are filleted over `blend` millimetres (polynomial smooth minimum, pair by pair)."""
    union = distances[0]
    for distance in distances[1:]:
        overlap = np.maximum(np.float32(blend) - np.abs(union - distance), 0) / np.float32(blend)
        union = np.minimum(union, distance) - overlap * overlap * np.float32(blend / 4)
    return union


def coverage(distance: np.ndarray, width: float) -> np.ndarray:
    """Fraction of a voxel of that width (mm) that lies inside, taking the surface as flat within it."""
    return np.clip(np.float32(0.5) - distance / np.float32(width), 0, 1)


def over(image: np.ndarray, alpha: np.ndarray, value: np.ndarray | float) -> None:
    """Paint `value` over `image` in place; what was there shows through where `alpha` is below 1."""
    image += alpha * (value - image)


def smooth_noise(
    rng: np.random.Generator, shape: Sequence[int], cells: Sequence[float], mirror: bool = False
) -> np.ndarray:
    """A smooth random field of unit standard deviation with about `cells` independent bumps along each axis.

    White noise on a coarse lattice, interpolated by cubic B-splines one axis at a time. `mirror` makes the
    field even under a flip of the first axis, for anatomy that is the same on the left and on the right.
    """
    lattice = [max(2, round(c)) + 3 for c in cells]
    field = rng.standard_normal(lattice, np.float32)
    if mirror:
        field = field + field[::-1]
    rows, columns, slices = (_spline_matrix(size, nodes) for size, nodes in zip(shape, lattice, strict=True))
    field = columns @ np.tensordot(rows, field, axes=1) @ slices.T
    field *= np.float32(1 / max(float(field[::3, ::3, ::3].std()), 1e-6))  # a sample of it is enough
    return field


@lru_cache(maxsize=256)
def _spline_matrix(size: int, nodes: int) -> np.ndarray:
    """Weights [size, nodes] of uniform cubic B-splines at `size` points over the lattice's inner span."""
    position = np.linspace(1, nodes - 2, size)[:, None]
    t = np.abs(position - np.arange(nodes)[None])
    weights = np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.where(t < 2, (2 - t) ** 3 / 6, 0))
    return weights.astype(np.float32)
