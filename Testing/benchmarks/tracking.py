"""Follow a head through a synthetic series whose motion is known, and estimate it frame by frame: errors and times.

``python Testing/benchmarks/tracking.py -o docs/images/tracking.png`` takes some minutes, half of them for the series.
On a computer that others use too, ``--clock cpu --threads 1`` counts the seconds of one core that were spent.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from E3PoseLib.errors import E3PoseError
from E3PoseLib.imaging.geometry import pose_difference
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.estimator import PoseEstimator
from E3PoseLib.method.tracking.smoothing import smooth
from E3PoseLib.method.tracking.tracker import PoseTracker
from E3PoseLib.models.loading import load_model
from E3PoseLib.running.memory import keep_freed_memory
from E3PoseTraining.synthesis.anatomy.drawn_brain import ParametricBrain
from E3PoseTraining.synthesis.kinds.kind import Wanted
from E3PoseTraining.synthesis.kinds.moving import MovingFetus, draw_course

SHAPE, SPACING_MM, SECONDS, AGE_WEEKS = (96, 96, 48), 3.0, 2.0, 30.0
RIGHT = (15.0, 10.0)
"""Degrees and mm within which a pose is right."""

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

STRONG_MOTION = 8.0
"""Of the head within a spoiled frame, times the usual."""


@dataclass
class MovingHead:
    """A series and the truth about it."""

    volumes: list[Volume]
    poses: np.ndarray
    jumps: tuple[int, ...]
    spoiled: tuple[int, ...]


def make_series(seed: int, n_frames: int) -> MovingHead:
    """A head that moves up to 30 degrees and 30 mm, with jumps, and two spoiled frames: one shows next to nothing, in
    the other the head moves heavily.
    """
    fetus = MovingFetus(seed, AGE_WEEKS, lambda age, rng: ParametricBrain(), Wanted(SHAPE, SPACING_MM))
    course = draw_course(n_frames, SECONDS, np.random.default_rng([seed, 9]))
    rng = np.random.default_rng(seed)
    dark, moved = (int(one) for one in rng.choice(np.arange(1, n_frames), 2, replace=False))
    volumes, poses = [], []
    for index, motion in enumerate(course.motions):
        made = fetus.scan(motion, index, STRONG_MOTION if index == moved else 0.3)
        image = made.image
        if index == dark:
            image = image * 0.02 + rng.normal(0, 0.05, image.shape).astype(np.float32)
        volumes.append(Volume(image, made.voxel_to_ras, name=f"frame {index}"))
        poses.append(made.canonical_to_ras)
    return MovingHead(volumes, np.array(poses), course.jumps, (dark, moved))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--model", default="default")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="of the day, or of the process")
    parser.add_argument("--threads", type=int, help="of PyTorch (default: its own)")
    parser.add_argument("-o", "--output", type=Path, metavar="PNG", help="truth and poses of the first series")
    options = parser.parse_args()
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    estimator = PoseEstimator(load_model(options.model))
    for seed in options.seeds:
        head = make_series(seed, options.frames)
        found = run(estimator, head, CLOCKS[options.clock])
        tell(seed, head, found)
        if options.output and seed == options.seeds[0]:
            draw(options.output, head, found)


@dataclass
class Found:
    """Poses ``[T, 4, 4]``, NaN where there is none; which are believed; seconds of each frame."""

    followed: np.ndarray
    believed: np.ndarray
    seconds: np.ndarray
    searched: int
    smoothed: np.ndarray
    alone: np.ndarray
    alone_believed: np.ndarray
    alone_seconds: np.ndarray


def run(estimator: PoseEstimator, head: MovingHead, clock: Callable[[], float]) -> Found:
    """Follow the head, and estimate each frame on its own; the two in turns, so that both have the same machine."""
    tracker = PoseTracker(estimator)
    estimator.estimate(head.volumes[0])
    none = np.full((4, 4), np.nan)
    frames, seconds, alone = [], [], []
    for index, volume in enumerate(head.volumes):
        began = clock()
        frames.append(tracker.add(volume, index * SECONDS))
        seconds.append(clock() - began)
        began = clock()
        try:
            estimate = estimator.estimate(volume)
            pose, sure = estimate.canonical_to_ras, estimate.confidence.level != "low"
        except E3PoseError:
            pose, sure = none, False
        alone.append((pose, sure, clock() - began))
    poses = np.array([none if one.estimate is None else one.estimate.canonical_to_ras for one in frames])
    believed = np.array([not one.marks for one in frames])
    times = np.arange(len(frames)) * SECONDS
    return Found(
        poses,
        believed,
        np.array(seconds),
        sum(one.was_searched for one in frames),
        smooth(poses, believed, times),
        np.array([pose for pose, _, _ in alone]),
        np.array([sure for _, sure, _ in alone]),
        np.array([seconds for _, _, seconds in alone]),
    )


def errors(poses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Degrees and mm of each frame, ``[T, 2]``; NaN where it has no pose."""
    return np.array([pose_difference(one, other) for one, other in zip(poses, truth, strict=True)])


