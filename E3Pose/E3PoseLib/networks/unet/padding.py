"""Less work for the U-Net where a scan does not fill the grid that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from ...imaging.boxes import Box, coarser, covering, finer, grown, part_of, part_within, whole
from ...imaging.masks import bounding_box
from .planes import REACH
from .unet import UNet, cells, interpolate

WORTH_SPARING = 0.2
"""Share of the grid from which on padding is left out: less saves too little for what a second pass may cost."""

SPARED_LEVELS = 2
"""Of the encoder: nearly all of its work."""

EMPTY_EDGE = 24
"""In a cube of so much padding something is left after these levels that the grid's border does not reach."""


def find_object_without_padding(
    segment: Callable[[torch.Tensor, Box | None], torch.Tensor],
    batch: torch.Tensor,
    to_object: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """The object in scans, looked for where they show anything and one voxel around.

    It is the very one that the whole grid would show, unless that lay in the padding altogether: where it reaches the
    voxel around, the whole grid is computed after all.

    Parameters
    ----------
    segment : callable
        From a batch, and the box for which logits are asked (or None, for all) and outside of which the batch is zero,
        to logits.
    batch : torch.Tensor
        Shape ``[B, 1, D, H, W]``, scans with zeros around.
    to_object : callable
        From logits ``[B, C, D, H, W]`` to the voxels ``[B, D, H, W]`` that are the object.

    Returns
    -------
    torch.Tensor
        Shape ``[B, D, H, W]``, bool.
    """
    grid = whole(batch)
    shown = bounding_box((batch.numpy() != 0).any(axis=(0, 1)))
    box = grid if shown is None else grown(shown, 1, grid)
    if _size(box) > (1 - WORTH_SPARING) * _size(grid):
        return to_object(segment(batch, None))
    is_object = to_object(segment(batch, box))
    if np.count_nonzero(is_object) > np.count_nonzero(part_of(is_object, shown, box)):
        return to_object(segment(batch, None))
    result = is_object.new_zeros(len(batch), *batch.shape[2:])
    part_of(result, box, grid).copy_(is_object)
    return result


def logits_within(network: UNet, batch: torch.Tensor, box: Box) -> torch.Tensor:
    """What a U-Net says of a box outside of which a batch is zero: the same as of the whole grid, for less work.

    The decoder computes no more than the box depends on. Nor do the encoder's first levels, but for a small empty cube:
    its features are those of all the rest of the grid, which all levels below see whole.

    Parameters
    ----------
    network : UNet
        That is evaluated, not trained.
    batch : torch.Tensor
        Shape ``[B, 1, D, H, W]``, edges in multiples of the network's stride.
    box : Box
        In voxels.

    Returns
    -------
    torch.Tensor
        Shape ``[B, n_classes, d, h, w]``, of the box.
    """
    stride, grid = network.input_stride, whole(batch)
    wanted = box if stride == 1 else coarser(box, stride, grid)
    logits = network.last_conv(_features_within(network, cells(batch, stride), wanted))
    return logits if stride == 1 else part_of(interpolate(logits, stride), box, finer(wanted, stride))


def _features_within(network: UNet, features: torch.Tensor, box: Box) -> torch.Tensor:
    """The decoder's last features in a box outside of which those that come in, ``[B, C, D, H, W]``, are zero."""
    boxes, skips = [box], []
    spared = SPARED_LEVELS if min(features.shape[2:]) >= EMPTY_EDGE else 0
    empty = features.new_zeros(1, features.shape[1], *[EMPTY_EDGE] * 3)
    for level, block in enumerate(network.list_encoder_blocks[:-1]):
        grid = whole(features)
        around = grown(boxes[-1], REACH, grid)
        if level < spared:
            pairs = covering(around, 2)
            known = finer(pairs, 2)
            seen = grown(known, REACH, grid)
            skip = block(part_of(features, seen, grid), wanted=part_within(known, seen))
            empty = functional.max_pool3d(block(empty), 2)
            features = _embedded(functional.max_pool3d(skip, 2), pairs, empty, covering(grid, 2))
        else:
            known, skip = grid, block(features)
            features = functional.max_pool3d(skip, 2)
        skips.append((part_of(skip, around, known), around))
        boxes.append(coarser(around, 2, grid))
    features = network.list_encoder_blocks[-1](features)
    features = part_of(features, boxes[-1], whole(features))
    for block in network.list_decoder_blocks:
        known = finer(boxes.pop(), 2)
        skip, around = skips.pop()
        # In order, else torch interpolates by code that takes twice as long.
        coarse = features.contiguous(memory_format=torch.channels_last_3d)
        features = block(skip, coarse, part_within(around, known), part_within(boxes[-1], around))
    return features


def _embedded(features: torch.Tensor, box: Box, empty: torch.Tensor, grid: Box) -> torch.Tensor:
    """Features of a box in those of a whole grid, which is empty around: its border and inside are a small cube's."""
    around = empty.movedim(1, -1)
    for axis, limit in enumerate(grid, start=1):
        half = around.shape[axis] // 2
        place = torch.arange(limit.stop)
        from_end = limit.stop - place
        place = torch.where(from_end < half, around.shape[axis] - from_end, place.clamp(max=half))
        around = around.index_select(axis, place)
    result = around.repeat(len(features), 1, 1, 1, 1).movedim(-1, 1)
    part_of(result, box, grid).copy_(features)
    return result


def _size(box: Box) -> int:
    return math.prod(edges.stop - edges.start for edges in box)
