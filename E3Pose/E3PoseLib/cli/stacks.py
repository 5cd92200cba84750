"""``e3pose align`` and ``e3pose reorient``: stacks before a reconstruction, and what comes of it after."""

from __future__ import annotations

import argparse

from ..running.align.command import add_align_arguments, run_align
from ..running.align.reorient import add_reorient_arguments, run_reorient
from .options import add_device_option, add_model_options, model_asked_for


def add_stacks(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    align = commands.add_parser(
        "align",
        help="bring the stacks of one fetus into one upright frame, for a reconstruction",
        description="Write each stack with its header moved into the head's frame (voxels untouched) or resampled, "
        "masks, transforms, a table, a picture, and next_steps.txt with the commands of NeSVoR, SVRTK and NiftyMIC. "
        "Stacks that show another head, or a wrong pose, are mended by registration or left out with a word. Exit "
        "status: 0 all good, 1 a stack was left out, 2 wrong usage, 130 interrupted.",
    )
    add_align_arguments(align)
    add_model_options(align)
    add_device_option(align)
    align.set_defaults(run=lambda options: run_align(options, model_asked_for(options)))

    reorient = commands.add_parser(
        "reorient",
        help="write one volume upright, with the head's frame for its world",
        description="For any reconstruction, skull-stripped ones too, and for stacks: by its header alone, or "
        "resampled in RAS axes (--resample). Exit status: 0 all good, 1 the volume failed, 2 wrong usage, 130 "
        "interrupted.",
    )
    add_reorient_arguments(reorient)
    add_model_options(reorient)
    add_device_option(reorient)
    reorient.set_defaults(run=lambda options: run_reorient(options, model_asked_for(options)))
