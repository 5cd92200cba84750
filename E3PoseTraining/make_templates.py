"""Makes templates of heads for the methods by registration: ``python -m E3PoseTraining.make_templates``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from E3PoseLib.cli import positive_int
from E3PoseLib.errors import DatasetError
from E3PoseLib.running.ending import exit_status
from E3PoseLib.running.results.folder import prepare_folder

from .data.folders import volumes_by_id
from .data.tables import number, read_table
from .evaluation.poses import read_truth
from .methods.ages import AGE_COLUMN
from .methods.registration.templates import PosedScan, make_templates
from .synthesis.kinds import KINDS

AGES = tuple(range(20, 39, 2))
LEAST_VISIBLE = 0.99
"""Of the brain: heads that are cut off by the field of view make no template."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m E3PoseTraining.make_templates",
        description="Write a template of each kind of scan and age: the mean of heads in their own frame.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "scans", type=Path, help="folder that E3PoseTraining.synthesize wrote: images, labels, poses_ras.csv, scans.csv"
    )
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=["epi", "t2-volume"], help="of scans")
    parser.add_argument("--ages", type=float, nargs="+", default=AGES, metavar="WEEKS")
    parser.add_argument("--most", type=positive_int, default=12, help="scans in a template")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)

    def make() -> None:
        by_kind = {kind: _posed_scans(options.scans, kind) for kind in options.kinds}
        missing = make_templates(by_kind, options.ages, options.most, prepare_folder(options.output))
        for kind, age in missing:
            print(f"no template of {kind} at {age:g} weeks: {options.scans} has no scan of that kind and age")

    return exit_status("make_templates", make, "the same command makes all templates anew")


def _posed_scans(folder: Path, kind: str) -> list[PosedScan]:
    """The scans of a kind whose whole brain is in view."""
    images, labels = volumes_by_id(folder / "images"), volumes_by_id(folder / "labels")
    poses = {truth.frame_id: truth.canonical_to_ras for truth in read_truth(folder / "poses_ras.csv")}
    table, scans = folder / "scans.csv", []
    for line in read_table(table, (AGE_COLUMN, "kind", "brain_visible")):
        frame = line["frame_id"]
        if line["kind"] != kind or number(line, "brain_visible", table) < LEAST_VISIBLE:
            continue
        known = {"image": images, "label": labels, "pose": poses}
        lacking = [name for name, frames in known.items() if frame not in frames]
        if lacking:
            raise DatasetError(f"{table} lists {frame}, of which {folder} has no {' and no '.join(lacking)}.")
        scans.append(PosedScan(images[frame], labels[frame], poses[frame], number(line, AGE_COLUMN, table)))
    return scans


if __name__ == "__main__":
    sys.exit(main())
