"""Stacks of slices about a fetal head, in any plane, and what sequences and fields of view they come in."""

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from ..anatomy.fetus import Fetus
from ..scanner.artifacts import Artifacts, receive
from ..scanner.contrast import Contrast, Range, Sequence, draw_one_of
from ..scanner.grid import Grid
from ..scanner.motion import Trajectory, draw_trajectory, interleaved_times
from .kind import Acquired, Wanted

LARGEST_MATRIX = 288
"""Voxels along an edge in plane: a field of small voxels is cut closer about the head."""

CUT_CLOSE, SLAB, WHOLE = "cut close", "slab", "whole"


@dataclass(frozen=True)
class Stack(Acquired):
    """A kind of stack.

    Parameters
    ----------
    name : str
    ages : tuple of float
        Weeks.
    sequences : tuple of (Sequence, float)
        See `draw_one_of`.
    in_plane, thickness : tuple of float
        Voxel size in plane and from slice to slice, mm.
    fields : dict of str to float
        Share of fields of view: cut close about the head, a slab of the uterus that is wide in plane, the whole uterus.
    passes : dict of int to float
        Share of the numbers of passes in which slices are taken.
    at_once : tuple of int
        Slices excited together.
    motion : tuple of float
        Strengths of motion (`draw_trajectory`), from usual to rare: half, three in ten, 15 and 5 of a hundred.
    displacement : tuple of float
    enlarged_ventricles : float
    cut : float
        Fraction of the fields of view that cut the head.
    artifacts : Artifacts
    """

    name: str
    sequences: tuple[tuple[Sequence, float], ...]
    in_plane: Range
    thickness: Range
    fields: dict[str, float]
    ages: tuple[float, float] = (18.0, 40.0)
    passes: dict[int, float] = field(default_factory=lambda: {1: 0.08, 2: 0.45, 3: 0.12, 4: 0.2, 5: 0.05, 6: 0.1})
    at_once: tuple[int, ...] = (1,)
    motion: tuple[float, float, float, float] = (0.3, 0.8, 1.6, 3.0)
    displacement: tuple[float, float] = (0.0, 0.3)
    enlarged_ventricles: float = 0.12
    cut: float = 0.15
    artifacts: Artifacts = field(default_factory=Artifacts)

    @property
    def spacings(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        smallest, largest = (
            (in_plane, in_plane, max(through, in_plane))
            for in_plane, through in zip(self.in_plane, self.thickness, strict=True)
        )
        return smallest, largest

    def draw_contrast(self, rng: np.random.Generator) -> Contrast:
        return draw_one_of(self.sequences, rng)

    def draw_spacing(self, wanted: Wanted, rng: np.random.Generator) -> np.ndarray:
        if wanted.spacing is not None:
            return np.full(3, float(wanted.spacing))
        in_plane = float(np.exp(rng.uniform(*np.log(self.in_plane))))
        through = rng.uniform(max(self.thickness[0], in_plane), max(self.thickness[1], in_plane))
        return np.array([in_plane, in_plane, through])

    def head_spacing(self, spacing: np.ndarray) -> float:
        return float(np.clip(0.8 * spacing.min(), 1.1, 2.0))

    def stride(self, spacing: np.ndarray) -> int:
        """Up to 5 mm apart."""
        return 2 ** int(np.clip(np.floor(np.log2(5 / spacing[0])), 1, 3))

    def draw_grid(self, fetus: Fetus, spacing: np.ndarray, wanted: Wanted, rng: np.random.Generator) -> Grid:
        length = fetus.head.size.occipitofrontal_diameter
        widest = LARGEST_MATRIX * spacing[0]
        kind = str(rng.choice(list(self.fields), p=list(self.fields.values())))
        if wanted.field == "head" or widest < 200:
            kind = CUT_CLOSE
        if kind == CUT_CLOSE:
            extent = length * rng.uniform([1.05, 1.05, 0.85], [1.75, 1.75, 1.6])
        else:
            width = rng.uniform(220, 430)
            through = length * rng.uniform(0.7, 1.7) if kind == SLAB else rng.uniform(120, 270)
            extent = np.array([width, width * rng.uniform(0.65, 1), through])
        extent[:2] = np.minimum(extent[:2], widest)
        shape = np.maximum(np.ceil(extent / spacing), (16, 16, 8)).astype(int)
        if wanted.shape is not None:
            shape = np.array(wanted.shape)
        rotation = self._draw_planes(fetus, rng)

        head = fetus.canonical_to_ras[:3, 3]
        if kind == CUT_CLOSE:
            offset = rng.normal(0, 0.06 * length, 3)
        else:
            trunk = fetus.canonical_to_ras @ fetus.body.body_to_canonical @ [0, 0, -0.7 * fetus.body.scale, 1]
            offset = rotation.T @ (rng.uniform(0.1, 0.9) * (trunk[:3] - head) + rng.normal(0, 15, 3))
            if kind == SLAB:
                offset[2] = rng.normal(0, 0.15 * length)
        # Pull the field back until it holds the head in plane, and its middle at least through the slices.
        half = shape * spacing / 2
        room = np.maximum(half - np.array([0.58, 0.58, 0.2]) * length, 0)
        offset = np.clip(offset, -room, room)
        if rng.random() < self.cut:
            # A face of the field cuts the head, of which more than half stays in view.
            axis = rng.integers(3)
            offset[axis] = rng.choice([-1, 1]) * max(half[axis] - rng.uniform(0.1, 0.4) * length, 0)
        return Grid.about(head + rotation @ offset, rotation, shape, spacing)

    def _draw_planes(self, fetus: Fetus, rng: np.random.Generator) -> np.ndarray:
        """Voxel axes as columns in RAS: near the planes of the head, as a radiographer plans them, or the mother's."""
        axes = np.eye(3)[rng.permutation(3)] * rng.choice([-1, 1], 3)[:, None]
        if np.linalg.det(axes) < 0:
            axes[:, 2] *= -1
        if rng.random() < 0.6:
            axes = fetus.canonical_to_ras[:3, :3] @ axes
            oblique = rng.normal(0, rng.choice([5, 15]), 3)
        else:
            oblique = rng.normal(0, rng.choice([0, 8, 25]), 3)
        return Rotation.from_euler("xyz", oblique, degrees=True).as_matrix() @ axes

    def draw_trajectory(self, count: int, wanted: Wanted, rng: np.random.Generator) -> Trajectory:
        passes = int(rng.choice(list(self.passes), p=list(self.passes.values())))
        times = interleaved_times(count, passes, rng, int(rng.choice(self.at_once)))
        strength = wanted.motion * float(rng.choice(self.motion, p=[0.5, 0.3, 0.15, 0.05]))
        return draw_trajectory(times, strength, rng)

    def corrupt(self, image: np.ndarray, grid: Grid, trajectory: Trajectory, rng: np.random.Generator) -> np.ndarray:
        return receive(image, grid, trajectory.times, self.artifacts, rng)
