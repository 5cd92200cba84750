"""Makes synthetic scans of a fetus with labels and poses: ``python -m E3PoseTraining.synthesize``."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from E3PoseLib.running.ending import exit_status

from .data.series import synthesize
from .synthesis import FetalHeadGenerator
from .synthesis.kinds import KINDS


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m E3PoseTraining.synthesize",
        description="Make synthetic MR scans of a fetus in the uterus, with labels and exact head poses.",
    )
    parser.add_argument("--n", type=int, required=True, help="how many scans")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--brains", type=Path, help="folder of brain label maps (GA<weeks>_*_parcellation.nii.gz)")
    parser.add_argument("--seed", type=int, default=0, help="of the series; the same seed gives the same scans")
    parser.add_argument(
        "--size",
        type=int,
        nargs=3,
        metavar=("I", "J", "K"),
        help="voxels of every scan (default: as in the clinic)",
    )
    parser.add_argument(
        "--kinds",
        type=share,
        nargs="+",
        metavar="KIND[=SHARE]",
        help=f"of scans, with their shares of the whole: {', '.join(KINDS)} (default: epi)",
    )
    parser.add_argument("--spacing", type=float, help="isotropic voxel size in mm (default: as usual for the kind)")
    parser.add_argument("--field", choices=("uterus", "head"), default="uterus", help="what the field of view is about")
    parser.add_argument(
        "--age",
        type=float,
        nargs=2,
        metavar=("FROM", "TO"),
        help="gestational age in weeks (default: as the kind has them, 20 to 38 for epi, else 18 to 40)",
    )
    parser.add_argument("--motion", type=float, default=1.0, help="0: the fetus holds still; 1: usual; up to 5")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    return parser


def share(text: str) -> tuple[str, float]:
    """A kind of scan and its share.

    >>> share("epi"), share("t2-stack=2.5")
    (('epi', 1.0), ('t2-stack', 2.5))
    """
    name, _, number = text.partition("=")
    return name, float(number) if number else 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    options = parser.parse_args(arguments)
    cores = os.cpu_count() or 1
    if options.n < 1:
        parser.error(f"--n {options.n}: give a number from 1 up")
    if not 1 <= options.workers <= cores:
        parser.error(f"--workers {options.workers}: this machine has {cores} cores; give 1 to {cores}")

    def make() -> None:
        try:
            generator = FetalHeadGenerator(
                seed=options.seed,
                brains=options.brains,
                shape=options.size,
                spacing=options.spacing,
                field=options.field,
                age_range=options.age and tuple(options.age),
                motion=options.motion,
                kinds=options.kinds and dict(options.kinds),
            )
        except ValueError as error:
            parser.error(str(error))
        settings = {name: getattr(options, name) for name in ("seed", "size", "spacing", "field", "motion")}
        brains = options.brains and str(options.brains.resolve())
        settings |= {"age": options.age, "brains": brains, "kinds": options.kinds and dict(options.kinds)}
        synthesize(generator, options.n, options.output, options.workers, settings)

    return exit_status("synthesize", make, "the same command goes on where it was")


if __name__ == "__main__":
    sys.exit(main())
