"""A picture of every augmentation on one scan: ``python -m E3PoseTraining.gallery IMAGE LABEL -o PNG``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from E3PoseLib.running.ending import exit_status

from .augmentation.gallery import draw_gallery
from .data.datasets import load_sample
from .data.figures import save_figure
from .data.folders import Case


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m E3PoseTraining.gallery", description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("label", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PNG")
    parser.add_argument("--spacing", type=float, default=3, help="mm (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    def draw() -> None:
        case = Case(options.image.stem, options.image, options.label)
        save_figure(draw_gallery(load_sample(case, options.spacing, n_classes=256), options.seed), options.output)

    return exit_status("gallery", draw)


if __name__ == "__main__":
    sys.exit(main())
