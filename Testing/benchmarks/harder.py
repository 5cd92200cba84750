"""Scans with known poses, made harder: `python Testing/benchmarks/harder.py SCANS poses_ras.csv [--model NAME]`.

Each scan is shaded anew, its contrast bent, noise added; in some of the copies slices are darkened, in some they are
made thicker along an axis, in some the field of view is cut down towards the head. The pose stays what it was.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.errors import E3PoseError
from E3PoseLib.imaging.geometry import pose_difference, rigid, transform_points
from E3PoseLib.imaging.volume import Volume, read_volume
from E3PoseTraining.evaluation.poses import read_truth
from E3PoseTraining.synthesis.scanner.fields import receive_field

SUCCESS = (15.0, 10.0)
"""Degrees and mm."""

HEAD_MM = 75.0
"""From the brain's centre, what is never cut off."""


def harder(scan: Volume, centre: np.ndarray, generator: np.random.Generator) -> Volume:
    """A copy of a scan, whose brain's centre in RAS mm is given, that is harder to read."""
    array = scan.array.astype(np.float32) * receive_field(scan.shape, scan.spacing, generator)
    bright = np.float32(np.quantile(array, 0.995))
    array = bright * np.maximum(array / bright, 0) ** np.float32(np.exp(generator.uniform(-0.4, 0.4)))
    sigma = bright * generator.uniform(0, 0.04)
    array = np.hypot(array + generator.normal(0, sigma, array.shape), generator.normal(0, sigma, array.shape))
    if generator.random() < 0.4:
        slices = np.moveaxis(array, int(np.argmax(scan.spacing)), 0)
        slices[generator.integers(0, len(slices), 3)] *= generator.uniform(0.2, 0.7)
    scan = replace(scan, array=array.astype(np.float32))
    if generator.random() < 0.4:
        scan = thicker(scan, int(generator.integers(3)), generator.uniform(1.2, 2.0))
    return narrower(scan, centre, generator) if generator.random() < 0.6 else scan


def thicker(scan: Volume, axis: int, factor: float) -> Volume:
    """Slices across an axis that are thicker and further apart by a factor."""
    array = np.moveaxis(scan.array, axis, 0)
    taken = np.arange((factor - 1) / 2, len(array) - 1, factor)
    blurred = ndimage.gaussian_filter1d(array, 0.4 * factor, axis=0)
    share = (taken % 1).astype(np.float32)[:, None, None]
    below = taken.astype(int)
    array = np.moveaxis((1 - share) * blurred[below] + share * blurred[below + 1], 0, axis)
    to_old = np.eye(4)
    to_old[axis, axis], to_old[axis, 3] = factor, taken[0]
    return Volume(array, scan.voxel_to_ras @ to_old, scan.name)


def narrower(scan: Volume, centre: np.ndarray, generator: np.random.Generator) -> Volume:
    """A smaller field of view, which holds the head."""
    voxel = transform_points(np.linalg.inv(scan.voxel_to_ras), centre)
    first, last = np.maximum(voxel - HEAD_MM / scan.spacing, 0), voxel + HEAD_MM / scan.spacing
    last = np.minimum(np.ceil(last), scan.shape)
    start = (first * generator.random(3)).astype(int)
    stop = (last + (scan.shape - last) * generator.random(3)).astype(int)
    kept = scan.array[tuple(map(slice, start, stop))]
    return Volume(kept, scan.voxel_to_ras @ rigid(np.eye(3), start), scan.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path)
    parser.add_argument("truth", type=Path, help="a CSV of canonical_to_ras by frame_id")
    parser.add_argument("--model", default="default", help="name or .safetensors file")
    parser.add_argument("--copies", type=int, default=8, help="of each scan")
    options = parser.parse_args()
    estimator = PoseEstimator(load_model(options.model), "cpu")
    errors, levels = [], []
    for number, truth in enumerate(read_truth(options.truth)):
        scan = read_volume(options.scans / f"{truth.frame_id}.nii.gz")
        for copy in range(options.copies):
            generator = np.random.default_rng([number, copy])
            try:
                estimate = estimator.estimate(harder(scan, truth.canonical_to_ras[:3, 3], generator))
            except E3PoseError:
                errors.append((180.0, np.inf))
                levels.append("refused")
                continue
            errors.append(pose_difference(estimate.canonical_to_ras, truth.canonical_to_ras))
            levels.append(estimate.confidence.level)
        last = zip(errors[-options.copies :], levels[-options.copies :], strict=True)
        print(f"{scan.name}: " + ", ".join(f"{degrees:.0f}° {mm:.0f} mm {level}" for (degrees, mm), level in last))
    wrong = (np.array(errors) > SUCCESS).any(axis=1)
    degrees, mm = np.median(errors, axis=0)
    print(f"{np.mean(~wrong):.1%} of {len(wrong)} right, median {degrees:.1f}° and {mm:.1f} mm")
    for level in ("high", "moderate", "low", "refused"):
        here = np.array(levels) == level
        print(f"{level}: {here.sum()}, of which wrong {(wrong & here).sum()}")


if __name__ == "__main__":
    main()
