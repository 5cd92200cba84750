"""The pose of atlas brains, turned anyhow on a plain background: `python Testing/benchmarks/atlas.py ATLAS_FOLDER`.

The folder holds NAME.nii.gz with NAME_mask.nii.gz, upright in RAS. Its axes may differ from the head's frame by a pitch
that is the same in all: the median pitch that is found is stated, and errors are given as they are and without it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.errors import E3PoseError
from E3PoseLib.imaging.geometry import rigid, transform_points
from E3PoseLib.imaging.resampling import reslice
from E3PoseLib.imaging.rotations import random_rotations
from E3PoseLib.imaging.volume import Volume, read_volume

EDGE_MM, SPACING_MM = 216.0, 3.0
BACKGROUND, NOISE = 0.1, 0.03
"""Relative to the brightest of the brain; the noise is that of a magnitude image."""


def scan_of(brain: Volume, centre: np.ndarray, rotation: np.ndarray, generator: np.random.Generator) -> Volume:
    """The brain turned by `rotation`, its `centre` (RAS mm) in the middle."""
    turned = reslice(brain, rigid(rotation.T, centre), SPACING_MM, EDGE_MM)
    image = np.maximum(turned.array / np.quantile(brain.array, 0.99), BACKGROUND)
    noise = generator.normal(0, NOISE, (2, *image.shape))
    return Volume(np.hypot(image + noise[0], noise[1]).astype(np.float32), turned.voxel_to_ras, brain.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("atlas", type=Path)
    parser.add_argument("--rotations", type=int, default=20, help="of each brain")
    parser.add_argument("--model", default="default", help="name or .safetensors file")
    options = parser.parse_args()
    estimator = PoseEstimator(load_model(options.model), "cpu")
    generator = np.random.default_rng(0)
    turns = random_rotations(options.rotations, torch.Generator().manual_seed(1), torch.float64).numpy()
    left, levels = [], []
    for mask_file in sorted(options.atlas.glob("*_mask.nii.gz")):
        mask, brain = read_volume(mask_file), read_volume(str(mask_file).replace("_mask", ""))
        centre = transform_points(mask.voxel_to_ras, ndimage.center_of_mass(mask.array > 0))
        for rotation in turns:
            try:
                estimate = estimator.estimate(scan_of(brain, centre, rotation, generator))
            except E3PoseError as error:
                print(f"{brain.name}: {error}")
                continue
            left.append(rotation.T @ estimate.canonical_to_ras[:3, :3])
            levels.append(estimate.confidence.level)
    deviations = Rotation.from_matrix(left)
    errors, levels = np.rad2deg(deviations.magnitude()), np.array(levels)
    pitch = np.median(deviations.as_rotvec()[errors < 45, 0])
    without = np.rad2deg((deviations * Rotation.from_rotvec([-pitch, 0, 0])).magnitude())
    print(f"{len(errors)} poses; as they are: median {np.median(errors):.1f}°, pitch {np.rad2deg(pitch):.1f}°")
    print(f"without that pitch: median {np.median(without):.1f}°, {np.mean(without > 30):.0%} beyond 30°")
    for level in ("high", "moderate", "low"):
        chosen = without[levels == level]
        if len(chosen):
            print(f"{level}: {len(chosen)} poses, median {np.median(chosen):.1f}°, largest {chosen.max():.0f}°")


if __name__ == "__main__":
    main()
