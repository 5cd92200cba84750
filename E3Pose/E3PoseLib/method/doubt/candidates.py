"""Other things that may be the brain: further candidates, the core of one, the middle of the scan; and twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ...imaging.geometry import pose_difference
from ...imaging.masks import thickest_part
from .reading import Doubt, Reading, with_opinions

CORE_REACH, CORE_SHARE = 1.3, 0.75
"""The core of a mask is what lies within this many radii of the centre of the largest ball that fits in. It is tried
where it holds less than this share of the mask."""

ANOTHER_POSE = (3.0, 3.0)
"""Degrees and mm from which on two poses are not the same: two observers' landmarks differ by as much."""

TWIN_SHARE, TWIN_MM, TWIN_CERTAINTY = 0.3, 60.0, 0.5
"""Beside a sure pose a further candidate is read where it has this share of the largest one's volume. It is another
head where its pose lies so far away and is at least as likely to be right as not. Wrong organs are less
(docs/accuracy.md)."""

MIDDLE_MM, CUT_CLOSE_MM, LEAST_IN_MIDDLE = 35.0, 160.0, 0.5
"""Radius of the ball that stands for a brain in the middle of a scan, about that of 28 weeks; the longest edge of a
scan that is cut so close about a head that it is looked for there; and the least probability that a pose there is
right."""

NOT_THE_LARGEST = "something larger looked like a brain too: check that the mask is in the head"


class OtherCandidate:
    """Reads the next largest thing that the segmentation network calls brain.

    Parameters
    ----------
    rank : int
        Of the candidate by volume; the largest, which is read anyway, has 0.
    """

    within: Sequence[Doubt] = ()
    marks: Mapping[str, bool] = MappingProxyType({})
    shows_same_pose = True

    def __init__(self, rank: int) -> None:
        self._rank = rank

    def read_again(self, reading: Reading) -> list[Reading]:
        """A reading by that candidate, where the pose is doubtful, or the candidate large enough to be a twin's."""
        if self._rank >= len(reading.brains):
            return []
        largest, other = reading.brains[0], reading.brains[self._rank]
        if not (reading.may_be_elsewhere or other.sum() >= TWIN_SHARE * largest.sum()):
            return []
        return [reading.again(reading.scan, (other,))]

    def decide(self, reading: Reading, others: list[Reading]) -> Reading:
        """The other where the first is doubtful and less sure."""
        reading = replace(reading, heads_found=sum((one.heads for one in (reading, *others)), ()))
        for other in others:
            if other.estimate is not None and reading.may_be_elsewhere and other.is_surer_than(reading):
                warnings = (*other.estimate.warnings, NOT_THE_LARGEST)
                reading = replace(reading, outcome=replace(other.estimate, warnings=warnings))
        return reading


class CoreOfBrain:
    """Reads the thickest part of the largest candidate: fluid or fat that touches a brain may be called brain too."""

    within: Sequence[Doubt] = ()
    marks: Mapping[str, bool] = MappingProxyType({"by_core": True})
    shows_same_pose = True

    def read_again(self, reading: Reading) -> list[Reading]:
        """A reading by the core, where the pose is doubtful and no eyes speak for a head."""
        if not reading.brains or not reading.may_be_elsewhere or reading.shows_a_head or reading.scan.brain is not None:
            return []
        whole = reading.scan.shown_part(reading.brains[0])
        core = thickest_part(whole, CORE_REACH)
        return [reading.again(reading.scan, (core,))] if core.sum() < CORE_SHARE * whole.sum() else []

    def decide(self, reading: Reading, others: list[Reading]) -> Reading:
        """The pose by the core where it is another one, and surer even so."""
        for other in others:
            if other.estimate is None or reading.estimate is None or not other.is_surer_than(reading):
                continue
            apart = pose_difference(other.estimate.canonical_to_ras, reading.estimate.canonical_to_ras)
            if np.greater(apart, ANOTHER_POSE).any():
                reading = replace(reading, outcome=other.estimate)
        return reading


class MiddleOfScan:
    """Looks for the brain in the middle of a scan that is cut close about the head.

    The segmentation network knows a brain by what surrounds it, of which such a scan shows little. The networks that
    look closer need no more than to be told roughly where.
    """

    within: Sequence[Doubt] = ()
    marks: Mapping[str, bool] = MappingProxyType({"by_middle": True})
    shows_same_pose = True

    def read_again(self, reading: Reading) -> list[Reading]:
        """A reading by a ball in the middle, where no head was found, or none whose eyes speak for it."""
        scan = reading.scan
        if scan.brain is not None or not reading.may_be_elsewhere or reading.shows_a_head:
            return []
        if max(scan.shown_mm) > CUT_CLOSE_MM:
            return []
        return [reading.again(scan, (scan.ball_in_the_middle(MIDDLE_MM),))]

    def decide(self, reading: Reading, others: list[Reading]) -> Reading:
        """The pose by the middle where it is surer, and likelier right than wrong."""
        for other in others:
            if other.estimate is None or not other.estimate.confidence.brain_agreement:
                continue  # the ball is all there is
            second = reading.estimate
            if reading.opinions is None and second is not None and second.confidence.by_second_opinion:
                other, reading = with_opinions(other, reading)
            found = other.estimate
            is_likely = found is not None and (found.confidence.probability or 0.0) >= LEAST_IN_MIDDLE
            if is_likely and other.is_surer_than(reading):
                reading = replace(reading, outcome=found)
        return reading


class Twins:
    """Says of a pose that there is another head, where another candidate has a pose that is not too doubtful."""

    within: Sequence[Doubt] = ()
    marks: Mapping[str, bool] = MappingProxyType({})
    shows_same_pose = True

    def read_again(self, reading: Reading) -> list[Reading]:
        """Nothing: the candidates have been read."""
        return []

    def decide(self, reading: Reading, others: list[Reading]) -> Reading:
        """The same pose, with how far the other head is as evidence."""
        here = reading.estimate
        if here is None:
            return reading
        # How far it is from the head that the second networks have found says nothing of another head.
        alone = {"opinions_apart_degrees": None, "opinions_apart_mm": None}
        heads = (one.with_evidence(**alone) for one in reading.heads_found)
        heads = (one for one in heads if one.confidence.certainty >= TWIN_CERTAINTY)
        heads = (one for one in heads if not one.confidence.in_ghost)
        furthest = max((pose_difference(one.canonical_to_ras, here.canonical_to_ras)[1] for one in heads), default=0.0)
        return replace(reading, outcome=here.with_evidence(another_head_mm=furthest)) if furthest > TWIN_MM else reading
