"""Joins networks to one model file: ``python -m E3PoseTraining.training.join --unet FILE --e3cnn FILE -o MODEL``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from E3PoseLib.running.ending import exit_status

from .export import write_model


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m E3PoseTraining.training.join",
        description="Joins trained networks to one model file. Each may also be a model file, of which it is taken.",
    )
    parser.add_argument("--unet", type=Path, required=True, help="weights of the network that finds the head")
    parser.add_argument("--e3cnn", type=Path, required=True, help="weights of the rotation network")
    parser.add_argument("--eyes", type=Path, help="weights that train_unet --around_object wrote")
    parser.add_argument("--upright", type=Path, help="weights that train_unet --upright wrote")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the model file; its name is the model's")
    options = parser.parse_args(arguments)
    files = (options.unet, options.e3cnn, options.eyes, options.upright)
    return exit_status("join", lambda: write_model(options.output, *files))


if __name__ == "__main__":
    sys.exit(main())
