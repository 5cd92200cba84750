"""The kinds of stacks and volumes that fetal MR groups acquire, by numbers."""

from dataclasses import dataclass

import numpy as np

from ..anatomy.fetus import Fetus
from ..scanner.artifacts import Artifacts
from ..scanner.grid import Grid
from ..scanner.motion import Trajectory, draw_trajectory
from ..scanner.sequences import B0, BOLD, BSSFP, DWI, HASTE
from .kind import Wanted
from .reconstruction import Reconstruction
from .stack import CUT_CLOSE, SLAB, WHOLE, Stack


@dataclass(frozen=True)
class Volume(Stack):
    """A three-dimensional scan: cubic voxels, nothing moves from slice to slice; mostly late in gestation."""

    def draw_age(self, bounds: tuple[float, float] | None, rng: np.random.Generator) -> float:
        low, high = bounds or self.ages
        return float(rng.uniform(np.clip(31, low, high) if rng.random() < 0.6 else low, high))

    def draw_spacing(self, wanted: Wanted, rng: np.random.Generator) -> np.ndarray:
        return np.full(3, rng.uniform(*self.in_plane) if wanted.spacing is None else wanted.spacing)

    def draw_grid(self, fetus: Fetus, spacing: np.ndarray, wanted: Wanted, rng: np.random.Generator) -> Grid:
        grid = super().draw_grid(fetus, spacing, wanted, rng)
        if wanted.shape is not None or np.prod(grid.shape) <= LARGEST_VOLUME:
            return grid
        # A field that is wide in all directions is seen in larger voxels.
        coarser = float(np.cbrt(np.prod(grid.shape) / LARGEST_VOLUME))
        shape = np.ceil(np.array(grid.shape) / coarser).astype(int)
        centre = (grid.voxel_to_ras @ [*(np.array(grid.shape) - 1) / 2, 1])[:3]
        return Grid.about(centre, grid.voxel_to_ras[:3, :3] / grid.spacing, shape, grid.spacing * coarser)

    def draw_trajectory(self, count: int, wanted: Wanted, rng: np.random.Generator) -> Trajectory:
        return draw_trajectory(np.arange(count) / count, 0.0, rng)


LARGEST_VOLUME = 2_500_000
"""Voxels of a three-dimensional scan."""

T2_STACK = Stack(
    name="t2-stack",
    sequences=((HASTE, 0.75), (BSSFP, 0.25)),
    in_plane=(0.4, 1.8),
    thickness=(2.0, 7.0),
    fields={CUT_CLOSE: 0.35, SLAB: 0.45, WHOLE: 0.2},
    artifacts=Artifacts(dark_planes=0.7, margins=0.3),
)
T2_VOLUME = Volume(
    name="t2-volume",
    sequences=((HASTE, 0.85), (BSSFP, 0.15)),
    in_plane=(0.9, 2.7),
    thickness=(0.9, 2.7),
    fields={CUT_CLOSE: 0.15, WHOLE: 0.85},
    artifacts=Artifacts((0.4, 1.0), (0.1, 0.8), (0.005, 0.03), (0.0, 0.01), 0.0, 0.1, 0.0, 0.6, 0.6),
)
BOLD_STACK = Stack(
    name="bold",
    sequences=((BOLD, 1.0),),
    in_plane=(1.8, 3.5),
    thickness=(2.0, 5.0),
    fields={CUT_CLOSE: 0.2, SLAB: 0.35, WHOLE: 0.45},
    at_once=(1, 1, 2, 3),
    displacement=(0.0, 2.5),
    artifacts=Artifacts((0.3, 0.8), (0.1, 0.8), (0.01, 0.06), (0.01, 0.08), 0.01, 0.3, 0.5, 0.15, 0.25),
)
DWI_STACK = Stack(
    name="dwi",
    sequences=((DWI, 0.65), (B0, 0.35)),
    in_plane=(1.4, 3.0),
    thickness=(2.0, 6.0),
    fields={CUT_CLOSE: 0.3, SLAB: 0.45, WHOLE: 0.25},
    at_once=(1, 1, 2, 3),
    displacement=(0.0, 2.5),
    artifacts=Artifacts((0.3, 0.8), (0.1, 0.8), (0.02, 0.12), (0.01, 0.12), 0.06, 0.3, 0.5, 0.15, 0.25),
)
BRAIN_ONLY = Reconstruction(name="brain-only", sequences=((HASTE, 0.85), (BSSFP, 0.05), (BOLD, 0.05), (B0, 0.05)))
