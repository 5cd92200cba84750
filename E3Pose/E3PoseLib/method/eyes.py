"""The eyes: which bright spots they are, and the rotation that they and the brain define."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from ..imaging.geometry import transform_points
from ..imaging.masks import ball_radius
from ..imaging.rotations import geodesic_angle, orthonormalise

CANONICAL_PITCH_DEGREES = 20.0
"""The canonical anterior axis points this far above the line from the brain's centre to between the eyes."""

LEAST_PROBABILITY = 0.03
"""Of the smoothed eye channel at a spot that may be an eye: low, as the other eye and the rotation decide with it."""

LEAST_PROBABILITY_OF_A_PAIR = 0.45
"""The geometric mean of both below which they are no eyes; see docs/accuracy.md."""

MOST_SPOTS = 30

SPREAD_DEGREES = 10.0
"""Between the rotation that the eyes define and that of the brain, see docs/accuracy.md."""

EYE_DISTANCE = (0.75, 0.1)
"""Of the eyes from each other, relative to their mean distance from the brain's centre: mean and spread, over 250
synthetic heads (0.77 ± 0.09) and the landmarks of 15 clinical scans (0.71 ± 0.06)."""

REACH = (1.15, 0.2)
"""Of the eyes from the brain's centre, relative to the radius of a ball of the brain's volume; the spread allows for
masks that are too large or too small."""

REACH_DIFFERENCE_MM = 3.0
"""Spread of the difference of the eyes' distances from the brain's centre."""

EYES_WEIGHT = 8.0
"""Of the rotation that the eyes define in its mean with that of the brain."""

EYES_AGREE_DEGREES = ((0.65, 15.0), (0.55, 10.0))
"""Of pairs of at least such a probability, how far from the brain's their rotation may be. What is further
away, or less probable, leaves a doubt which is right; see docs/accuracy.md."""

FACE_ELSEWHERE_DEGREES = 35.0
"""Beyond this they are not averaged with it: what was found are no eyes. Below, of the two it is the eyes that are as a
rule right, see docs/accuracy.md."""


@dataclass(frozen=True, eq=False)
class Eyes:
    """Where the eyes are.

    Parameters
    ----------
    left, right : np.ndarray
        Shape ``[3]``, the fetus's own left and right, RAS mm.
    probability : float
        That the network sees eyes there: the geometric mean of both.
    """

    left: np.ndarray
    right: np.ndarray
    probability: float

    def halfway_to(self, other: Eyes) -> Eyes:
        """Eyes between these and others."""
        left, right = (self.left + other.left) / 2, (self.right + other.right) / 2
        return Eyes(left, right, min(self.probability, other.probability))


