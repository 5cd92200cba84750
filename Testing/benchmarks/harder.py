"""Scans with known poses, made harder: `python Testing/benchmarks/harder.py SCANS poses_ras.csv [--model NAME]`.

Each scan is shaded anew, its contrast bent, noise added; in some of the copies slices are darkened, in some they are
made thicker along an axis, in some the field of view is cut down towards the head. The pose stays what it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.errors import E3PoseError
from E3PoseLib.imaging.geometry import pose_difference
from E3PoseLib.imaging.volume import read_volume
from E3PoseLib.models.calibration import RIGHT_DEGREES, RIGHT_MM
from E3PoseTraining.calibration.copies import harder
from E3PoseTraining.evaluation.poses import read_truth

SUCCESS = (RIGHT_DEGREES, RIGHT_MM)


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
