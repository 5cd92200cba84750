"""What speaks against trusting a pose, in sentences for whoever reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .evidence import BRAIN_VOLUME_ML

if TYPE_CHECKING:
    from .confidence import Confidence


def reasons(confidence: Confidence) -> tuple[str, ...]:
    """Plain sentences, what weighs most first: the verdict, what is a rule, then each doubt by what it costs."""
    spoken = [*_doubts(confidence)]
    if confidence.calibration is not None:
        weights, sizes = confidence.calibration.right.weights, confidence.doubts
        costs = {name: -weights.get(name, 0.0) * size for name, size in sizes.items()}
        spoken.sort(key=lambda one: -sum(costs[name] for name in one[0]))
    return (*_verdict(confidence), *_rules(confidence), *(sentence for _, sentence in spoken))


def chance(probability: float) -> str:
    """A probability as a whole percentage, never rounded to certainty.

    >>> chance(0.623), chance(0.999), chance(0.0001)
    ('62 %', 'over 99 %', 'under 1 %')
    """
    percent = 100 * probability
    return "over 99 %" if percent > 99 else "under 1 %" if percent < 1 else f"{percent:.0f} %"


def _verdict(confidence: Confidence) -> Iterator[str]:
    if confidence.probability is None:
        yield "how often this model is right was never measured: check the pose by eye before any use"
    elif confidence.is_low_by_rule:
        yield "the pose is doubtful, for what its probability knows nothing of: check it by eye before any use"
    elif confidence.level == "low":
        yield f"the pose is doubtful ({chance(confidence.probability)} to be right): check it by eye before any use"


def _rules(confidence: Confidence) -> Iterator[str]:
    if not BRAIN_VOLUME_ML[0] <= confidence.brain_volume_ml <= BRAIN_VOLUME_ML[1]:
        yield (
            f"the mask holds {confidence.brain_volume_ml:.0f} ml, which no fetal brain does "
            f"({BRAIN_VOLUME_ML[0]:.0f} to {BRAIN_VOLUME_ML[1]:.0f} ml)"
        )
    if confidence.slices_out_of_order:
        yield (
            "slices far apart are more alike than neighbours are: the file has them in another order than they lie in, "
            "or holds several images as if they were one; convert it anew, with slices sorted by their position"
        )
    if confidence.is_stretched:
        yield (
            f"along one of the scan's axes the brain is {confidence.stretched_by:.1f} times as long as brains are: has "
            "its file the right voxel size, and the distance of the slices with their gap?"
        )
    if confidence.in_ghost:
        yield "what was found is a faint copy of something half a field of view away: a Nyquist ghost"
    if confidence.another_head_mm is not None:
        yield (
            f"there seems to be another head {confidence.another_head_mm:.0f} mm away: check that the mask is in the "
            "one that is meant"
        )


def _doubts(confidence: Confidence) -> Iterator[tuple[tuple[str, ...], str]]:
    """The names of doubts, as in `sizes_of_doubts`, and what is said of them."""
    if confidence.brains_differ:
        names = ("brains", "brains, poor", "brains upright", "brains upright, poor")
        yield names, "two networks find different brains: the centre may be off"
    if confidence.by_core:
        yield ("core",), "the brain was found on second thought only: what it touches looked like a part of it"
    if confidence.by_middle:
        yield (), "no brain was sure at first sight, so the middle of the scan was looked at: is the mask in the head?"
    if confidence.continued:
        yield ("continued",), "the head was read as if the scan went on beyond its end: it may be cut there"
    if confidence.brightened:
        yield (
            ("brightened",),
            "the head was read from the brightened scan only: it lies in the dark, or the scan is poor",
        )
    if confidence.by_second_opinion:
        yield (
            ("second opinion",),
            "the pose is that of the model's second networks: the first found no head, or were less sure",
        )
    apart, apart_mm = confidence.opinions_apart_degrees, confidence.opinions_apart_mm
    if apart is not None and apart_mm is not None and confidence.doubts["opinions apart"] > 0:
        yield (
            ("opinions apart",),
            f"the model's other networks take the head to lie {apart:.0f}° and {apart_mm:.0f} mm away",
        )
    if confidence.darkened:
        yield (), "the head was read from the darkened scan only: something brighter beside the brain looked like it"
    if confidence.is_of_neither_half:
        yield ("moved",), "odd and even slices show the head in different places: it moved during the scan"
    if confidence.is_by_halves and not confidence.halves_agree:
        yield (
            ("halves",),
            f"odd and even slices show the head {confidence.halves_apart_degrees:.0f}° and "
            f"{confidence.halves_apart_mm:.0f} mm apart: "
            + ("the pose is that of one half" if confidence.is_of_one_half else "the pose is halfway"),
        )
    if confidence.has_no_eyes:
        yield ("no eyes",), "no eyes were found where the face should be: the rotation rests on the brain alone"
    elif confidence.eyes_agree is False:
        yield (
            ("eyes apart", "eyes unclear"),
            f"unclear eyes: the rotations by them and by the brain differ by "
            f"{confidence.eyes_disagreement_degrees:.0f}°, the answer follows mostly the eyes",
        )
    if confidence.brain_only:
        yield (
            ("brain only", "brain only, views", "brain only, right angles", "brain only, small"),
            "the scan shows a brain without skull: its outline is the mask, and there are no eyes to tell by",
        )
    if confidence.touches_border:
        yield (
            ("border", "cut"),
            "the head reaches the border of the scan: it may be cut, and its centre is a guess at that of the whole",
        )
