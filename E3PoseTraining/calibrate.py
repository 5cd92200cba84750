"""Learns how far a model's answers can be trusted: ``python -m E3PoseTraining.calibrate``.

``collect`` estimates scans whose poses are known and writes a table of the evidence; ``fit`` learns from such tables
the chance that a pose is right and bounds of its error, judges them on other tables, and writes the model with them.
From tables of real scans it learns by how much landmarks that a hand has set are off themselves.
"""

import argparse
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from E3PoseLib.cli import add_overwrite_option
from E3PoseLib.errors import OutputError, TrainingError
from E3PoseLib.models.calibration import Calibration, read_calibration
from E3PoseLib.models.loading import load_model
from E3PoseLib.running.ending import SOME_FAILED, SUCCESS, exit_status
from E3PoseLib.running.results.folder import refuse_standing

from .calibration.collecting import Scans, collect
from .calibration.evidence import Evidence, read_evidence
from .calibration.fitting import (
    fit_calibration,
    fit_landmarks,
    fit_only,
    judge,
    landmarks_out_of_fold,
    out_of_fold,
)
from .calibration.report import draw_reliability, table


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m E3PoseTraining.calibrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("collect", help="estimate scans whose poses are known")
    one.add_argument("images", type=Path, help="folder of the scans")
    one.add_argument("truth", type=Path, help="CSV of their poses; a column fetus tells which scans belong together")
    one.add_argument("-o", "--output", type=Path, required=True, help="the table, .csv")
    one.add_argument("--kind", default="scans", help="what they are called, where no scans.csv tells")
    one.add_argument("--copies", type=int, default=0, help="that are harder to read, of each scan")
    one.add_argument("--labels", type=Path, help="folder of brain labels: each scan also without its head")
    one.add_argument("--strange", type=int, default=0, help="so many of each kind of volume that shows no head")
    one.add_argument("--model", default="default", help="name or .safetensors file")
    one.add_argument("--workers", type=int, default=1, help="processes")
    add_overwrite_option(one)
    other = commands.add_parser("fit", help="learn from tables")
    other.add_argument("tables", type=Path, nargs="*", help="of collect; none: the model's calibration stays")
    other.add_argument("--weight", type=float, action="append", help="of the poses of each table (default: 1 each)")
    other.add_argument(
        "--only",
        nargs="+",
        metavar="DOUBT",
        help="learn the weights of these doubts alone; all others stay as the model has them",
    )
    other.add_argument(
        "--landmarks",
        type=Path,
        action="append",
        metavar="TABLE",
        help="of real scans, in which a hand has set landmarks; may be given several times (default: what the model "
        "knows of landmarks stays)",
    )
    other.add_argument("--judge", type=Path, nargs="*", default=[], help="tables of other scans, to judge on")
    other.add_argument("--model", default="default", help="name or .safetensors file that gets the calibration")
    other.add_argument("--half", action="store_true", help="write the weights in half precision")
    other.add_argument("-o", "--output", type=Path, required=True, help="the model file to write")
    other.add_argument("--pictures", type=Path, help="folder for the reliability diagrams")
    add_overwrite_option(other)
    return parser


def fit(options: argparse.Namespace) -> None:
    """Fit, tell what it is worth, write the model."""
    refuse_standing([options.output], options.overwrite)
    model = load_model(options.model)
    calibration = read_calibration(model.header.calibration)
    if calibration is None and (options.only or not options.tables):
        raise TrainingError(f"{options.model}: has no calibration yet, so there is nothing to keep")
    fitted: list[Evidence] = []
    if options.tables:
        fitted.append(read_evidence(options.tables))
        calibration = _fit_sums(calibration, fitted[0], options)
    if options.landmarks:
        real = read_evidence(options.landmarks)
        fitted.append(real)
        calibration = fit_landmarks(calibration, real)
        print(f"landmarks: {calibration.landmark_degrees:.2f}°, {calibration.landmark_mm:.2f} mm")
        _tell_of_landmarks(calibration, real, options.pictures)
    if options.judge:
        other = read_evidence(options.judge)
        print(f"\n{_heading_of_judged(other, fitted)}:\n")
        _tell(other, *judge(calibration, other), options.pictures, "reliability.png")
    precision = torch.float16 if options.half else torch.float32
    model.with_header(calibration=calibration.as_dict()).save(options.output, precision)


