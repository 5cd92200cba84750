"""How alike two stacks are in a frame of the head, and what several of them show together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from .stack import SPACING_MM, Sample

RIM_MM = 4.0
"""Around the brain: fluid and skull, which move with it."""

LEAST_SHARED_ML = 5.0
"""Of the brain, seen by both: less tells nothing."""


def mean_of(samples: Sequence[Sample], weights: Sequence[float]) -> Sample:
    """What samples in one frame show together.

    Parameters
    ----------
    samples : sequence of Sample
        At least one.
    weights : sequence of float
        Of each, above 0.
    """
    weighted = [weight * one.covered.astype(np.float32) for one, weight in zip(samples, weights, strict=True)]
    total = np.sum(weighted, axis=0)
    safe = np.maximum(total, 1e-6)
    values = np.sum([weight * one.values for one, weight in zip(samples, weighted, strict=True)], axis=0) / safe
    brain = np.sum([weight * one.brain for one, weight in zip(samples, weighted, strict=True)], axis=0) / safe
    return Sample(values.astype(np.float32), total > 0, brain.astype(np.float32))


def region(brain: np.ndarray) -> np.ndarray:
    """The brain and a rim around it, bool ``[N, N, N]``."""
    return ndimage.binary_dilation(brain > 0.5, iterations=round(RIM_MM / SPACING_MM))


def likeness(one: Sample, other: Sample, where: np.ndarray) -> float:
    """Correlation of the intensities of two samples, −1 to 1; 0 where too little is seen by both.

    Parameters
    ----------
    one, other : Sample
    where : np.ndarray
        Bool ``[N, N, N]``.
    """
    both = where & one.covered & other.covered
    if np.count_nonzero(both) * SPACING_MM**3 < LEAST_SHARED_ML * 1000:
        return 0.0
    first, second = (sample.values[both] - sample.values[both].mean() for sample in (one, other))
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / size if size else 0.0


def pairwise(samples: Sequence[Sample]) -> np.ndarray:
    """Likeness of each two samples within the brain of either, ``[n, n]``; 1 on the diagonal."""
    table = np.eye(len(samples))
    for i, one in enumerate(samples):
        for j, other in enumerate(samples[:i]):
            where = region(np.maximum(one.brain, other.brain))
            table[i, j] = table[j, i] = likeness(one, other, where)
    return table
