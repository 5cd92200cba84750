"""What becomes of synthetic scans: `python Testing/benchmarks/synthetic.py FOLDER… [--model NAME] [--workers N]`.

Each FOLDER is one that `E3PoseTraining.synthesize` has made; for all that fetal MR groups have: `--kinds epi=6
t2-stack=6 t2-volume=4 bold=2 dwi=3 brain-only=3`. Three tables, by kind of scan, by the share of the brain that the
scan shows, by gestational age: scans, of which refused; right ones, within 15° and 10 mm; the median errors of all that
are answered; levels of the right ones; wrong ones by level; how often the bounds of both errors hold; seconds of a scan
in the median and at most, by what cores its worker has. Wrong ones are named below.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from harder import SUCCESS

from E3PoseLib import PoseEstimate, PoseEstimator, load_model, read_volume
from E3PoseLib.errors import E3PoseError
from E3PoseLib.imaging.geometry import pose_difference
from E3PoseTraining.data.folders import volumes_by_id
from E3PoseTraining.data.tables import read_table
from E3PoseTraining.evaluation.poses import read_truth

SHOWN = (0.0, 0.8, 0.9, 0.95, 0.99, 1.0)
WEEKS = (18, 20, 22, 25, 30, 36, 41)


@dataclass(frozen=True, eq=False)
class Scan:
    """A synthetic scan: its file, its pose ``canonical_to_ras``, and what was made."""

    file: Path
    truth: np.ndarray
    kind: str
    shown: float
    weeks: float


@dataclass(frozen=True, eq=False)
class Answer:
    """What became of it; errors in degrees and mm, NaN where it was refused."""

    scan: Scan
    errors: tuple[float, float] = (np.nan, np.nan)
    level: str = "refused"
    bounds: tuple[float, float] | None = None
    seconds: float = np.nan

    @property
    def is_right(self) -> bool:
        return bool(np.less_equal(self.errors, SUCCESS).all())


def scans_of(folder: Path) -> list[Scan]:
    """All scans of a folder."""
    files = volumes_by_id(folder / "images")
    table = read_table(folder / "scans.csv", ("kind", "brain_visible", "gestational_age_weeks"))
    made = {row["frame_id"]: row for row in table}
    return [
        Scan(
            files[truth.frame_id],
            truth.canonical_to_ras,
            made[truth.frame_id]["kind"],
            float(made[truth.frame_id]["brain_visible"]),
            float(made[truth.frame_id]["gestational_age_weeks"]),
        )
        for truth in read_truth(folder / "poses_ras.csv")
    ]


class _Worker:
    """The estimator of a process."""

    estimator: PoseEstimator

    @classmethod
    def begin(cls, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        cls.estimator = PoseEstimator(load_model(model), "cpu")

    @classmethod
    def answer(cls, scan: Scan) -> Answer:
        try:
            estimate: PoseEstimate = cls.estimator.estimate(read_volume(scan.file))
        except E3PoseError:
            return Answer(scan)
        errors = pose_difference(estimate.canonical_to_ras, scan.truth)
        confidence = estimate.confidence
        return Answer(scan, errors, confidence.level, confidence.bounds, estimate.timings["total"])


def answers_to(scans: Sequence[Scan], model: str, workers: int) -> list[Answer]:
    """The answers to scans, by so many processes with their share of the cores each."""
    threads = max(1, torch.get_num_threads() // workers)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _Worker.begin, (model, threads)) as pool:
        return list(pool.map(_Worker.answer, scans))


COLUMNS = (
    *("scans", "refused", "right", "median", "high, of the right", "moderate", "low"),
    *("wrong: high", "moderate", "low", "bounds hold: °", "mm", "seconds"),
)


def row(answers: Sequence[Answer]) -> list[str]:
    """The figures of some scans, one for each of `COLUMNS`."""
    answered = [one for one in answers if one.level != "refused"]
    right = Counter(one.level for one in answered if one.is_right)
    wrong = Counter(one.level for one in answered if not one.is_right)
    n_right = right.total()
    figures = [str(len(answers)), str(len(answers) - len(answered)), f"{n_right} ({n_right / len(answers):.1%})"]
    if not answered:
        return [*figures, *[""] * (len(COLUMNS) - len(figures))]
    degrees, mm = np.median([one.errors for one in answered], axis=0)
    levels = [f"{right[level] / max(n_right, 1):.0%}" for level in ("high", "moderate", "low")]
    errors = [str(wrong[level]) for level in ("high", "moderate", "low")]
    bounded = [np.less_equal(one.errors, one.bounds) for one in answered if one.bounds is not None]
    held = [f"{share:.1%}" for share in np.mean(bounded, axis=0)] if bounded else ["", ""]
    seconds = [one.seconds for one in answered]
    times = f"{np.median(seconds):.1f}, {max(seconds):.1f}"
    return [*figures, f"{degrees:.1f}°, {mm:.1f} mm", *levels, *errors, *held, times]


def table(title: str, groups: Iterable[tuple[str, Callable[[Scan], bool]]], answers: Sequence[Answer]) -> None:
    """Print the figures of each group of scans that has any, and of all."""
    print("\n| " + " | ".join((title, *COLUMNS)) + " |\n|" + " --- |" * (len(COLUMNS) + 1))
    for name, belongs in (*groups, ("all", lambda scan: True)):
        some = [one for one in answers if belongs(one.scan)]
        if some:
            print("| " + " | ".join((name, *row(some))) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="default", help="name or .safetensors file")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    options = parser.parse_args()
    if options.workers < 1:
        parser.error("--workers: give 1 or more")
    answers = answers_to(
        [scan for folder in options.folders for scan in scans_of(folder)], options.model, options.workers
    )
    kinds = sorted({one.scan.kind for one in answers})
    table("kind", [(kind, lambda scan, kind=kind: scan.kind == kind) for kind in kinds], answers)
    shares = [
        (f"{low:.0%} to {high:.0%}", lambda scan, low=low, high=high: low <= scan.shown < high + (high == 1))
        for low, high in pairwise(SHOWN)
    ]
    table("brain shown", shares, answers)
    ages = [
        (f"{low} to {high} weeks", lambda scan, low=low, high=high: low <= scan.weeks < high)
        for low, high in pairwise(WEEKS)
    ]
    table("age", ages, answers)
    print()
    for one in answers:
        if not one.is_right:
            where = f"{one.errors[0]:.0f}°, {one.errors[1]:.0f} mm, " if one.level != "refused" else ""
            print(f"{one.scan.file.name} ({one.scan.kind}, {one.scan.shown:.0%} shown): {where}{one.level}")


if __name__ == "__main__":
    main()
