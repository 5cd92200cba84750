"""What a Siemens console takes: slice orientation, position and in-plane rotation; as text and back.

Vectors and points are in LPS (+x the patient's left, +y posterior, +z head), as the console counts.

**Orientation**, for instance ``T > C -23.9 > S 4.5``: the slice normal n is made positive in its largest component,
which names the main plane (S, C or T, for x, y, z). The other two components follow by size, the larger one a with the
angle atan2(-n_a, n_main), then b with asin(-n_b). A part whose angle rounds to zero is left out. Among components of
the same size T comes before C before S. The sense of the normal is lost: the text names planes.

**In-plane rotation**: angle 0 has a phase-encoding direction P0 without a component along one axis of the patient:
(0, n_t, -n_c) for transverse, (n_c, -n_s, 0) for coronal, (-n_c, n_s, 0) for sagittal slices, scaled to length one;
R0 = n × P0; and P(φ) = P0·cos φ - R0·sin φ. Programs that read the raw data of these scanners, spec2nii among them,
understand the header's ``dInPlaneRot`` so. Whether the console shows the same angle with the same sign has not been
checked on a scanner.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import PrescriptionError
from ..imaging.geometry import LPS_TO_RAS
from .stack import SlicePlane

AXES = {"T": 2, "C": 1, "S": 0}
"""Component of the normal of each main plane; the order decides between components of the same size."""

SAME_SIZE_DIGITS = 6
"""Decimals to which components are compared."""

_ANGLE = r"\s*>\s*([TCS])[A-Z]*\s*\(?\s*([-+]?\d+(?:\.\d+)?)\s*\)?"
_ORIENTATION = re.compile(rf"\s*([TCS])[A-Z]*(?:{_ANGLE})?(?:{_ANGLE})?\s*", re.IGNORECASE)
_NUMBER = r"\s*(\d+(?:\.\d+)?)\s*"
_POSITION = re.compile(rf"\s*([LR]){_NUMBER}([PA]){_NUMBER}([HF]){_NUMBER}", re.IGNORECASE)
_POSITION_LETTERS = ("LR", "PA", "HF")


@dataclass(frozen=True)
class SiemensNumbers:
    """A plane as a Siemens console takes it; see the module's text.

    Parameters
    ----------
    orientation, position : str
    phase_along_column, phase_along_row : float
        In-plane rotation in degrees, in (-90, 90], where phase is encoded along the columns, or along the rows, of the
        images. Half a turn more is the same direction backwards.
    """

    orientation: str
    position: str
    phase_along_column: float
    phase_along_row: float


def siemens_numbers(plane: SlicePlane) -> SiemensNumbers:
    """Orientation, position and in-plane rotation of slices."""
    centre, row, column, normal = (
        LPS_TO_RAS[:3, :3] @ vector for vector in (plane.centre, plane.row, plane.column, plane.normal)
    )
    return SiemensNumbers(
        orientation_text(normal),
        position_text(centre),
        in_plane_rotation(normal, column),
        in_plane_rotation(normal, row),
    )


def orientation_text(normal_lps: ArrayLike) -> str:
    """The orientation of slices as the console writes it.

    Where rounding the angles changes which of two components is larger, the text is that of the rounded normal, so that
    text, normal and text again agree.

    Parameters
    ----------
    normal_lps : array-like
        Shape ``[3]``, of any length and either sense.

    Raises
    ------
    PrescriptionError
        If it is not three finite numbers, or all zero.

    >>> orientation_text([-0.07818, 0.40361, 0.91158])
    'T > C -23.9 > S 4.5'
    """
    text = _rounded_text(_unit(normal_lps))
    seen: list[str] = []
    while text not in seen:
        seen.append(text)
        text = _rounded_text(normal_from_text(text))
    # Usually one text. Of several that lead to each other, with components as good as equal, the first in the order.
    return min(seen[seen.index(text) :], key=lambda one: [list(AXES).index(part[0]) for part in one.split(" > ")])


def normal_from_text(text: str) -> np.ndarray:
    """The slice normal in LPS that an orientation means, ``[3]``, of length one.

    Also read are forms without blanks and with longer names, such as ``Tra>Cor(-23.9)>Sag(4.5)``.

    Raises
    ------
    PrescriptionError
        If the text is no orientation.

    >>> normal_from_text("C").tolist()
    [0.0, 1.0, 0.0]
    """
    match = _ORIENTATION.fullmatch(text.replace("−", "-"))
    if match is None:
        raise PrescriptionError(f"{text!r}: no slice orientation such as 'T > C -23.9 > S 4.5'")
    main, first, first_angle, second, second_angle = match.groups()
    letters = [letter.upper() for letter in (main, first, second) if letter]
    angles = [float(angle) for angle in (first_angle, second_angle) if angle]
    if len(set(letters)) < len(letters) or any(abs(angle) > 90 for angle in angles):
        raise PrescriptionError(f"{text!r}: an orientation names each of T, C, S once, with angles of at most 90°")
    about_a, about_b = map(math.radians, [*angles, 0, 0][:2])
    main, a, b = letters + [letter for letter in AXES if letter not in letters]
    components = {
        main: math.cos(about_a) * math.cos(about_b),
        a: -math.sin(about_a) * math.cos(about_b),
        b: -math.sin(about_b),
    }
    return np.array([components[letter] for letter in "SCT"]) + 0.0  # no negative zeros


def position_text(point_lps: ArrayLike) -> str:
    """A point as the console writes it, in mm to one decimal.

    Raises
    ------
    PrescriptionError
        If it is not three finite numbers.

    >>> position_text([12.3, -4.5, 20.1])
    'L12.3 A4.5 H20.1'
    """
    point = np.asarray(point_lps, dtype=np.float64)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise PrescriptionError(f"a position is three finite numbers, not {point.tolist()}")
    rounded = np.round(point, 1)
    return " ".join(
        f"{letters[int(value < 0)]}{abs(value):.1f}" for letters, value in zip(_POSITION_LETTERS, rounded, strict=True)
    )


def point_from_text(text: str) -> np.ndarray:
    """The point in LPS mm that a position means, ``[3]``.

    Raises
    ------
    PrescriptionError
        If the text is no position.

    >>> point_from_text("L12.3 A4.5 H20.1").tolist()
    [12.3, -4.5, 20.1]
    """
    match = _POSITION.fullmatch(text)
    if match is None:
        raise PrescriptionError(f"{text!r}: no position such as 'L12.3 A4.5 H20.1'")
    values = [
        float(value) if letter.upper() == letters[0] else -float(value)
        for letters, letter, value in zip(_POSITION_LETTERS, match.groups()[::2], match.groups()[1::2], strict=True)
    ]
    return np.array(values) + 0.0


def in_plane_rotation(normal_lps: ArrayLike, phase_lps: ArrayLike) -> float:
    """The in-plane rotation that makes a direction of the slices the phase-encoding direction, or its opposite.

    Parameters
    ----------
    normal_lps, phase_lps : array-like
        Shape ``[3]``, at right angles.

    Returns
    -------
    float
        Degrees to one decimal, in (-90, 90].

    Raises
    ------
    PrescriptionError
        If a vector is not three finite numbers or zero, or the two are not at right angles.
    """
    phase = _unit(phase_lps)
    if abs(phase @ _unit(normal_lps)) > 1e-3:
        raise PrescriptionError(f"{phase.tolist()}: a phase-encoding direction lies in the slices' plane")
    along, across = _reference_directions(normal_lps)
    degrees = round(math.degrees(math.atan2(-phase @ across, phase @ along)), 1)
    # Half a turn is the same direction backwards.
    return round(90.0 - (90.0 - degrees) % 180.0, 1) + 0.0


def phase_direction(normal_lps: ArrayLike, degrees: float) -> np.ndarray:
    """The phase-encoding direction of an in-plane rotation, ``[3]``, a unit vector in LPS.

    Raises
    ------
    PrescriptionError
        If the normal is not three finite numbers, or zero.
    """
    along, across = _reference_directions(normal_lps)
    return along * np.cos(np.deg2rad(degrees)) - across * np.sin(np.deg2rad(degrees))


def _reference_directions(normal_lps: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """P0 and R0 of the module's text."""
    normal = _unit(normal_lps)
    main = orientation_text(normal)[0]
    normal = normal * (1 if normal[AXES[main]] > 0 else -1)
    s, c, t = normal
    phase = _unit({"T": (0, t, -c), "C": (c, -s, 0), "S": (-c, s, 0)}[main])
    return phase, np.cross(normal, phase)


def _rounded_text(normal: np.ndarray) -> str:
    components = dict(zip("SCT", normal.tolist(), strict=True))
    main, a, b = sorted(AXES, key=lambda letter: -round(abs(components[letter]), SAME_SIZE_DIGITS))
    sense = math.copysign(1, components[main])
    angles = {
        a: math.degrees(math.atan2(-sense * components[a], abs(components[main]))),
        b: math.degrees(math.asin(-sense * components[b])),
    }
    parts = [f"{letter} {angle:.1f}" for letter, angle in angles.items() if round(angle, 1) != 0]
    return " > ".join([main, *parts])


def _unit(vector: ArrayLike) -> np.ndarray:
    """A vector scaled to length one."""
    values = np.asarray(vector, dtype=np.float64)
    length = np.linalg.norm(values) if values.shape == (3,) else np.nan
    if not np.isfinite(length) or length < 1e-12:
        raise PrescriptionError(f"a direction is three finite numbers, not all zero; got {values.tolist()}")
    return values / length
