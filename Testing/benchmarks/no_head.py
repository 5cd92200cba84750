"""What becomes of scans without a fetal head: `python Testing/benchmarks/no_head.py SCANS LABELS [--model NAME]`.

SCANS and LABELS are folders that `E3PoseTraining.synthesize` wrote (scans of the uterus). Each scan gives one without
its head: the larger side of the cut through the scan that leaves the head on the other side. Beside these, as many
volumes of noise, of smooth noise, and of a bright ellipsoid of adult size.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.errors import E3PoseError
from E3PoseLib.imaging.masks import bounding_box
from E3PoseLib.imaging.volume import Volume, read_volume

HEAD_MARGIN_MM = 25.0
"""From the brain's bounding box to where no part of the head is left; the face is further out in front only."""

SHORTEST_MM = 90.0
"""A side of the cut that is thinner than this shows nothing that could be taken for a head."""

GRID = np.diag([3.0, 3.0, 3.0, 1.0])


def body_without_head(scan: Volume, label: Volume) -> Volume | None:
    """The larger side of the best cut, or None where the head is in the middle of all axes."""
    best, largest = None, 0
    head = bounding_box(label.array > 0)
    for axis, (edges, size, step) in enumerate(zip(head, scan.shape, scan.spacing, strict=True)):
        margin = int(np.ceil(HEAD_MARGIN_MM / step))
        for side in (slice(0, max(0, edges.start - margin)), slice(min(size, edges.stop + margin), size)):
            kept = side.stop - side.start
            if kept * step >= SHORTEST_MM and kept / size > largest:
                best, largest = (axis, side), kept / size
    if best is None:
        return None
    axis, side = best
    cut = tuple(side if dimension == axis else slice(None) for dimension in range(3))
    shift = np.eye(4)
    shift[axis, 3] = side.start
    return Volume(scan.array[cut], scan.voxel_to_ras @ shift, scan.name)


def strange_volumes(count: int, generator: np.random.Generator) -> Iterator[tuple[str, Volume]]:
    """Noise, smooth noise, and ellipsoids of adult size, each with the name of its kind."""
    offset = np.stack(np.meshgrid(*[np.arange(90) - 44.5] * 3, indexing="ij"), axis=-1) * 3.0
    for _ in range(count):
        noise = np.abs(generator.normal(size=(90, 90, 90)))
        smooth = ndimage.gaussian_filter(generator.normal(size=(90, 90, 90)), generator.uniform(2, 8))
        ball = ((offset / generator.uniform([65, 80, 60], [85, 105, 85])) ** 2).sum(axis=-1) < 1
        yield "noise", Volume((500 * noise).astype(np.int16), GRID)
        yield "smooth noise", Volume((500 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.int16), GRID)
        yield "adult ellipsoid", Volume((500 * (0.7 * ball + 0.05 * noise)).astype(np.int16), GRID)


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
    cases = [*bodies(options.scans, options.labels), *strange_volumes(options.count, np.random.default_rng(3))]
    for kind, volume in cases:
        try:
            answer = estimator.estimate(volume).confidence.level
        except E3PoseError:
            answer = "refused"
        answers.setdefault(kind, Counter())[answer] += 1
    for kind, counter in answers.items():
        print(f"{kind} ({counter.total()}): " + ", ".join(f"{count} {answer}" for answer, count in counter.items()))


if __name__ == "__main__":
    main()
