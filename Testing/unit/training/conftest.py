"""Tiny data sets in the method's folder layout: an asymmetric head whose every axis can be seen."""

from pathlib import Path

import numpy as np
import pytest
import torch

from E3PoseLib.imaging.rotations import random_rotations
from E3PoseLib.imaging.volume import Volume, write_volume
from E3PoseTraining.data.annotations import axes_from_pose, write_rotations

SPACING = 6.0


def draw_head(
    rotation: np.ndarray, shape: tuple[int, int, int], voxel_to_ras: np.ndarray, centre: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of a head: a brain with dark back, two bright eyes in front, bright neck below.

    Args:
        rotation: ``[3, 3]``, columns are the head's right, anterior and superior axes in RAS.
        centre: ``[3]``, RAS mm.
        noise: of `shape`, added.
    """
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    ras = voxels @ voxel_to_ras[:3, :3].T + voxel_to_ras[:3, 3]
    right, anterior, superior = np.moveaxis((ras - centre) @ rotation, -1, 0)
    image = 0.25 + noise
    brain = (right / 34) ** 2 + (anterior / 44) ** 2 + (superior / 32) ** 2 <= 1
    image[brain] = 0.6 + 0.003 * anterior[brain] + 0.3 * (superior[brain] > 18)
    neck = (right / 16) ** 2 + ((anterior + 14) / 16) ** 2 + ((superior + 42) / 22) ** 2 <= 1
    image[neck & ~brain] = 0.05
    label = brain.astype(np.uint8)
    for side in (-18, 18):
        eye = (right - side) ** 2 + (anterior - 46) ** 2 + (superior + 20) ** 2 <= 10**2
        image[eye], label[eye] = 1.0, 2
    return image.astype(np.float32), label


def write_heads(folder: Path, count: int, seed: int, edge: int = 28) -> list[str]:
    """Writes ``images/``, ``labels/``, ``annotations.csv``; every third scan has left-handed voxel axes."""
    generator = np.random.default_rng(seed)
    rotations = random_rotations(count, torch.Generator().manual_seed(seed), torch.float64).numpy()
    axes = {}
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for index, rotation in enumerate(rotations):
        frame = f"head_{seed}_{index:02d}"
        voxel_to_ras = np.diag([SPACING, SPACING, SPACING, 1.0])
        if index % 3 == 2:
            voxel_to_ras[0, 0] *= -1
        voxel_to_ras[:3, 3] = -voxel_to_ras[:3, :3] @ np.full(3, (edge - 1) / 2)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation, generator.uniform(-8, 8, 3)
        noise = generator.normal(0, 0.02, (edge,) * 3)
        image, label = draw_head(rotation, (edge,) * 3, voxel_to_ras, pose[:3, 3], noise)
        write_volume(folder / "images" / f"{frame}.nii.gz", Volume(image, voxel_to_ras))
        write_volume(folder / "labels" / f"{frame}.nii.gz", Volume(label, voxel_to_ras))
        axes[frame] = axes_from_pose(pose, voxel_to_ras)
    write_rotations(folder / "annotations.csv", axes)
    return sorted(axes)


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Eight heads to train on (``train/``) and two to validate (``val/``), in the method's layout; read only."""
    folder = tmp_path_factory.mktemp("data")
    write_heads(folder / "train", 8, seed=1)
    write_heads(folder / "val", 2, seed=2)
    return folder


@pytest.fixture(scope="session")
def sides(data) -> list[str]:
    """The paths of `data` as a training of rotation networks takes them: scans, labels, annotations of both sides."""
    return [str(data / side / kind) for side in ("train", "val") for kind in ("images", "labels", "annotations.csv")]


@pytest.fixture
def own_data(tmp_path) -> Path:
    """Three heads that a test may spoil."""
    write_heads(tmp_path / "data", 3, seed=3)
    return tmp_path / "data"
