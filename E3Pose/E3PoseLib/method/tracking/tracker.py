"""A head followed from scan to scan; a whole scan is searched only where the head cannot be followed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from ...errors import E3PoseError, NoHeadFoundError, VolumeError
from ...imaging.geometry import invert_rigid, pose_difference
from ...imaging.volume import Volume
from ..estimate import PoseEstimate
from ..estimator import PoseEstimator
from ..trust.confidence import SUSPICIOUS_RATIO

SETTLED = (8.0, 5.0)
"""Degrees and mm from where a reading started within which its answer stands. The views of the rotation network are
cut around the brain as it was, and the upright network is used to errors of that size. From farther the scan is read
once more, from what was found."""

MOST_READINGS = 2
"""Of one scan before it is searched."""

DEGREES_PER_SECOND, MM_PER_SECOND = 60.0, 30.0
"""What a head can do at most, on average between two scans of which the poses are believed: a half turn, or its own
length, in some three seconds. An assumption, wide enough for startles: what is beyond it is a mistake, or another
head."""

FORGOTTEN_AFTER = 10
"""Scans in a row without a pose that is believed, after which the head may be anywhere and the scan's contrast another:
the next one is searched as thoroughly as the first, and then each so many-th."""

MORE_THAN_NOISE = 1.05
"""Interleave ratio from which on a doubtful scan is spoiled by motion within it. Noise alone, as in a scan that shows
nothing, comes to 1 (0.9995 to 1.005 in three such volumes); three in which the head moved heavily came to 1.09 to 1.5.
"""

FAILED, DOUBTFUL, JUMP = "failed", "doubtful", "jump"
"""Marks: no pose; one of low confidence; one farther from the last believed than a head can move meanwhile."""

JUMP_WARNING = "the pose is farther from the last sure one than a head can move meanwhile"


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """What was found in one scan of a series.

    Parameters
    ----------
    estimate : PoseEstimate or None
        None where there is no pose. Its total time is that of all that was done for it.
    error : E3PoseError or None
        Why there is none.
    marks : tuple of str
        `FAILED`, `DOUBTFUL`, `JUMP`, as they apply; none where the pose is believed.
    was_searched : bool
        Whether the whole scan was.
    seconds : float
        That it took.
    """

    estimate: PoseEstimate | None
    error: E3PoseError | None
    marks: tuple[str, ...]
    was_searched: bool
    seconds: float


@dataclass(frozen=True, eq=False)
class _Believed:
    """The last pose that is believed.

    Parameters
    ----------
    estimate : PoseEstimate
    voxel_to_ras : np.ndarray
        Of its mask.
    time : float or None
        Of its scan, seconds; None where that is not known.
    """

    estimate: PoseEstimate
    voxel_to_ras: np.ndarray
    time: float | None

    def brain_at(self, pose: np.ndarray) -> Volume:
        """Its brain, carried to where the head has that pose, ``[4, 4]``."""
        moved = pose @ invert_rigid(self.estimate.canonical_to_ras)
        return Volume(self.estimate.mask, moved @ self.voxel_to_ras, name="brain of an earlier scan")


class PoseTracker:
    """Follows one head through scans that are given in the order of their times.

    A scan is read around the brain of the last pose that is believed, brightened or by the second networks where that
    one was. Where the answer lies far from there, that brain is carried along and the scan read again. Where the head
    may have moved between odd and even slices, each half of them is read. Where the readings do not settle, or the pose
    is of low confidence, the whole scan is searched; and thoroughly where no pose is believed yet. What is searched is
    bounded, as the next scan comes soon: halves are read once a scan, and the first scan that is spoiled by motion is
    marked without a search.

    Parameters
    ----------
    estimator : PoseEstimator

    Attributes
    ----------
    estimator : PoseEstimator

    >>> tracker = PoseTracker(estimator)  # doctest: +SKIP
    >>> tracker.add(volume, time=0.0).estimate.canonical_to_ras  # doctest: +SKIP
    """

    def __init__(self, estimator: PoseEstimator) -> None:
        self.estimator = estimator
        self._believed: _Believed | None = None
        self._n_lost = 0

    def add(self, volume: Volume, time_seconds: float | None) -> TrackedFrame:
        """Find the head in the next scan.

        Parameters
        ----------
        volume : Volume
        time_seconds : float or None
            When it was taken, from any beginning; later than those before. Where it is not known no pose can be told
            for a jump.

        Returns
        -------
        TrackedFrame
            A scan that cannot be used, or shows no head, is marked as failed.

        Raises
        ------
        DeviceError
            If the device runs out of memory.
        """
        began = time.perf_counter()
        estimate, error, was_searched = None, None, False
        try:
            estimate, has_halves = self._follow(volume)
            if estimate is None or (estimate.confidence.level == "low" and not self._is_spoiled(estimate)):
                was_searched, estimate = True, None
                thorough = self._believed is None and self._n_lost % FORGOTTEN_AFTER == 0
                estimate = self.estimator.estimate(volume, thorough=thorough, halves=not has_halves)
        except (VolumeError, NoHeadFoundError) as reason:
            error = reason
        marks = (FAILED,) if estimate is None else self._marks(estimate, time_seconds)
        self._remember(None if marks else estimate, volume, time_seconds)
        seconds = time.perf_counter() - began
        if estimate is not None:
            warnings = (JUMP_WARNING, *estimate.warnings) if JUMP in marks else estimate.warnings
            estimate = replace(estimate, warnings=warnings, timings={**estimate.timings, "total": seconds})
        return TrackedFrame(estimate, error, marks, was_searched, seconds)

    def _remember(self, estimate: PoseEstimate | None, volume: Volume, time_seconds: float | None) -> None:
        """Go on from a pose that is believed; None where there is none."""
        if estimate is not None:
            self._believed, self._n_lost = _Believed(estimate, volume.voxel_to_ras, time_seconds), 0
            return
        self._n_lost += 1
        if self._n_lost >= FORGOTTEN_AFTER:
            self._believed = None

    def _is_spoiled(self, estimate: PoseEstimate) -> bool:
        """Whether a pose is doubtful for motion within its scan, the first of that kind: no search is worth it."""
        confidence = estimate.confidence
        moved = confidence.is_of_one_half or confidence.interleave_ratio >= MORE_THAN_NOISE
        return confidence.level == "low" and moved and self._n_lost == 0

    def _follow(self, volume: Volume) -> tuple[PoseEstimate | None, bool]:
        """The pose around that of the last believed, and whether halves of the slices were read; None where the head
        cannot be followed, or the readings do not settle and motion within the scan is not why.
        """
        last = self._believed
        if last is None or not self.estimator.can_follow:
            return None, False
        before = last.estimate.confidence
        pose = last.estimate.canonical_to_ras

        def has_settled(found: PoseEstimate) -> bool:
            return not np.greater(pose_difference(found.canonical_to_ras, pose), SETTLED).any()

        for _ in range(MOST_READINGS):
            brain = last.brain_at(pose)
            try:
                found = self.estimator.estimate_around(volume, brain, before, has_settled)
            except NoHeadFoundError:
                return None, False
            if found.confidence.is_by_halves or has_settled(found):
                # Only a whole scan shows whether there is another head: what was seen of one stands.
                found = found.with_evidence(another_head_mm=before.another_head_mm)
                return found, found.confidence.interleave_ratio >= SUSPICIOUS_RATIO
            pose = found.canonical_to_ras
        return (found if self._is_spoiled(found) else None), False

    def _marks(self, estimate: PoseEstimate, time_seconds: float | None) -> tuple[str, ...]:
        marks: tuple[str, ...] = (DOUBTFUL,) if estimate.confidence.level == "low" else ()
        last = self._believed
        if last is not None and last.time is not None and time_seconds is not None:
            moved = pose_difference(estimate.canonical_to_ras, last.estimate.canonical_to_ras)
            most = np.array([DEGREES_PER_SECOND, MM_PER_SECOND]) * (time_seconds - last.time)
            marks += (JUMP,) if np.greater(moved, most).any() else ()
        return marks
