"""What else may be the head, where a pose is doubtful: another thing that looked like a brain, or the core of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..errors import E3PoseError
from ..imaging.geometry import pose_difference
from ..imaging.masks import thickest_part
from .confidence import LOW_SCORE
from .estimate import PoseEstimate

CORE_REACH, CORE_SHARE = 1.3, 0.75
"""How far from the centre of the largest ball that fits into what the U-Net calls brain its core reaches, in radii; and
the share of the whole below which it is another thing than that."""

ANOTHER_POSE = (3.0, 3.0)
"""Degrees and mm from which on two poses are not the same: an observer's landmarks are no more certain."""

TWIN_SHARE, TWIN_MM, TWIN_SCORE = 0.3, 60.0, LOW_SCORE / 2
"""A further thing of this share of the largest is looked at too; it is another head where a pose of this score lies so
far: wrong organs score less, and one reason to doubt a pose halves its score (docs/accuracy.md)."""

NOT_THE_LARGEST = "something larger looked like a brain too: check that the mask is in the head"

EstimateFrom = Callable[[dict[int, np.ndarray]], dict[int, PoseEstimate]]
"""The method from a first mask of the brain of each scan."""


def try_others(
    brains: Mapping[int, Sequence[np.ndarray]],
    first: Mapping[int, PoseEstimate | E3PoseError],
    candidates: int,
    estimate_from: EstimateFrom,
) -> dict[int, PoseEstimate]:
    """What else may be the brain, where the pose is doubtful, or a brain as well: there may be twins.

    Parameters
    ----------
    brains : mapping
        Of each scan that has any, masks of what may be its brain, largest first.
    first : mapping
        The estimates from the largest.
    candidates : int
        How many masks of a scan are tried.
    estimate_from : callable

    Returns
    -------
    dict
        The surest estimate of each of those scans.
    """
    chosen = {index: first[index] for index in brains}
    found = {index: [estimate] for index, estimate in chosen.items()}
    for turn in range(1, candidates):
        others = {
            index: masks[turn]
            for index, masks in brains.items()
            if turn < len(masks)
            and (may_be_elsewhere(chosen[index]) or masks[turn].sum() >= TWIN_SHARE * masks[0].sum())
        }
        for index, estimate in estimate_from(others).items():
            found[index].append(estimate)
            if may_be_elsewhere(chosen[index]) and is_surer(estimate, chosen[index]):
                chosen[index] = replace(estimate, warnings=(*estimate.warnings, NOT_THE_LARGEST))
    wholes = {
        index: masks[0]
        for index, masks in brains.items()
        if may_be_elsewhere(chosen[index]) and not shows_a_head(chosen[index])
    }
    cores = {index: thickest_part(whole, CORE_REACH) for index, whole in wholes.items()}
    cores = {index: core for index, core in cores.items() if core.sum() < CORE_SHARE * wholes[index].sum()}
    for index, estimate in estimate_from(cores).items():
        apart = pose_difference(estimate.canonical_to_ras, chosen[index].canonical_to_ras)
        if is_surer(estimate, chosen[index]) and np.greater(apart, ANOTHER_POSE).any():
            chosen[index] = estimate.with_evidence(by_core=True)
    for index, estimates in found.items():
        here = chosen[index]
        heads = [one for one in estimates if one.confidence.score >= TWIN_SCORE and not one.confidence.in_ghost]
        furthest = max((pose_difference(one.canonical_to_ras, here.canonical_to_ras)[1] for one in heads), default=0.0)
        if furthest > TWIN_MM:
            chosen[index] = here.with_evidence(another_head_mm=furthest)
    return chosen


def may_be_elsewhere(outcome: PoseEstimate | E3PoseError) -> bool:
    """Whether no head was found, or one that is doubtful, see `Confidence.may_be_elsewhere`."""
    return isinstance(outcome, E3PoseError) or outcome.confidence.may_be_elsewhere


def shows_a_head(outcome: PoseEstimate | E3PoseError) -> bool:
    """Whether a head was found, be its pose doubtful, see `Confidence.shows_a_head`."""
    return isinstance(outcome, PoseEstimate) and outcome.confidence.shows_a_head


def is_surer(one: PoseEstimate | E3PoseError, other: PoseEstimate | E3PoseError) -> bool:
    """Whether one outcome has the higher score; any estimate is surer than none."""
    if isinstance(one, E3PoseError):
        return False
    return isinstance(other, E3PoseError) or one.confidence.score > other.confidence.score
