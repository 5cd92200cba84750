"""What becomes of synthetic scans: `python Testing/benchmarks/synthetic.py FOLDER… [--poses NAME]`.

Each FOLDER is one that `E3PoseTraining.synthesize` has made; for all that fetal MR groups have: `--kinds epi=6
t2-stack=6 t2-volume=4 bold=2 dwi=3 brain-only=3`. `e3pose estimate FOLDER/images -o FOLDER/poses` comes before, by as
many processes as `--devices` says. Three tables, by kind of scan, by the share of the brain that the scan shows, by
gestational age: scans, of which refused; right ones, within 15° and 10 mm; the median errors of all that are answered;
levels of the right ones; wrong ones by level; how often the bounds of both errors hold; seconds of a scan in the median
and at most. Wrong ones are named below.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from harder import SUCCESS
from real import LEVELS

from E3PoseLib.errors import DatasetError
from E3PoseLib.imaging.geometry import pose_difference
from E3PoseTraining.data.tables import read_table
from E3PoseTraining.evaluation.poses import read_truth

SHOWN = (0.0, 0.8, 0.9, 0.95, 0.99, 1.0)
WEEKS = (18, 20, 22, 25, 30, 36, 41)


@dataclass(frozen=True)
class Answer:
    """A synthetic scan and what became of it; errors in degrees and mm, NaN where it was refused."""

    name: str
    kind: str
    shown: float
    weeks: float
    errors: tuple[float, float] = (np.nan, np.nan)
    level: str = "refused"
    bounds: tuple[float, float] | None = None
    seconds: float = np.nan

    @property
    def is_right(self) -> bool:
        return bool(np.less_equal(self.errors, SUCCESS).all())


def answers_to(folder: Path, poses: Path) -> list[Answer]:
    """The answers that were given to the scans of a folder."""
    table = read_table(folder / "scans.csv", ("kind", "brain_visible", "gestational_age_weeks"))
    made = {
        row["frame_id"]: (row["kind"], float(row["brain_visible"]), float(row["gestational_age_weeks"]))
        for row in table
    }
    answers = []
    for truth in read_truth(folder / "poses_ras.csv"):
        name, result = truth.frame_id, poses / f"{truth.frame_id}.json"
        if result.is_file():
            document = json.loads(result.read_text(encoding="utf-8"))
            judged = document["confidence"]
            errors = pose_difference(np.array(document["canonical_to_ras"]), truth.canonical_to_ras)
            bounds = None if judged["bound_degrees"] is None else (judged["bound_degrees"], judged["bound_mm"])
            told = (errors, judged["level"], bounds, document["timings_seconds"]["total"])
            answers.append(Answer(name, *made[name], *told))
        elif result.with_suffix(".failed").is_file():
            answers.append(Answer(name, *made[name]))
        else:
            raise DatasetError(f"{poses} has no answer to {name}: run e3pose estimate first")
    return answers


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
    levels = [f"{right[level] / max(n_right, 1):.0%}" for level in LEVELS]
    errors = [str(wrong[level]) for level in LEVELS]
    bounded = [np.less_equal(one.errors, one.bounds) for one in answered if one.bounds is not None]
    held = [f"{share:.1%}" for share in np.mean(bounded, axis=0)] if bounded else ["", ""]
    seconds = [one.seconds for one in answered]
    times = f"{np.median(seconds):.1f}, {max(seconds):.1f}"
    return [*figures, f"{degrees:.1f}°, {mm:.1f} mm", *levels, *errors, *held, times]


def table(title: str, groups: Iterable[tuple[str, Callable[[Answer], bool]]], answers: Sequence[Answer]) -> None:
    """Print the figures of each group of scans that has any, and of all."""
    print("\n| " + " | ".join((title, *COLUMNS)) + " |\n|" + " --- |" * (len(COLUMNS) + 1))
    for name, belongs in (*groups, ("all", lambda one: True)):
        some = [one for one in answers if belongs(one)]
        if some:
            print("| " + " | ".join((name, *row(some))) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--poses", default="poses", help="folder of the answers, from each FOLDER (default: poses)")
    options = parser.parse_args()
    answers = [one for folder in options.folders for one in answers_to(folder, folder / options.poses)]
    kinds = sorted({one.kind for one in answers})
    table("kind", [(kind, lambda one, kind=kind: one.kind == kind) for kind in kinds], answers)
    shares = [
        (f"{low:.0%} to {high:.0%}", lambda one, low=low, high=high: low <= one.shown < high + (high == 1))
        for low, high in pairwise(SHOWN)
    ]
    table("brain shown", shares, answers)
    ages = [
        (f"{low} to {high} weeks", lambda one, low=low, high=high: low <= one.weeks < high)
        for low, high in pairwise(WEEKS)
    ]
    table("age", ages, answers)
    print()
    for one in answers:
        if not one.is_right:
            where = f"{one.errors[0]:.0f}°, {one.errors[1]:.0f} mm, " if one.level != "refused" else ""
            print(f"{one.name} ({one.kind}, {one.shown:.0%} shown): {where}{one.level}")


if __name__ == "__main__":
    main()