def tell(seed: int, head: MovingHead, found: Found) -> None:
    """Print a line for each way."""
    print(f"series {seed}: {len(head.volumes)} frames, jumps before {head.jumps}, spoiled {head.spoiled}")
    for name, poses, believed, seconds in (
        ("frame by frame", found.alone, found.alone_believed, found.alone_seconds),
        ("followed", found.followed, found.believed, found.seconds),
        ("smoothed", found.smoothed, found.believed & np.isfinite(found.smoothed[:, 0, 0]), None),
    ):
        off = errors(poses, head.poses)
        right = (off <= RIGHT).all(axis=1)
        median = np.median(off[believed], axis=0)
        line = f"  {name:15} right or marked {np.mean(right | ~believed):.0%}, marked {int((~believed).sum())}"
        line += f", of these right {int((~believed & right).sum())}; error {median[0]:.2f}° {median[1]:.2f} mm"
        if seconds is not None:
            line += f"; {np.median(seconds):.3f} s a frame, at most {seconds.max():.2f} s"
        print(line)
    print(f"  searched {found.searched} frames; time of a frame {np.median(found.seconds / found.alone_seconds):.2f}")


def draw(path: Path, head: MovingHead, found: Found) -> None:
    """Draw truth and poses over time, and the errors."""
    from matplotlib.figure import Figure
    from scipy.spatial.transform import Rotation

    times = np.arange(len(head.poses)) * SECONDS
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    panels = figure.subplots(4, 1, sharex=True, gridspec_kw={"height_ratios": [3, 3, 1.6, 1.6]})

    def courses(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        turned = np.full((len(poses), 3), np.nan)
        known = np.isfinite(poses[:, 0, 0])
        rotations = poses[known, :3, :3] @ head.poses[0, :3, :3].T
        turned[known] = Rotation.from_matrix(rotations).as_euler("xyz", degrees=True)
        return poses[:, :3, 3] - head.poses[0, :3, 3], turned

    for panel, truth, traces, label in zip(
        panels, courses(head.poses), courses(found.followed), ("shift (mm)", "turn (degrees)"), strict=False
    ):
        for axis, colour in enumerate(("#d62728", "#2ca02c", "#1f77b4")):
            panel.plot(times, truth[:, axis], color="black", linewidth=0.8, label="truth" if axis == 0 else None)
            name = ("right", "anterior", "superior")[axis]
            shown = np.where(found.believed, traces[:, axis], np.nan)
            panel.plot(times, shown, ".", color=colour, markersize=4, label=name)
        panel.set_ylabel(label)
    panels[0].legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, frameon=False)
    followed, alone = errors(found.followed, head.poses), errors(found.alone, head.poses)
    for panel, column, label in zip(panels[2:], (0, 1), ("error (degrees)", "error (mm)"), strict=True):
        panel.plot(times, np.where(found.alone_believed, alone[:, column], np.nan), color="#999999", linewidth=1)
        panel.plot(times, np.where(found.believed, followed[:, column], np.nan), color="black", linewidth=1)
        panel.set_ylabel(label)
        panel.set_ylim(bottom=0)
    panels[3].set_xlabel("time (s); errors black: followed, grey: frame by frame; shaded: marked")
    for panel in panels:
        for moment in times[~found.believed]:
            panel.axvspan(moment - SECONDS / 2, moment + SECONDS / 2, color="#f4b6b6", linewidth=0, zorder=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
