"""The fetal head: a brain, and around it skull, scalp, orbits with eyes, face and the upper neck, as one
label grid.

The grid stands in the canonical head frame (+x right, +y anterior, +z superior, millimetres), whose origin
is the centre of mass of the brain and whose y axis points 20 degrees above the mid-point of the eyes: that
is the method's definition, so here it holds by construction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, zoom
from scipy.spatial.transform import Rotation

from ..scanner.contrast import Contrast
from ..shapes import ellipsoid, move, smooth_noise
from ..tissues import BRAIN_TISSUES, Tissue
from .brain import Brain, paint_deep_veins
from .face import paint_face, paint_spine
from .growth import HeadSize, head_size

EYE_PITCH_DEGREES = 20.0
"""The eyes' mid-point lies this far below the y axis, seen from the brain's centre (canonical pitch of the
method).
"""

EYE_DISTANCE = 0.43
"""Distance from the brain's centre of mass to the mid-point of the eyes over the occipitofrontal diameter.

0.457 in the clinical landmarks; less here, or the eyes would stand in front of the forehead (docs/synthesis.md).
"""


@dataclass(frozen=True)
class Head:
    """A head in its canonical frame.

    tissue: uint8 [X, Y, Z], values of `Tissue`; spacing: mm; origin: [3] canonical mm of voxel (0, 0, 0);
    eyes: [2, 3] centres of the right and the left eye; size: its diameters; neck: [3] where the neck leaves
    the skull.
    """

    tissue: np.ndarray
    spacing: float
    origin: np.ndarray
    eyes: np.ndarray
    size: HeadSize
    neck: np.ndarray


def build_head(
    age_weeks: float, brain: Brain, spacing: float, rng: np.random.Generator, atrium_mm: float | None = None
) -> Head:
    """Draw one head at a voxel size in mm; all that may vary between fetuses varies with `rng`.

    `atrium_mm` is the width of the ventricles (`Brain.evaluate`).
    """
    size = head_size(age_weeks)
    length = size.occipitofrontal_diameter * rng.normal(1, 0.04)
    width = size.biparietal_diameter * rng.normal(1, 0.05)
    height = 0.5 * (length + width) * rng.uniform(0.76, 0.94)
    skull = 1.5

    lower = np.array([-width / 2 - 10, -length / 2 - 14, -0.92 * length])
    upper = np.array([width / 2 + 10, length / 2 + 20, height / 2 + 14])
    axes = np.ix_(*(np.arange(a, b, spacing, np.float32) for a, b in zip(lower, upper, strict=True)))

    tilt = [brain.pitch_degrees + rng.normal(0, 3.0), rng.normal(0, 1.0), rng.normal(0, 1.0)]
    canonical_to_brain = np.eye(4)
    canonical_to_brain[:3, :3] = Rotation.from_euler("xyz", tilt, degrees=True).as_matrix().T
    inner = (width - 2 * skull, length - 2 * skull, height - 2 * skull)
    field = brain.evaluate(move(axes, canonical_to_brain), age_weeks, inner, rng, atrium_mm)

    # Orbits press into the brain, which moves its centre a little: place the eyes, carve, place again.
    eye_radius = size.eye_diameter / 2 * rng.normal(1, 0.05)
    half_gap = size.interocular_distance / 2 * rng.normal(1, 0.05)
    reach = EYE_DISTANCE * length * rng.normal(1, 0.06)
    tissue, distance = field.tissue, field.distance
    eyes = _eyes(_brain_centre(tissue, axes), reach, half_gap)
    orbits = ellipsoid((np.abs(axes[0]), *axes[1:]), eyes[0], [eye_radius + 2.5] * 3)
    tissue[orbits < 0] = Tissue.OUTSIDE
    distance = np.maximum(distance, -orbits)
    centre = _brain_centre(tissue, axes)
    axes = [axis - np.float32(shift) for axis, shift in zip(axes, centre, strict=True)]
    eyes = _eyes(np.zeros(3), reach, half_gap)

    neck = np.array([0.0, -0.16 * length, -0.42 * length])
    paint_deep_veins(tissue, tuple(axes), length, rng)
    is_brain = tissue > 0
    paint_face(tissue, distance, tuple(axes), eyes[0], eye_radius, length, width, rng)
    paint_spine(tissue, is_brain, tuple(axes), neck, length, rng)
    _paint_eyes(tissue, axes, eyes, eye_radius)
    return Head(tissue, spacing, lower - centre, eyes, size, neck)


def _brain_centre(tissue: np.ndarray, axes: Sequence[np.ndarray]) -> np.ndarray:
    """Centre of mass of the brain [3] in mm."""
    inside = tissue > 0
    across = ((1, 2), (0, 2), (0, 1))
    profiles = [inside.sum(axis=others).astype(float) for others in across]
    return np.array([n @ axis.ravel() / n.sum() for n, axis in zip(profiles, axes, strict=True)])


def _eyes(centre: np.ndarray, reach: float, half_gap: float) -> np.ndarray:
    pitch = np.radians(EYE_PITCH_DEGREES)
    middle = centre + reach * np.array([0, np.cos(pitch), -np.sin(pitch)])
    aside = np.array([half_gap, 0, 0])
    return np.stack([middle + aside, middle - aside])


def _paint_eyes(tissue, axes, eyes, radius) -> None:
    lateral = np.abs(axes[0])
    points = (lateral, axes[1], axes[2])
    tissue[ellipsoid(points, eyes[0], [radius] * 3) < 0] = Tissue.VITREOUS
    lens = ellipsoid(points, eyes[0] + [0.1 * radius, 0.68 * radius, 0], [0.36 * radius, 0.26 * radius, 0.36 * radius])
    tissue[lens < 0] = Tissue.LENS


def render_head(head: Head, contrast: Contrast, rng: np.random.Generator) -> np.ndarray:
    """Signal of a head, float32 ``[X, Y, Z]``."""
    shape = head.tissue.shape
    grain = smooth_noise(rng, shape, [n * head.spacing / 5 for n in shape])
    signal = contrast.tissue[head.tissue] * np.maximum(1 + contrast.texture[head.tissue] * grain, 0.1)
    signal *= 1 + np.float32(rng.uniform(0.02, 0.15)) * rng.standard_normal(shape, np.float32)
    # Veins are dark: winding lines, where two random fields are both near nought.
    cell = rng.uniform(6, 12)
    across = [smooth_noise(rng, shape, [n * head.spacing / cell for n in shape]) for _ in range(2)]
    apart = (across[0] ** 2 + across[1] ** 2) / np.float32(rng.uniform(0.25, 0.5) ** 2)
    depth = np.float32(rng.uniform(*contrast.vessels)) * np.maximum(1 - apart, 0)
    signal *= np.where(head.tissue <= Tissue.FALX, 1 - depth, np.float32(1))
    if contrast.layers is not None:
        signal *= _layers(head, rng.uniform(*contrast.layers), rng)
    return signal


def _layers(head: Head, contrast: float, rng: np.random.Generator) -> np.ndarray:
    """Factor by which an immature brain's layers differ: bright under the cortex, dark along the ventricles."""
    factor = np.ones(head.tissue.shape, np.float32)
    white = head.tissue == Tissue.WHITE_MATTER
    # Distances are smooth: every second voxel holds them well enough.
    coarse = head.tissue[::2, ::2, ::2]
    stretch = np.array(head.tissue.shape) / coarse.shape
    for tissue, reach, sign in (
        (Tissue.CORTEX, rng.uniform(2, 5), 0.6),
        (Tissue.VENTRICLES, rng.uniform(1.5, 4), -1.0),
    ):
        if np.any(coarse == tissue):
            away = 2 * head.spacing * distance_transform_edt(coarse != tissue)
            nearby = zoom(np.exp(-((away / reach) ** 2)).astype(np.float32), stretch, order=1)
            factor[white] += np.float32(sign * contrast) * nearby[white]
    return factor


def brain_and_eyes(head: Head) -> tuple[np.ndarray, np.ndarray]:
    """Boolean masks of the brain (all within the skull, CSF too) and of both eyes."""
    eyes = (head.tissue == Tissue.VITREOUS) | (head.tissue == Tissue.LENS)
    return np.isin(head.tissue, BRAIN_TISSUES), eyes
