"""A smooth trajectory through poses that were estimated one by one."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import make_smoothing_spline
from scipy.spatial.transform import Rotation

from ...imaging.motion import RADIUS_MM, framewise_displacement

LEAST_FRAMES = 8
"""Between two jumps; fewer stay as they are, since they do not show what is noise."""

JUMP_MM = 12.0
"""Framewise displacement from which on the head has jumped: no smooth line goes through both sides of it."""


def smooth(poses: np.ndarray, believed: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Smooth a trajectory by smoothing splines, each part between two jumps on its own.

    SciPy's `make_smoothing_spline` chooses by generalised cross-validation how smooth a part is, so there is nothing to
    tune, and takes times that are not evenly spaced, so frames that are not believed are simply left out; a
    Savitzky-Golay filter has a window to choose and needs every frame, and SciPy's `RotationSpline` goes through every
    pose. Rotations are smoothed as unit quaternions of equal sign, each number by itself, and made unit again: unlike
    Euler angles or one rotation vector they have no half turn at which they jump.

    Parameters
    ----------
    poses : np.ndarray
        Shape ``[T, 4, 4]``; NaN where there is none.
    believed : np.ndarray
        Shape ``[T]``, bool: which poses the trajectory is drawn through.
    times : np.ndarray
        Shape ``[T]``, seconds, increasing.

    Returns
    -------
    np.ndarray
        Shape ``[T, 4, 4]``. A frame that is not believed gets the pose between its neighbours where these belong to one
        part; where it lies at a jump, or at an end of the series, NaN.
    """
    smoothed = np.full_like(poses, np.nan)
    used = np.flatnonzero(believed)
    if not len(used):
        return smoothed
    jumped = np.flatnonzero(framewise_displacement(poses[used], RADIUS_MM)[1:] >= JUMP_MM) + 1
    for part in np.split(used, jumped):
        if len(part) < LEAST_FRAMES:
            smoothed[part] = poses[part]
            continue
        within = np.arange(part[0], part[-1] + 1)
        quaternions = Rotation.from_matrix(poses[part, :3, :3]).as_quat()
        # q and −q are the same rotation: each takes the sign that is nearer to the one before.
        turned_round = np.sum(quaternions[1:] * quaternions[:-1], axis=1) < 0
        quaternions[1:] *= np.where(np.cumsum(turned_round) % 2, -1, 1)[:, None]
        numbers = np.concatenate([quaternions, poses[part, :3, 3]], axis=1)
        lines = [make_smoothing_spline(times[part], course)(times[within]) for course in numbers.T]
        smoothed[within] = np.eye(4)
        smoothed[within, :3, :3] = Rotation.from_quat(np.stack(lines[:4], axis=1)).as_matrix()
        smoothed[within, :3, 3] = np.stack(lines[4:], axis=1)
    return smoothed
