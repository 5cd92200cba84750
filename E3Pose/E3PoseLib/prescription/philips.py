"""What a Philips console takes: slice orientation, angulation and off-centre; and back.

Philips counts along P, S, L: its AP runs to posterior, FH to head, RL to left. An angulation turns the images of the
chosen orientation (transverse, coronal or sagittal) by ``M = Rz(rl)·Rx(ap)·Ry(fh)`` in those axes. nibabel's reader of
PAR/REC files understands the numbers so; it was found there by trial, with scans of phantoms, and tests compare with
it. Whether a console takes such large angles as a head may need has not been checked on a scanner.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import PrescriptionError
from .stack import SlicePlane

RAS_TO_PSL = np.array([[0.0, -1, 0], [0, 0, 1], [-1, 0, 0]])
ORIENTATIONS = {
    "transverse": np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    "coronal": np.array([[0.0, 0, 1], [0, -1, 0], [1, 0, 0]]),
    "sagittal": np.diag([1.0, -1, -1]),
}
"""Images without angulation: row, column and normal as the columns of a matrix in PSL. By the same order the main
orientation is chosen between components of the same size."""

_STRAIGHT_UP = 1 - 1e-12


@dataclass(frozen=True)
class PhilipsNumbers:
    """Slices as a Philips console takes them; see the module's text.

    Parameters
    ----------
    orientation : str
        One of `ORIENTATIONS`.
    angulation : tuple of float
        About AP, FH and RL, degrees.
    off_centre : tuple of float
        Along AP, FH and RL, mm: of the middle of the stack.
    """

    orientation: str
    angulation: tuple[float, float, float]
    off_centre: tuple[float, float, float]


def philips_numbers(plane: SlicePlane) -> PhilipsNumbers:
    """Orientation, angulation and off-centre of slices; the orientation is the one that needs the least tilt."""
    axes = RAS_TO_PSL @ np.stack([plane.row, plane.column, plane.normal], axis=1)
    # The component of the normal along the normal of each orientation.
    tilt = {name: round(abs(float(axes[:, 2] @ images[:, 2])), 6) for name, images in ORIENTATIONS.items()}
    orientation = max(tilt, key=lambda name: tilt[name])
    turn = axes @ ORIENTATIONS[orientation].T
    ap = np.arcsin(np.clip(turn[2, 1], -1, 1))
    if abs(turn[2, 1]) < _STRAIGHT_UP:
        fh, rl = np.arctan2(-turn[2, 0], turn[2, 2]), np.arctan2(-turn[0, 1], turn[1, 1])
    else:  # FH and RL turn about one axis, and share the angle as they like
        fh, rl = 0.0, np.arctan2(turn[1, 0], turn[0, 0])
    angles = np.rad2deg([ap, fh, rl])
    return PhilipsNumbers(orientation, tuple(angles.tolist()), tuple((RAS_TO_PSL @ plane.centre).tolist()))


def least_turned(plane: SlicePlane) -> SlicePlane:
    """The same slices, with rows, columns or both counted backwards so that the angulation is as small as it can be.

    Where one of the two is counted backwards, slices come in the reverse order and are seen from the other side; where
    both are, images are turned by half a turn.
    """
    choices = [
        replace(plane, row=plane.row * row, column=plane.column * column) for row in (1, -1) for column in (1, -1)
    ]
    return max(choices, key=_straightness)


def directions_from_angulation(
    orientation: str, angulation: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and normal, ``[3]`` each, unit vectors in RAS, of an orientation and its angulation.

    Parameters
    ----------
    orientation : str
        One of `ORIENTATIONS`.
    angulation : tuple of float
        About AP, FH and RL, degrees.

    Raises
    ------
    PrescriptionError
        If there is no such orientation, or an angle is not finite.
    """
    if orientation not in ORIENTATIONS:
        raise PrescriptionError(f"{orientation!r} is no orientation; choose from {', '.join(ORIENTATIONS)}")
    if not np.isfinite(angulation).all():
        raise PrescriptionError(f"an angulation is three finite angles, not {tuple(angulation)}")
    (ap_cos, fh_cos, rl_cos), (ap_sin, fh_sin, rl_sin) = np.cos(np.deg2rad(angulation)), np.sin(np.deg2rad(angulation))
    about_ap = np.array([[1, 0, 0], [0, ap_cos, -ap_sin], [0, ap_sin, ap_cos]])
    about_fh = np.array([[fh_cos, 0, fh_sin], [0, 1, 0], [-fh_sin, 0, fh_cos]])
    about_rl = np.array([[rl_cos, -rl_sin, 0], [rl_sin, rl_cos, 0], [0, 0, 1]])
    row, column, normal = (RAS_TO_PSL.T @ about_rl @ about_ap @ about_fh @ ORIENTATIONS[orientation]).T
    return row, column, normal


def point_from_off_centre(off_centre: tuple[float, float, float]) -> np.ndarray:
    """The point in RAS mm, ``[3]``, of an off-centre along AP, FH and RL.

    Raises
    ------
    PrescriptionError
        If a number is not finite.

    >>> point_from_off_centre((-34.5, 27.9, 38.3)).tolist()
    [-38.3, 34.5, 27.9]
    """
    if not np.isfinite(off_centre).all():
        raise PrescriptionError(f"an off-centre is three finite numbers, not {tuple(off_centre)}")
    return RAS_TO_PSL.T @ np.asarray(off_centre, dtype=np.float64)


def _straightness(plane: SlicePlane) -> float:
    """Cosine of the angle of the whole turn, but for a constant."""
    numbers = philips_numbers(plane)
    axes = RAS_TO_PSL @ np.stack([plane.row, plane.column, plane.normal], axis=1)
    return float(np.trace(axes @ ORIENTATIONS[numbers.orientation].T))
