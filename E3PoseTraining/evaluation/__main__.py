"""``python -m E3PoseTraining.evaluation``: the same as ``e3pose evaluate``."""

import argparse
import sys

from E3PoseLib.errors import E3PoseError

from .command import add_arguments, run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="e3pose evaluate", description="Compare estimated poses with the truth.")
    add_arguments(parser)
    try:
        return run(parser.parse_args(arguments))
    except E3PoseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
