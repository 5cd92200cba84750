"""``python -m E3PoseTraining.evaluation``: the same as ``e3pose evaluate``."""

import argparse
import sys

from E3PoseLib.running.ending import exit_status

from .command import add_arguments, run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="e3pose evaluate", description="Compare estimated poses with the truth.")
    add_arguments(parser)
    options = parser.parse_args(arguments)
    return exit_status("e3pose evaluate", lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
