"""Brings a public data set into the folder layout of the training commands: ``python -m E3PoseTraining.prepare``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from E3PoseLib.cli import positive_int
from E3PoseLib.running.ending import exit_status

from .data.dhcp import prepare_dhcp
from .data.landmarks import prepare_landmark_scans
from .data.mixture import mix
from .data.preparation import prepare
from .training.options import non_negative_int


def build_parser() -> argparse.ArgumentParser:
    """The command's flags; each kind of data set says how it is written."""
    parser = argparse.ArgumentParser(prog="python -m E3PoseTraining.prepare", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    epi = kinds.add_parser("epi", help="clinical EPI scans with landmarks.csv (Hoffmann et al., 2021)")
    epi.add_argument("source", type=Path, help="folder with landmarks.csv and the scans")
    epi.set_defaults(write=lambda o: prepare_landmark_scans(o.source, o.output))
    dhcp = kinds.add_parser("dhcp", help="dHCP fetal fMRI release with the method's annotations")
    dhcp.add_argument("source", type=Path, help="folder of the sub-* folders")
    dhcp.add_argument("annotations", type=Path, help="folder with labels/ and annotations.csv")
    dhcp.set_defaults(write=lambda o: prepare_dhcp(o.source, o.annotations, o.output))
    mixed = kinds.add_parser("mix", help="synthetic scans and real ones in one folder, with folds and repeats")
    mixed.add_argument("source", type=Path, help="folder that synthesize wrote")
    mixed.add_argument("real", type=Path, help="folder that prepare epi wrote")
    mixed.add_argument("--repeats", type=positive_int, default=1, help="times an epoch shows each real scan")
    mixed.add_argument("--validation", type=non_negative_int, default=40, help="synthetic scans that validate")
    mixed.add_argument("--limit", type=positive_int, help="synthetic scans at most")
    mixed.set_defaults(write=lambda o: mix(o.source, o.real, o.output, o.repeats, o.validation, o.limit))
    for kind in (epi, dhcp, mixed):
        kind.add_argument("-o", "--output", type=Path, required=True, help="new folder to write")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    options = build_parser().parse_args(arguments)
    after_interrupt = "remove the folder and start again"
    return exit_status("prepare", lambda: prepare(lambda: options.write(options), options.output), after_interrupt)


if __name__ == "__main__":
    sys.exit(main())
