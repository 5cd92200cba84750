"""Parts of a grid: what of it a network need compute."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

Box = tuple[slice, ...]
"""One slice an axis, with a start and a stop."""

Features = TypeVar("Features", torch.Tensor, np.ndarray)


def whole(features: torch.Tensor) -> Box:
    """All of the grid of features ``[B, C, D, H, W]``."""
    return tuple(slice(0, size) for size in features.shape[2:])


def grown(box: Box, margin: int, limits: Box) -> Box:
    """A box and a margin of voxels on each side, fewer where the limits are reached."""
    return tuple(
        slice(max(edges.start - margin, limit.start), min(edges.stop + margin, limit.stop))
        for edges, limit in zip(box, limits, strict=True)
    )


def covering(box: Box, factor: int) -> Box:
    """The cells of `factor`³ voxels that a box of voxels lies in."""
    return tuple(slice(edges.start // factor, -(-edges.stop // factor)) for edges in box)


def coarser(box: Box, factor: int, limits: Box) -> Box:
    """The cells of `factor`³ voxels that trilinear interpolation of a box's voxels depends on.

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
    """The voxels of a box of cells of `factor`³ voxels."""
    return tuple(slice(factor * edges.start, factor * edges.stop) for edges in box)


def part_within(box: Box, known: Box) -> Box:
    """Where in one box another lies that is part of it."""
    return tuple(slice(edges.start - at.start, edges.stop - at.start) for edges, at in zip(box, known, strict=True))


def part_of(features: Features, box: Box, known: Box) -> Features:
    """What of features ``[…, D, H, W]`` that are known in one box lies in another within it; a view."""
    return features if box == known else features[(..., *part_within(box, known))]
