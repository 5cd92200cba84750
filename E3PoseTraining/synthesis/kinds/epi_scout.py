"""Clinical echo-planar scouts of the whole uterus: what E3Pose was first made for."""

import numpy as np
from scipy.spatial.transform import Rotation

from ..anatomy.fetus import Fetus
from ..scanner.contrast import Contrast, at_random, draw_contrast
from ..scanner.grid import Grid
from ..scanner.motion import Trajectory, draw_trajectory, slice_times
from ..scanner.sequences import EPI, SCOUT_T2
from ..scanner.signal import corrupt
from .kind import Acquired, Wanted


class EpiScout(Acquired):
    """A whole scan at some 3 mm, or a field of view about the head: mostly EPI, some T2-like, a few at random."""

    name = "epi"
    ages = (20.0, 38.0)
    displacement = (0.0, 2.0)
    spacings = (2.0, 2.0, 2.0), (4.0, 4.0, 6.0)

    def draw_atrium(self, rng: np.random.Generator) -> None:
        """As the brains have it: scouts were made before that could be said, and stay what they were."""

    def draw_contrast(self, rng: np.random.Generator) -> Contrast:
        kind = str(rng.choice(["epi", "t2", "random"], p=[0.75, 0.17, 0.08]))
        contrast = draw_contrast(SCOUT_T2 if kind == "t2" else EPI, rng)
        return at_random(contrast, rng) if kind == "random" else contrast

    def draw_spacing(self, wanted: Wanted, rng: np.random.Generator) -> np.ndarray:
        if wanted.spacing is not None:
            return np.full(3, float(wanted.spacing))
        kind = rng.random()
        if kind < 0.45:
            in_plane = through = 3.0
        elif kind < 0.65:
            in_plane, through = 3.0, rng.uniform(3.5, 6)
        else:
            in_plane = rng.uniform(2, 4)
            through = in_plane * rng.uniform(1, min(2.5, 6 / in_plane))
        return np.array([in_plane, in_plane, through])

    def head_spacing(self, spacing: np.ndarray) -> float:
        return float(np.clip(0.6 * spacing.min(), 1.4, 2.0))

    def stride(self, spacing: np.ndarray) -> int:
        return 2

    def draw_grid(self, fetus: Fetus, spacing: np.ndarray, wanted: Wanted, rng: np.random.Generator) -> Grid:
        """A field of view that shows the head, whole in nine cases of ten, and as much of the fetus as it can."""
        head, body, canonical_to_ras = fetus.head, fetus.body, fetus.canonical_to_ras
        length = head.size.occipitofrontal_diameter
        if wanted.shape is not None:
            shape = np.array(wanted.shape)
        elif wanted.field == "head":
            shape = np.ceil(length * rng.uniform(1.5, 2.1) / spacing).astype(int)
        else:
            in_plane = int(np.clip(rng.uniform(290, 480) / spacing[0], 80, 160))
            shape = np.array([in_plane, in_plane, int(np.clip(rng.uniform(120, 288) / spacing[2], 24, 96))])
        axes = np.eye(3)[rng.permutation(3)] * rng.choice([-1, 1], 3)[:, None]
        if np.linalg.det(axes) < 0:
            axes[:, 2] *= -1
        oblique = rng.normal(0, rng.choice([0, 8, 25]), 3)
        rotation = Rotation.from_euler("xyz", oblique, degrees=True).as_matrix() @ axes

        centre = canonical_to_ras[:3, 3].copy()
        extent = shape * spacing
        if wanted.field == "uterus":
            trunk = canonical_to_ras @ body.body_to_canonical @ [0, 0.1 * body.scale, -0.7 * body.scale, 1]
            centre += rng.uniform(0.2, 0.9) * (trunk[:3] - centre) + rng.normal(0, 15, 3)
        else:
            centre += rng.normal(0, 0.08 * length, 3)
        # Pull the field back until the head is in it; now and then leave it cut.
        room = np.maximum(extent / 2 - (0.62 if rng.random() < 0.9 else 0.25) * length, 0)
        offset = np.clip(rotation.T @ (centre - canonical_to_ras[:3, 3]), -room, room)
        return Grid.about(canonical_to_ras[:3, 3] + rotation @ offset, rotation, shape, spacing)

    def draw_trajectory(self, count: int, wanted: Wanted, rng: np.random.Generator) -> Trajectory:
        strength = wanted.motion * float(rng.choice([0.3, 0.6, 1.0, 1.6], p=[0.3, 0.4, 0.22, 0.08]))
        return draw_trajectory(slice_times(count, rng), strength, rng)

    def corrupt(self, image: np.ndarray, grid: Grid, trajectory: Trajectory, rng: np.random.Generator) -> np.ndarray:
        return corrupt(image, grid.spacing, rng)
