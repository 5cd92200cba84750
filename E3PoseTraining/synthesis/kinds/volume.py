"""Three-dimensional scans of the uterus."""

from dataclasses import dataclass

import numpy as np

from ..anatomy.fetus import Fetus
from ..scanner.grid import Grid
from ..scanner.motion import Trajectory, draw_trajectory
from .kind import Wanted, cubic
from .stack import Stack

LARGEST_VOLUME = 2_500_000
"""Voxels; a field of view that would have more is seen in larger ones."""


@dataclass(frozen=True)
class Volume(Stack):
    """A three-dimensional scan: cubic voxels, nothing moves from slice to slice; mostly late in gestation."""

    @property
    def spacings(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        return cubic(self.in_plane)

    def draw_age(self, bounds: tuple[float, float] | None, rng: np.random.Generator) -> float:
        low, high = bounds or self.ages
        return float(rng.uniform(np.clip(31, low, high) if rng.random() < 0.6 else low, high))

    def draw_spacing(self, wanted: Wanted, rng: np.random.Generator) -> np.ndarray:
        return np.full(3, rng.uniform(*self.in_plane) if wanted.spacing is None else wanted.spacing)

    def draw_grid(self, fetus: Fetus, spacing: np.ndarray, wanted: Wanted, rng: np.random.Generator) -> Grid:
        grid = super().draw_grid(fetus, spacing, wanted, rng)
        if wanted.shape is not None or np.prod(grid.shape) <= LARGEST_VOLUME:
            return grid
        coarser = float(np.cbrt(np.prod(grid.shape) / LARGEST_VOLUME))
        shape = np.ceil(np.array(grid.shape) / coarser).astype(int)
        centre = (grid.voxel_to_ras @ [*(np.array(grid.shape) - 1) / 2, 1])[:3]
        return Grid.about(centre, grid.voxel_to_ras[:3, :3] / grid.spacing, shape, grid.spacing * coarser)

    def draw_trajectory(self, count: int, wanted: Wanted, rng: np.random.Generator) -> Trajectory:
        return draw_trajectory(np.arange(count) / count, 0.0, rng)
