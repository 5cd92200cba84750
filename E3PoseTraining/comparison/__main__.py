"""``python -m E3PoseTraining.comparison``: the same as ``e3pose compare``."""

import argparse
import sys

from E3PoseLib.running.ending import SAME_COMMAND, exit_status

from .command import add_arguments, run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="e3pose compare",
        description="Run several methods on the same scans and compare their poses with the truth. Run again, it "
        "goes on where it was. Exit status: 0 all methods ran, 1 some could not, 2 wrong usage, 130 interrupted.",
    )
    add_arguments(parser)
    options = parser.parse_args(arguments)
    return exit_status("e3pose compare", lambda: run(options), SAME_COMMAND)


if __name__ == "__main__":
    sys.exit(main())
