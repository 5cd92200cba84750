"""A second opinion: other networks, which have learned from other scans, read a doubtful scan too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from .reading import Doubt, Reading, with_opinions


class SecondOpinion:
    """Has the model's second networks read the scan, and says how far apart both poses are.

    Parameters
    ----------
    within : sequence of Doubt
        How a doubtful second opinion is doubted in turn.
    """

    marks: Mapping[str, bool] = MappingProxyType({"by_second_opinion": True})
    shows_same_pose = True

    def __init__(self, within: Sequence[Doubt]) -> None:
        self.within = within

    def read_again(self, reading: Reading) -> list[Reading]:
        """A reading by the second networks where no head was found, or one whose pose is not sure.

        Not of a brain without skull, which has a network of its own.
        """
        if not reading.may_be_wrong or reading.scan.brain is not None:
            return []
        return [replace(reading.again(reading.scan), is_second_opinion=True)]

    def decide(self, reading: Reading, others: list[Reading]) -> Reading:
        """The surer of both poses; where they are close, either is surer for it."""
        for other in others:
            if other.estimate is None:
                continue
            # Whichever is taken: the other, and what either has seen beside it, may be a twin's.
            reading = replace(reading, heads_found=reading.heads + other.heads)
            if reading.estimate is not None:
                reading, other = with_opinions(reading, other)
            if other.is_surer_than(reading):
                reading = replace(reading, outcome=other.outcome)
        return reading
