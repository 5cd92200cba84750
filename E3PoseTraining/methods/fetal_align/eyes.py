"""Both eyes: bright balls of the age's size in the dark, placed about the brain and each other as eyes are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import ndimage
from scipy.signal import fftconvolve

from ...synthesis.anatomy.growth import HeadSize
from .brain import Brain
from .planes import Planes

FINE_MM = 1.5

NEAREST, FURTHEST = 0.6, 1.3
"""Distance of an eye from the brain's centre, in half occipitofrontal diameters."""

OUTSIDE_BRAIN = 0.9
"""Least distance from the brain's centre, in that of the ellipsoid."""

INSIDE, SURROUNDING, BETWEEN = 0.35, (0.55, 0.95), 0.25
"""Radii, in diameters of an eye: of the ball that is bright, of the shell that is dark, of the ball halfway between
both eyes that is dark, too."""

BRIGHTER = 0.1
"""Values are cut off so far above the brain's level: fluid may be brighter than an eye and is no better one."""

CANDIDATES = 40
APART = (0.6, 1.5)
"""Distance of the eyes by that of the age."""

DISTANCE_APART, FROM_BRAIN, ASYMMETRY = (0.96, 0.3), (0.96, 0.17), 0.17
"""Mean and standard deviation of the distance of the eyes (by that of the age) and of their mean distance from the
brain (in half occipitofrontal diameters), and deviation of the difference of their distances from it."""

DARK_BETWEEN, UNLIKE, DIM = (-0.5, 0.6), 0.4, 0.35
"""Level halfway between the eyes against the brain's: up to which it is dark enough, and deviation above it. Deviations
of the difference of contrasts, and of the dimmer eye's level below the brain's."""

INCLINE, SIDEWAYS, ASLANT = (0.25, 0.14), 0.6, 0.18
"""Of the brain's ellipsoid scaled to volume 1, in the frame that the eyes give: the off-diagonal element that tells how
far it rises in front (from which value on, and deviation below), and deviations of the other two from 0. Half of the
scouts of docs/comparison.md have 0.28 and more of the first, which is a longest axis some 45° above the eyes."""


@dataclass(frozen=True, eq=False)
class EyePair:
    """Both eyes, in mm along the axes of the planes; which of them is the left one depends on the handedness of these.

    Parameters
    ----------
    one, other : np.ndarray
        ``[3]``
    upward : np.ndarray
        Unit vector ``[3]``, at right angles to the plane through brain and eyes, towards the top of the head.
    score : float
        Contrast of both less their misfit.
    """

    one: np.ndarray
    other: np.ndarray
    upward: np.ndarray
    score: float


@dataclass(frozen=True, eq=False)
class _Candidates:
    """``places`` ``[n, 3]`` in mm along the axes of the planes, ``contrasts`` and ``levels`` ``[n]``, best first.

    ``smooth`` is the cube about the brain whose first voxel lies at ``corner``.
    """

    places: np.ndarray
    contrasts: np.ndarray
    levels: np.ndarray
    smooth: np.ndarray
    corner: np.ndarray

    def level_between(self, first: int, second: int) -> float:
        """Halfway between two of them, against the brain's."""
        middle = np.rint(((self.places[first] + self.places[second]) / 2 - self.corner) / FINE_MM).astype(int)
        return float(self.smooth[tuple(np.clip(middle, 0, np.array(self.smooth.shape) - 1))])


