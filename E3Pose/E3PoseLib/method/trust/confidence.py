"""How far an estimate can be trusted, in numbers and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from ...models.calibration import Calibration
from ..eyes import FACE_ELSEWHERE_DEGREES
from .evidence import BRAIN_VOLUME_ML, sizes_of_doubts
from .reasons import chance, reasons

HIGH, MODERATE = 0.98, 0.9
"""Probabilities of a right pose from which on the level is "high", and "moderate"."""

LEAST_BRAIN_AGREEMENT = 0.7
"""Dice overlap of two brain masks, by the segmentation and the close-up network, below which one of them is wrong."""

LEAST_UPRIGHT_AGREEMENT = 0.87
"""The same for their common brain mask and that of the upright network."""

MOVED_RATIO = 0.95
"""From this interleave ratio on the head has moved between odd and even slices; see docs/accuracy.md."""

FURTHEST_DEGREES = 30.0
"""Halves of the slices whose poses are further apart than this have no pose between them that means anything."""

AT_REST = (3.0, 3.0)
"""Degrees and mm. Halves of the slices that are no further apart show a head at rest: two readings of one differ so."""

MOST_STRETCHED = 1.28
"""Of 136 synthetic brains that are whole one in a hundred is more, by its true mask (docs/accuracy.md)."""

SUSPICIOUS_RATIO = 0.85
"""From this ratio on the head may have moved, and each half of the slices is looked at."""


@dataclass(frozen=True)
class Confidence:
    """The evidence for and against a pose, and what follows: how likely it is right, and how far off it may be.

    Parameters
    ----------
    axis_concentration : tuple of float
        Of x, y, z, in [0, 1]: how well the voxels of the network's last grid agree on the axis (1: all the same).
    orthogonality_error_degrees : float
        Of the raw axes, see `orthogonality_error`.
    brain_volume_ml : float
        Of the mask.
    touches_border : bool
        Whether the head reaches the border of the scan, so that it may be cut (`evidence.border_share`).
    brain_agreement : float or None
        Dice overlap of the brain masks of segmentation and close-up network; None without a close-up network.
    upright_agreement : float or None
        The same for their common mask and that of the upright network; None without one, and of a brain without skull.
    view_disagreement_degrees : float or None
        Mean angle between the rotation of each view and that of all views; None where there is one view.
    interleave_ratio : float
        The largest of `interleave_ratios`; from `MOVED_RATIO` on the head has moved between odd and even slices.
    halves_apart_degrees, halves_apart_mm : float or None
        Between the poses of odd and even slices, where the answer is the pose halfway, or, beyond `FURTHEST_DEGREES`,
        that of one half; None otherwise.
    border_share : float
        Of the brain's outline that lies at the border of the scan itself (`evidence.border_share`).
    eyes_probability : float or None
        Of the eyes that were found, `Eyes.probability`; None where none were.
    eyes_agree : bool or None
        Whether clear eyes are where the brain has the face (`eyes.EYES_AGREE_DEGREES`); None where none are looked for.
    eyes_disagreement_degrees : float or None
        Angle between the rotations by the brain (network and places) and by the eyes; None where none were found.
    by_core : bool
        Whether the pose came from the thickest part of the brain mask, since that of the whole mask was doubtful.
    by_middle : bool
        Whether the brain was looked for in the middle of the scan, since none was found or none was sure elsewhere;
        `brain_agreement` is then the overlap with a ball there.
    continued : bool
        Whether the pose is that of the scan continued beyond its end, since that of the scan itself was doubtful.
    brightened : bool
        Whether the pose is that of the brightened scan, since that of the scan itself was doubtful.
    darkened : bool
        Whether the pose is that of the darkened scan, since that of the scan itself was likelier wrong than right.
    by_second_opinion : bool
        Whether the pose is that of the model's second networks, since the first found none, or one less sure.
    opinions_apart_degrees, opinions_apart_mm : float or None
        Between this pose and the one that the other set of networks took the head to have; None where only one set was
        asked, or found a head.
    another_head_mm : float or None
        Distance of another head, where there seem to be twins; None otherwise.
    in_ghost : bool
        Whether the head is a Nyquist ghost: something brighter half a field of view away looks the same.
    orientation_doubtful : bool
        Whether the file leaves open how the scan lies in the patient.
    slices_out_of_order : bool
        Whether the scan's slices are not in the order of space, see `slice_order.slices_out_of_order`.
    brain_only : bool
        Whether the scan shows a skull-stripped brain: there are no eyes to tell by.
    stretched_by : float
        See `proportions.stretched_by`; 1 where the brain is cut, so that nobody can tell.
    calibration : Calibration or None
        By which the model's answers are judged; None where its file has none.
    """

    axis_concentration: tuple[float, float, float]
    orthogonality_error_degrees: float
    brain_volume_ml: float
    touches_border: bool
    brain_agreement: float | None = None
    upright_agreement: float | None = None
    view_disagreement_degrees: float | None = None
    interleave_ratio: float = 0.0
    border_share: float = 0.0
    eyes_probability: float | None = None
    eyes_agree: bool | None = None
    eyes_disagreement_degrees: float | None = None
    halves_apart_degrees: float | None = None
    halves_apart_mm: float | None = None
    by_core: bool = False
    by_middle: bool = False
    continued: bool = False
    brightened: bool = False
    darkened: bool = False
    by_second_opinion: bool = False
    opinions_apart_degrees: float | None = None
    opinions_apart_mm: float | None = None
    another_head_mm: float | None = None
    in_ghost: bool = False
    orientation_doubtful: bool = False
    slices_out_of_order: bool = False
    brain_only: bool = False
    stretched_by: float = 1.0
    calibration: Calibration | None = field(default=None, repr=False)

    @cached_property
    def doubts(self) -> dict[str, float]:
        """What the calibration weighs, see `sizes_of_doubts`."""
        return sizes_of_doubts(self)

    @cached_property
    def probability(self) -> float | None:
        """That the pose is right, within 15° and 10 mm (`Calibration.probability`), in [0, 1].

        0 for an impossible brain; halved where it is that of one half of the slices; None without a calibration.
        """
        if self.calibration is None:
            return None
        probability = self.calibration.probability(self.doubts) if self._brain_is_possible else 0.0
        return probability / 2 if self.is_of_one_half else probability

    @cached_property
    def bounds(self) -> tuple[float, float] | None:
        """Degrees and mm that rotation and centre are off at most, nine times in ten, by landmarks that a hand has set.

        None where not known. Of one half's pose no less than how far that of the other half is.
        """
        return None if self.calibration is None else self._bounds_by(self.calibration)

    @property
    def bounds_without_landmarks(self) -> tuple[float, float] | None:
        """The same for what has no landmarks' errors: another estimate of the same head."""
        return None if self.calibration is None else self._bounds_by(self.calibration.without_landmarks())

    def _bounds_by(self, calibration: Calibration) -> tuple[float, float]:
        degrees, mm = calibration.bounds(self.doubts)
        if self.is_of_one_half:
            degrees, mm = max(degrees, self.halves_apart_degrees or 0.0), max(mm, self.halves_apart_mm or 0.0)
        return degrees, mm

    @property
    def level(self) -> str:
        """The probability in a word: "high" from `HIGH` on, "moderate" from `MODERATE` on, else "low".

        What no scans can teach is a rule. "Low" is a ghost, a pose in a file that leaves its orientation open or has
        slices out of order, and one by a model without calibration. Never "high" is one of two heads, one that moved
        during the scan and may be elsewhere by now, one in a darkened scan or in the middle of one, from which no
        calibration has learned, and one of a brain of a form that brains do not have.
        """
        of_no_use = self.orientation_doubtful or self.slices_out_of_order or self.in_ghost
        if self.probability is None or of_no_use or not self.probability >= MODERATE:
            return "low"
        moved = self.is_of_neither_half or (self.is_by_halves and not self.halves_agree)
        never_high = moved or self.darkened or self.by_middle or self.another_head_mm is not None or self.is_stretched
        return "moderate" if self.probability < HIGH or never_high else "high"

    @property
    def is_low_by_rule(self) -> bool:
        """Whether the level is "low" for what the probability knows nothing of."""
        return self.level == "low" and self.probability is not None and self.probability >= MODERATE

    @property
    def certainty(self) -> float:
        """By which of several poses in one scan one is chosen, in [0, 1].

        The probability, halved for a ghost, which looks like what it is the ghost of. Of a model without calibration
        the concentration of the weakest axis, halved where the pose is a second thought, and 0 for an impossible brain.
        """
        certainty = self.probability
        if certainty is None:
            certainty = min(self.axis_concentration) if self._brain_is_possible else 0.0
            second_thought = any((self.by_core, self.by_middle, self.continued, self.brightened, self.darkened))
            certainty = certainty / 2 if second_thought else certainty
        return certainty / 2 if self.in_ghost else certainty

    @property
    def in_words(self) -> str:
        """The level, and what it means: "high: within 7° and 6 mm, 9 times in 10"."""
        if self.probability is None or self.bounds is None:
            return "low: this model was never calibrated"
        if self.is_low_by_rule:
            return "low: see the warnings"
        if self.level == "low":
            return f"low: {chance(self.probability)} that it is right"
        degrees, mm = self.bounds
        return f"{self.level}: within {math.ceil(degrees)}° and {math.ceil(mm)} mm, 9 times in 10"

    @property
    def may_be_of_neither_half(self) -> bool:
        """Whether odd and even slices may each show a pose of their own, of which this is none."""
        return self.interleave_ratio >= SUSPICIOUS_RATIO and not self.is_by_halves

    @property
    def may_be_elsewhere(self) -> bool:
        """Whether the pose is doubtful, and not for the file's orientation or motion of a head with eyes."""
        return not self._head_has_moved and not self.certainty >= MODERATE  # NaN is doubtful

    @property
    def may_be_wrong(self) -> bool:
        """Whether the pose is not sure, and not for motion of a head with eyes."""
        return not self._head_has_moved and not self.certainty >= HIGH

    @property
    def shows_a_head(self) -> bool:
        """Whether there are eyes, wherever, and the networks agree on the brain: a head, be its pose doubtful."""
        return self.eyes_disagreement_degrees is not None and not self.brains_differ

    @property
    def is_of_neither_half(self) -> bool:
        """Whether the head has moved between odd and even slices, and this is the pose that all slices give."""
        return self.interleave_ratio >= MOVED_RATIO and not self.is_by_halves

    @property
    def is_by_halves(self) -> bool:
        """Whether odd and even slices were read apart: this is the pose halfway between theirs, or that of one."""
        return self.halves_apart_mm is not None

    @property
    def halves_agree(self) -> bool:
        """Whether odd and even slices, read apart, show the head in one place: they differ by noise, not by motion."""
        apart, apart_mm = self.halves_apart_degrees, self.halves_apart_mm
        return apart is not None and apart_mm is not None and apart <= AT_REST[0] and apart_mm <= AT_REST[1]

    @property
    def is_of_one_half(self) -> bool:
        """Whether odd and even slices clearly show the head in two poses, of which this is the surer one."""
        return self.halves_apart_degrees is not None and self.halves_apart_degrees > FURTHEST_DEGREES

    @property
    def brain_is_cut(self) -> bool:
        """Whether the scan ends in the brain, so that the mask shows a part of it."""
        return self.border_share > 0

    @property
    def is_stretched(self) -> bool:
        """Whether the brain is longer or shorter along one of the scan's axes than brains are."""
        return not 1 / MOST_STRETCHED <= self.stretched_by <= MOST_STRETCHED

    @property
    def brains_differ(self) -> bool:
        """Whether two networks find brains that are not the same. A ball in the middle of the scan is none's brain."""
        overlaps = (
            (None if self.by_middle else self.brain_agreement, LEAST_BRAIN_AGREEMENT),
            (self.upright_agreement, LEAST_UPRIGHT_AGREEMENT),
        )
        return any(overlap is not None and overlap < least for overlap, least in overlaps)

    @property
    def has_no_eyes(self) -> bool:
        """Whether eyes were looked for and none found, or such that are elsewhere than the face."""
        apart = self.eyes_disagreement_degrees
        return self.eyes_agree is False and (apart is None or apart > FACE_ELSEWHERE_DEGREES)

    @property
    def _head_has_moved(self) -> bool:
        return (self.is_of_neither_half or self.is_of_one_half) and self.shows_a_head

    @property
    def _brain_is_possible(self) -> bool:
        return BRAIN_VOLUME_ML[0] <= self.brain_volume_ml <= BRAIN_VOLUME_ML[1]

    def as_dict(self) -> dict[str, Any]:
        """What follows, then all evidence, for JSON."""
        degrees, mm = self.bounds or (None, None)
        evidence = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "calibration"}
        followed = {"level": self.level, "probability": self.probability, "bound_degrees": degrees, "bound_mm": mm}
        return {**followed, **evidence}

    def warnings(self) -> tuple[str, ...]:
        """Plain sentences for whoever reads the pose: what weighs most comes first."""
        return reasons(self)
