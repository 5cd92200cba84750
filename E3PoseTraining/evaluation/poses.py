"""Reads what is compared: a folder of estimated poses and a CSV of true ones, both brought to RAS."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from E3PoseLib.errors import DatasetError, TransformError
from E3PoseLib.imaging.geometry import check_rigid, read_json, read_npy, transform_points
from E3PoseLib.imaging.volume import Volume, read_volume
from E3PoseLib.running.results.record import FORMAT

from ..augmentation.grid import OBJECT_LABEL
from ..data.annotations import ANGLE_COLUMNS, angles_to_axes, pose_rotation_from_axes
from ..data.folders import volumes_by_id
from ..data.tables import columns_of, number, read_table

MATRIX_COLUMNS = tuple(f"m{i}{j}" for i in range(4) for j in range(4))
TOLERANCE = 1e-3
"""How far from orthonormal a pose may be that was written with a few digits."""


@dataclass(frozen=True)
class Truth:
    """One row of the truth.

    Attributes
    ----------
    frame_id : str
        The scan.
    canonical_to_ras : np.ndarray
        ``[4, 4]``; the last column is NaN where the centre is not known.
    columns : dict[str, str]
        Every column of the row as text, for grouping.
    """

    frame_id: str
    canonical_to_ras: np.ndarray
    columns: dict[str, str]


def read_truth(table: Path, images: Path | None = None, labels: Path | None = None) -> list[Truth]:
    """The true poses of a CSV.

    Its columns are either ``m00 … m33``, the 4×4 ``canonical_to_ras`` row by row, or ``rot_x, rot_y, rot_z``, the
    Euler angles of the training annotations. Euler angles refer to the volume's own axes, so they need the images;
    they say nothing about the centre, which is the label's centre of mass where labels are given.

    Raises
    ------
    DatasetError
        A column, image or label is missing, a value is no number, or a matrix is no rigid pose.
    """
    columns = set(columns_of(table))
    # Where neither is whole, what there is of a matrix tells which was meant.
    if columns >= set(MATRIX_COLUMNS) or (columns & set(MATRIX_COLUMNS) and not columns >= set(ANGLE_COLUMNS)):
        return read_poses(table)
    rows = read_table(table, ANGLE_COLUMNS)
    if images is None:
        raise DatasetError(f"{table} holds Euler angles in the scans' own axes. Give the scans with --images.")
    scans = volumes_by_id(images)
    masks = volumes_by_id(labels) if labels else {}
    truths = []
    for row in rows:
        frame = row["frame_id"]
        if frame not in scans:
            raise DatasetError(f"{table} lists {frame}, but {images} has no such scan.")
        if labels and frame not in masks:
            raise DatasetError(f"{table} lists {frame}, but {labels} has no such label.")
        voxel_to_ras = read_volume(scans[frame]).voxel_to_ras
        pose = np.eye(4)
        axes = angles_to_axes([number(row, column, table) for column in ANGLE_COLUMNS])
        pose[:3, :3] = pose_rotation_from_axes(axes, voxel_to_ras)
        pose[:3, 3] = centre_of_label(read_volume(masks[frame])) if masks else np.nan
        truths.append(Truth(frame, pose, row))
    return truths


def read_poses(table: Path) -> list[Truth]:
    """The true poses of a CSV with ``m00 … m33``, the 4×4 ``canonical_to_ras`` row by row.

    Raises
    ------
    DatasetError
        A column is missing, a value is no number, or a matrix is no rigid pose.
    """
    rows = read_table(table, MATRIX_COLUMNS)
    matrices = [np.array([number(row, c, table) for c in MATRIX_COLUMNS]).reshape(4, 4) for row in rows]
    for row, matrix in zip(rows, matrices, strict=True):
        try:
            check_rigid(matrix, TOLERANCE)
        except TransformError as error:
            raise DatasetError(f"{table}: {row['frame_id']} is no pose: {error}") from error
    return [Truth(row["frame_id"], m, row) for row, m in zip(rows, matrices, strict=True)]


def centre_of_label(label: Volume) -> np.ndarray:
    """Centre of mass ``[3]`` of the object (label 1), RAS mm.

    Raises
    ------
    DatasetError
        The label is nowhere 1.
    """
    voxels = np.argwhere(label.array == OBJECT_LABEL)
    if not len(voxels):
        raise DatasetError(f"{label.name} has no voxel of the object (label {OBJECT_LABEL}).")
    return transform_points(label.voxel_to_ras, voxels.mean(0))


def read_estimates(folder: Path, frames: list[str], voxel_images: Path | None = None) -> list[np.ndarray | None]:
    """The pose ``canonical_to_ras`` of every frame from ``FRAME.npy``, or None where there is no such file.

    Where ``e3pose estimate`` has written it, the JSON beside it tells in which form.

    Parameters
    ----------
    folder : Path
        Of the estimates.
    frames : list[str]
        Wanted.
    voxel_images : Path | None
        Folder of the scans where the files hold canonical → voxel of the input, as the official program writes by
        default; None where they hold canonical → RAS.

    Raises
    ------
    DatasetError
        No estimate at all, a file that is no 4×4 rigid pose or not that of the JSON beside it, or a scan that is
        missing.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder. Give the folder of the estimated poses (.npy).")
    scans = volumes_by_id(voxel_images) if voxel_images else {}
    estimates: list[np.ndarray | None] = []
    for frame in frames:
        path = folder / f"{frame}.npy"
        if not path.is_file():
            estimates.append(None)
            continue
        if (stated := _stated_pose(path)) is not None:
            estimates.append(stated)
            continue
        matrix = read_pose_file(path)
        if voxel_images:
            if frame not in scans:
                raise DatasetError(f"{voxel_images} has no scan {frame}, whose pose {path} refers to.")
            matrix = pose_from_voxel_pose(matrix, read_volume(scans[frame]).voxel_to_ras)
        estimates.append(matrix)
    if all(estimate is None for estimate in estimates):
        raise DatasetError(f"{folder} holds no pose of any of the {len(frames)} frames, such as {frames[0]}.npy.")
    return estimates


