"""Fetal brains as label fields: drawn from shapes, or taken from a folder of label maps and deformed.

Both kinds are given in the brain's own frame (right, anterior, superior of the label maps, millimetres,
origin near the middle) and know the signed distance to the inside of the skull, around which the head is
built.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from .growth import head_size
from .shapes import Points, capsule, ellipsoid, smooth_noise, smooth_union


class Tissue(IntEnum):
    """Everything inside the head; 1 to 8 are numbered as in the label maps of Fidon et al. (2021)."""

    OUTSIDE = 0
    WHITE_MATTER = 1
    VENTRICLES = 2
    CEREBELLUM = 3
    EXTRA_AXIAL_CSF = 4
    CORTEX = 5
    DEEP_GREY_MATTER = 6
    BRAINSTEM = 7
    CORPUS_CALLOSUM = 8
    FALX = 9
    SKULL = 10
    SCALP = 11
    MUSCLE = 12
    SKULL_BASE = 13
    VITREOUS = 14
    LENS = 15
    ORBIT = 16
    TONGUE = 17
    AIRWAY = 18
    JAW = 19
    SPINAL_CANAL = 20
    SPINAL_CORD = 21
    SPINE = 22


BRAIN_TISSUES = range(Tissue.WHITE_MATTER, Tissue.FALX + 1)


@dataclass
class BrainField:
    """A brain on a grid: the tissue of every point, and its signed distance in mm to the inner skull."""

    tissue: np.ndarray
    distance: np.ndarray


class Brain(ABC):
    """A source of brains.

    pitch_degrees: rotation about x from the brain's own axes to the canonical head frame (docs/synthesis.md).
    """

    pitch_degrees: float

    @abstractmethod
    def evaluate(self, points: Points, age_weeks: float, size: Sequence[float], rng) -> BrainField:
        """Draw one brain at points in its own frame; `size` is the inner skull's (x, y, z) extent in mm."""


