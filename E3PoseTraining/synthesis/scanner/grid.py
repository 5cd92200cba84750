"""The voxels of a scan, and what they see of a frame while something moves.

Within this package slices are stacked along the third voxel axis and phase is encoded along the second; the generator
permutes and flips the axes of what comes out.
"""

from dataclasses import dataclass

import numpy as np

from ..shapes import Points

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Grid:
    """Voxels of a scan before anything moves: shape [3], spacing [3] mm, voxel_to_ras [4, 4] right-handed."""

    shape: tuple[int, int, int]
    spacing: np.ndarray
    voxel_to_ras: np.ndarray

    @property
    def extent(self) -> np.ndarray:
        """Size [3] of the field of view in mm along the voxel axes."""
        return np.array(self.shape) * self.spacing

    def offsets(self) -> Points:
        """Distances of voxels from the middle along each axis, mm; the three broadcast to the grid."""
        steps = zip(self.shape, self.spacing, strict=True)
        return np.ix_(*(((np.arange(n) - (n - 1) / 2) * step).astype(np.float32) for n, step in steps))

    @classmethod
    def about(cls, centre: np.ndarray, rotation: np.ndarray, shape: np.ndarray, spacing: np.ndarray) -> "Grid":
        """A grid whose middle is at `centre` [3] in RAS mm, its axes the columns of `rotation` [3, 3]."""
        voxel_to_ras = np.eye(4)
        voxel_to_ras[:3, :3] = rotation * spacing
        voxel_to_ras[:3, 3] = centre - voxel_to_ras[:3, :3] @ ((shape - 1) / 2)
        return cls(tuple(int(n) for n in shape), spacing, voxel_to_ras)


class View:
    """What a moving, distorted grid sees of one frame: where in that frame each voxel takes its signal."""

    def __init__(self, grid: Grid, voxel_to_frame: np.ndarray, shift: np.ndarray):
        """voxel_to_frame [K, 4, 4] of each slice; shift [I, J, K] displacement in voxels along phase
        encoding.
        """
        self._grid, self._shift = grid, shift
        self._matrices = voxel_to_frame.astype(np.float32)
        frame_to_voxel = np.linalg.inv(voxel_to_frame)
        self._frame_to_voxel = frame_to_voxel.mean(axis=0)[:3]
        self._spread = np.abs(frame_to_voxel[:, :3] - self._frame_to_voxel).max(axis=0)
        self._reach = np.array([1.0, 1.0 + np.abs(shift).max(initial=0.0), 1.0])

    @property
    def extent(self) -> np.ndarray:
        """Size [3] in mm of the field of view along the voxel axes."""
        return self._grid.extent

    def within(self, to_frame: np.ndarray) -> "View":
        """The view of another frame, into which `to_frame` [4, 4] takes this one."""
        return View(self._grid, to_frame @ self._matrices, self._shift)

    def box(self, lower: np.ndarray, upper: np.ndarray) -> Box | None:
        """Smallest block of voxels that may see anything between two corners [3] in mm; None if empty."""
        half, middle = (upper - lower) / 2, (upper + lower) / 2
        matrix, spread = self._frame_to_voxel, self._spread
        centre = matrix[:, :3] @ middle + matrix[:, 3]
        # No slice strays from the mean position by more than `spread` says at the farthest corner.
        slack = self._reach + spread[:, :3] @ (np.abs(middle) + half) + spread[:, 3]
        extent = np.abs(matrix[:, :3]) @ half + slack
        first, last = np.floor(centre - extent).astype(int), np.ceil(centre + extent).astype(int) + 1
        first, last = np.maximum(first, 0), np.minimum(last, self._grid.shape)
        return None if np.any(first >= last) else tuple(slice(*pair) for pair in zip(first, last, strict=True))

    def points(self, box: Box | None = None, stride: int = 1, through: float = 0.0) -> Points:
        """Position of voxels in the frame, mm: every `stride`-th in plane, moved by `through` slices along
        the stack.
        """
        box = box or tuple(slice(0, n) for n in self._grid.shape)
        i = np.arange(box[0].start, box[0].stop, stride, dtype=np.float32)[:, None, None]
        j = np.arange(box[1].start, box[1].stop, stride, dtype=np.float32)[None, :, None]
        slices = np.arange(box[2].start, box[2].stop)
        m = self._matrices[slices]
        k = slices.astype(np.float32) + np.float32(through)
        column = j + self._shift[box[0], box[1], box[2]][::stride, ::stride]
        return tuple(m[:, row, 0] * i + m[:, row, 1] * column + (m[:, row, 2] * k + m[:, row, 3]) for row in range(3))
