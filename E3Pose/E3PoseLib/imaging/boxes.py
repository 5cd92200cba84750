"""Boxes of voxels, and the boxes that convolution, pooling and interpolation of them depend on."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch

Box = tuple[slice, ...]
"""One slice for each axis, with start and stop."""

Features = TypeVar("Features", torch.Tensor, np.ndarray)


def whole(features: torch.Tensor) -> Box:
    """The box of the whole grid of features ``[B, C, D, H, W]``."""
    return tuple(slice(0, size) for size in features.shape[2:])


def grown(box: Box, margin: int, limits: Box) -> Box:
    """A box enlarged by a margin of voxels on each side, but not beyond the limits."""
    return tuple(
        slice(max(edges.start - margin, limit.start), min(edges.stop + margin, limit.stop))
        for edges, limit in zip(box, limits, strict=True)
    )


def covering(box: Box, factor: int) -> Box:
    """The box, in cells of `factor`³ voxels, of all cells that a box of voxels touches."""
    return tuple(slice(edges.start // factor, -(-edges.stop // factor)) for edges in box)


def coarser(box: Box, factor: int, limits: Box) -> Box:
    """The box, in cells of `factor`³ voxels, that trilinear interpolation to a box of voxels reads.

    Parameters
    ----------
    box : Box
        In voxels.
    factor : int
    limits : Box
        Of the whole grid, in voxels; a multiple of the factor along each axis.

    Returns
    -------
    Box
        In cells.
    """
    return grown(covering(box, factor), 1, covering(limits, factor))


def finer(box: Box, factor: int) -> Box:
    """The box, in voxels, of a box of cells of `factor`³ voxels."""
    return tuple(slice(factor * edges.start, factor * edges.stop) for edges in box)


def part_within(box: Box, known: Box) -> Box:
    """The position of a box inside a larger box `known`, counted from the start of `known`."""
    return tuple(slice(edges.start - at.start, edges.stop - at.start) for edges, at in zip(box, known, strict=True))


def part_of(features: Features, box: Box, known: Box) -> Features:
    """The part, in `box`, of features ``[…, D, H, W]`` that cover the box `known`; a view."""
    part: tuple[Any, ...] = (..., *part_within(box, known))
    return features if box == known else features[part]