class ParametricBrain(Brain):
    """A brain drawn from ellipsoids and tubes, with a cortex that folds as the fetus grows."""

    pitch_degrees = 21.5

    def evaluate(self, points: Points, age_weeks: float, size: Sequence[float], rng) -> BrainField:
        shape = np.broadcast_shapes(*(p.shape for p in points))
        a, b, c = (np.float32(extent / 2) for extent in size)
        x, y, z = points
        lateral = np.abs(x)
        maturity = float(np.clip((age_weeks - 21) / 14, 0, 1))

        # The head is widest behind its middle and its floor is flatter than its roof.
        taper = 1 + np.float32(rng.uniform(0.0, 0.12)) * y / b
        floor = np.where(z < 0, np.float32(rng.uniform(1.15, 1.45)), np.float32(1))
        vault = ellipsoid((lateral * taper, y, z * floor), (0, 0, 0), (a, b, c))
        temporal = ellipsoid(
            (lateral, y, z),
            (0.5 * a, rng.uniform(0.05, 0.2) * b, -rng.uniform(0.45, 0.6) * c),
            (0.42 * a, 0.52 * b, 0.42 * c),
        )
        frontal = ellipsoid(
            (lateral, y, z),
            (0.3 * a, 0.3 * b, -0.05 * c),
            (rng.uniform(0.58, 0.7) * a, 0.71 * b, rng.uniform(0.7, 0.8) * c),
        )
        fossa = posterior_fossa(points, (a, b, c), rng)
        cerebrum_shell = smooth_union([vault, frontal, temporal], 6)
        # Orbits and sphenoid rise between the temporal lobes: the frontal lobe lies on them.
        orbits = ellipsoid((lateral, y, z), (0.2 * a, 0.62 * b, -1.15 * c), (0.85 * a, 0.48 * b, 0.6 * c))
        sphenoid = ellipsoid(points, (0, 0.45 * b, -0.95 * c), (rng.uniform(0.24, 0.36) * a, 0.45 * b, 0.42 * c))
        base = smooth_union([orbits, sphenoid], 6)
        cerebrum_shell = np.maximum(cerebrum_shell, -base)
        inner_skull = np.maximum(smooth_union([cerebrum_shell, fossa], 5), -base)

        # Folding: valleys along the zero set of a random field, deeper with age.
        cells = [2 * extent / rng.uniform(11, 16) for extent in size]
        folds = 1 - np.abs(smooth_noise(rng, shape, cells)) / np.float32(0.45)
        fold_depth = maturity * rng.uniform(3, 8)
        csf_gap = rng.uniform(0.5, 1.5) + (1 - maturity) * rng.uniform(0.5, 4)
        cortex_depth = -(cerebrum_shell + np.float32(csf_gap)) - np.float32(fold_depth) * np.clip(folds, 0, 1)
        sylvian = ellipsoid((lateral, y, z), (a, 0.12 * b, -0.12 * c), (rng.uniform(0.1, 0.4) * a, 0.25 * b, 0.12 * c))
        cortex_depth = np.minimum(cortex_depth, sylvian)
        # Thin between the hemispheres, and wider where the sagittal sinus runs under the skull.
        sinus = np.clip(1 + cerebrum_shell / np.float32(7), 0, 1) * np.float32(rng.uniform(0.5, 3))
        fissure = lateral - np.float32(rng.uniform(0.2, 0.9)) - sinus
        callosum_top = ellipsoid(points, (0, 0.02 * b, -0.05 * c), (99, 0.52 * b, 0.42 * c))
        fissure = np.where(callosum_top > 0, fissure, np.float32(99))

        tissue = np.zeros(shape, np.uint8)
        tissue[inner_skull < 0] = Tissue.EXTRA_AXIAL_CSF
        cortex_depth = np.minimum(cortex_depth, np.maximum(fissure, 0))
        tissue[(cortex_depth > 0) & (cerebrum_shell < 0)] = Tissue.CORTEX
        ribbon = rng.uniform(1.2, 2.2) + maturity
        white = (cortex_depth > ribbon) & (cerebrum_shell < 0)
        tissue[white] = Tissue.WHITE_MATTER
        tissue[(fissure < 0) & (cerebrum_shell < -1)] = Tissue.FALX

        callosum = np.abs(callosum_top + np.float32(1.5)) - np.float32(rng.uniform(0.8, 1.8))
        above = (lateral < 0.25 * a) & (z > -0.1 * c)
        rim = callosum - np.float32(rng.uniform(0.5, 1.8))  # the vessels and the sulcus that run along the callosum
        tissue[(rim < 0) & (callosum_top > 0) & above & (lateral < 4)] = Tissue.FALX
        tissue[(callosum < 0) & above] = Tissue.CORPUS_CALLOSUM
        for centre, radii in (
            ((0.17 * a, -0.08 * b, -0.08 * c), (0.17 * a, 0.2 * b, 0.2 * c)),
            ((0.36 * a, 0.15 * b, -0.08 * c), (0.16 * a, 0.24 * b, 0.2 * c)),
        ):
            tissue[ellipsoid((lateral, y, z), centre, radii) < 0] = Tissue.DEEP_GREY_MATTER

        width = rng.uniform(1.5, 5.5) * (1 if rng.random() < 0.9 else 2)  # the atrium is under 10 mm as a rule
        ventricle = smooth_union(
            [
                capsule((lateral, y, z), p, q, r * width, s * width)
                for p, q, r, s in (
                    ((0.13 * a, 0.4 * b, 0.05 * c), (0.17 * a, 0.0, 0.22 * c), 0.9, 0.7),
                    ((0.17 * a, 0.0, 0.22 * c), (0.38 * a, -0.42 * b, 0.0), 0.7, 1.2),
                    ((0.38 * a, -0.42 * b, 0.0), (0.3 * a, -0.68 * b, 0.0), 1.2, 0.5),
                    ((0.38 * a, -0.42 * b, 0.0), (0.52 * a, 0.0, -0.45 * c), 1.0, 0.4),
                )
            ],
            3,
        )
        tissue[(ventricle < 0) & (cerebrum_shell < -3)] = Tissue.VENTRICLES
        cavum = ellipsoid(points, (0, 0.22 * b, 0.12 * c), (rng.uniform(1, 4), 0.22 * b, 0.14 * c))
        third = ellipsoid(points, (0, -0.05 * b, -0.12 * c), (rng.uniform(0.8, 2), 0.2 * b, 0.2 * c))
        tissue[(np.minimum(cavum, third) < 0)] = Tissue.VENTRICLES
        paint_hindbrain(tissue, points, fossa, (a, b, c), age_weeks, rng)
        return BrainField(tissue, inner_skull)


