"""Fetus and mother move while slices are taken one by one."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from .grid import Grid


@dataclass(frozen=True)
class Trajectory:
    """Rigid motion at each slice.

    Parameters
    ----------
    fetus, mother : np.ndarray
        Shape ``[K, 4, 4]``, within the canonical frame and within RAS.
    times : np.ndarray
        Shape ``[K]``: when each slice is taken, in [0, 1).
    """

    fetus: np.ndarray
    mother: np.ndarray
    times: np.ndarray


def slice_times(count: int, rng: np.random.Generator) -> np.ndarray:
    """When each slice is taken, in [0, 1): odd and even slices in two passes as a rule, else in sequence or
    in three.
    """
    return interleaved_times(count, int(rng.choice([1, 2, 3], p=[0.12, 0.78, 0.1])), rng)


def interleaved_times(count: int, passes: int, rng: np.random.Generator, at_once: int = 1) -> np.ndarray:
    """When each slice is taken, in [0, 1): every `passes`-th in one pass, the passes one after the other in any order.

    Parameters
    ----------
    count : int
        Slices.
    passes : int
    rng : numpy.random.Generator
    at_once : int
        Slices that are excited together (multiband), equally far apart.
    """
    if at_once > 1:
        share = -(-count // at_once)
        return np.tile(interleaved_times(share, passes, rng), at_once)[:count]
    order = np.concatenate([np.arange(first, count, passes) for first in rng.permutation(passes)])
    times = np.empty(count)
    times[order] = np.arange(count) / count
    return times


def draw_trajectory(times: np.ndarray, strength: float, rng: np.random.Generator) -> Trajectory:
    """Random motion over slices taken at `times` [K].

    A `strength` of 1 moves the head by some 3 mm and 3 degrees between two passes.
    """
    count = len(times)
    courses = _courses(times, 9, rng) * strength
    fetus = np.tile(np.eye(4), (count, 1, 1))
    fetus[:, :3, :3] = Rotation.from_rotvec(np.radians(2.0 * courses[:3].T)).as_matrix()
    fetus[:, :3, 3] = 1.6 * courses[3:6].T
    mother = np.tile(np.eye(4), (count, 1, 1))
    breath = np.sin(2 * np.pi * (times * rng.uniform(3, 40) + rng.random()))
    mother[:, :3, 3] = np.outer(breath, rng.normal(0, [0.4, 1.0, 1.0])) * strength + 0.8 * courses[6:9].T
    return Trajectory(fetus, mother, times)


def _courses(times: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth random functions of time [count, K]: steps, as a fetus kicks, on a slow drift."""
    courses = rng.normal(0, 0.6, (count, 1)) * (times - 0.5)
    for _ in range(rng.integers(1, 4)):
        step = np.tanh((times - rng.uniform(0.1, 0.9)) / rng.uniform(0.01, 0.15))
        courses = courses + rng.normal(0, 0.8, (count, 1)) * step
    return courses


def centre_trajectory(
    trajectory: Trajectory, grid: Grid, canonical_to_ras: np.ndarray, brain: np.ndarray
) -> Trajectory:
    """Shift and turn a motion as a whole so that the head, on the mean of what the slices show, is where it should be.

    Thereby the pose asked for is the pose of the labels. brain: [n, 3] points spread evenly over it, canonical mm
    with mean 0.
    """
    fetus, mother = trajectory.fetus.copy(), trajectory.mother.copy()
    canonical_to_voxel = np.linalg.inv(grid.voxel_to_ras) @ canonical_to_ras
    slices = np.arange(grid.shape[2])[:, None]
    # A head cut by the field of view is seen in part: that part's centre is what must stay in place.
    still = canonical_to_voxel[2, :3] @ brain.T + canonical_to_voxel[2, 3]
    within = (still > -0.5) & (still < grid.shape[2] - 0.5)
    if not within.any():
        return trajectory
    expected = brain[within].mean(axis=0)
    for _ in range(3):
        to_voxel = np.linalg.inv(grid.voxel_to_ras) @ mother @ canonical_to_ras @ fetus
        seen = np.maximum(1 - np.abs(to_voxel[:, 2, :3] @ brain.T + to_voxel[:, 2, 3:] - slices), 0)
        count = seen.sum(axis=1)
        if not count.any():
            return trajectory
        mean = Rotation.from_matrix(fetus[:, :3, :3]).mean(count).as_matrix()
        fetus[:, :3, :3] = mean.T @ fetus[:, :3, :3]
        sums = np.einsum("kij,kj->i", to_voxel[:, :3, :3], seen @ brain) + count @ to_voxel[:, :3, 3]
        shown = np.linalg.solve(canonical_to_voxel, [*sums / count.sum(), 1])[:3]
        fetus[:, :3, 3] -= shown - expected
    return Trajectory(fetus, mother, trajectory.times)
