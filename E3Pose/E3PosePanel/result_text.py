"""A result in words; the result is the dictionary form of a `PoseEstimate`."""

import math

import numpy as np
from slicer.i18n import tr as _

from E3PoseLib import mrml

LEVEL_WORDS = {
    "high": _("High: within {degrees}° and {distance} mm, 9 times in 10."),
    "moderate": _("Moderate: within {degrees}° and {distance} mm, 9 times in 10; look at the standard planes first."),
    "low": _("Low: {chance} to be right; check it against the scan."),
}
WITHOUT_NUMBERS = {
    "high": _("High."),
    "moderate": _("Moderate: look at the standard planes before you rely on it."),
    "low": _("Low: the pose may well be wrong; check it against the scan."),
}
"""Of models that were never calibrated, of results of versions that told no probability, of what is low by a rule."""

LIKELY = 0.9
"""Probability from which on a pose is low for what the probability knows nothing of, as a file that leaves its
orientation open: `MODERATE` of `E3PoseLib.method.trust.confidence`, which loads PyTorch."""

SINCE = {
    mrml.ESTIMATED: _("the estimate"),
    mrml.CHECKED: _("it was checked by eye"),
    mrml.CORRECTED: _("it was corrected by hand"),
}
"""What a change outside the panel came after, by the state of the pose before."""


def verdict(result: dict) -> str:
    """How far the pose can be trusted, in one line; of one that a person has reviewed, who says so."""
    review = result.get("review", {})
    level = result["confidence"]["level"]
    marks = mrml.marks_of(result)
    if review.get("state") == mrml.CHECKED:
        return _("Checked by eye. The confidence of the estimate was {level}.").format(level=level)
    if review.get("state") == mrml.CORRECTED:
        return _("Corrected by hand, by {angle:.1f}° and {distance:.1f} mm. The confidence was {level}.").format(
            angle=review["rotation_degrees"], distance=review["translation_mm"], level=level
        )
    if review.get("state") == mrml.EDITED:
        return _edited(review)
    if marks and level != "low":
        return _("Doubtful ({marks}); by itself the pose is of {level} confidence.").format(
            marks=", ".join(marks), level=level
        )
    return level_in_words(result["confidence"])


def _edited(review: dict) -> str:
    """That a pose was changed since somebody last stood for it, and how far it is from the estimate."""
    since = SINCE[review["before"]]
    if "rotation_degrees" not in review:
        return _("Changed outside the panel since {event}.").format(event=since)
    return _(
        "Changed outside the panel since {event}; now {angle:.1f}° and {distance:.1f} mm from the estimate. Look at "
        "the standard planes, and tick Checked by eye where it is right."
    ).format(event=since, angle=review["rotation_degrees"], distance=review["translation_mm"])


def howToTurnUpright(volumes) -> str:
    """What to do with scans that sit under transforms, for the pose is the head's in the world; "" without such."""
    names = {volume.GetParentTransformNode().GetName() for volume in volumes if volume.GetParentTransformNode()}
    if not names:
        return ""
    return _("To turn upright what sits under {names}, put that transform under the new one, not the scan.").format(
        names=", ".join(f"'{name}'" for name in sorted(names))
    )


def level_in_words(confidence: dict) -> str:
    """The level of an estimate, and what it means in numbers."""
    level, probability = confidence["level"], confidence.get("probability")
    if probability is None or (level == "low" and probability >= LIKELY):
        return WITHOUT_NUMBERS[level]
    percent = 100 * probability
    return LEVEL_WORDS[level].format(
        degrees=math.ceil(confidence["bound_degrees"]),
        distance=math.ceil(confidence["bound_mm"]),
        chance=_("over 99 %") if percent > 99 else _("under 1 %") if percent < 1 else f"{percent:.0f} %",
    )


def first_warning(result: dict) -> str:
    """What comes first of that which speaks against the pose, and how much more there is; empty where nothing does.

    Once a person has reviewed the pose, only what has changed since the estimate speaks against it.
    """
    spoken_against = result.get("changes", []) if mrml.review_state(result) != mrml.ESTIMATED else all_warnings(result)
    if not spoken_against:
        return ""
    first, *others = spoken_against
    sentence = first[:1].upper() + first[1:]
    more = _(" (and {count} more: see Result)").format(count=len(others)) if others else ""
    return f"{sentence}{more}."


def doubt(result: dict) -> str:
    """Why a pose is doubtful, in one clause: what is said first against it, of all that is."""
    return "; ".join(result["warnings"][:2])


def all_warnings(result: dict) -> list[str]:
    """The estimate's warnings, and what has changed since."""
    return [*result["warnings"], *result.get("changes", [])]


def position(result: dict) -> str:
    """The head's centre in world RAS millimetres."""
    right, anterior, superior = np.array(result["canonical_to_ras"])[:3, 3]
    return f"R {right:.1f}   A {anterior:.1f}   S {superior:.1f} mm"


def rotation(result: dict) -> str:
    """Three angles in degrees about the axes right, anterior, superior; the Euler order is "xyz"."""
    about_right, about_anterior, about_superior = result["euler_xyz_degrees"]
    return f"{about_right:.1f}°   {about_anterior:.1f}°   {about_superior:.1f}°"


def confidence(result: dict) -> str:
    """The level in plain words, with the numbers behind it."""
    values = result["confidence"]
    concentrations = " / ".join(f"{value:.2f}" for value in values["axis_concentration"])
    views = values.get("view_disagreement_degrees")
    disagreement = "" if views is None else _("; views of the head differ by {angle:.1f}°").format(angle=views)
    eyes = values.get("eyes_disagreement_degrees")
    if eyes is not None:
        disagreement += _("; eyes and brain differ by {angle:.1f}°").format(angle=eyes)
    return _(
        "{words}\nProbability {probability}; agreement of the votes for each axis {concentrations}; axes off square by "
        "{angle:.1f}°; brain {volume:.0f} ml{disagreement}"
    ).format(
        words=level_in_words(values),
        probability=_("unknown") if values.get("probability") is None else f"{values['probability']:.3f}",
        concentrations=concentrations,
        angle=values["orthogonality_error_degrees"],
        volume=values["brain_volume_ml"],
        disagreement=disagreement,
    )


def warnings(result: dict) -> str:
    return "\n".join(all_warnings(result)) or _("none")


def computed(result: dict) -> str:
    """The time taken, the device and the model; older results do not tell the model."""
    words = _("in {seconds:.1f} s on {device}").format(seconds=result["timings"]["total"], device=result["device"])
    settings = result.get("settings")
    if settings is None:
        return words
    words += _(" by {model}").format(model=settings["model"])
    return words + _(", other thresholds than its own") if "thresholds" in settings else words
