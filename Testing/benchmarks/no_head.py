"""What becomes of scans without a fetal head: `python Testing/benchmarks/no_head.py SCANS LABELS [--model NAME]`.

SCANS and LABELS are folders that `E3PoseTraining.synthesize` wrote (scans of the uterus). Each scan gives one without
its head: the larger side of the cut through the scan that leaves the head on the other side. Beside these, as many
volumes of noise, of smooth noise, of a bright ellipsoid of adult size, and of a bare one as large as a fetal brain.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.errors import E3PoseError
from E3PoseLib.imaging.volume import Volume, read_volume
from E3PoseTraining.calibration.copies import body_without_head, strange_volumes


def bodies(scans: Path, labels: Path) -> Iterator[tuple[str, Volume]]:
    """The scans of a folder without their heads."""
    for path in sorted(scans.iterdir()):
        body = body_without_head(read_volume(path), read_volume(labels / path.name))
        if body is not None:
            yield "body without head", body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--model", default="default", help="name or .safetensors file")
    parser.add_argument("--count", type=int, default=12, help="of each kind of strange volume")
    options = parser.parse_args()
    estimator = PoseEstimator(load_model(options.model), "cpu")
    answers: dict[str, Counter] = {}
    strange = strange_volumes(options.count, np.random.default_rng(3))
    for kind, volume in chain(bodies(options.scans, options.labels), strange):
        try:
            answer = estimator.estimate(volume).confidence.level
        except E3PoseError:
            answer = "refused"
        answers.setdefault(kind, Counter())[answer] += 1
    for kind, counter in answers.items():
        print(f"{kind} ({counter.total()}): " + ", ".join(f"{count} {answer}" for answer, count in counter.items()))


if __name__ == "__main__":
    main()
