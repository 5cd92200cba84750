"""A scan as its slices, flattened and fine enough in their plane for a skull to be seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from E3PoseLib.imaging.geometry import transform_points, voxel_sizes
from E3PoseLib.imaging.volume import Volume

PIXEL_MM = 1.5
"""Of the slices in their plane; a skull is hardly wider than a voxel of a scout."""

FIELD_MM = 30.0
"""Standard deviation of the Gaussian by which the receive field is flattened."""

AIR_PERCENTILE = 30
"""So many voxels in a hundred are taken for air."""


@dataclass(frozen=True, eq=False)
class Planes:
    """Slices of a scan.

    Parameters
    ----------
    values : np.ndarray
        Shape ``[S, H, W]``, float32: the logarithm of the intensities relative to those of their surroundings.
    to_ras : np.ndarray
        Shape ``[4, 4]``, from slice, row and column to RAS mm; of either handedness.
    """

    values: np.ndarray
    to_ras: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Of slices, rows and columns, mm."""
        return voxel_sizes(self.to_ras)

    def point_to_ras(self, point: np.ndarray) -> np.ndarray:
        """From mm along the axes of the planes, in which this package measures, to RAS mm."""
        return transform_points(self.to_ras, point / self.spacing)


def planes_of(volume: Volume) -> Planes:
    """The slices of a scan whose axes are at right angles.

    Raises
    ------
    VolumeError
        If the intensities cannot be used; see `Volume.intensities`.
    """
    array = volume.intensities()
    through = slice_axis(array)
    order = [through, *(axis for axis in range(3) if axis != through)]
    spacing, flat = volume.spacing[order], flattened(array.transpose(order), volume.spacing[order])
    height, width = (round(flat.shape[axis] * spacing[axis] / PIXEL_MM) for axis in (1, 2))
    fine = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC) for one in flat])
    factors = np.array([1.0, flat.shape[1] / height, flat.shape[2] / width])
    fine_to_flat = np.diag([*factors, 1.0])
    fine_to_flat[:3, 3] = (factors - 1) / 2
    return Planes(fine, volume.voxel_to_ras @ np.eye(4)[:, [*order, 3]] @ fine_to_flat)


def slice_axis(array: np.ndarray) -> int:
    """The axis across the slices: the fetus moves between one slice and the next, so values zigzag most along it.

    A header does not tell which axis that is. Zigzag is the mean second difference by that of values two apart; on the
    scouts of docs/comparison.md it finds the axis every time.
    """
    values = np.clip(array, *np.percentile(array, [2, 99]))
    zigzag = []
    for axis in range(3):
        apart = np.abs(
            values.take(range(2, values.shape[axis]), axis) - values.take(range(values.shape[axis] - 2), axis)
        )
        zigzag.append(np.abs(np.diff(values, n=2, axis=axis)).mean() / max(float(apart.mean()), 1e-12))
    return int(np.argmax(zigzag))


def flattened(array: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The logarithm of intensities relative to the tissue within some `FIELD_MM`, float32."""
    tissue = array > np.percentile(array, AIR_PERCENTILE)
    sigma = FIELD_MM / spacing
    sums = ndimage.gaussian_filter(np.where(tissue, array, 0).astype(np.float32), sigma)
    field = sums / np.maximum(ndimage.gaussian_filter(tissue.astype(np.float32), sigma), 0.05)
    flat = array / np.maximum(field, max(0.2 * float(field.mean()), 1e-12))
    typical = np.median(flat[flat > np.median(flat)])
    return np.log(np.maximum(flat, 0) + 0.15 * typical).astype(np.float32)
