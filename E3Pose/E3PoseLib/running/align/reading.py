"""The stacks of a fetus: read, with the pose in each; those that cannot be used, and why."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...alignment.stack import PosedStack
from ...errors import E3PoseError, NoHeadFoundError, VolumeError
from ...imaging.volume import Volume, read_volume
from ...method.estimate import PoseEstimate
from ...method.estimator import PoseEstimator
from ..scans.reading import read_scan
from ..scans.tasks import Task
from .together import check_another

_SAME_GRID_MM = 0.1


@dataclass(frozen=True, eq=False)
class ReadStack:
    """A stack, the pose estimated in it, and what its files were.

    Parameters
    ----------
    task : Task
    posed : PosedStack
    estimate : PoseEstimate
    source : dict
        See `Source.record`.
    mask_refused : str
        Why the mask that the user has was not taken; "" where it was, or there is none.
    """

    task: Task
    posed: PosedStack
    estimate: PoseEstimate
    source: dict
    mask_refused: str = ""


def read_stacks(
    tasks: Sequence[Task], masks: Sequence[Path | None], estimator: PoseEstimator
) -> tuple[list[ReadStack], dict[str, str]]:
    """Read stacks and estimate the pose in each; each is told on the screen.

    Parameters
    ----------
    tasks : sequence of Task
    masks : sequence of Path or None
        Of each the brain, where the user has one.
    estimator : PoseEstimator

    Returns
    -------
    stacks : list of ReadStack
    failed : dict of str to str
        By name, why others cannot be used.

    Raises
    ------
    E3PoseError
        If the device fails.
    """
    stacks: list[ReadStack] = []
    failed: dict[str, str] = {}
    for task, mask in zip(tasks, masks, strict=True):
        try:
            stacks.append(_read(task, mask, estimator, stacks))
        except (VolumeError, NoHeadFoundError) as error:
            failed[task.name] = str(error)
            print(f"{task.name}: left out: {error}", file=sys.stderr)
            continue
        estimate, refused = stacks[-1].estimate, stacks[-1].mask_refused
        if refused:
            print(f"{task.name}: the brain that was found is used: {refused}", file=sys.stderr)
        print(f"{task.name}: confidence {estimate.confidence.level}, {estimate.timings['total']:.1f} s", flush=True)
    return stacks, failed


def _read(task: Task, mask: Path | None, estimator: PoseEstimator, others: Sequence[ReadStack]) -> ReadStack:
    volume, source = read_scan(task)
    for other in others:
        check_another(volume, other.posed.volume)
    brain, refused = None, ""
    if mask is not None:
        try:
            brain = mask_on(volume, mask)
        except E3PoseError as error:
            refused = str(error)
    estimate = estimator.estimate(volume)
    posed = PosedStack(task.name, volume, estimate.canonical_to_ras, estimate.mask if brain is None else brain)
    return ReadStack(task, posed, estimate, source.record(), refused)


def mask_on(volume: Volume, path: Path) -> np.ndarray:
    """A mask from a file, which must be on the grid of a scan.

    Returns
    -------
    np.ndarray
        Uint8 of the scan's shape, in its axis order.

    Raises
    ------
    E3PoseError
        If it is on another grid, empty, or cannot be read.
    """
    try:
        mask = read_volume(path)
    except VolumeError as error:
        raise E3PoseError(f"the mask cannot be read: {error}") from error
    # Both in one axis order: programs store masks in another than the scan's.
    one, other = volume.closest_canonical(), mask.closest_canonical()
    corners = np.array(list(np.ndindex(2, 2, 2))) * np.subtract(one.shape, 1)
    apart = np.abs((one.voxel_to_ras - other.voxel_to_ras) @ np.c_[corners, np.ones(8)].T).max()
    if one.shape != other.shape or not apart <= _SAME_GRID_MM:
        differs = (
            f"{_described(mask)}, the scan {_described(volume)}"
            if one.shape != other.shape
            else f"it lies up to {apart:.1f} mm from the scan"
        )
        raise E3PoseError(
            f"{path}: does not fit {volume.name} ({differs}); give the masks in the order of the stacks, each on the "
            "grid of its stack"
        )
    inside = np.nan_to_num(other.array) > 0
    if not inside.any():
        raise E3PoseError(f"{path}: the mask is empty")
    return volume.in_own_order(inside.astype(np.uint8))


def _described(volume: Volume) -> str:
    size = " × ".join(str(n) for n in volume.shape)
    return f"{size} voxels of {' × '.join(f'{edge:.3g}' for edge in volume.spacing)} mm"
