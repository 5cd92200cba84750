"""A kind of scan, and what those that show a fetus in its mother have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..anatomy.brain import Brain
from ..anatomy.fetus import Fetus, draw_fetus
from ..scanner.contrast import Contrast
from ..scanner.grid import Grid
from ..scanner.motion import Trajectory
from ..scanning import take_picture

DrawBrain = Callable[[float, np.random.Generator], Brain]
"""A source of brains: one for an age in weeks."""


@dataclass(frozen=True)
class Wanted:
    """What the caller fixes of every scan.

    Parameters
    ----------
    shape : sequence of int, optional
        Voxels.
    spacing : float, optional
        Of isotropic voxels, mm.
    field : str
        "uterus" for the field of view that is usual, "head" for one about the head alone.
    motion : float
        1 is usual, 0 freezes the fetus.
    """

    shape: Sequence[int] | None = None
    spacing: float | None = None
    field: str = "uterus"
    motion: float = 1.0


@dataclass(frozen=True)
class Made:
    """One scan, its voxel axes as acquired.

    Parameters
    ----------
    image : np.ndarray
        float32 ``[I, J, K]``.
    labels : np.ndarray
        uint8 ``[I, J, K]``: brain 1, eyes 2.
    voxel_to_ras, canonical_to_ras : np.ndarray
        Shape ``[4, 4]``.
    contrast, lie : str
    brain_visible : float
        Fraction of the brain that is seen.
    """

    image: np.ndarray
    labels: np.ndarray
    voxel_to_ras: np.ndarray
    canonical_to_ras: np.ndarray
    contrast: str
    lie: str
    brain_visible: float


def cubic(sizes: tuple[float, float]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Smallest and largest voxel size in mm of cubic voxels, see `Kind.spacings`."""
    smallest, largest = sizes
    return (smallest, smallest, smallest), (largest, largest, largest)


class Kind(ABC):
    """A kind of scan.

    Attributes
    ----------
    name : str
        By which the command line and the tables call it.
    ages : tuple of float
        Weeks, where the caller gives none.
    enlarged_ventricles : float
        Fraction of the brains.
    """

    name: str
    ages: tuple[float, float]
    enlarged_ventricles: float

    @property
    @abstractmethod
    def spacings(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Smallest and largest voxel size in mm, slices last, where the caller gives none."""

    def draw_age(self, bounds: tuple[float, float] | None, rng: np.random.Generator) -> float:
        """Weeks, within the caller's bounds where there are any."""
        return float(rng.uniform(*(bounds or self.ages)))

    def draw_atrium(self, rng: np.random.Generator) -> float | None:
        """Width in mm of the lateral ventricles' atrium.

        Usual ones scatter about the 7.6 mm of Cardoza et al., Radiology 169:711-714, 1988, which hold at all ages.
        """
        enlarged = rng.random() < self.enlarged_ventricles
        return float(rng.uniform(11, 24) if enlarged else np.clip(rng.normal(7.6, 1.5), 3.5, 10))

    @abstractmethod
    def make(self, age_weeks: float, draw_brain: DrawBrain, wanted: Wanted, rng: np.random.Generator) -> Made:
        """One scan of a fetus of that age."""


class Acquired(Kind):
    """A scan of a fetus in its mother; each method draws one part of it.

    Attributes
    ----------
    displacement : tuple of float
        Range of the standard deviation, mm, of the displacement along phase encoding.
    """

    displacement: tuple[float, float]

    def make(self, age_weeks: float, draw_brain: DrawBrain, wanted: Wanted, rng: np.random.Generator) -> Made:
        contrast = self.draw_contrast(rng)
        spacing = self.draw_spacing(wanted, rng)
        atrium = self.draw_atrium(rng)
        fetus = draw_fetus(age_weeks, draw_brain(age_weeks, rng), self.head_spacing(spacing), rng, atrium)
        grid = self.draw_grid(fetus, spacing, wanted, rng)
        trajectory = self.draw_trajectory(grid.shape[2], wanted, rng)
        picture = take_picture(fetus, contrast, grid, trajectory, self.displacement, self.stride(spacing), rng)
        image = self.corrupt(picture.signal, grid, trajectory, rng)
        return Made(
            image,
            picture.labels,
            grid.voxel_to_ras,
            fetus.canonical_to_ras,
            contrast.kind,
            fetus.lie,
            picture.brain_visible,
        )

    @abstractmethod
    def draw_contrast(self, rng: np.random.Generator) -> Contrast:
        """Signal of every tissue."""

    @abstractmethod
    def draw_spacing(self, wanted: Wanted, rng: np.random.Generator) -> np.ndarray:
        """Voxel size [3] in mm, slices last."""

    @abstractmethod
    def head_spacing(self, spacing: np.ndarray) -> float:
        """Voxel size in mm of the head's label grid."""

    @abstractmethod
    def stride(self, spacing: np.ndarray) -> int:
        """Every how many voxels in plane large shapes are evaluated, a power of two."""

    @abstractmethod
    def draw_grid(self, fetus: Fetus, spacing: np.ndarray, wanted: Wanted, rng: np.random.Generator) -> Grid:
        """The field of view."""

    @abstractmethod
    def draw_trajectory(self, count: int, wanted: Wanted, rng: np.random.Generator) -> Trajectory:
        """Motion over `count` slices."""

    @abstractmethod
    def corrupt(self, image: np.ndarray, grid: Grid, trajectory: Trajectory, rng: np.random.Generator) -> np.ndarray:
        """What the scanner adds to the signal [I, J, K], or loses of it."""
