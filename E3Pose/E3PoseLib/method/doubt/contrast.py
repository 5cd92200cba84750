"""A scan that cannot be read as it is, made otherwise: continued beyond its end, brighter, darker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from .reading import Doubt, Reading

LEAST_CERTAINTY = 0.5
"""Where a pose is likelier right than wrong, its scan is not darkened: see docs/accuracy.md."""


class _MadeOtherwise:
    """Reads the scan made otherwise, and doubts that reading in turn.

    Parameters
    ----------
    within : sequence of Doubt
        As the scan itself was doubted.
    """

    shows_same_pose = True

    def __init__(self, within: Sequence[Doubt]) -> None:
        self.within = within

    def decide(self, reading: Reading, others: list[Reading]) -> Reading:
        """The pose of that scan where it is surer even so."""
        for other in others:
            if other.is_surer_than(reading):
                reading = replace(reading, outcome=other.outcome)
        return reading


class Continued(_MadeOtherwise):
    """With more of the same beyond its end: a head that is cut there is read as if it were whole.

    Parameters
    ----------
    stride : int
        Of the segmentation network.
    within : sequence of Doubt
        As the scan itself was doubted.
    """

    marks: Mapping[str, bool] = MappingProxyType({"continued": True})

    def __init__(self, stride: int, within: Sequence[Doubt]) -> None:
        super().__init__(within)
        self._stride = stride

    def read_again(self, reading: Reading) -> list[Reading]:
        """A reading of the continued scan where a pose was found that is doubtful.

        Where none was, there is rarely a head that is cut, and noise looks like one then (docs/making.md).
        """
        if reading.estimate is None or not reading.may_be_elsewhere or reading.scan.known_brains:
            return []
        return [reading.again(reading.scan.continued(self._stride))]


class Brightened(_MadeOtherwise):
    """By the square root of the intensities: it shows what lies far from the coils."""

    marks: Mapping[str, bool] = MappingProxyType({"brightened": True})

    def read_again(self, reading: Reading) -> list[Reading]:
        """A reading of the brightened scan where the pose is doubtful; by the brain found before if that has eyes."""
        if not reading.may_be_elsewhere:
            return []
        known = reading.scan.known_brains
        if reading.estimate is not None and reading.shows_a_head:
            known = (reading.scan.on_grid(reading.estimate.mask),)
        return [reading.again(reading.scan.brightened(), known)]


class Darkened(_MadeOtherwise):
    """By the square of the intensities: it parts the brain from fluid that is brighter, as in T2-weighted stacks."""

    marks: Mapping[str, bool] = MappingProxyType({"darkened": True})

    def read_again(self, reading: Reading) -> list[Reading]:
        """A reading of the darkened scan where a pose was found that is likelier wrong, and no eyes with it."""
        found = reading.estimate
        if found is None or reading.shows_a_head or reading.scan.known_brains:
            return []
        doubtful = reading.may_be_elsewhere and not found.confidence.certainty >= LEAST_CERTAINTY
        return [reading.again(reading.scan.darkened())] if doubtful else []
