"""What steering slices by the head's pose gains: ``python -m E3PoseTraining.simulate_steering -o DIR``."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import wilcoxon
from tqdm import tqdm

from E3PoseLib.cli import add_overwrite_option
from E3PoseLib.errors import DatasetError, NoHeadFoundError, TransformError
from E3PoseLib.imaging.files import whole_file
from E3PoseLib.imaging.geometry import check_rigid, read_npy
from E3PoseLib.imaging.volume import read_volume
from E3PoseLib.method.estimator import PoseEstimator
from E3PoseLib.models.loading import load_model
from E3PoseLib.running.align.reading import mask_on
from E3PoseLib.running.ending import exit_status
from E3PoseLib.running.memory import keep_freed_memory
from E3PoseLib.running.results.folder import refuse_standing
from E3PoseLib.running.tracking.command import ENDINGS

from .data.figures import save_figure
from .steering.acquisition import Protocol
from .steering.experiment import WAYS, Trial, recorded_motion, run_trial
from .steering.figures import draw_distributions, draw_example
from .steering.heads import ScannedHead

TABLE, DISTRIBUTIONS, EXAMPLE = FILES = ("steering.csv", "steering.png", "steering_example.png")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m E3PoseTraining.simulate_steering", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--heads", type=int, default=32, help="synthetic heads, or courses of a scan's head (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first (default: %(default)s)")
    parser.add_argument("--scan", type=Path, metavar="FILE", help="the head of this scan, instead of synthetic ones")
    parser.add_argument("--pose", type=Path, metavar="NPY", help="of its head, canonical_to_ras [4, 4]")
    parser.add_argument(
        "--mask", type=Path, metavar="FILE", help="its brain, on the scan's grid (default: as the model finds it)"
    )
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--trajectory",
        type=Path,
        metavar="NPY",
        help="poses [T, 4, 4] for all heads, as of e3pose track, whose table beside it tells which are doubtful",
    )
    parser.add_argument("--tr", type=float, metavar="SECONDS", help="between the poses of the trajectory")
    add_overwrite_option(parser)
    options = parser.parse_args(arguments)
    if (options.trajectory is None) != (options.tr is None):
        parser.error("--trajectory and --tr go together")
    if (options.scan is None) != (options.pose is None) or (options.mask is not None and options.scan is None):
        parser.error("--scan and --pose go together, and --mask with them")
    if options.seed < 0:
        parser.error(f"--seed {options.seed}: give a number from 0 up")
    if options.heads < 2:
        parser.error(f"--heads {options.heads}: give a number from 2 up")
    return exit_status("simulate_steering", lambda: _simulate(options))


def _simulate(options: argparse.Namespace) -> int:
    refuse_standing([options.output / name for name in FILES], options.overwrite)
    motion = None if options.trajectory is None else recorded_motion(_believed(options.trajectory), options.tr)
    keep_freed_memory()
    options.output.mkdir(parents=True, exist_ok=True)
    estimator = PoseEstimator(load_model(options.model), options.device)
    protocol = Protocol()
    head = None if options.scan is None else _scanned(options, estimator, protocol)
    trials: list[Trial] = []
    left_out = []
    for seed in tqdm(range(options.seed, options.seed + options.heads), unit="head", disable=None):
        try:
            trials.append(run_trial(estimator, seed, protocol, motion, head))
        except NoHeadFoundError as error:
            left_out.append(seed)
            print(f"left out: {error}", file=sys.stderr)
        if len(trials) > 1:  # what is done stays
            _write(options.output, trials)
    if len(trials) < 2:
        raise DatasetError("fewer than two heads could be simulated: nothing to compare")
    print(_in_words(trials, left_out))
    return 0


def _scanned(options: argparse.Namespace, estimator: PoseEstimator, protocol: Protocol) -> ScannedHead:
    """The head of the scan that was named."""
    volume = read_volume(options.scan)
    pose = read_npy(options.pose)
    try:
        pose = check_rigid(pose)
    except TransformError as error:
        raise DatasetError(f"{options.pose}: is no pose: {error}") from error
    brain = estimator.estimate(volume).mask if options.mask is None else mask_on(volume, options.mask)
    return ScannedHead(volume, pose, brain, protocol)


def _believed(path: Path) -> np.ndarray:
    """Poses of a file, NaN where the table that `e3pose track` wrote beside it calls them doubtful."""
    poses = read_npy(path, series=True)
    table = path.with_name(path.name.removesuffix(ENDINGS["poses"]) + ENDINGS["table"])
    if path.name.endswith(ENDINGS["poses"]) and table.is_file():
        try:
            with table.open(encoding="utf-8", newline="") as stream:
                doubtful = [row.get("doubtful") == "1" for row in csv.DictReader(stream, delimiter="\t")]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DatasetError(f"{table}: cannot be read ({error})") from error
        if len(doubtful) != len(poses):
            raise DatasetError(f"{table}: has {len(doubtful)} rows for {len(poses)} poses in {path.name}")
        poses[doubtful] = np.nan
    return poses


def _write(folder: Path, trials: Sequence[Trial]) -> None:
    columns = [f"{measure}_{way}" for measure in ("gap", "obliqueness_degrees") for way in WAYS]
    with (
        whole_file(folder / TABLE) as part,
        part.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(["seed", "age_weeks", *columns, "error_degrees", "error_mm", "n_slices", "n_doubtful"])
        for one in trials:
            gaps = [f"{one.outcomes[way].gap:.4f}" for way in WAYS]
            angles = [f"{one.outcomes[way].mean_obliqueness:.2f}" for way in WAYS]
            errors = [f"{value:.2f}" for value in np.median(one.errors, axis=0)]
            writer.writerow(
                [one.seed, f"{one.age_weeks:.1f}", *gaps, *angles, *errors, len(one.errors), one.n_doubtful]
            )
    save_figure(draw_distributions(trials), folder / DISTRIBUTIONS)
    # The head with the middle gap of all blind stacks.
    middle = sorted(trials, key=lambda one: one.outcomes["blind"].gap)[len(trials) // 2]
    save_figure(draw_example(middle), folder / EXAMPLE)


def _in_words(trials: Sequence[Trial], left_out: Sequence[int]) -> str:
    lines = [f"{len(trials)} heads; left out, as no pose was believed in the first navigator: {list(left_out)}"]
    for name, attribute, scale, unit in (("gap", "gap", 100, "%"), ("obliqueness", "mean_obliqueness", 1, "°")):
        values = {way: scale * np.array([getattr(one.outcomes[way], attribute) for one in trials]) for way in WAYS}
        for way in WAYS:
            low, median, high = np.percentile(values[way], [25, 50, 75])
            lines.append(f"{name:12} {way:8} median {median:.1f}{unit}, quartiles {low:.1f} and {high:.1f}")
        test = wilcoxon(values["steered"], values["blind"])
        better = int(np.sum(values["steered"] < values["blind"]))
        lines.append(
            f"{name:12} steered less than blind in {better} of {len(trials)} heads, Wilcoxon p = {test.pvalue:.2g}"
        )
    errors = np.concatenate([one.errors for one in trials])
    lines.append(
        f"poses that steered: median error {np.median(errors[:, 0]):.1f}° {np.median(errors[:, 1]):.1f} mm, "
        f"doubtful {sum(one.n_doubtful for one in trials)} of {len(errors)} navigators"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
