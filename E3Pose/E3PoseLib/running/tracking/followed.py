"""What was found in each frame of a series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ...errors import VolumeError
from ...imaging.resampling import nearest_on_grid
from ...imaging.series import Series
from ...imaging.volume import Volume
from ...method.estimator import PoseEstimator
from ...method.tracking.tracker import FAILED, PoseTracker, TrackedFrame
from ..scans.reading import refuse_labels


@dataclass(frozen=True, eq=False)
class FollowedFrame:
    """A frame, less what is large.

    Parameters
    ----------
    pose : np.ndarray or None
        Shape ``[4, 4]``, ``canonical_to_ras``; None where there is none.
    confidence : dict
        `Confidence.as_dict`; empty where there is no pose.
    marks : tuple of str
        See `TrackedFrame`.
    reasons : tuple of str
        The warnings of the estimate, or why there is none.
    was_searched : bool
    seconds : float
    """

    pose: np.ndarray | None
    confidence: dict
    marks: tuple[str, ...]
    reasons: tuple[str, ...]
    was_searched: bool
    seconds: float


@dataclass(eq=False)
class Followed:
    """A series that was followed.

    Parameters
    ----------
    series : Series
    frames : list of FollowedFrame
    shape : tuple of int
        Of the grid of the masks, that of the first frame that can be read.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``, of that grid.
    least_spacing : float
        The shortest edge of its voxels, mm.
    device, precision : str
        Where and in which the networks ran.
    """

    series: Series
    frames: list[FollowedFrame] = field(default_factory=list)
    shape: tuple[int, int, int] = (0, 0, 0)
    voxel_to_ras: np.ndarray = field(default_factory=lambda: np.eye(4))
    least_spacing: float = 0.0
    device: str = ""
    precision: str = ""
    _masks: list[np.ndarray | None] = field(default_factory=list)

    @property
    def times(self) -> np.ndarray:
        """Of the frames, seconds from the first, ``[T]``."""
        return np.arange(len(self.frames)) * self.series.seconds

    @property
    def poses(self) -> np.ndarray:
        """``canonical_to_ras`` of each frame, ``[T, 4, 4]``; NaN where there is none."""
        none = np.full((4, 4), np.nan)
        return np.array([none if frame.pose is None else frame.pose for frame in self.frames])

    @property
    def believed(self) -> np.ndarray:
        """Which frames have no mark, ``[T]``, bool."""
        return np.array([not frame.marks for frame in self.frames])

    def mask(self, index: int) -> np.ndarray:
        """The brain in a frame, uint8, `shape`; empty where there is no pose."""
        packed = self._masks[index]
        if packed is None:
            return np.zeros(self.shape, np.uint8)
        return np.unpackbits(packed, count=int(np.prod(self.shape))).reshape(self.shape)

    def add(self, volume: Volume, tracked: TrackedFrame, keep_mask: bool) -> None:
        """Take what was found in the next frame."""
        estimate = tracked.estimate
        if not self.least_spacing:
            self.shape, self.voxel_to_ras = volume.shape, volume.voxel_to_ras
            self.least_spacing = float(volume.spacing.min())
        if estimate is None:
            self.add_failed(tracked.error, tracked.seconds)
            return
        self.device, self.precision = estimate.device, estimate.precision
        self.frames.append(
            FollowedFrame(
                estimate.canonical_to_ras,
                estimate.confidence.as_dict(),
                tracked.marks,
                estimate.warnings,
                tracked.was_searched,
                tracked.seconds,
            )
        )
        mask = None
        if keep_mask:
            mask = estimate.mask
            if not np.allclose(volume.voxel_to_ras, self.voxel_to_ras, atol=1e-3):
                mask = nearest_on_grid(mask, volume.voxel_to_ras, self.shape, self.voxel_to_ras)
        self._masks.append(None if mask is None else np.packbits(mask.astype(bool)))

    def add_failed(self, error: Exception | None, seconds: float = 0.0) -> None:
        """Take that the next frame has no pose."""
        self.frames.append(FollowedFrame(None, {}, (FAILED,), (str(error),), True, seconds))
        self._masks.append(None)


def follow(
    series: Series, estimator: PoseEstimator, keep_masks: bool, on_frame: Callable[[], object] = lambda: None
) -> Followed:
    """Find the head in every frame of a series.

    Parameters
    ----------
    series : Series
    estimator : PoseEstimator
    keep_masks : bool
    on_frame : callable, optional
        Called after each frame.

    Raises
    ------
    VolumeError
        If no frame has a pose, or it is a series of labels.
    DeviceError
        If the device runs out of memory.
    """
    tracker = PoseTracker(estimator)
    followed = Followed(series)
    for index, volume in enumerate(series.frames()):
        if index == 0 and isinstance(volume, Volume):
            refuse_labels(volume)
        if isinstance(volume, VolumeError):
            followed.add_failed(volume)
        else:
            followed.add(volume, tracker.add(volume, index * series.seconds), keep_masks)
        on_frame()
    if all(frame.pose is None for frame in followed.frames):
        first = followed.frames[0].reasons[0]
        raise VolumeError(f"{series.path}: none of its {series.n_frames} volumes has a pose; of the first: {first}")
    return followed