def _heading_of_judged(judged: Evidence, fitted: Sequence[Evidence]) -> str:
    """Above the table of what is judged: on other scans, or how much of it the calibration has seen.

    A fit that knows a fetus is better at its scans than at others. Two data sets may call two fetuses by one name: this
    is said and not refused.
    """
    known = {fetus for one in fitted for fetus in one.groups[one.has_head]}
    answers = judged.groups[judged.taken & judged.has_head]
    shared = int(np.isin(answers, list(known)).sum())
    if not shared:
        return "On other scans"
    return (
        f"Not all are other scans: of {len(answers)} answers {shared} are of fetuses, or scans, that by name it was "
        "fitted on; these look better than others would"
    )


def _tell_of_landmarks(calibration: Calibration, real: Evidence, pictures: Path | None) -> None:
    try:
        verdicts = landmarks_out_of_fold(calibration, real)
    except TrainingError as error:
        print(f"not judged, as without one of the fetuses there are too few: {error}")
        return
    print("\nOn the scans with landmarks, each fetus by those of the others:\n")
    _tell(real, *verdicts, pictures, "reliability_landmarks.png")


def _fit_sums(standing: Calibration | None, evidence: Evidence, options: argparse.Namespace) -> Calibration:
    weights = np.array(options.weight or [1.0] * len(options.tables))[evidence.tables]
    if options.only:
        calibration = fit_only(standing, options.only, evidence, weights)
    else:
        calibration = fit_calibration(evidence, weights)
        if standing is not None:  # how well a hand sets landmarks is not the networks'
            landmarks = {"landmark_degrees": standing.landmark_degrees, "landmark_mm": standing.landmark_mm}
            calibration = replace(calibration, **landmarks)
    for part, one in calibration.sums.items():
        print(f"{part}: {one.constant:+.2f}; " + ", ".join(f"{n} {w:+.2f}" for n, w in one.weights.items()))
    if options.only:
        print("\nOn the tables it was fitted on:\n")
        _tell(evidence, *judge(calibration, evidence), options.pictures, "reliability_fitted.png")
        return calibration
    try:
        verdicts = out_of_fold(evidence, weights)
    except TrainingError as error:
        print(f"not judged on fetuses that a fit has not seen: {error}")
        return calibration
    print("\nOn the tables it was fitted on, each fetus by a fit without it, bounds without landmarks:\n")
    _tell(evidence, *verdicts, options.pictures, "reliability_out_of_fold.png")
    return calibration


def _tell(evidence: Evidence, probability: np.ndarray, bounds: np.ndarray, pictures: Path | None, name: str) -> None:
    print(table(evidence, probability, bounds), flush=True)
    if pictures is not None:
        try:
            pictures.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{pictures}: cannot be made ({error.strerror or error})") from error
        draw_reliability(evidence, probability, bounds, pictures / name)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command == "fit":
        if options.weight and len(options.weight) != len(options.tables):
            parser.error(f"{len(options.tables)} tables need as many --weight, got {len(options.weight)}")
        if not all(0 < weight < math.inf for weight in options.weight or ()):
            parser.error(f"--weight {' '.join(f'{weight:g}' for weight in options.weight)}: give numbers above 0")
        if not options.tables and (options.only or not options.landmarks):
            parser.error("give tables to learn from, or --landmarks")
        return exit_status("calibrate", lambda: fit(options))
    cores = os.cpu_count() or 1
    if not 1 <= options.workers <= cores:
        parser.error(f"--workers {options.workers}: this machine has {cores} cores; give 1 to {cores}")
    return exit_status("calibrate", lambda: _collect(options))


def _collect(options: argparse.Namespace) -> int:
    scans = Scans(options.images, options.truth, options.kind, options.copies, options.labels)
    left_out = collect([scans], options.model, options.output, options.workers, options.strange, options.overwrite)
    for scan in left_out:
        print(scan, file=sys.stderr)
    return SOME_FAILED if left_out else SUCCESS


if __name__ == "__main__":
    sys.exit(main())
