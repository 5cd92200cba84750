"""One fetus scanned again and again while its head moves: the frames of a series, with the exact pose of each."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from ..anatomy.fetus import draw_fetus
from ..anatomy.head import brain_and_eyes
from ..scanner.motion import draw_trajectory, slice_times
from ..scanner.signal import corrupt
from ..scanning import take_picture
from .epi_scout import EpiScout
from .kind import DrawBrain, Made, Wanted

KNOT_SECONDS = 12.0
"""Between the points through which a drift goes."""

JUMP_SECONDS = 80.0
"""Between jumps, on average."""


@dataclass(frozen=True)
class Course:
    """How a head moves in a series.

    Parameters
    ----------
    motions : np.ndarray
        Shape ``[T, 4, 4]``, within the canonical frame of the head at rest.
    jumps : tuple of int
        Frames before which the head has jumped.
    """

    motions: np.ndarray
    jumps: tuple[int, ...]


def draw_course(
    n_frames: int,
    seconds: float,
    rng: np.random.Generator,
    furthest: tuple[float, float] = (30.0, 30.0),
    jump_seconds: float = JUMP_SECONDS,
) -> Course:
    """Draw slow drifts, interrupted by jumps.

    Parameters
    ----------
    n_frames : int
    seconds : float
        Between frames.
    rng : numpy.random.Generator
    furthest : tuple of float
        Degrees and mm from rest that are reached, and not exceeded.
    jump_seconds : float
        Between jumps, on average.
    """
    times = np.arange(n_frames) * seconds
    knots = np.arange(0, times[-1] + 2 * KNOT_SECONDS, KNOT_SECONDS)
    courses = CubicSpline(knots, rng.normal(0, 0.35, (len(knots), 6)))(times)
    n_jumps = max(1, rng.poisson(times[-1] / jump_seconds)) if n_frames > 2 else 0
    jumps = sorted(rng.choice(np.arange(1, n_frames), min(n_jumps, n_frames - 1), replace=False).tolist())
    for jump in jumps:
        courses[jump:] += rng.normal(0, 1.0, 6)
    vectors = [
        course * size / np.linalg.norm(course, axis=1).max()
        for course, size in zip((courses[:, :3], courses[:, 3:]), (np.radians(furthest[0]), furthest[1]), strict=True)
    ]
    motions = np.tile(np.eye(4), (n_frames, 1, 1))
    motions[:, :3, :3] = Rotation.from_rotvec(vectors[0]).as_matrix()
    motions[:, :3, 3] = vectors[1]
    return Course(motions, tuple(jumps))


class MovingFetus:
    """A fetus in its mother, in the field of view and contrast of one EPI session.

    Parameters
    ----------
    seed : int
        Of all that stays as it is: fetus, mother, coils, contrast.
    age_weeks : float
    draw_brain : callable
        See `kind.DrawBrain`.
    wanted : Wanted
        Shape and spacing of the frames.
    """

    def __init__(self, seed: int, age_weeks: float, draw_brain: DrawBrain, wanted: Wanted) -> None:
        rng = np.random.default_rng([seed, 0])
        kind = EpiScout()
        self._seed = seed
        self._contrast = kind.draw_contrast(rng)
        spacing = kind.draw_spacing(wanted, rng)
        self._stride = kind.stride(spacing)
        self._fetus = draw_fetus(age_weeks, draw_brain(age_weeks, rng), kind.head_spacing(spacing), rng)
        self._grid = kind.draw_grid(self._fetus, spacing, wanted, rng)

    @property
    def rest_to_ras(self) -> np.ndarray:
        """The head's pose at rest, ``canonical_to_ras``, ``[4, 4]``."""
        return self._fetus.canonical_to_ras

    def brain_points(self, spacing: float = 2.0) -> np.ndarray:
        """Points spread evenly over the brain, mm in the head's frame, ``[P, 3]``, one in each cube of that edge."""
        head = self._fetus.head
        brain, _ = brain_and_eyes(head)
        points = np.argwhere(brain) * head.spacing + head.origin
        cells = np.unique(np.floor(points / spacing).astype(int), axis=0)
        return (cells + 0.5) * spacing

    def scan(self, motion: np.ndarray, moment: int, strength: float = 0.3) -> Made:
        """One frame.

        Parameters
        ----------
        motion : np.ndarray
            Shape ``[4, 4]``, of the head from rest, within its canonical frame.
        moment : int
            Seeds what differs from frame to frame: noise, gains of slices, motion within the frame.
        strength : float
            Of motion within the frame, see `draw_trajectory`.
        """
        fetus = replace(self._fetus, canonical_to_ras=self.rest_to_ras @ motion)
        session = np.random.default_rng([self._seed, 1])
        now = np.random.default_rng([self._seed, 2, moment])
        trajectory = draw_trajectory(slice_times(self._grid.shape[2], session), strength, now)
        picture = take_picture(fetus, self._contrast, self._grid, trajectory, (0.0, 1.0), self._stride, session)
        image = corrupt(picture.signal, self._grid.spacing, session, now)
        return Made(
            image,
            picture.labels,
            self._grid.voxel_to_ras,
            fetus.canonical_to_ras,
            self._contrast.kind,
            fetus.lie,
            picture.brain_visible,
        )
