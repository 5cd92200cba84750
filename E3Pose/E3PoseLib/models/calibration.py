"""What a model's errors were found to follow: from the doubts about a pose to the chance that it is right.

Three sums that anyone can work out by hand, fitted on scans whose poses are known (`E3PoseTraining.calibrate`) and
carried as numbers in the model file's header: the logarithm of the odds that a pose is right, and the logarithms of the
errors that nine poses in ten stay below; and by how much landmarks that a hand has set are off themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

RIGHT_DEGREES, RIGHT_MM = 15.0, 10.0
"""A pose is right where its rotation and its centre are no further off."""

HOLDS = 0.9
"""Share of poses whose errors the bounds hold for."""

PARTS = ("right", "degrees", "mm")
LANDMARKS = "landmarks"
"""The part of a header's calibration that may be left out."""

LARGEST_NUMBER = 1e4
LARGEST_BOUNDS = 180.0, 500.0
"""Degrees, mm."""
SMALLEST_BOUND = 0.5


@dataclass(frozen=True)
class Sum:
    """A number, and what each doubt adds to it.

    Parameters
    ----------
    constant : float
    weights : mapping of str to float
        By the name of the doubt.
    """

    constant: float
    weights: Mapping[str, float]

    def __call__(self, doubts: Mapping[str, float]) -> float:
        """The sum for the sizes of doubts; what has no weight adds nothing."""
        return self.constant + sum(weight * doubts.get(name, 0.0) for name, weight in self.weights.items())


@dataclass(frozen=True)
class Calibration:
    """How sure a model may be, by what its answers were worth on scans whose poses are known.

    Parameters
    ----------
    right : Sum
        The logarithm of the odds that a pose is within `RIGHT_DEGREES` and `RIGHT_MM`.
    degrees, mm : Sum
        The logarithms of the bounds that hold for a share of `HOLDS` of all poses: of the angle between estimated and
        true rotation, and of the distance between estimated and true centre.
    landmark_degrees, landmark_mm : float
        What the sums lack where the truth is by landmarks that a hand has set in real scans: they are learned mostly
        from synthetic scans, whose truth is exact. 0 where nothing is known of it.
    """

    right: Sum
    degrees: Sum
    mm: Sum
    landmark_degrees: float = 0.0
    landmark_mm: float = 0.0

    @property
    def sums(self) -> dict[str, Sum]:
        """The three, by name."""
        return {part: getattr(self, part) for part in PARTS}

    def probability(self, doubts: Mapping[str, float]) -> float:
        """That the pose is right, in [0, 1]; 0 where a doubt is no number."""
        log_odds = self.right(doubts)
        if math.isnan(log_odds):
            return 0.0
        return 1 / (1 + math.exp(min(-log_odds, 700.0)))

    def bounds(self, doubts: Mapping[str, float]) -> tuple[float, float]:
        """Degrees and mm that a pose is at most off from landmarks that a hand has set, in nine of ten cases.

        Squares of what the sums tell and of what landmarks are off are added, as if the two had nothing to do with each
        other. Where the pose is as likely right as that, bounds are at most what a right pose may be off.
        """
        largest_degrees, largest_mm = LARGEST_BOUNDS
        if self.probability(doubts) >= HOLDS:
            largest_degrees, largest_mm = RIGHT_DEGREES, RIGHT_MM
        return (
            _bound(self.degrees(doubts), self.landmark_degrees, largest_degrees),
            _bound(self.mm(doubts), self.landmark_mm, largest_mm),
        )

    def without_landmarks(self) -> Calibration:
        """The same, for bounds of how far the pose is from what is true, or from another estimate."""
        return replace(self, landmark_degrees=0.0, landmark_mm=0.0)

    def as_dict(self) -> dict[str, dict]:
        """As a model file's header carries it."""
        document = {part: {"constant": one.constant, "weights": dict(one.weights)} for part, one in self.sums.items()}
        if self.landmark_degrees or self.landmark_mm:
            document[LANDMARKS] = {"degrees": self.landmark_degrees, "mm": self.landmark_mm}
        return document


def _bound(logarithm: float, of_landmarks: float, largest: float) -> float:
    if math.isnan(logarithm):
        return largest
    own = max(math.exp(min(logarithm, 20.0)), SMALLEST_BOUND)
    return min(math.hypot(own, of_landmarks), largest)


def read_calibration(document: Mapping[str, Any]) -> Calibration | None:
    """The calibration of a header, checked by `problem_of_calibration`; None where it has none."""
    if not document:
        return None
    right, degrees, mm = (Sum(float(document[part]["constant"]), document[part]["weights"]) for part in PARTS)
    landmarks = document.get(LANDMARKS, {"degrees": 0.0, "mm": 0.0})
    return Calibration(right, degrees, mm, float(landmarks["degrees"]), float(landmarks["mm"]))


def problem_of_calibration(document: Any) -> str:
    """Why a header's calibration cannot be; "" where it can, or there is none.

    No weight makes more doubt speak for a pose: weights of `right` are at most 0, those of the bounds at least 0.
    """
    if document == {}:
        return ""
    if not isinstance(document, dict) or set(document) - {LANDMARKS} != set(PARTS):
        return f"a calibration without the parts {', '.join(PARTS)}"
    for part in PARTS:
        one = document[part]
        if not isinstance(one, dict) or set(one) != {"constant", "weights"} or not isinstance(one["weights"], dict):
            return f"the calibration's part {part!r} has no constant and weights"
        numbers = [one["constant"], *one["weights"].values()]
        if len(numbers) > 100 or not all(_is_number(number) for number in numbers):
            return f"a number of the calibration's part {part!r} that is none, or too large"
        sign = -1 if part == "right" else 1
        if any(sign * weight < 0 for weight in one["weights"].values()):
            return f"a weight of the calibration's part {part!r} by which a doubt makes a pose more certain"
    if LANDMARKS in document:
        one = document[LANDMARKS]
        if not isinstance(one, dict) or set(one) != {"degrees", "mm"}:
            return f"the calibration's part {LANDMARKS!r} has no degrees and mm"
        if not all(_is_number(number) and number >= 0 for number in one.values()):
            return f"a number of the calibration's part {LANDMARKS!r} that is none, negative, or too large"
    return ""


def _is_number(value: Any) -> bool:
    # No number, and infinity, is not within either; `math.isfinite` fails at an integer of 400 digits.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER
