"""Reads a folder of fetal brain label maps, such as the CC0 atlas of Fidon et al. (zenodo 5524312)."""

import re
from pathlib import Path

import numpy as np

from E3PoseLib.errors import VolumeError
from E3PoseLib.imaging.volume import read_volume

from .brain import LabelMapBrain, Tissue

_SUFFIX = "_parcellation.nii.gz"
_MARGIN_MM = 18.0  # room for skull and scalp, and for deformation


def read_label_maps(folder: Path) -> list[tuple[float, LabelMapBrain]]:
    """Every `GA<weeks>_*_parcellation.nii.gz` in a folder, as (age in weeks, brain).

    Raises VolumeError where the folder holds none, or a file is not a label map in RAS axes with labels 1 to
    8.
    """
    files = sorted(folder.glob(f"*{_SUFFIX}"))
    if not files:
        raise VolumeError(f"{folder}: no file named GA<weeks>…{_SUFFIX}; give a folder of brain label maps")
    return [_read(file) for file in files]


def _read(file: Path) -> tuple[float, LabelMapBrain]:
    age = re.match(r"GA(\d+(?:\.\d+)?)", file.name)
    if not age:
        raise VolumeError(f"{file}: the name must start with GA and the age in weeks, such as GA28_")
    volume = read_volume(file)
    labels, direction = volume.array, volume.voxel_to_ras[:3, :3]
    if labels.min() < 0 or labels.max() > Tissue.CORPUS_CALLOSUM or not labels.any():
        raise VolumeError(f"{file}: not a brain label map; its labels must be 1 to 8 on 0")
    if not np.allclose(direction, np.diag(np.diag(direction))) or np.diag(direction).min() <= 0:
        raise VolumeError(f"{file}: its voxel axes are not right, anterior, superior; reorient it to RAS")
    labels = labels.astype(np.uint8)
    inside = np.argwhere(labels)
    first, last = inside.min(0), inside.max(0) + 1
    margin = np.ceil(_MARGIN_MM / np.diag(direction)).astype(int)
    voxel_to_brain = volume.voxel_to_ras.copy()
    voxel_to_brain[:3, 3] = -direction @ (inside.mean(0) - first + margin)
    cropped = labels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    return float(age[1]), LabelMapBrain(np.pad(cropped, margin[:, None]), voxel_to_brain)
