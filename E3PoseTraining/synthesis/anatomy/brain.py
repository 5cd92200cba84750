"""Fetal brains as label fields: what all kinds of them have in common.

A brain is given in its own frame (right, anterior, superior of the label maps, millimetres, origin near the middle) and
knows the signed distance to the inside of the skull, around which the head is built.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..shapes import Points, capsule
from ..tissues import Tissue


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
    def evaluate(
        self, points: Points, age_weeks: float, size: Sequence[float], rng, atrium_mm: float | None = None
    ) -> BrainField:
        """Draw one brain at points in its own frame.

        Parameters
        ----------
        points : Points
        age_weeks : float
        size : sequence of float
            The inner skull's (x, y, z) extent, mm.
        rng : numpy.random.Generator
        atrium_mm : float, optional
            Width of the lateral ventricles' atrium, about; above 10 mm they are enlarged (ventriculomegaly). None: as
            brains of scouts have it.
        """


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
