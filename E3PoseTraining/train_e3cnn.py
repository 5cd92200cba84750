"""Trains the E(3)-CNN that finds the head's rotation: ``python -m E3PoseTraining.train_e3cnn``."""

from __future__ import annotations

import argparse
import sys

from E3PoseLib.running.ending import exit_status

from .training.options import parse
from .training.rotation import USAGE, train_rotation
from .training.rotation_options import add_rotation_options
from .training.run import GO_ON


def build_parser() -> argparse.ArgumentParser:
    """The command's flags; those of the method keep its names and defaults."""
    parser = argparse.ArgumentParser(
        prog="python -m E3PoseTraining.train_e3cnn",
        usage=USAGE,
        description="Train the E(3)-CNN that finds how the head is turned. Images and labels pair by file name; the "
        "object has label 1. ANNOTATIONS.csv has the columns frame_id, rot_x, rot_y and rot_z (Euler angles, xyz, "
        "degrees, of the rotation from volume to canonical frame), and fold where it serves both sides.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_rotation_options(parser)
    parser.add_argument("--unet", help="weights (.ckpt) of a segmentation network: with them, write a whole model file")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return exit_status("train_e3cnn", lambda: train_rotation(parse(build_parser(), arguments)), GO_ON)


if __name__ == "__main__":
    sys.exit(main())
