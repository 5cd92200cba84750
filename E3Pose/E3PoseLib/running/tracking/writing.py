"""The files of a series that was followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...imaging.resampling import reslice, resliced_grid
from ...imaging.series import write_series
from ...imaging.volume import Volume
from ...method.tracking.motion import Motion, motion_of
from ...method.tracking.smoothing import smooth
from ..results.bundle import Bundle
from .document import found_in_numbers
from .followed import Followed
from .plot import draw_motion
from .table import write_smooth_table, write_table


def write_followed(bundle: Bundle, document: dict[str, Any], followed: Followed) -> None:
    """Write all files of a bundle: they take their places together, or the ones before stay.

    Parameters
    ----------
    bundle : Bundle
        The kinds of its files are those of `command.ENDINGS`, as far as they are wanted.
    document : dict
        What the results were made from; what was found is added.
    followed : Followed

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    poses, believed = followed.poses, followed.believed
    motion = motion_of(poses, believed)
    smooth_poses, smoothed = None, None
    if "smooth_poses" in bundle.files:
        smooth_poses = smooth(poses, believed, followed.times)
        nothing = np.full((len(poses), 3), np.nan)
        smoothed = (
            motion_of(smooth_poses, believed, poses[motion.reference])
            if believed.any()
            else Motion(nothing, nothing, nothing[:, 0], 0)
        )
    with bundle.written({**document, **found_in_numbers(followed, motion)}) as parts:
        _write_poses(parts["poses"], poses)
        write_table(parts["table"], motion, followed.frames)
        draw_motion(parts["picture"], followed, motion, smoothed)
        if smooth_poses is not None and smoothed is not None:
            _write_poses(parts["smooth_poses"], smooth_poses)
            write_smooth_table(parts["smooth_table"], smoothed)
        _write_images(parts, followed)


def _write_poses(path: Path, poses: np.ndarray) -> None:
    with path.open("wb") as stream:
        np.save(stream, poses)


def _write_images(parts: Mapping[str, Path], followed: Followed) -> None:
    n_frames, seconds = len(followed.frames), followed.series.seconds
    if "masks" in parts:
        masks = (followed.mask(index) for index in range(n_frames))
        edges = (*followed.shape, n_frames)
        write_series(parts["masks"], masks, edges, followed.voxel_to_ras, seconds, np.dtype(np.uint8))
    if "aligned" in parts:
        shape, grid_to_canonical = resliced_grid(followed.least_spacing)
        frames = _aligned(followed, shape)
        place = (*shape, n_frames), grid_to_canonical, seconds
        write_series(parts["aligned"], frames, *place, np.dtype(np.float32), code=2)


def _aligned(followed: Followed, shape: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """Each frame in the head's frame; zeros where it has no pose."""
    for frame, volume in zip(followed.frames, followed.series.frames(), strict=True):
        if frame.pose is None or not isinstance(volume, Volume):
            yield np.zeros(shape, np.float32)
        else:
            yield reslice(volume, frame.pose, followed.least_spacing).array
