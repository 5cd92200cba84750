"""Brings a public data set into the folder layout of the training commands: ``python -m E3PoseTraining.prepare``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from E3PoseLib.errors import OutputError
from E3PoseLib.running.ending import exit_status

from .data.dhcp import prepare_dhcp
from .data.landmarks import prepare_landmark_scans
from .data.mixture import mix
from .training.options import non_negative_int, positive_int


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m E3PoseTraining.prepare", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    epi = kinds.add_parser("epi", help="clinical EPI scans with landmarks.csv (Hoffmann et al., 2021)")
    epi.add_argument("source", type=Path, help="folder with landmarks.csv and the scans")
    dhcp = kinds.add_parser("dhcp", help="dHCP fetal fMRI release with the method's annotations")
    dhcp.add_argument("source", type=Path, help="folder of the sub-* folders")
    dhcp.add_argument("annotations", type=Path, help="folder with labels/ and annotations.csv")
    mixed = kinds.add_parser("mix", help="synthetic scans and real ones in one folder, with folds and repeats")
    mixed.add_argument("source", type=Path, help="folder that synthesize wrote")
    mixed.add_argument("real", type=Path, help="folder that prepare epi wrote")
    mixed.add_argument("--repeats", type=positive_int, default=1, help="times an epoch shows each real scan")
    mixed.add_argument("--validation", type=non_negative_int, default=40, help="synthetic scans that validate")
    mixed.add_argument("--limit", type=positive_int, help="synthetic scans at most")
    for kind in (epi, dhcp, mixed):
        kind.add_argument("-o", "--output", type=Path, required=True, help="new folder to write")
    options = parser.parse_args(arguments)
    return exit_status("prepare", lambda: prepare(options), "remove the folder and start again")


def prepare(options: argparse.Namespace) -> None:
    """Writes the data set that the flags name, and says how many scans it has.

    Raises:
        E3PoseError: what is wrong with the source, or with the folder to write.
    """
    make_folders(options.output)
    if options.kind == "epi":
        frames = prepare_landmark_scans(options.source, options.output)
    elif options.kind == "mix":
        frames = mix(options.source, options.real, options.output, options.repeats, options.validation, options.limit)
    else:
        frames = prepare_dhcp(options.source, options.annotations, options.output)
    print(f"{len(frames)} scans in {options.output}: images/, labels/, annotations.csv")


def make_folders(output: Path) -> None:
    """Makes the new data set's folders.

    Raises:
        OutputError: something is there already, or the folder cannot be made.
    """
    # Empty folders are what a call that could not read its source has left.
    if output.is_file() or any(path.is_file() for path in output.rglob("*")):
        raise OutputError(f"{output} is not empty. Name a new folder.")
    try:
        for name in ("images", "labels"):
            (output / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
