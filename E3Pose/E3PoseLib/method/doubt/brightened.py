"""A scan too dark to be read: its square root shows what lies far from the coils."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from .reading import Doubt, Reading


class Brightened:
    """Reads the brightened scan, and doubts that reading in turn.

    Parameters
    ----------
    within : sequence of Doubt
        As the scan itself was doubted.
    """

    marks: Mapping[str, bool] = MappingProxyType({"brightened": True})
    shows_same_pose = True

    def __init__(self, within: Sequence[Doubt]) -> None:
        self.within = within

    def read_again(self, reading: Reading) -> list[Reading]:
        """A reading of the brightened scan where the pose is doubtful; by the brain found before if that has eyes."""
        if not reading.may_be_elsewhere:
            return []
        known = reading.scan.known_brains
        if reading.estimate is not None and reading.shows_a_head:
            known = (reading.scan.on_grid(reading.estimate.mask),)
        return [Reading(reading.scan.brightened(), known)]

    def decide(self, reading: Reading, others: list[Reading]) -> Reading:
        """The pose in the brightened scan where it is surer even so."""
        for other in others:
            if other.is_surer_than(reading):
                reading = replace(reading, outcome=other.outcome)
        return reading