def find_eyes(planes: Planes, brain: Brain, size: HeadSize) -> EyePair | None:
    """The pair that looks most like the eyes of this brain; None where there is none."""
    found = _candidates(planes, brain, size)
    half = size.occipitofrontal_diameter / 2
    form = brain.shape / np.linalg.det(brain.shape) ** (1 / 3)
    best: EyePair | None = None
    for first, second in combinations(range(len(found.places)), 2):
        one, other = found.places[first], found.places[second]
        apart = float(np.linalg.norm(one - other)) / size.interocular_distance
        if not APART[0] < apart < APART[1]:
            continue
        far = [float(np.linalg.norm(eye - brain.centre)) / half for eye in (one, other)]
        contrasts, levels = found.contrasts[[first, second]], found.levels[[first, second]]
        across = (one - other) / np.linalg.norm(one - other)
        forward = (one + other) / 2 - brain.centre
        forward = forward - across * (across @ forward)
        forward /= max(float(np.linalg.norm(forward)), 1e-6)
        upward = np.cross(across, forward)
        # The ellipsoid rises in front: that tells which way is up.
        upward *= np.sign(forward @ form @ upward) or 1.0
        misfits = (
            (apart - DISTANCE_APART[0]) / DISTANCE_APART[1],
            (np.mean(far) - FROM_BRAIN[0]) / FROM_BRAIN[1],
            (far[0] - far[1]) / ASYMMETRY,
            max(found.level_between(first, second) - DARK_BETWEEN[0], 0) / DARK_BETWEEN[1],
            (contrasts[0] - contrasts[1]) / UNLIKE,
            min(levels.min(), 0) / DIM,
            min(forward @ form @ upward - INCLINE[0], 0) / INCLINE[1],
            (across @ form @ forward) / SIDEWAYS,
            (across @ form @ upward) / ASLANT,
        )
        score = float(contrasts.min() + contrasts.mean() - np.square(misfits).sum() / 2)
        if best is None or score > best.score:
            best = EyePair(one, other, upward, score)
    return best


def _candidates(planes: Planes, brain: Brain, size: HeadSize) -> _Candidates:
    """Places that are bright in the dark."""
    half, eye = size.occipitofrontal_diameter / 2, size.eye_diameter
    reach = int(np.ceil((FURTHEST * half + eye) / FINE_MM))
    corner = brain.centre - reach * FINE_MM
    points = np.stack(np.meshgrid(*[FINE_MM * np.arange(2 * reach + 1)] * 3, indexing="ij"), axis=-1) + corner
    air = float(np.percentile(planes.values, 5))
    cube = ndimage.map_coordinates(planes.values, np.moveaxis(points / planes.spacing, -1, 0), order=1, cval=air)
    cube = np.minimum(cube, brain.level + BRIGHTER) - brain.level
    inside = _mean_in_shell(cube, 0.0, INSIDE * eye)
    contrast = inside - _mean_in_shell(cube, SURROUNDING[0] * eye, SURROUNDING[1] * eye)
    offset = points - brain.centre
    distance = np.linalg.norm(offset, axis=-1) / half
    in_ellipsoids = np.sqrt(np.einsum("...i,ij,...j->...", offset, np.linalg.inv(brain.shape), offset))
    peaks = contrast == ndimage.maximum_filter(contrast, size=2 * int(eye / 3 / FINE_MM) + 1)
    peaks &= (contrast > 0) & (distance > NEAREST) & (distance < FURTHEST) & (in_ellipsoids > OUTSIDE_BRAIN)
    voxels = np.argwhere(peaks)
    voxels = voxels[np.argsort(-contrast[peaks], kind="stable")][:CANDIDATES]
    places = np.array([_refined(contrast, voxel) for voxel in voxels]).reshape(-1, 3) * FINE_MM + corner
    where = tuple(voxels.T)
    return _Candidates(places, contrast[where], inside[where], _mean_in_shell(cube, 0.0, BETWEEN * eye), corner)


def _refined(contrast: np.ndarray, voxel: np.ndarray) -> np.ndarray:
    """Centre of mass of what is best within two voxels of a peak."""
    start = np.maximum(voxel - 2, 0)
    near = contrast[tuple(slice(low, high + 3) for low, high in zip(start, voxel, strict=True))]
    return np.array(ndimage.center_of_mass(np.maximum(near - 0.7 * near.max(), 0))) + start


def _mean_in_shell(cube: np.ndarray, inner: float, outer: float) -> np.ndarray:
    """Of each voxel, the mean of those at a distance of `inner` to `outer` mm."""
    reach = int(np.ceil(outer / FINE_MM))
    distance = np.linalg.norm(np.stack(np.meshgrid(*[FINE_MM * np.arange(-reach, reach + 1)] * 3)), axis=0)
    kernel = ((distance >= inner) & (distance < outer)).astype(np.float32)
    return fftconvolve(np.pad(cube, reach, mode="edge"), kernel / kernel.sum(), mode="valid")
