"""From the landmarks of the clinical EPI scans to poses, approximate labels and the method's folder layout.

The scans are those of Hoffmann et al., *Rapid head-pose detection for automated slice prescription of fetal-brain
MRI*, Int J Imaging Syst Technol 31(3), 2021: folder of .nii.gz files with a ``landmarks.csv`` (brain centre and both
eyes, RAS mm, set by hand). Their labels here are ellipsoids of the age's median size: good enough to test and to
warm up a network, no substitute for a segmentation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from E3PoseLib.errors import DatasetError
from E3PoseLib.imaging.geometry import rigid
from E3PoseLib.imaging.volume import Volume, read_volume, write_volume
from E3PoseLib.method.eyes import rotation_from_eyes

from ..synthesis.anatomy.growth import HeadSize, head_size
from .annotations import axes_from_pose, write_rotations
from .folders import volumes_by_id
from .tables import number, read_table

_COLUMNS = tuple(f"{point}_{axis}" for point in ("brain", "left_eye", "right_eye") for axis in "ras")


def pose_from_landmarks(brain: np.ndarray, left_eye: np.ndarray, right_eye: np.ndarray) -> np.ndarray:
    """``canonical_to_ras`` ``[4, 4]`` from three points ``[3]`` in RAS mm: `rotation_from_eyes` about the brain."""
    return rigid(rotation_from_eyes(left_eye - brain, right_eye - brain), brain)


def approximate_label(
    shape: tuple[int, int, int],
    voxel_to_ras: np.ndarray,
    canonical_to_ras: np.ndarray,
    eyes: tuple[np.ndarray, np.ndarray],
    size: HeadSize,
) -> np.ndarray:
    """Brain (1) as an ellipsoid and eyes (2) as balls of the age's median size.

    The brain fills about 92 % of the skull's outer diameters; its height is close to its width (Snijders and
    Nicolaides, 1994, for the diameters).

    Returns
    -------
    np.ndarray
        uint8 array of `shape`.
    """
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1).reshape(-1, 3)
    ras = voxels @ voxel_to_ras[:3, :3].T + voxel_to_ras[:3, 3]
    head = (ras - canonical_to_ras[:3, 3]) @ canonical_to_ras[:3, :3]
    width, length = size.biparietal_diameter, size.occipitofrontal_diameter
    half_axes = 0.92 / 2 * np.array([width, length, width])
    label = (np.square(head / half_axes).sum(1) <= 1).astype(np.uint8)
    for eye in eyes:
        label[np.linalg.norm(ras - eye, axis=1) <= size.eye_diameter / 2] = 2
    return label.reshape(shape)


def prepare_landmark_scans(source: Path, output: Path) -> list[str]:
    """Writes ``images/``, ``labels/`` and ``annotations.csv`` for every scan of a folder with landmarks.

    Where ``landmarks.csv`` says which fetus a scan shows, that is its fold.

    Parameters
    ----------
    source : Path
        Folder with ``landmarks.csv`` and the scans.
    output : Path
        New folder.

    Returns
    -------
    list[str]
        The frames written.

    Raises
    ------
    DatasetError
        A scan or a landmark is missing or no number.
    """
    table = source / "landmarks.csv"
    rows = read_table(table, (*_COLUMNS, "gestational_age_weeks"))
    scans = volumes_by_id(source)
    axes: dict[str, np.ndarray] = {}
    folds = {row["frame_id"]: row["fetus"] for row in rows if row.get("fetus")}
    for row in rows:
        frame = row["frame_id"]
        if frame not in scans:
            raise DatasetError(f"{table} lists {frame}, but {source} has no such scan.")
        brain, left, right = np.array([number(row, c, table) for c in _COLUMNS]).reshape(3, 3)
        pose = pose_from_landmarks(brain, left, right)
        volume = read_volume(scans[frame])
        age = min(39.0, max(14.0, number(row, "gestational_age_weeks", table)))
        label = approximate_label(volume.shape, volume.voxel_to_ras, pose, (left, right), head_size(age))
        axes[frame] = axes_from_pose(pose, volume.voxel_to_ras)
        write_volume(output / "images" / f"{frame}.nii.gz", volume)
        write_volume(output / "labels" / f"{frame}.nii.gz", Volume(label, volume.voxel_to_ras, f"{frame} label"))
    write_rotations(output / "annotations.csv", axes, folds if len(folds) == len(axes) else None)
    return sorted(axes)
