"""The pose of brains without skull, turned anyhow: `python Testing/benchmarks/atlas.py FOLDER [--model NAME]`.

The folder holds NAME.nii.gz or NAME_srr.nii.gz with NAME_mask.nii.gz, upright in RAS. Each brain is turned as it is
stored, with zeros around it, and in a second round on a plain background with noise. Its axes may differ from the
head's frame by a pitch that is the same in all: the median pitch that is found is stated, and errors are without it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
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

ROOM_MM = 12.0
"""Of zeros about the ball in which a brain is turned as it is stored."""

FLIPPED_DEGREES = 45.0
"""Beyond this a pose says nothing of the pitch."""


def read_brains(folder: Path) -> Iterator[tuple[Volume, Volume]]:
    """Each brain of a folder, and its mask."""
    for mask_file in sorted(folder.glob("*_mask.nii.gz")):
        name = mask_file.name.removesuffix("_mask.nii.gz")
        files = [folder / f"{name}{ending}.nii.gz" for ending in ("", "_srr")]
        yield read_volume(next(file for file in files if file.is_file())), read_volume(mask_file)


def as_stored(brain: Volume, mask: Volume, rotation: np.ndarray) -> Volume:
    """The brain turned by `rotation`, the centre of its mask at the origin, its voxel size kept, zeros around it."""
    inside = mask.array > 0
    centre = centre_of(mask)
    corners = transform_points(mask.voxel_to_ras, np.argwhere(inside)[::50])
    edge = 2 * (np.linalg.norm(corners - centre, axis=1).max() + ROOM_MM)
    return reslice(brain, rigid(rotation.T, centre), float(brain.spacing.min()), edge)


def on_background(brain: Volume, mask: Volume, rotation: np.ndarray, generator: np.random.Generator) -> Volume:
    """The same at 3 mm, on a grey background with noise."""
    turned = reslice(brain, rigid(rotation.T, centre_of(mask)), SPACING_MM, EDGE_MM)
    image = np.maximum(turned.array / np.quantile(brain.array, 0.99), BACKGROUND)
    noise = generator.normal(0, NOISE, (2, *image.shape))
    return Volume(np.hypot(image + noise[0], noise[1]).astype(np.float32), turned.voxel_to_ras, brain.name)


def centre_of(mask: Volume) -> np.ndarray:
    """Centre of mass ``[3]``, RAS mm."""
    return transform_points(mask.voxel_to_ras, ndimage.center_of_mass(mask.array > 0))


def without_pitch(deviations: Rotation) -> tuple[np.ndarray, float]:
    """Angles in degrees of rotations less the pitch that they have in common, and that pitch."""
    angles = np.rad2deg(deviations.magnitude())
    near = angles < FLIPPED_DEGREES
    pitch = np.median(deviations.as_rotvec()[near, 0]) if near.any() else 0.0
    return np.rad2deg((deviations * Rotation.from_rotvec([-pitch, 0, 0])).magnitude()), float(np.rad2deg(pitch))


def turns(count: int) -> np.ndarray:
    """Random rotations ``[N, 3, 3]``, the same each time."""
    return random_rotations(count, torch.Generator().manual_seed(1), torch.float64).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("atlas", type=Path)
    parser.add_argument("--rotations", type=int, default=20, help="of each brain")
    parser.add_argument("--model", default="default", help="name or .safetensors file")
    options = parser.parse_args()
    estimator = PoseEstimator(load_model(options.model), "cpu")
    for title, filled in (("as stored", False), ("on a background", True)):
        generator = np.random.default_rng(0)
        left, levels = [], []
        for brain, mask in read_brains(options.atlas):
            for rotation in turns(options.rotations):
                scan = on_background(brain, mask, rotation, generator) if filled else as_stored(brain, mask, rotation)
                try:
                    estimate = estimator.estimate(scan)
                except E3PoseError as error:
                    print(f"{brain.name}: {error}")
                    continue
                left.append(rotation.T @ estimate.canonical_to_ras[:3, :3])
                levels.append(estimate.confidence.level)
        deviations, levels = Rotation.from_matrix(left), np.array(levels)
        errors, pitch = without_pitch(deviations)
        whole = np.median(np.rad2deg(deviations.magnitude()))
        print(f"{title}: {len(errors)} poses; as they are: median {whole:.1f}°, pitch {pitch:.1f}°")
        print(f"without that pitch: median {np.median(errors):.1f}°, {np.mean(errors > 30):.0%} beyond 30°")
        for level in ("high", "moderate", "low"):
            chosen = errors[levels == level]
            if len(chosen):
                print(f"{level}: {len(chosen)} poses, median {np.median(chosen):.1f}°, largest {chosen.max():.0f}°")


if __name__ == "__main__":
    main()
