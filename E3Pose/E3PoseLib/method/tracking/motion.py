"""How a head moves: parameters against a reference, framewise displacement, times of rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from ...imaging.motion import euler_xyz, framewise_displacement

REST_MM, REST_DEGREES, REST_SECONDS = 4.0, 5.0, 10.0
"""A head rests while its poses stay so near to that at the beginning of the rest, for so long or longer. Nearer than
that the poses of a head at rest do not agree, by the errors of the method."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Motion against the reference.

    Parameters
    ----------
    translations : np.ndarray
        Shape ``[T, 3]``, mm: by how much the brain's centre has moved, in RAS. NaN where there is no pose.
    rotations : np.ndarray
        Shape ``[T, 3]``, radians: angles x, y, z about the axes of RAS through the brain's centre, R = Rz·Ry·Rx.
    displacement : np.ndarray
        Shape ``[T]``, mm: framewise displacement, see `framewise_displacement`.
    reference : int
        The frame with which the others are compared.
    """

    translations: np.ndarray
    rotations: np.ndarray
    displacement: np.ndarray
    reference: int


def motion_of(poses: np.ndarray, believed: np.ndarray, reference_pose: np.ndarray | None = None) -> Motion:
    """Motion against the first pose that is believed; where there is none, against the first pose.

    Parameters
    ----------
    poses : np.ndarray
        Shape ``[T, 4, 4]``, ``canonical_to_ras``; NaN where there is none.
    believed : np.ndarray
        Shape ``[T]``, bool.
    reference_pose : np.ndarray, optional
        Shape ``[4, 4]``: another pose for the reference frame, as that of a smooth trajectory is compared with the
        estimated one.

    Raises
    ------
    ValueError
        If there is no pose at all.
    """
    known = np.isfinite(poses).all(axis=(1, 2))
    if not known.any():
        raise ValueError("no frame has a pose")
    first = believed & known if (believed & known).any() else known
    reference = int(np.argmax(first))
    at_rest = poses[reference] if reference_pose is None else reference_pose
    rotations = euler_xyz(poses[:, :3, :3] @ at_rest[:3, :3].T)
    translations = poses[:, :3, 3] - at_rest[:3, 3]
    return Motion(translations, rotations, framewise_displacement(poses), reference)


def away_from(poses: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Angle in degrees and distance in mm of each pose from another one, ``[T, 2]``; NaN where there is none."""
    away = np.full((len(poses), 2), np.nan)
    known = np.isfinite(poses).all(axis=(1, 2))
    turned = poses[known, :3, :3] @ reference[:3, :3].T
    away[known, 0] = np.degrees(Rotation.from_matrix(turned).magnitude()) if known.any() else 0
    away[known, 1] = np.linalg.norm(poses[known, :3, 3] - reference[:3, 3], axis=1)
    return away


def rest_periods(poses: np.ndarray, believed: np.ndarray, times: Sequence[float]) -> list[tuple[int, int]]:
    """When the head rests, see `REST_SECONDS`.

    Parameters
    ----------
    poses : np.ndarray
        Shape ``[T, 4, 4]``.
    believed : np.ndarray
        Shape ``[T]``, bool. A frame that is not ends no rest, and begins none.
    times : sequence of float
        Of the frames, seconds.

    Returns
    -------
    list of (int, int)
        First and last frame of each, of which no two share one.
    """
    periods = []
    start = 0
    while start < len(poses):
        if not believed[start]:
            start += 1
            continue
        away = away_from(poses[start:], poses[start])
        left = (away > (REST_DEGREES, REST_MM)).any(axis=1) & believed[start:]
        stop = start + (int(np.argmax(left)) if left.any() else len(left))
        last = start + int(np.flatnonzero(believed[start:stop])[-1])
        if times[last] - times[start] >= REST_SECONDS:
            periods.append((start, last))
            start = stop
        else:
            start += 1
    return periods
