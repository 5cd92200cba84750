"""Stacks of thick slices through a head that is known everywhere, in any plane and at any place."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from E3PoseLib.alignment.stack import PosedStack
from E3PoseLib.imaging.geometry import rigid, transform_points
from E3PoseLib.imaging.volume import Volume

PLANES = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}
"""Axes of the head along i, j and across the slices."""


class Brain:
    """Something with structure in an ellipsoid of 90 × 110 × 84 mm times a size, in surroundings of another structure.

    Two of one size are alike in their outline, whatever is in them.
    """

    def __init__(self, seed: int = 0, size: float = 1.0) -> None:
        rng = np.random.default_rng(seed)
        n = 128
        points = np.moveaxis(np.indices((n, n, n)), 0, -1) - (n - 1) / 2
        inside = (((points / size / (45, 55, 42)) ** 2).sum(axis=-1) < 1).astype(np.float32)
        structure = ndimage.gaussian_filter(rng.normal(size=(n, n, n)), 5)
        self.image = ((400 + 150 * structure / structure.std()) * (0.5 + inside)).clip(0).astype(np.float32)
        self.mask = inside
        self._blurred = ndimage.gaussian_filter(self.image, 2.0)

    def stack(self, plane: str, head_to_ras: np.ndarray, name: str = "") -> PosedStack:
        """A stack of 3.5 mm slices along a plane of the head, which lies at ``head_to_ras``; its pose is right."""
        axes = np.eye(3)[:, PLANES[plane]]
        shape, spacing = (72, 72, 32), np.array([1.8, 1.8, 3.5])
        tilted = Rotation.from_rotvec([4, -6, 5], degrees=True).as_matrix() @ axes
        voxel_to_head = rigid(tilted * spacing, np.zeros(3))
        voxel_to_head[:3, 3] = -tilted @ (spacing * (np.array(shape) - 1) / 2)
        points = transform_points(voxel_to_head, np.moveaxis(np.indices(shape), 0, -1)) + (128 - 1) / 2
        values, brain = (
            ndimage.map_coordinates(a, np.moveaxis(points, -1, 0), order=1) for a in (self._blurred, self.mask)
        )
        name = name or plane
        volume = Volume(values.astype(np.int16), head_to_ras @ voxel_to_head, name=name)
        return PosedStack(name, volume, head_to_ras, (brain > 0.5).astype(np.uint8))


def moved(degrees: float, mm: float, seed: int) -> np.ndarray:
    """A rigid motion by that much in some direction, ``[4, 4]``."""
    rng = np.random.default_rng(seed)
    axis, direction = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 3)))
    return rigid(Rotation.from_rotvec(degrees * axis, degrees=True).as_matrix(), mm * direction)
