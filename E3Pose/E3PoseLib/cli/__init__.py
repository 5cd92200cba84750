"""The command line: ``e3pose estimate | track | serve | align | reorient | demo | prescribe | models | …``.

A face: nothing below may import it. Start with `main`; each command has its options and what it runs in one file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from .. import __version__
from ..running.ending import FROM_THE_START, SUCCESS, exit_status
from ..running.live.command import add_serve_arguments, run_serve
from ..running.prescribe.command import add_prescribe_arguments, run_prescribe
from ..running.tracking.command import add_track_arguments, run_track
from .estimate import add_estimate
from .models import add_models
from .options import (
    add_device_option,
    add_model_options,
    add_overwrite_option,
    check_none_empty,
    model_asked_for,
    positive_int,
    voxel_size,
)
from .stacks import add_stacks
from .training import training_part

__all__ = ["add_device_option", "add_overwrite_option", "check_none_empty", "main", "positive_int", "voxel_size"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 all good, 1 some scans failed, 2 wrong usage, 130 interrupted."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(given)

    def run() -> int:
        check_none_empty(given)
        return options.run(options)

    return exit_status("e3pose", run, getattr(options, "after_interrupt", FROM_THE_START))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="e3pose", description="How a fetus's head lies in an MR scan.")
    parser.add_argument("--version", action="version", version=f"e3pose {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_estimate(commands)

    track = commands.add_parser(
        "track",
        help="follow the head through a series of volumes",
        description="For each series write NAME_poses.npy, NAME_motion.tsv with fMRIPrep's names of columns, "
        "NAME_motion.png and NAME_motion.json. Series whose results stand already are skipped. Exit status: 0 all "
        "good, 1 some series failed, 2 wrong usage, 130 interrupted.",
    )
    add_track_arguments(track)
    add_model_options(track)
    add_device_option(track)
    track.set_defaults(
        run=lambda options: run_track(options, model_asked_for(options)),
        after_interrupt="series that are done stay, the one under way begins again; run the same command for the rest",
    )

    serve = commands.add_parser(
        "serve",
        help="answer images with poses, by OpenIGTLink",
        description="Listens for IMAGE messages and answers each with a TRANSFORM and a STRING. Not for clinical use. "
        "Exit status: 0 ended by Ctrl+C, 2 wrong usage.",
    )
    add_serve_arguments(serve)
    add_model_options(serve)
    add_device_option(serve)
    serve.set_defaults(run=lambda options: run_serve(options, model_asked_for(options)))

    demo = commands.add_parser(
        "demo",
        help="estimate one scan and draw it before and after",
        description="Write the pose, the brain's mask, the scan resliced in the head's planes, and one picture.",
    )
    demo.add_argument("scan", nargs="?", help="a NIfTI file (default: a synthetic scan that comes with E3Pose)")
    demo.add_argument("-o", "--output", default="demo", metavar="DIR", help="folder of the results (default: demo)")
    demo.add_argument("--overwrite", action="store_true", help="replace results that stand")
    add_model_options(demo)
    add_device_option(demo)
    demo.set_defaults(run=_demo)

    prescribe = commands.add_parser(
        "prescribe",
        help="plan slices along the head's planes, in the numbers that scanners take",
        description="Write NAME_prescription.json, .txt and .png, and print the text: orientation and position for "
        "Siemens and Philips consoles, and DICOM vectors. Not for clinical use. Exit status: 0 all good, 1 the scan "
        "failed, 2 wrong usage, 130 interrupted.",
    )
    add_prescribe_arguments(prescribe)
    add_model_options(prescribe)
    add_device_option(prescribe)
    prescribe.set_defaults(run=lambda options: run_prescribe(options, model_asked_for(options)))

    add_stacks(commands)
    add_models(commands)

    # Its arguments belong to the training package, which may be absent; so nothing here begins an option.
    for name, words, part in (
        ("evaluate", "compare estimated poses with the truth", "E3PoseTraining.evaluation.__main__"),
        ("compare", "run several methods on the same scans and compare them", "E3PoseTraining.comparison.__main__"),
    ):
        command = commands.add_parser(name, help=f"{words} (training package)", add_help=False, prefix_chars="\0")
        command.add_argument("arguments", nargs="*")
        command.set_defaults(run=partial(_of_training, part))
    return parser


def _demo(options: argparse.Namespace) -> int:
    from ..running.memory import made_to_stay

    with made_to_stay():
        from ..running.demo import run_demo

    run_demo(options.scan, options.output, model_asked_for(options), options.device, options.overwrite)
    return SUCCESS


def _of_training(part: str, options: argparse.Namespace) -> int:
    return training_part(part).main(options.arguments)