class LabelMapBrain(Brain):
    """Brains made from one label map: scaled, bent, its ventricles narrowed and its hindbrain filled up.

    The published maps are of fetuses with spina bifida, whose ventricles are wide and whose hindbrain is
    small, so both are moved towards normal by a random amount.
    """

    pitch_degrees = 13.5

    def __init__(self, labels: np.ndarray, voxel_to_brain: np.ndarray):
        """labels uint8 [I, J, K] as in `Tissue`; voxel_to_brain 4x4 in mm, origin at the mask's centre."""
        self._labels = _with_callosal_rim(labels, voxel_to_brain)
        self._brain_to_voxel = np.linalg.inv(voxel_to_brain)
        spacing = np.linalg.norm(voxel_to_brain[:3, :3], axis=0)
        self._extent = (np.ptp(np.argwhere(labels), axis=0) + 1) * spacing
        # Distances are smooth: every second voxel holds them well enough.
        inside = labels[::2, ::2, ::2] > 0
        signed = distance_transform_edt(~inside, 2 * spacing) - distance_transform_edt(inside, 2 * spacing)
        self._distance = gaussian_filter(signed, 0.8).astype(np.float32)
        ventricles = labels[::2, ::2, ::2] == Tissue.VENTRICLES
        self._ventricle_depth = distance_transform_edt(ventricles, 2 * spacing).astype(np.float32)

    def evaluate(self, points: Points, age_weeks: float, size: Sequence[float], rng) -> BrainField:
        shape = np.broadcast_shapes(*(p.shape for p in points))
        scale = self._extent / np.asarray(size)
        # The map's height includes the brainstem: height follows the other two axes, with a jitter.
        scale[2] = np.sqrt(scale[0] * scale[1]) * rng.uniform(0.92, 1.08)
        bend = rng.uniform(0.5, 3.0)
        # Spina bifida narrows the forehead as well: widen it.
        ahead = np.clip(points[1] / np.float32(size[1] / 2), 0, 1)
        forehead = np.float32(2.6) * ahead * (1 - ahead**2)  # at most 1, and nought at the pole, which stays round
        widened = (points[0] * (1 - np.float32(rng.uniform(0.05, 0.3)) * forehead), *points[1:])
        voxel = []
        for row in range(3):
            warp = smooth_noise(rng, shape, (3, 3, 3)) * np.float32(0.35 * bend)
            warp += smooth_noise(rng, shape, (3, 4, 3), mirror=row != 0) * np.float32(bend)
            voxel.append(widened[row] * np.float32(scale[row]) + warp)
        voxel = np.stack([np.broadcast_to(v, shape) for v in move_to(voxel, self._brain_to_voxel)])
        tissue = map_coordinates(self._labels, voxel, order=0)
        mean_scale = np.float32(1 / np.cbrt(np.prod(scale)))
        voxel *= np.float32(0.5)
        distance = map_coordinates(self._distance, voxel, order=1, mode="nearest") * mean_scale
        depth = map_coordinates(self._ventricle_depth, voxel, order=1)
        tissue[(depth > 0) & (depth < rng.uniform(0, 6))] = Tissue.WHITE_MATTER
        half = tuple(np.float32(extent / 2) for extent in size)
        if rng.random() < 0.75:
            fossa = posterior_fossa(points, half, rng)
            distance = smooth_union([distance, fossa], 5)
            room = np.isin(tissue, (Tissue.OUTSIDE, Tissue.EXTRA_AXIAL_CSF, Tissue.CEREBELLUM, Tissue.BRAINSTEM))
            hindbrain = tissue.copy()
            hindbrain[fossa < 0] = Tissue.EXTRA_AXIAL_CSF
            paint_hindbrain(hindbrain, points, fossa, half, age_weeks, rng)
            tissue = np.where(room, hindbrain, tissue)
        tissue[(tissue == Tissue.OUTSIDE) & (distance < 0)] = Tissue.EXTRA_AXIAL_CSF
        tissue[distance >= 0] = Tissue.OUTSIDE
        if rng.random() < 0.85:
            sinus = np.clip(1 + distance / np.float32(7), 0, 1) * np.float32(rng.uniform(0.5, 3))
            width = np.float32(rng.uniform(0.4, 1.3)) + sinus
            fissure = (np.abs(points[0]) < width) & (tissue == Tissue.EXTRA_AXIAL_CSF)
            tissue[fissure & (points[2] > 0)] = Tissue.FALX
        return BrainField(tissue, distance)


def _with_callosal_rim(labels: np.ndarray, voxel_to_brain: np.ndarray) -> np.ndarray:
    """The map with the sulcus and the vessels along the callosum, which it leaves out, marked beside the midline."""
    spacing = np.linalg.norm(voxel_to_brain[:3, :3], axis=0)
    lateral = np.abs(np.arange(labels.shape[0]) * spacing[0] + voxel_to_brain[0, 3])
    first, *_, last = np.flatnonzero(lateral < 4)
    marked = labels.copy()
    middle = marked[first : last + 1]
    near = distance_transform_edt(middle != Tissue.CORPUS_CALLOSUM, spacing) < 2.5
    middle[near & np.isin(middle, (Tissue.EXTRA_AXIAL_CSF, Tissue.CORTEX))] = Tissue.FALX
    return marked


def move_to(points: Sequence[np.ndarray], matrix: np.ndarray) -> Points:
    """Label maps stand along the axes of their frame, so only scale and shift are applied, per axis."""
    return tuple(p * np.float32(matrix[row, row]) + np.float32(matrix[row, 3]) for row, p in enumerate(points))


def paint_deep_veins(tissue: np.ndarray, points: Points, length: float, rng) -> None:
    """Darken the veins that meet behind the brain's middle, as every clinical scout shows them; in place.

    points: canonical mm, on whose right half the shapes are given; length: occipitofrontal diameter in mm.
    """
    half = (np.abs(points[0]), *points[1:])
    drop = rng.normal(0, 0.02, 3) * length
    for start, end, likely, thickest in (
        ((0, 0.04, -0.03), (0, -0.2, 0.03), 0.9, 2.4),  # internal cerebral veins, vein of Galen
        ((0.14, 0.06, 0.05), (0.17, -0.1, 0.04), 0.7, 1.8),  # thalamostriate veins, choroid plexus
        ((0, -0.2, 0.03), (0, -0.42, -0.1), 0.5, 1.8),  # straight sinus
    ):
        if rng.random() < likely:
            radius = rng.uniform(0.8, thickest)
            tube = capsule(half, length * np.array(start) + drop, length * np.array(end) + drop, radius, radius)
            tissue[(tube < 0) & (tissue != Tissue.OUTSIDE)] = Tissue.FALX


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
