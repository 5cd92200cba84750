"""The head but for brain and eyes: skull, scalp, face, skull base, and the spine in the neck."""

import numpy as np

from ..shapes import Points, capsule, ellipsoid, smooth_union
from ..tissues import Tissue


def paint_face(
    tissue: np.ndarray,
    distance: np.ndarray,
    points: Points,
    eye: np.ndarray,
    eye_radius: float,
    length: float,
    width: float,
    rng: np.random.Generator,
) -> None:
    """Paint into the points of `tissue` that are still outside.

    points: canonical mm; distance: signed, mm, to the inner skull; eye: [3] centre of the right eye; length,
    width: the head's occipitofrontal and biparietal diameter in mm. Shapes below are in units of the length,
    and given for the right half: the face is symmetric.
    """
    unit = np.float32(1 / length)
    half = (np.abs(points[0]) * unit, points[1] * unit, points[2] * unit)
    eye, eye_radius, breadth = eye / length, eye_radius / length, width / length
    skull, scalp = rng.uniform(1.5, 3.5) / length, rng.uniform(1.5, 4.5) / length
    outer_skull = distance * unit - np.float32(skull)
    surface = smooth_union([outer_skull - np.float32(scalp), _face_surface(half, eye, eye_radius, breadth, rng)], 0.06)

    free = tissue == Tissue.OUTSIDE
    within = free & (surface < 0)
    tissue[within] = Tissue.MUSCLE
    tissue[within & (surface > -scalp)] = Tissue.SCALP
    base = ellipsoid(half, (0.2 * breadth, -0.03, -0.32), (0.34 * breadth, 0.2, 0.13))
    tissue[within & (base < 0)] = Tissue.SKULL_BASE
    tissue[free & (outer_skull < 0)] = Tissue.SKULL
    deep = within & (outer_skull > 0) & (surface < -0.01)
    _, y, z = eye
    for part, centre, radii in (
        (Tissue.ORBIT, eye - [0, 0.06, 0], (eye_radius + 0.045, 0.15, eye_radius + 0.035)),
        (Tissue.TONGUE, (0, y - 0.04, z - 0.04), (0.035, 0.1, 0.1)),
        (Tissue.AIRWAY, (0, y - 0.1, z - 0.13), (0.03, 0.13, 0.07)),
        (Tissue.JAW, (0, y - 0.08, z - 0.22), (0.15, 0.14, 0.03)),
        (Tissue.TONGUE, (0, y - 0.12, z - 0.3), (0.1, 0.14, 0.06)),
        (Tissue.JAW, (0.14, y - 0.13, z - 0.36), (0.03, 0.16, 0.05)),
        (Tissue.AIRWAY, (0, 0.08, -0.56), (0.03, 0.03, 0.13)),
    ):
        tissue[deep & (ellipsoid(half, centre, radii * rng.normal(1, 0.15, 3)) < 0)] = part


def paint_spine(
    tissue: np.ndarray,
    is_brain: np.ndarray,
    points: Points,
    neck: np.ndarray,
    length: float,
    rng: np.random.Generator,
) -> None:
    """The cord in its bright canal, and the vertebrae before it, from the brainstem down the neck."""
    top = np.array([0, neck[1] + 0.06 * length, neck[2] + 0.05 * length])
    bottom = top - length * np.array([0, rng.uniform(-0.15, 0.05), 0.5])
    ahead = np.array([0, 0.09 * length, 0])
    canal = capsule(points, top, bottom, rng.uniform(0.045, 0.07) * length, 0.045 * length)
    cord = canal + np.float32(rng.uniform(0.015, 0.03) * length)
    vertebrae = capsule(points, top + ahead, bottom + ahead, 0.05 * length, 0.05 * length)
    free = ~is_brain & (tissue != Tissue.OUTSIDE)
    tissue[free & (vertebrae < 0)] = Tissue.SPINE
    tissue[free & (canal < 0)] = Tissue.SPINAL_CANAL
    tissue[free & (cord < 0)] = Tissue.SPINAL_CORD


def _face_surface(half: Points, eye: np.ndarray, eye_radius: float, breadth: float, rng) -> np.ndarray:
    """Signed distance to the skin of face and neck, in head lengths."""
    _, y, z = eye
    depth = rng.uniform(0.9, 1.15)
    chin = rng.uniform(0.3, 0.4)
    return smooth_union(
        [
            ellipsoid(half, (0, y - 0.17, z - 0.12), (rng.uniform(0.35, 0.42), 0.26 * depth, 0.29)),  # midface
            ellipsoid(half, (0, 0.06, -0.22), (0.47 * breadth, 0.36, rng.uniform(0.2, 0.27))),  # temples
            ellipsoid(half, (0, y - 0.08, z - chin), (0.15, 0.12, 0.1)),  # chin
            ellipsoid(half, (0, 0.02, -0.36), (rng.uniform(0.36, 0.43), 0.3, 0.24)),  # jaw angle and ear
            ellipsoid(half, (0, y + 0.09 * depth, z - 0.12), (0.05, 0.06, 0.08)),  # nose
            ellipsoid(half, (0.15, y - 0.04, z - 0.2), (0.12, 0.12, 0.12)),  # cheek
            ellipsoid(half, eye, [eye_radius + 0.025] * 3),  # lid
            capsule(half, (0, -0.06, -0.28), (0, 0.0, -1.0), 0.28, 0.26),  # nape
        ],
        0.08,
    )
