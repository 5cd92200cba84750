"""Brains made from label maps, such as the CC0 atlas of Fidon et al. (zenodo 5524312)."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from E3PoseLib.errors import VolumeError
from E3PoseLib.imaging.volume import read_volume

from ..shapes import Points, smooth_noise, smooth_union
from ..tissues import Tissue
from .brain import Brain, BrainField
from .hindbrain import paint_hindbrain, posterior_fossa

_SUFFIX = "_parcellation.nii.gz"
_MARGIN_MM = 18.0  # room for skull and scalp, and for deformation


class LabelMapBrain(Brain):
    """Brains made from one label map: scaled, bent, its ventricles narrowed and its hindbrain filled up.

    The published maps are of fetuses with spina bifida, whose ventricles are wide and whose hindbrain is
    small, so both are moved towards normal by a random amount.
    """

    pitch_degrees = 13.5

    def __init__(self, labels: np.ndarray, voxel_to_brain: np.ndarray):
        """labels uint8 [I, J, K] as in `Tissue`; voxel_to_brain 4x4 in mm, origin at the mask's centre."""
        self._labels = _with_callosal_rim(labels, voxel_to_brain)
        self._brain_to_voxel = np.linalg.inv(voxel_to_brain)
        spacing = np.linalg.norm(voxel_to_brain[:3, :3], axis=0)
        self._extent = (np.ptp(np.argwhere(labels), axis=0) + 1) * spacing
        # Distances are smooth: every second voxel holds them well enough.
        inside = labels[::2, ::2, ::2] > 0
        signed = distance_transform_edt(~inside, 2 * spacing) - distance_transform_edt(inside, 2 * spacing)
        self._distance = gaussian_filter(signed, 0.8).astype(np.float32)
        ventricles = labels[::2, ::2, ::2] == Tissue.VENTRICLES
        self._ventricle_depth = distance_transform_edt(ventricles, 2 * spacing).astype(np.float32)
        self._ventricle_gap = distance_transform_edt(~ventricles, 2 * spacing).astype(np.float32)

    def evaluate(
        self, points: Points, age_weeks: float, size: Sequence[float], rng, atrium_mm: float | None = None
    ) -> BrainField:
        shape = np.broadcast_shapes(*(p.shape for p in points))
        scale = self._extent / np.asarray(size)
        # The map's height includes the brainstem: height follows the other two axes, with a jitter.
        scale[2] = np.sqrt(scale[0] * scale[1]) * rng.uniform(0.92, 1.08)
        bend = rng.uniform(0.5, 3.0)
        # Spina bifida narrows the forehead as well: widen it.
        ahead = np.clip(points[1] / np.float32(size[1] / 2), 0, 1)
        forehead = np.float32(2.6) * ahead * (1 - ahead**2)  # at most 1, and nought at the pole, which stays round
        widened = (points[0] * (1 - np.float32(rng.uniform(0.05, 0.3)) * forehead), *points[1:])
        voxel = []
        for row in range(3):
            warp = smooth_noise(rng, shape, (3, 3, 3)) * np.float32(0.35 * bend)
            warp += smooth_noise(rng, shape, (3, 4, 3), mirror=row != 0) * np.float32(bend)
            voxel.append(widened[row] * np.float32(scale[row]) + warp)
        voxel = np.stack([np.broadcast_to(v, shape) for v in move_to(voxel, self._brain_to_voxel)])
        tissue = map_coordinates(self._labels, voxel, order=0)
        mean_scale = np.float32(1 / np.cbrt(np.prod(scale)))
        voxel *= np.float32(0.5)
        distance = map_coordinates(self._distance, voxel, order=1, mode="nearest") * mean_scale
        depth = map_coordinates(self._ventricle_depth, voxel, order=1)
        if atrium_mm is None:
            tissue[(depth > 0) & (depth < rng.uniform(0, 6))] = Tissue.WHITE_MATTER
        else:
            # The atrium is where ventricles are deepest: their wall moves by what half its width lacks, or exceeds.
            lacking = atrium_mm / 2 - float(self._ventricle_depth.max() * mean_scale)
            gap = map_coordinates(self._ventricle_gap, voxel, order=1, mode="nearest") * mean_scale
            mantle = np.isin(tissue, (Tissue.WHITE_MATTER, Tissue.DEEP_GREY_MATTER)) & (distance < -6)
            tissue[mantle & (gap < lacking)] = Tissue.VENTRICLES
            tissue[(depth > 0) & (depth * mean_scale < -lacking)] = Tissue.WHITE_MATTER
        half = tuple(np.float32(extent / 2) for extent in size)
        if rng.random() < 0.75:
            fossa = posterior_fossa(points, half, rng)
            distance = smooth_union([distance, fossa], 5)
            room = np.isin(tissue, (Tissue.OUTSIDE, Tissue.EXTRA_AXIAL_CSF, Tissue.CEREBELLUM, Tissue.BRAINSTEM))
            hindbrain = tissue.copy()
            hindbrain[fossa < 0] = Tissue.EXTRA_AXIAL_CSF
            paint_hindbrain(hindbrain, points, fossa, half, age_weeks, rng)
            tissue = np.where(room, hindbrain, tissue)
        tissue[(tissue == Tissue.OUTSIDE) & (distance < 0)] = Tissue.EXTRA_AXIAL_CSF
        tissue[distance >= 0] = Tissue.OUTSIDE
        if rng.random() < 0.85:
            sinus = np.clip(1 + distance / np.float32(7), 0, 1) * np.float32(rng.uniform(0.5, 3))
            width = np.float32(rng.uniform(0.4, 1.3)) + sinus
            fissure = (np.abs(points[0]) < width) & (tissue == Tissue.EXTRA_AXIAL_CSF)
            tissue[fissure & (points[2] > 0)] = Tissue.FALX
        return BrainField(tissue, distance)


def _with_callosal_rim(labels: np.ndarray, voxel_to_brain: np.ndarray) -> np.ndarray:
    """The map with the sulcus and the vessels along the callosum, which it leaves out, marked beside the midline."""
    spacing = np.linalg.norm(voxel_to_brain[:3, :3], axis=0)
    lateral = np.abs(np.arange(labels.shape[0]) * spacing[0] + voxel_to_brain[0, 3])
    first, *_, last = np.flatnonzero(lateral < 4)
    marked = labels.copy()
    middle = marked[first : last + 1]
    near = distance_transform_edt(middle != Tissue.CORPUS_CALLOSUM, spacing) < 2.5
    middle[near & np.isin(middle, (Tissue.EXTRA_AXIAL_CSF, Tissue.CORTEX))] = Tissue.FALX
    return marked


def move_to(points: Sequence[np.ndarray], matrix: np.ndarray) -> Points:
    """Label maps stand along the axes of their frame, so only scale and shift are applied, per axis."""
    return tuple(p * np.float32(matrix[row, row]) + np.float32(matrix[row, 3]) for row, p in enumerate(points))


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
