"""One reading of a scan, and how a doubtful one is read again in other ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

import numpy as np

from ...errors import E3PoseError, NoHeadFoundError
from ...imaging.geometry import pose_difference
from ..estimate import PoseEstimate
from ..prepared import PreparedScan


@dataclass(frozen=True, eq=False)
class Reading:
    """A scan, what of it is known before it is read, and what came of it.

    Parameters
    ----------
    scan : PreparedScan
    brains : tuple of np.ndarray
        Bool masks on the model's grid of what may be the brain, the first of which is read; empty where the brain is
        to be found first.
    brain_agreement : float or None
        See `Head.brain_agreement`. Where it is given, the first brain is taken as the close-up network's.
    outcome : PoseEstimate or E3PoseError or None
        None before it was read.
    heads_found : tuple of PoseEstimate
        By all brains that were read.
    considered : tuple of PoseEstimate
        What was found in this scan and not taken.
    is_second_opinion : bool
        Whether it is for the model's second networks to read.
    opinions : tuple of np.ndarray or None
        Shape ``[4, 4]`` each, `PoseEstimate.canonical_to_ras` of the head by the first and by the second networks; None
        before both have found one.
    """

    scan: PreparedScan
    brains: tuple[np.ndarray, ...] = ()
    brain_agreement: float | None = None
    outcome: PoseEstimate | E3PoseError | None = None
    heads_found: tuple[PoseEstimate, ...] = ()
    considered: tuple[PoseEstimate, ...] = ()
    is_second_opinion: bool = False
    opinions: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def estimate(self) -> PoseEstimate | None:
        """The outcome where it is an estimate."""
        return self.outcome if isinstance(self.outcome, PoseEstimate) else None

    @property
    def result(self) -> PoseEstimate | E3PoseError:
        """The outcome of a scan that was read."""
        assert self.outcome is not None
        return self.outcome

    @property
    def may_be_elsewhere(self) -> bool:
        """Whether no head was found, or one whose pose is doubtful, see `Confidence.may_be_elsewhere`."""
        return self.estimate is None or self.estimate.confidence.may_be_elsewhere

    @property
    def may_be_wrong(self) -> bool:
        """Whether no head was found, or one whose pose is not sure, see `Confidence.may_be_wrong`."""
        return self.estimate is None or self.estimate.confidence.may_be_wrong

    @property
    def heads(self) -> tuple[PoseEstimate, ...]:
        """`heads_found`; before that is known, the outcome where it is an estimate."""
        return self.heads_found or tuple(filter(None, [self.estimate]))

    @property
    def shows_a_head(self) -> bool:
        """Whether a head was found, see `Confidence.shows_a_head`; its pose may be doubtful."""
        return self.estimate is not None and self.estimate.confidence.shows_a_head

    def again(
        self, scan: PreparedScan, brains: tuple[np.ndarray, ...] = (), brain_agreement: float | None = None
    ) -> Reading:
        """Not read yet, by the same networks: the scan made otherwise, or another brain in it."""
        return Reading(scan, brains, brain_agreement, is_second_opinion=self.is_second_opinion, opinions=self.opinions)

    def compared(self, estimate: PoseEstimate) -> PoseEstimate:
        """An estimate of this scan with how far it is from the opinion of those networks that did not make it."""
        if self.opinions is None:
            return estimate
        first, second = self.opinions
        other = first if estimate.confidence.by_second_opinion else second
        degrees, mm = pose_difference(estimate.canonical_to_ras, other)
        return estimate.with_evidence(opinions_apart_degrees=degrees, opinions_apart_mm=mm)

    def with_outcome(self, outcome: PoseEstimate | E3PoseError) -> Reading:
        """The same, read; an estimate is `compared` first."""
        return replace(self, outcome=self.compared(outcome) if isinstance(outcome, PoseEstimate) else outcome)

    def with_brains(self, brains: Sequence[np.ndarray]) -> Reading:
        """The same scan with what may be its brain, or with the error that there is none."""
        if brains:
            return replace(self, brains=tuple(brains))
        volume = self.scan.volume
        # A voxel size that was lost is why no head was found, and no result is there to say it.
        message = "; ".join(
            ("no fetal head was found", *volume.doubts, "check that the scan shows one and that the model suits it")
        )
        return replace(self, outcome=NoHeadFoundError(f"{volume.name}: {message}"))

    def is_surer_than(self, other: Reading) -> bool:
        """Whether this outcome is the more certain one; any estimate is surer than none."""
        if self.estimate is None:
            return False
        return other.estimate is None or self.estimate.confidence.certainty > other.estimate.confidence.certainty


def with_opinions(first: Reading, second: Reading) -> tuple[Reading, Reading]:
    """Readings of one scan by the first and the second networks, each with how far its estimate is from the other."""
    assert first.estimate is not None and second.estimate is not None
    opinions = (first.estimate.canonical_to_ras, second.estimate.canonical_to_ras)
    first, second = (replace(one, opinions=opinions).with_outcome(one.result) for one in (first, second))
    return first, second


Read = Callable[[Sequence[Reading]], list[Reading]]
"""Reads scans: finds the brains where there are none yet, and gives each reading its outcome."""


class Doubt(Protocol):
    """One way to read a doubtful scan again."""

    within: Sequence[Doubt]
    """How the second readings are doubted themselves."""

    marks: Mapping[str, bool]
    """Evidence that holds of whatever the second readings find."""

    shows_same_pose: bool
    """Whether the second readings are of the very head in the very pose; each half of a scan has its own."""

    def read_again(self, reading: Reading) -> list[Reading]:
        """Other readings of the same scan, not read yet; none where there is no reason to doubt."""
        ...

    def decide(self, reading: Reading, others: list[Reading]) -> Reading:
        """The reading to go on with, once the others have their outcomes."""
        ...


def read_and_doubt(readings: Sequence[Reading], doubts: Sequence[Doubt], read: Read) -> list[Reading]:
    """Read scans; then, doubt by doubt, read again those that are doubtful.

    Parameters
    ----------
    readings : sequence of Reading
        Not read yet.
    doubts : sequence of Doubt
        In turn: each sees what the one before has decided.
    read : callable

    Returns
    -------
    list of Reading
        With outcomes.
    """
    settled = read(readings) if readings else []
    for doubt in doubts:
        again = [doubt.read_again(reading) for reading in settled]
        found = read_and_doubt([one for of_scan in again for one in of_scan], doubt.within, read)
        results = iter([_marked(one, doubt.marks) for one in found])
        settled = [
            _decide(doubt, reading, list(islice(results, len(of_scan))))
            for reading, of_scan in zip(settled, again, strict=True)
        ]
    return settled


def _marked(reading: Reading, marks: Mapping[str, bool]) -> Reading:
    if not marks:
        return reading
    return replace(
        reading,
        outcome=reading.outcome if reading.estimate is None else reading.estimate.with_evidence(**marks),
        considered=tuple(one.with_evidence(**marks) for one in reading.considered),
    )


def _decide(doubt: Doubt, reading: Reading, others: list[Reading]) -> Reading:
    decided = doubt.decide(reading, others)
    if not doubt.shows_same_pose:
        return decided
    found = [one for other in (reading, *others) for one in (*other.considered, other.estimate) if one is not None]
    taken = decided.estimate
    # By its mask, as what is taken may have got further evidence.
    considered = (decided.compared(one) for one in found if taken is None or one.mask is not taken.mask)
    return replace(decided, considered=tuple(considered))
