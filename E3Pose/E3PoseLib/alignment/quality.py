"""What each stack is worth to a reconstruction: how much of the brain it shows, and whether in its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..imaging.geometry import transform_points, voxel_sizes
from .consensus import Placed
from .likeness import mean_of
from .stack import Sample, grid_to_frame, region, sampled, smoothed, unshaded

LEAST_IN_SLICE_MM2 = 300.0
"""Of the brain in a slice, below which the slice is not judged."""

SLICE_AT_ITS_PLACE = 0.7
"""Correlation of a slice with what all stacks show together, from which on it is said to be at its place."""

MASK_SHARE = 0.3
"""Of the stacks in whose opinion a voxel is brain, from which on it is."""


@dataclass(frozen=True)
class Quality:
    """What a stack that was kept is worth.

    Parameters
    ----------
    likeness : float
        To what the others show, −1 to 1.
    coverage : float
        Share of the brain within the stack's field of view.
    slices_at_place : float
        Share of the slices through the brain that show what all stacks together show there: motion within the stack
        takes slices from their places.
    """

    likeness: float
    coverage: float
    slices_at_place: float

    @property
    def worth(self) -> float:
        """By which stacks are ordered; 1 at best."""
        return max(self.likeness, 0.0) * self.coverage * self.slices_at_place


def seen_together(placed: Sequence[Placed]) -> Sample:
    """What all stacks that were kept show in the common frame, each with the same weight.

    Where the brain is, is not asked of those whose own pose was mended: it was found in another place with it.
    """
    samples = {one: sampled(one.stack, one.frame_to_ras) for one in placed if one.is_kept}
    together = mean_of(list(samples.values()))
    trusted = [sample for one, sample in samples.items() if not one.is_mended]
    return replace(together, brain=mean_of(trusted).brain) if trusted else together


def quality(one: Placed, together: Sample) -> Quality:
    """What a stack is worth, by what all show together."""
    brain = together.brain > MASK_SHARE
    seen = sampled(one.stack, one.frame_to_ras).covered
    coverage = float((brain & seen).sum()) / max(int(brain.sum()), 1)
    alike = 1.0 if one.likeness is None else one.likeness
    return Quality(alike, coverage, _slices_at_place(one, together))


def common_brain(one: Placed, together: Sample) -> np.ndarray:
    """The brain that the stacks show together, on the grid of one of them.

    Returns
    -------
    np.ndarray
        Uint8 of the stack's shape, 0 or 1.
    """
    brain = _on_stack(one, together.brain.astype(np.float32))
    return (brain > MASK_SHARE).astype(np.uint8)


def slice_axis(one: Placed) -> int:
    """The axis across the slices: that of the longest voxel edge."""
    return int(np.argmax(voxel_sizes(_voxels(one))))


def _slices_at_place(one: Placed, together: Sample) -> float:
    axis = slice_axis(one)
    brain = _on_stack(one, together.brain.astype(np.float32)) > MASK_SHARE
    expected = _on_stack(one, smoothed(together.values, together.covered))
    sizes = voxel_sizes(_voxels(one))
    shown = unshaded(one.stack.intensities, _on_stack(one, region(together.brain).astype(np.float32)), sizes)
    in_plane = np.delete(sizes, axis)
    found = []
    for image, wanted, inside in zip(*(np.moveaxis(array, axis, 0) for array in (shown, expected, brain)), strict=True):
        if np.count_nonzero(inside) * in_plane.prod() < LEAST_IN_SLICE_MM2:
            continue
        plain = ndimage.gaussian_filter(image, 2.0 / in_plane)
        pair = np.corrcoef(plain[inside], wanted[inside])
        found.append(bool(pair[0, 1] >= SLICE_AT_ITS_PLACE))
    return float(np.mean(found)) if found else 0.0


def _on_stack(one: Placed, array: np.ndarray) -> np.ndarray:
    """An array of the common frame on the grid of a stack, 0 where the frame ends."""
    voxel_to_grid = np.linalg.inv(grid_to_frame()) @ np.linalg.inv(one.frame_to_ras) @ _voxels(one)
    shape = one.stack.volume.shape
    carried = np.zeros(shape, np.float32)
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(array.shape) - 1)
    reach = transform_points(np.linalg.inv(voxel_to_grid), corners)
    low = np.floor(reach.min(axis=0)).astype(int).clip(0, shape)
    high = (np.ceil(reach.max(axis=0)).astype(int) + 1).clip(low, shape)
    offset = transform_points(voxel_to_grid, low)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    size = tuple(int(n) for n in high - low)
    if min(size):
        carried[box] = ndimage.affine_transform(array, voxel_to_grid[:3, :3], offset, output_shape=size, order=1)
    return carried


def _voxels(one: Placed) -> np.ndarray:
    return one.stack.volume.voxel_to_ras
