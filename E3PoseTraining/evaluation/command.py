"""``e3pose evaluate``: how far a folder of estimated poses is from the truth."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from E3PoseLib.cli import add_overwrite_option, positive_int
from E3PoseLib.errors import DatasetError, OutputError
from E3PoseLib.running.results.folder import refuse_standing

from ..data.folders import volumes_by_id
from ..data.tables import groups_of
from .figures import draw_confidence, draw_cumulative_errors, draw_worst_cases
from .metrics import PoseErrors, pose_errors, summarise
from .poses import Truth, read_estimates, read_probabilities, read_truth
from .report import Summary, format_table, write_cases, write_summary

FILES = ("cases.csv", "summary.json", "cumulative_error.png", "confidence.png", "worst_cases.png")
"""What is written into the output folder; the last two where there is something to draw."""

DEFAULT_THRESHOLDS = ["5", "10", "20", "30", "10/10", "20/10"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("--poses", type=Path, required=True, metavar="DIR", help="folder of FRAME.npy, 4×4 each")
    parser.add_argument(
        "--truth",
        type=Path,
        required=True,
        metavar="CSV",
        help="frame_id with m00 … m33 (canonical to RAS) or rot_x, rot_y, rot_z (volume to canonical, needs --images)",
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="the scans: for Euler truth and worst cases")
    parser.add_argument("--labels", type=Path, metavar="DIR", help="labels, whose centres go with Euler truth")
    parser.add_argument(
        "--frame",
        choices=["ras", "voxel"],
        default="ras",
        help="what the poses lead to: RAS mm, or the input's voxels as the official program writes (needs --images)",
    )
    parser.add_argument(
        "--threshold",
        nargs="+",
        default=DEFAULT_THRESHOLDS,
        metavar="DEG[/MM]",
        help="success thresholds (default: %(default)s)",
    )
    parser.add_argument("--group-by", metavar="COLUMN", help="also a table column for each value of this CSV column")
    parser.add_argument(
        "--cluster", metavar="COLUMN", help="resample whole groups of this CSV column, such as the fetus"
    )
    parser.add_argument("--worst", type=positive_int, default=6, help="cases in the picture (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder for cases.csv, summary.json, figures")
    add_overwrite_option(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the table, and writes files and figures where an output folder is given; returns 0.

    Raises
    ------
    DatasetError, OutputError
        What is wrong with the input or the output folder.
    """
    if options.output:
        refuse_standing((options.output / name for name in FILES), options.overwrite)
    thresholds = [parse_threshold(text) for text in options.threshold]
    truths = read_truth(options.truth, options.images, options.labels)
    if not truths:
        raise DatasetError(f"{options.truth} lists no case.")
    if options.frame == "voxel" and options.images is None:
        raise DatasetError("Poses in voxels need the scans' geometry. Give the scans with --images.")
    frames = [truth.frame_id for truth in truths]
    voxel_images = options.images if options.frame == "voxel" else None
    estimates = read_estimates(options.poses, frames, voxel_images)
    errors = pose_errors(estimates, [truth.canonical_to_ras for truth in truths])

    groups = {"all": list(range(len(truths))), **group_indices(truths, options.group_by, options.truth)}
    clusters = None
    if options.cluster:
        clusters = groups_of(frames, column(truths, options.cluster, options.truth), options.cluster, options.truth)
    summaries = {name: _summary(errors, members, thresholds, clusters) for name, members in groups.items()}
    print(format_table(summaries))

    if options.output:
        try:
            options.output.mkdir(parents=True, exist_ok=True)
            cases, summary, cumulative, confidence, worst = (options.output / name for name in FILES)
            for picture in (confidence, worst):  # one of an earlier evaluation is none of this one
                picture.unlink(missing_ok=True)
            write_cases(cases, truths, errors)
            write_summary(summary, summaries)
            curves = {name: errors.select(members) for name, members in groups.items()}
            draw_cumulative_errors(curves, cumulative)
            probabilities = read_probabilities(options.poses, frames)
            if not np.isnan(probabilities).all():
                draw_confidence(probabilities, errors, confidence)
            if options.images:
                draw_worst_cases(truths, estimates, errors, volumes_by_id(options.images), options.worst, worst)
        except OSError as error:
            raise OutputError(f"The results cannot be written to {options.output}: {error}") from error
    return 0


def _summary(errors: PoseErrors, members: list[int], thresholds: list, clusters: list[str] | None) -> Summary:
    return summarise(errors.select(members), thresholds, [clusters[i] for i in members] if clusters else None)


def column(truths: list[Truth], name: str, table: Path) -> list[str]:
    """The values of a column of the truth, without spaces around them.

    Raises
    ------
    DatasetError
        There is no such column, or a row ends before it.
    """
    if name not in truths[0].columns:
        raise DatasetError(f"{table} has no column {name}; it has {', '.join(truths[0].columns)}.")
    values = [truth.columns[name] for truth in truths]
    if None in values:
        raise DatasetError(f"{table}: {truths[values.index(None)].frame_id} has no {name}.")
    return [value.strip() for value in values]


def group_indices(truths: list[Truth], name: str | None, table: Path) -> dict[str, list[int]]:
    """Indices of the cases by the value of a column; empty without one."""
    groups: dict[str, list[int]] = {}
    for index, value in enumerate(column(truths, name, table) if name else []):
        groups.setdefault(f"{name} {value}", []).append(index)
    return dict(sorted(groups.items()))


def parse_threshold(text: str) -> tuple[float, float | None]:
    """Degrees, and millimetres after a slash.

    >>> parse_threshold("20/10"), parse_threshold("5")
    ((20.0, 10.0), (5.0, None))
    """
    degrees, _, millimetres = text.partition("/")
    try:
        return float(degrees), float(millimetres) if millimetres else None
    except ValueError as error:
        raise DatasetError(f"The threshold {text!r} is not DEGREES or DEGREES/MILLIMETRES, such as 20/10.") from error
