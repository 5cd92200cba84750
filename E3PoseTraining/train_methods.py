"""Trains the networks that E(3)-Pose is compared with, side by side: ``python -m E3PoseTraining.train_methods``."""

from __future__ import annotations

import argparse
import sys

from E3PoseLib.cli import positive_int
from E3PoseLib.running.ending import exit_status

from .equitrack.points import TRACKERS
from .equitrack.run import train_tracker
from .localisation.networks import LOCALISERS
from .localisation.run import train_localisers
from .regression.named import NETWORKS, SIDE_BY_SIDE
from .regression.run import USAGE, train_methods
from .training.options import parse
from .training.rotation_options import add_rotation_options
from .training.run import GO_ON

ORIENTATIONS = 24
"""Of a cube."""


def build_parser() -> argparse.ArgumentParser:
    """The command's flags: those of ``train_e3cnn``, and which networks."""
    parser = argparse.ArgumentParser(
        prog="python -m E3PoseTraining.train_methods",
        usage=USAGE,
        description="Train networks of rotation on the same crops in the same order, each with its own loss. Data as "
        "for train_e3cnn; flags of the network are those of the E(3)-CNN among them.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_rotation_options(parser)
    # Of several networks no one epoch is the best.
    parser.set_defaults(export="last")
    methods = parser.add_argument_group("methods")
    choices = [*NETWORKS, *LOCALISERS, *TRACKERS]
    methods.add_argument("--methods", nargs="+", choices=choices, default=SIDE_BY_SIDE, help="to train")
    methods.add_argument(
        "--lr_plain", type=float, default=0.002, help="learning rate of all but the E(3)-CNN and its ablations"
    )
    methods.add_argument(
        "--orientations",
        type=positive_int,
        default=8,
        help="of the 24 of a cube in which those see each crop, which costs little",
    )
    methods.add_argument("--rbr_levels", type=positive_int, default=4, help="resolutions of rbr's U-Net; the paper: 5")
    methods.add_argument("--rbr_features", type=positive_int, default=8, help="of its first level; the paper: 4")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""

    def run() -> None:
        options = parse(build_parser(), arguments)
        for names, train in ((LOCALISERS, train_localisers), (TRACKERS, train_tracker)):
            if names.keys() & set(options.methods):
                return train(options)
        return train_methods(options)

    return exit_status("train_methods", run, GO_ON)


if __name__ == "__main__":
    sys.exit(main())
