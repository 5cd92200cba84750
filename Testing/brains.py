"""Brain masks in oblique grids, and poses of their heads."""

import numpy as np
from scipy.spatial.transform import Rotation

from E3PoseLib.imaging.geometry import rigid, transform_points
from E3PoseLib.imaging.volume import Volume


def brain(seed: int, spacing=(3.0, 2.5, 4.0)) -> tuple[np.ndarray, Volume]:
    """A pose, and the mask of an ellipsoid of 90 × 110 × 80 mm along its axes, in a grid of another orientation."""
    random = np.random.default_rng(seed)
    turn, grid_turn = Rotation.random(2, rng=random).as_matrix()
    centre = random.uniform(-60, 60, 3)
    shape = (50, 60, 40)
    voxel_to_ras = rigid(grid_turn, centre) @ np.diag([*spacing, 1]) @ rigid(np.eye(3), -(np.array(shape) - 1) / 2)
    canonical_to_ras = rigid(turn, centre + random.uniform(-3, 3, 3))
    index = np.moveaxis(np.indices(shape), 0, -1)
    mm = transform_points(np.linalg.inv(canonical_to_ras) @ voxel_to_ras, index)
    mask = ((mm / [45, 55, 40]) ** 2).sum(axis=-1) < 1
    return canonical_to_ras, Volume(mask.astype(np.uint8), voxel_to_ras, name="mask")
