"""Rotation annotations: the CSV of the method's README, and what its angles mean in the scanner.

A row of the CSV holds ``frame_id, rot_x, rot_y, rot_z``: the Euler angles, order "xyz", degrees, of the rotation
from the volume's voxel axes to the canonical frame of the head. The rows of that matrix are the head's right,
anterior and superior axes in voxel axes. Where the voxel axes are left-handed no proper rotation can hold all
three; then anterior and superior are the vectors, and right is the pseudovector anterior × superior taken in voxel
axes, which is what the E(3)-CNN estimates too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from E3PoseLib.imaging.geometry import direction_cosines, head_axes_to_ras
from E3PoseLib.imaging.rotations import euler_to_matrix, matrix_to_euler

from .tables import number, read_table, write_table

ANGLE_COLUMNS = ("rot_x", "rot_y", "rot_z")


def axes_from_pose(canonical_to_ras: np.ndarray, voxel_to_ras: np.ndarray) -> np.ndarray:
    """The head's axes in voxel axes, from a pose in the world.

    Parameters
    ----------
    canonical_to_ras : np.ndarray
        ``[4, 4]``; the columns of its rotation are the head's axes in RAS.
    voxel_to_ras : np.ndarray
        ``[4, 4]``, of the volume.

    Returns
    -------
    np.ndarray
        ``[3, 3]`` proper rotation, rows right (pseudovector), anterior and superior.
    """
    cosines = direction_cosines(voxel_to_ras)
    rows = canonical_to_ras[:3, :3].T @ cosines
    rows[0] *= np.sign(np.linalg.det(cosines))
    return rows


def pose_rotation_from_axes(axes: np.ndarray, voxel_to_ras: np.ndarray) -> np.ndarray:
    """Inverse of `axes_from_pose`: the rotation ``[3, 3]`` of ``canonical_to_ras``."""
    return head_axes_to_ras(axes, voxel_to_ras).T


def axes_to_angles(axes: np.ndarray) -> np.ndarray:
    """``[3, 3]`` axes to the ``[3]`` angles of a CSV row, degrees."""
    return matrix_to_euler(torch.from_numpy(axes.astype(np.float64))).numpy()


def angles_to_axes(angles: np.ndarray) -> np.ndarray:
    """Inverse of `axes_to_angles`."""
    return euler_to_matrix(torch.from_numpy(np.asarray(angles, dtype=np.float64))).numpy()


def read_rotations(path: Path) -> dict[str, np.ndarray]:
    """Axes ``[3, 3]`` by frame_id from a CSV of Euler angles.

    Raises
    ------
    DatasetError
        See `read_table` and `number`.
    """
    rows = read_table(path, ANGLE_COLUMNS)
    return {row["frame_id"]: angles_to_axes([number(row, column, path) for column in ANGLE_COLUMNS]) for row in rows}


def write_rotations(path: Path, axes: dict[str, np.ndarray], folds: dict[str, str] | None = None) -> None:
    """Writes axes ``[3, 3]`` by frame_id as a CSV of Euler angles, whole or not at all.

    Parameters
    ----------
    path : Path
        The CSV.
    axes : dict[str, np.ndarray]
        By frame_id.
    folds : dict[str, str] | None
        By frame_id, the column ``fold``, where there is one.
    """
    rows = (
        (frame, *(repr(float(angle)) for angle in axes_to_angles(axes[frame])), *([folds[frame]] if folds else []))
        for frame in sorted(axes)
    )
    write_table(path, ("frame_id", *ANGLE_COLUMNS, *(["fold"] if folds else [])), rows)
