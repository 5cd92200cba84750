"""A result in words; the result is the dictionary form of a `PoseEstimate`."""

import numpy as np
from slicer.i18n import tr as _

from E3PoseLib import mrml

LEVEL_WORDS = {
    "high": _("High: the head's axes are clear and fit together."),
    "moderate": _("Moderate: look at the standard planes before you rely on it."),
    "low": _("Low: the pose may well be wrong; check it against the scan."),
}


def verdict(result: dict) -> str:
    """How far the pose can be trusted, in one line; of one that a person has reviewed, who says so."""
    review = result.get("review", {})
    level = result["confidence"]["level"]
    if review.get("state") == mrml.CHECKED:
        return _("Checked by eye. The confidence of the estimate was {level}.").format(level=level)
    if review.get("state") == mrml.CORRECTED:
        return _("Corrected by hand, by {angle:.1f}° and {distance:.1f} mm. The confidence was {level}.").format(
            angle=review["rotation_degrees"], distance=review["translation_mm"], level=level
        )
    return LEVEL_WORDS[level]


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
        "{words}\nScore {score:.2f}; agreement of the votes for each axis {concentrations}; axes off square by "
        "{angle:.1f}°; brain {volume:.0f} ml{disagreement}"
    ).format(
        words=LEVEL_WORDS[values["level"]],
        score=values["score"],
        concentrations=concentrations,
        angle=values["orthogonality_error_degrees"],
        volume=values["brain_volume_ml"],
        disagreement=disagreement,
    )


def warnings(result: dict) -> str:
    return "\n".join(all_warnings(result)) or _("none")


def computed(result: dict) -> str:
    """The time taken and the device."""
    return _("in {seconds:.1f} s on {device}").format(seconds=result["timings"]["total"], device=result["device"])
