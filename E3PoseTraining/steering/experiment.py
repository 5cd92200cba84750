"""Heads that move while a stack is acquired: blind to it, steered by the model, and steered by the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from E3PoseLib.errors import DatasetError, NoHeadFoundError, TransformError
from E3PoseLib.imaging.geometry import check_rigid, invert_rigid, pose_difference, rigid
from E3PoseLib.method.estimator import PoseEstimator
from E3PoseLib.method.tracking.tracker import PoseTracker

from ..synthesis.kinds.moving import draw_course
from .acquisition import Outcome, Protocol, acquire, interleaved, slice_offsets
from .heads import Head, SyntheticHead

WAYS = ("blind", "steered", "ideal")
"""Every slice by the pose at the start; by that of the last navigator that is believed, as the model estimates it; by
the true one at the last navigator, which shows what the delay alone costs."""

STEP_SECONDS = 0.5
"""In which a drawn course is known."""

_AGES, _FURTHEST = (22.0, 37.0), (10.0, 30.0)


@dataclass(frozen=True, eq=False)
class Trial:
    """One head and one course.

    Parameters
    ----------
    seed : int
    age_weeks : float
        NaN where it is not known.
    brain : np.ndarray
        Shape ``[P, 3]``, points of the brain in the head's frame, mm.
    outcomes : dict of str to Outcome
        By `WAYS`.
    errors : np.ndarray
        Shape ``[S, 2]``: degrees and mm of the poses that steered, at their navigators.
    n_doubtful : int
        Navigators whose pose was not believed.
    """

    seed: int
    age_weeks: float
    brain: np.ndarray
    outcomes: dict[str, Outcome]
    errors: np.ndarray
    n_doubtful: int


def run_trial(
    estimator: PoseEstimator,
    seed: int,
    protocol: Protocol,
    motion_at: Callable[[np.ndarray], np.ndarray] | None = None,
    head: Head | None = None,
) -> Trial:
    """Acquire one stack in each way.

    Parameters
    ----------
    estimator : PoseEstimator
    seed : int
        Of the course, and of the head if none is given.
    protocol : Protocol
    motion_at : callable, optional
        The head's motion from rest, ``[N, 4, 4]`` within its own frame, at times ``[N]`` in seconds; drawn if
        not given.
    head : Head, optional

    Raises
    ------
    NoHeadFoundError
        If no pose is believed in the first navigator.
    DatasetError
        If the motion is not known for as long as the stack takes.
    """
    rng = np.random.default_rng([seed, 7])
    age = float(rng.uniform(*_AGES))
    head = head or SyntheticHead(seed, age, protocol)
    brain = head.brain_points()
    offsets = slice_offsets(brain, protocol)
    offsets = offsets[interleaved(len(offsets), protocol.interleave)]
    navigator_times = np.arange(len(offsets)) * protocol.repetition
    slice_times = navigator_times + protocol.delay
    motion_at = motion_at or drawn_motion(rng, slice_times[-1])
    at_navigators = head.rest_to_ras @ motion_at(navigator_times)
    at_slices = head.rest_to_ras @ motion_at(slice_times)
    tracker = PoseTracker(estimator)
    steered_by, n_doubtful = [], 0
    for index, (time, motion) in enumerate(zip(navigator_times, motion_at(navigator_times), strict=True)):
        found = tracker.add(head.navigator(motion, index), float(time))
        if found.estimate is not None and not found.marks:
            steered_by.append(found.estimate.canonical_to_ras)
            continue
        n_doubtful += 1
        if not steered_by:
            raise NoHeadFoundError(f"head {seed}: no pose is believed in its first navigator")
        steered_by.append(steered_by[-1])
    poses = np.array(steered_by)
    placed = {"blind": np.repeat(poses[:1], len(poses), axis=0), "steered": poses, "ideal": at_navigators}
    outcomes = {way: acquire(brain, offsets, placed[way], at_slices, protocol) for way in WAYS}
    errors = np.array([pose_difference(one, other) for one, other in zip(poses, at_navigators, strict=True)])
    return Trial(seed, head.age_weeks, brain, outcomes, errors, n_doubtful)


def drawn_motion(rng: np.random.Generator, seconds: float) -> Callable[[np.ndarray], np.ndarray]:
    """A drawn course that reaches 10 to 30 degrees and mm from rest; its beginning is rest."""
    n_steps = int(np.ceil(seconds / STEP_SECONDS)) + 2
    motions = draw_course(n_steps, STEP_SECONDS, rng, furthest=tuple(rng.uniform(*_FURTHEST, 2))).motions
    motions = invert_rigid(motions[0]) @ motions
    return lambda times: motions[np.rint(np.asarray(times) / STEP_SECONDS).astype(int)]


def recorded_motion(poses: np.ndarray, seconds: float) -> Callable[[np.ndarray], np.ndarray]:
    """The course of poses that were recorded, `e3pose track`'s for instance; between them straight, at even speed.

    Parameters
    ----------
    poses : np.ndarray
        Shape ``[T, 4, 4]``, ``canonical_to_ras``; NaN where there is none.
    seconds : float
        Between them.

    Raises
    ------
    DatasetError
        If there are less than two poses, one is not rigid, or the seconds are not above 0; when asked for a time behind
        the last.
    """
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        raise DatasetError(f"a trajectory is an array of two or more poses, [T, 4, 4], got shape {poses.shape}")
    if not 0 < seconds < np.inf:
        raise DatasetError(f"{seconds:g} s between the poses of a trajectory: give a number above 0")
    times = np.arange(len(poses)) * seconds
    known = np.isfinite(poses).all(axis=(1, 2))
    if known.sum() < 2:
        raise DatasetError(f"a trajectory has two or more poses, here {known.sum()} of {len(poses)} are known")
    for index in np.flatnonzero(known):
        try:
            check_rigid(poses[index])
        except TransformError as error:
            raise DatasetError(f"pose {index} of the trajectory: {error}") from error
    times, motions = times[known] - times[known][0], invert_rigid(poses[known][0]) @ poses[known]
    turns = Slerp(times, Rotation.from_matrix(motions[:, :3, :3]))

    def motion_at(asked: np.ndarray) -> np.ndarray:
        if np.max(asked) > times[-1]:
            raise DatasetError(f"the trajectory ends after {times[-1]:g} s, the stack takes {np.max(asked):g} s")
        shifts = np.stack([np.interp(asked, times, motions[:, axis, 3]) for axis in range(3)], axis=1)
        return np.array([rigid(turn, shift) for turn, shift in zip(turns(asked).as_matrix(), shifts, strict=True)])

    return motion_at
