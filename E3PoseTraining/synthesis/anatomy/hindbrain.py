"""Cerebellum, brainstem and fourth ventricle, and the room under the tentorium in which they lie."""

from collections.abc import Sequence

import numpy as np

from ..shapes import Points, capsule, ellipsoid, smooth_union
from ..tissues import Tissue
from .growth import head_size


def posterior_fossa(points: Points, half: Sequence[float], rng) -> np.ndarray:
    """Signed distance to the room of the hindbrain under the tentorium."""
    a, b, c = half
    centre = (0, -rng.uniform(0.36, 0.5) * b, -rng.uniform(0.55, 0.72) * c)
    return ellipsoid(points, centre, (0.62 * a, rng.uniform(0.36, 0.46) * b, rng.uniform(0.4, 0.52) * c))


def paint_hindbrain(tissue, points: Points, fossa: np.ndarray, half, age_weeks: float, rng) -> None:
    """Draw cerebellum, brainstem and fourth ventricle into `tissue`, the cerebellum as wide as its growth
    says.
    """
    _, b, c = half
    x, y, z = points
    lateral = np.abs(x)
    radius = head_size(age_weeks).cerebellar_diameter / 2 * rng.normal(1, 0.06)
    centre_y, centre_z = -rng.uniform(0.42, 0.52) * b, -rng.uniform(0.58, 0.7) * c
    hemisphere = ellipsoid(
        (lateral, y, z), (0.5 * radius, centre_y, centre_z), (0.52 * radius, 0.58 * radius, 0.55 * radius)
    )
    vermis = ellipsoid(points, (0, centre_y, centre_z), (0.3 * radius, 0.6 * radius, 0.62 * radius))
    inside = fossa < -1
    tissue[inside & (np.minimum(hemisphere, vermis) < 0)] = Tissue.CEREBELLUM
    thickness = radius * rng.uniform(0.26, 0.36)
    pons = (0, centre_y + 0.85 * radius, centre_z + 0.15 * radius)
    foot = (0, centre_y + 0.45 * radius, -1.2 * c)
    stem = smooth_union(
        [
            capsule(points, (0, -0.12 * b, -0.2 * c), pons, thickness, thickness * 1.25),
            capsule(points, pons, foot, thickness * 1.25, thickness * 0.7),
        ],
        3,
    )
    tissue[(stem < 0) & (tissue != Tissue.OUTSIDE)] = Tissue.BRAINSTEM
    fourth = ellipsoid(points, (0, centre_y + 0.52 * radius, centre_z), (0.16 * radius, 0.1 * radius, 0.35 * radius))
    tissue[inside & (fourth < 0)] = Tissue.VENTRICLES