def _stated_pose(path: Path) -> np.ndarray | None:
    """``canonical_to_ras`` from the JSON beside a pose of ``e3pose estimate``, in whatever form that wrote the pose."""
    with contextlib.suppress(TransformError, KeyError, TypeError, ValueError):
        document = read_json(path.with_suffix(".json"))
        if document["format"] == FORMAT:
            stated = check_rigid(np.array(document["canonical_to_ras"]), TOLERANCE)
            if not np.allclose(read_npy(path), document["matrix"], rtol=0, atol=TOLERANCE):
                raise DatasetError(
                    f"{path} and the JSON beside it tell different poses. Remove the one of them that is not meant."
                )
            return stated
    return None


def read_probabilities(folder: Path, frames: list[str]) -> np.ndarray:
    """That each pose is right, from ``FRAME.json``, ``[N]``; NaN where there is no such file, or it does not tell."""
    probabilities = np.full(len(frames), np.nan)
    for n, frame in enumerate(frames):
        path = folder / f"{frame}.json"
        if path.is_file():
            with contextlib.suppress(TransformError, KeyError, TypeError, ValueError):
                probabilities[n] = float(read_json(path)["confidence"]["probability"])
    return probabilities


def read_pose_file(path: Path) -> np.ndarray:
    """A rigid ``[4, 4]`` float64 matrix from an .npy file, without unpickling anything.

    Raises
    ------
    DatasetError
        It cannot be read or is no rigid pose.
    """
    try:
        return check_rigid(read_npy(path), TOLERANCE)
    except TransformError as error:
        raise DatasetError(f"{path} is no pose: {error}") from error


def pose_from_voxel_pose(canonical_to_voxel: np.ndarray, voxel_to_ras: np.ndarray) -> np.ndarray:
    """``canonical_to_ras`` from the official program's default output: head axes and centre in voxel axes.

    Its rotation is proper in voxel axes, so for left-handed ones its first column is the pseudovector.
    """
    pose = np.eye(4)
    pose[:3, :3] = pose_rotation_from_axes(canonical_to_voxel[:3, :3].T, voxel_to_ras)
    pose[:3, 3] = transform_points(voxel_to_ras, canonical_to_voxel[:3, 3])
    return pose