def rotation_from_eyes(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The head's rotation from both eyes.

    y points from the brain's centre to the mid-point of the eyes, z = x × y with x from left to right eye, x = y × z,
    then the head is pitched about x by `CANONICAL_PITCH_DEGREES`.

    Parameters
    ----------
    left, right : np.ndarray
        Shape ``[..., 3]``, from the brain's centre, in any length. Not in one line with it.

    Returns
    -------
    np.ndarray
        Shape ``[..., 3, 3]``, proper: columns are the head's right, anterior and superior axes.
    """
    forward, superior = (left + right) / 2, np.cross(right, left)
    y = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    z = superior / np.linalg.norm(superior, axis=-1, keepdims=True)
    cosine, sine = math.cos(math.radians(CANONICAL_PITCH_DEGREES)), math.sin(math.radians(CANONICAL_PITCH_DEGREES))
    return np.stack([np.cross(y, z), cosine * y + sine * z, cosine * z - sine * y], axis=-1)


def find_eyes(
    probability: np.ndarray, voxel_to_ras: np.ndarray, centre: np.ndarray, brain_volume_ml: float, rotation: np.ndarray
) -> Eyes | None:
    """The pair of spots that is most likely to be the eyes.

    What a network takes for eyes at some millimetres' resolution is often a vessel or a limb. But eyes come in pairs,
    as far from the brain's centre as its size tells, equally far, and where a rotation seen otherwise has the face. The
    pair of spots is taken that maximises the sum of the logarithms of both probabilities and of normal densities of
    these four quantities.

    Parameters
    ----------
    probability : np.ndarray
        Shape ``[D, H, W]``: of each voxel, all cubes, to belong to an eye.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``.
    centre : np.ndarray
        Shape ``[3]``, of the brain, RAS mm.
    brain_volume_ml : float
    rotation : np.ndarray
        Shape ``[3, 3]``, of the head, as columns its axes in RAS, by other means.

    Returns
    -------
    Eyes or None
        None where there are no two spots that could be eyes, or the likeliest are too unlikely.
    """
    spots, certainty = _spots(probability)
    places = transform_points(voxel_to_ras, spots) - centre
    reach = np.linalg.norm(places, axis=1)
    left, right = (index.ravel() for index in np.indices((len(spots), len(spots))))
    mean_reach = (reach[left] + reach[right]) / 2
    radius = ball_radius(1000 * brain_volume_ml)
    deviations = np.stack(
        [
            (np.linalg.norm(places[left] - places[right], axis=1) / mean_reach - EYE_DISTANCE[0]) / EYE_DISTANCE[1],
            (mean_reach / radius - REACH[0]) / REACH[1],
            (reach[left] - reach[right]) / REACH_DIFFERENCE_MM,
        ]
    )
    possible = np.abs(deviations).max(axis=0) < 3.5
    left, right, deviations = left[possible], right[possible], deviations[:, possible]
    if not len(left):
        return None
    turned = geodesic_angle(
        torch.from_numpy(rotation_from_eyes(places[left], places[right])), torch.from_numpy(rotation)
    ).numpy()
    evidence = np.log(certainty[left] * certainty[right])
    evidence -= (np.square(deviations).sum(axis=0) + np.square(turned / SPREAD_DEGREES)) / 2
    best = evidence.argmax()
    eyes = left[best], right[best]
    of_both = float(np.sqrt(certainty[list(eyes)].prod()))
    if of_both < LEAST_PROBABILITY_OF_A_PAIR:
        return None
    at_left, at_right = (places[index] + centre for index in eyes)
    return Eyes(at_left, at_right, of_both)


def average_with_eyes(rotation: np.ndarray, eyes: Eyes, centre: np.ndarray) -> tuple[np.ndarray, float, bool]:
    """The head's rotation by its brain and by the eyes together.

    Parameters
    ----------
    rotation : np.ndarray
        Shape ``[3, 3]``, by the brain: as columns the head's axes in RAS.
    eyes : Eyes
    centre : np.ndarray
        Shape ``[3]``, of the brain, RAS mm.

    Returns
    -------
    rotation : np.ndarray
        Shape ``[3, 3]``: the mean by chordal distance that weighs the eyes `EYES_WEIGHT` times; the brain's where the
        two are more than `FACE_ELSEWHERE_DEGREES` apart.
    disagreement : float
        Between the two, degrees.
    agree : bool
        Whether they do, by `EYES_AGREE_DEGREES`.
    """
    by_eyes = torch.from_numpy(rotation_from_eyes(eyes.left - centre, eyes.right - centre))
    by_brain = torch.from_numpy(rotation)
    disagreement = float(geodesic_angle(by_brain, by_eyes))
    if disagreement > FACE_ELSEWHERE_DEGREES:
        return rotation, disagreement, False
    mean = orthonormalise(by_brain + EYES_WEIGHT * by_eyes).numpy()
    agree = any(eyes.probability >= least and disagreement <= most for least, most in EYES_AGREE_DEGREES)
    return mean, disagreement, agree


def _spots(probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local maxima ``[N, 3]`` (voxels, with fractions) of the smoothed probability, most likely first, and that."""
    smooth = ndimage.gaussian_filter(probability, 1.0, mode="constant")
    is_peak = (smooth == ndimage.maximum_filter(smooth, 3)) & (smooth > LEAST_PROBABILITY)
    peaks = np.argwhere(is_peak)
    peaks = peaks[np.argsort(-smooth[is_peak], kind="stable")][:MOST_SPOTS]
    refined = [_centroid(smooth, peak) for peak in peaks]
    return np.array(refined).reshape(-1, 3), smooth[tuple(peaks.T)].astype(np.float64)


def _centroid(array: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Centre of mass of an array within two voxels of a peak, voxels."""
    start = (peak - 2).clip(min=0)
    near = array[tuple(slice(first, voxel + 3) for first, voxel in zip(start, peak, strict=True))]
    return np.array(ndimage.center_of_mass(near)) + start
