"""How a head moves from pose to pose, as columns of a table; numpy alone, so that Slicer can fill it without more."""

from __future__ import annotations

import numpy as np

RADIUS_MM = 30.0
"""Of a fetal head, at which framewise displacement counts rotations; programs for adults use 50."""

TRANSLATIONS = ("trans_x", "trans_y", "trans_z")
ROTATIONS = ("rot_x", "rot_y", "rot_z")
DISPLACEMENT = "framewise_displacement"


def motion_columns(poses: np.ndarray, believed: np.ndarray) -> dict[str, np.ndarray]:
    """Motion against the first pose that is believed, or else against the first one, under fMRIPrep's names.

    Parameters
    ----------
    poses : np.ndarray
        Shape ``[T, 4, 4]``, ``canonical_to_ras``; NaN where there is none.
    believed : np.ndarray
        Shape ``[T]``, bool.

    Returns
    -------
    dict of str to np.ndarray
        Shape ``[T]`` each, NaN where there is no pose. ``trans_*``: how far the brain's centre has moved, mm in RAS.
        ``rot_*``: angles about the axes of RAS through the brain's centre, R = Rz·Ry·Rx, radians.
        ``framewise_displacement``: the sum of the absolute changes of the six from one pose to the next, rotations as
        arcs on a sphere of `RADIUS_MM` (Power et al., NeuroImage 59:2142, 2012), mm; of the motion between both, not of
        differences of angles, which jump where one passes half a turn.
    """
    known = np.isfinite(poses).all(axis=(1, 2))
    columns = dict.fromkeys((*TRANSLATIONS, *ROTATIONS, DISPLACEMENT), np.full(len(poses), np.nan))
    if not known.any():
        return columns
    reference = poses[np.argmax(known & believed if (known & believed).any() else known)]
    moved = poses[:, :3, 3] - reference[:3, 3]
    angles = euler_xyz(poses[:, :3, :3] @ reference[:3, :3].T)
    columns.update(zip(TRANSLATIONS, moved.T, strict=True))
    columns.update(zip(ROTATIONS, angles.T, strict=True))
    columns[DISPLACEMENT] = framewise_displacement(poses)
    return columns


def framewise_displacement(poses: np.ndarray, radius_mm: float = RADIUS_MM) -> np.ndarray:
    """Framewise displacement (Power et al., NeuroImage 59:2142, 2012): the sum of the absolute changes of the six
    parameters from one frame to the next, rotations as arcs on a sphere.

    The changes are those of the motion between both frames, not differences of angles against the reference, which
    jump where an angle passes half a turn.

    Parameters
    ----------
    poses : np.ndarray
        Shape ``[T, 4, 4]``; NaN where there is none.
    radius_mm : float
        Of the sphere.

    Returns
    -------
    np.ndarray
        Shape ``[T]``, mm; NaN for the first frame, and where this frame or the one before has no pose.
    """
    shifts = np.abs(np.diff(poses[:, :3, 3], axis=0)).sum(axis=1)
    turns = np.abs(euler_xyz(poses[1:, :3, :3] @ poses[:-1, :3, :3].transpose(0, 2, 1))).sum(axis=1)
    return np.concatenate([[np.nan], shifts + radius_mm * turns])


def euler_xyz(rotations: np.ndarray) -> np.ndarray:
    """Angles ``[N, 3]`` in radians about the fixed axes x, then y, then z of rotations ``[N, 3, 3]``."""
    x = np.arctan2(rotations[:, 2, 1], rotations[:, 2, 2])
    y = np.arcsin(np.clip(-rotations[:, 2, 0], -1, 1))
    z = np.arctan2(rotations[:, 1, 0], rotations[:, 0, 0])
    return np.stack([x, y, z], axis=1)
