"""How alike two stacks are in a frame of the head, and what several of them show together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .stack import SPACING_MM, Sample, region

LEAST_SHARED_ML = 5.0
"""Of the brain, seen by both: less tells nothing."""


def mean_of(samples: Sequence[Sample]) -> Sample:
    """What samples in one frame, at least one, show together."""
    times = np.sum([one.covered for one in samples], axis=0)
    divisor = np.maximum(times, 1).astype(np.float32)
    values = np.sum([one.covered * one.values for one in samples], axis=0) / divisor
    brain = np.sum([one.covered * one.brain for one in samples], axis=0) / divisor
    return Sample(values, times > 0, brain)


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
