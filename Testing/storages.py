"""The 48 ways to store one scan: every order of the axes, each forwards or backwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations, product

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff
from scipy import ndimage

from E3PoseLib.imaging.volume import Volume


def orientations() -> Iterator[np.ndarray]:
    """All 48 as nibabel orientations ``[3, 2]``: for each axis where it goes and whether it is flipped."""
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        yield np.stack([order, signs], axis=1)


def stored(volume: Volume, orientation: np.ndarray) -> Volume:
    """The same scan with its axes permuted and flipped, and the matrix adjusted."""
    return replace(
        volume,
        array=np.ascontiguousarray(apply_orientation(volume.array, orientation)),
        voxel_to_ras=volume.voxel_to_ras @ inv_ornt_aff(orientation, volume.shape),
    )


def sheared(volume: Volume, axis: int, along: int, slope: float) -> Volume:
    """The same scan on voxel axes off right angles: `slope` voxels along one axis for each voxel along another."""
    shear = np.eye(4)
    shear[axis, along], shear[axis, 3] = slope, -slope * (volume.shape[along] - 1) / 2
    values = ndimage.affine_transform(volume.array.astype(np.float32), shear[:3, :3], shear[:3, 3], order=1)
    return replace(volume, array=values, voxel_to_ras=volume.voxel_to_ras @ shear)


def signed_permutation(orientation: np.ndarray) -> np.ndarray:
    """The 3×3 matrix that takes vectors in the old axes to the new ones."""
    matrix = np.zeros((3, 3))
    for axis, (target, sign) in enumerate(orientation.astype(int)):
        matrix[target, axis] = sign
    return matrix
