"""What becomes of the real scans at hand: `python Testing/benchmarks/real.py DATA [--model NAME] [--sets epi …]`.

DATA is the folder of the sets: `epi`, `t2/uterus` and `t2/stacks` with a table of poses each, and brains without skull
(`brains`, `atlas`, `t2/stacks/reconstruction_a.nii.gz`), which are turned anyhow as they are stored. One line a set:
scans, of which refused; right ones, within 15° and 10 mm; the median errors of all that are answered; levels of the
right ones; wrong ones that are not called low; how often the bounds of both errors hold; seconds of a scan in the
median and at most. Wrong ones are named below.

The poses of `t2/stacks` are those of an earlier model that were looked at and found right within some 10°: an error
there is a change. Of its stacks without a pose the distance to the middle of the brain's mask is told, and how far the
poses of the three orthogonal stacks are apart. The axes of a set of brains may differ from the head's frame by a pitch
that is the same in all; it is taken away. No pose of the reconstruction is known: its poses are compared with their
mean.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
from atlas import as_stored, centre_of, read_brains, turns, without_pitch
from harder import SUCCESS
from scipy.spatial.transform import Rotation

from E3PoseLib import PoseEstimate, PoseEstimator, load_model, read_volume
from E3PoseLib.errors import E3PoseError
from E3PoseLib.imaging.geometry import pose_difference, rigid
from E3PoseLib.imaging.volume import Volume
from E3PoseTraining.evaluation.poses import read_truth

LEVELS = ("high", "moderate", "low")


@dataclass(eq=False)
class Answers:
    """The answers of a set.

    Parameters
    ----------
    names : list of str
        Of the scans, refused ones too.
    truths : list of np.ndarray
        Poses ``[4, 4]``.
    estimates : list of PoseEstimate or None
        None where the scan was refused.
    """

    names: list[str] = field(default_factory=list)
    truths: list[np.ndarray] = field(default_factory=list)
    estimates: list[PoseEstimate | None] = field(default_factory=list)

    def add(self, scan: Volume, name: str, truth: np.ndarray, estimator: PoseEstimator) -> None:
        """Estimate one more scan."""
        try:
            estimate = estimator.estimate(scan)
        except E3PoseError:
            estimate = None
        self.names.append(name)
        self.truths.append(truth)
        self.estimates.append(estimate)


def with_table(folder: Path, table: Path) -> Iterator[tuple[str, Volume, np.ndarray]]:
    """Name, scan and pose of each row of a table."""
    for truth in read_truth(table):
        yield truth.frame_id, read_volume(folder / f"{truth.frame_id}.nii.gz"), truth.canonical_to_ras


def turned_brains(folder: Path, rotations: int) -> Iterator[tuple[str, Volume, np.ndarray]]:
    """Brains without skull, each in so many rotations."""
    for brain, mask in read_brains(folder):
        for number, rotation in enumerate(turns(rotations)):
            yield f"{Path(brain.name).name} {number}", as_stored(brain, mask, rotation), rigid(rotation, np.zeros(3))


def turned_reconstruction(file: Path, rotations: int) -> Iterator[tuple[str, Volume, np.ndarray]]:
    """The reconstruction in so many rotations."""
    brain = read_volume(file)
    mask = Volume((brain.array > 0).astype(np.uint8), brain.voxel_to_ras)
    for number, rotation in enumerate(turns(rotations)):
        yield f"{file.name} {number}", as_stored(brain, mask, rotation), rigid(rotation, np.zeros(3))


def by_pose(answers: Answers) -> np.ndarray:
    """Errors ``[N, 2]`` in degrees and mm of the answered ones."""
    pairs = zip(answers.estimates, answers.truths, strict=True)
    return np.array([pose_difference(e.canonical_to_ras, t) for e, t in pairs if e is not None]).reshape(-1, 2)


def but_for_pitch(answers: Answers) -> np.ndarray:
    """The same without the pitch that all have in common."""
    errors = by_pose(answers)
    errors[:, 0] = without_pitch(_deviations(answers))[0]
    return errors


def by_mean(answers: Answers) -> np.ndarray:
    """The same from the mean of all, which is that of most: once more without those that are far from it."""
    errors, left = by_pose(answers), _deviations(answers)
    mean = left.mean()
    for limit in (90.0, 45.0, SUCCESS[0]):
        errors[:, 0] = np.rad2deg((mean.inv() * left).magnitude())
        if (errors[:, 0] < limit).any():
            mean = left[errors[:, 0] < limit].mean()
    errors[:, 0] = np.rad2deg((mean.inv() * left).magnitude())
    # What lies beside the brain in it shifts the mask's centre: only its scatter is known.
    centres = np.array(
        [t[:3, :3].T @ e.canonical_to_ras[:3, 3] for e, t in zip(answers.estimates, answers.truths, strict=True) if e]
    )
    errors[:, 1] = np.linalg.norm(centres - np.median(centres, axis=0), axis=1)
    return errors


def _deviations(answers: Answers) -> Rotation:
    pairs = zip(answers.estimates, answers.truths, strict=True)
    return Rotation.from_matrix([t[:3, :3].T @ e.canonical_to_ras[:3, :3] for e, t in pairs if e is not None])


def held(answered: list[tuple[str, PoseEstimate]], errors: np.ndarray) -> str:
    """How often the bounds hold; nothing of a model without a calibration."""
    bounds = [estimate.confidence.bounds for _, estimate in answered]
    if None in bounds:
        return ""
    degrees, mm = np.mean(errors <= np.array(bounds), axis=0)
    return f"bounds hold for {degrees:.0%} and {mm:.0%}; "


def report(title: str, answers: Answers, errors: np.ndarray) -> None:
    """The line of a set, and a line for each scan that is wrong or refused."""
    answered = [(name, e) for name, e in zip(answers.names, answers.estimates, strict=True) if e is not None]
    right = (errors <= SUCCESS).all(axis=1)
    levels = np.array([e.confidence.level for _, e in answered])
    counts = Counter(levels[right])
    seconds = np.array([e.timings["total"] for _, e in answered])
    degrees, mm = np.median(errors, axis=0)
    print(
        f"{title}: {len(answers.names)} scans, {len(answers.names) - len(answered)} refused; {right.sum()} right; "
        f"median {degrees:.1f}°, {mm:.1f} mm; of the right ones "
        + ", ".join(f"{counts[level]} {level}" for level in LEVELS)
        + f"; wrong and not low {np.count_nonzero(levels[~right] != 'low')}; {held(answered, errors)}"
        f"{np.median(seconds):.2f} s, at most {seconds.max():.2f} s",
        flush=True,
    )
    for name in (n for n, e in zip(answers.names, answers.estimates, strict=True) if e is None):
        print(f"    {name}: refused")
    for (name, estimate), (degrees, mm), good in zip(answered, errors, right, strict=True):
        if not good:
            print(f"    {name}: {degrees:.0f}°, {mm:.0f} mm, {estimate.confidence.level}")


def report_stacks(folder: Path, answers: Answers, estimator: PoseEstimator) -> None:
    """Where the heads of stacks without a pose are found, and whether orthogonal stacks agree."""
    for mask_file in sorted(folder.glob("*_brain.nii.gz")):
        name = mask_file.name.removesuffix("_brain.nii.gz")
        if name in answers.names:
            continue
        try:
            estimate = estimator.estimate(read_volume(folder / f"{name}.nii.gz"))
        except E3PoseError:
            print(f"    {name}, without a pose: refused")
            continue
        away = np.linalg.norm(estimate.canonical_to_ras[:3, 3] - centre_of(read_volume(mask_file)))
        print(f"    {name}, without a pose: centre {away:.0f} mm from the mask's, {estimate.confidence.level}")
    named = zip(answers.names, answers.estimates, strict=True)
    poses = [e.canonical_to_ras for name, e in named if name.startswith("stack_b") and e is not None]
    apart = [pose_difference(one, other)[0] for one, other in combinations(poses, 2)]
    print(f"    {len(poses)} orthogonal stacks of one head: at most {max(apart, default=0):.0f}° apart")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="default", help="name or .safetensors file")
    parser.add_argument("--sets", nargs="+", help="of those there are (default: all)")
    parser.add_argument("--rotations", type=int, default=20, help="of each brain without skull")
    options = parser.parse_args()
    data, t2 = options.data, options.data / "t2"
    sets: dict[str, tuple[Path, Iterator, Callable[[Answers], np.ndarray]]] = {
        "epi": (data / "epi", with_table(data / "epi", data / "epi/poses_ras.csv"), by_pose),
        "t2/uterus": (t2 / "uterus", with_table(t2 / "uterus", t2 / "uterus_poses_ras.csv"), by_pose),
        "t2/stacks": (t2 / "stacks", with_table(t2 / "stacks", t2 / "stacks_poses_by_eye_ras.csv"), by_pose),
        "reconstruction": (
            t2 / "stacks/reconstruction_a.nii.gz",
            turned_reconstruction(t2 / "stacks/reconstruction_a.nii.gz", options.rotations),
            by_mean,
        ),
        "brains": (data / "brains", turned_brains(data / "brains", options.rotations), but_for_pitch),
        "atlas": (data / "atlas", turned_brains(data / "atlas", options.rotations), but_for_pitch),
    }
    wanted = options.sets or [name for name, (place, *_) in sets.items() if place.exists()]
    if unknown := [name for name in wanted if name not in sets]:
        parser.error(f"--sets {' '.join(unknown)}: give some of {', '.join(sets)}")
    estimator = PoseEstimator(load_model(options.model), "cpu")
    for name in wanted:
        _, cases, errors = sets[name]
        answers = Answers()
        for frame, scan, truth in cases:
            answers.add(scan, frame, truth, estimator)
        report(name, answers, errors(answers))
        if name == "t2/stacks":
            report_stacks(t2 / "stacks", answers, estimator)


if __name__ == "__main__":
    main()
