"""Less work for the U-Net where a scan does not fill the grid that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

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

FIRST_BAND = 8
"""Voxels of padding that are looked at where an object grows into it; each further band is twice as wide."""


def find_object_without_padding(
    encode: Callable[[torch.Tensor, Box | None], Callable[[Box], torch.Tensor]],
    batch: torch.Tensor,
    to_object: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """The object in scans, looked for where they show anything and one voxel around.

    Where it reaches the outermost voxels of what was looked at, a band of the padding beyond is looked at too, until it
    does not. So it is the object that the whole grid would show, less what lies in the padding altogether.

    Parameters
    ----------
    encode : callable
        From a batch and the box outside of which it is zero (or None, where that spares nothing) to a function that
        gives the logits of any box of the grid.
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
        return to_object(encode(batch, None)(grid))
    logits = encode(batch, box)
    result = torch.zeros(len(batch), *batch.shape[2:], dtype=torch.bool)
    part_of(result, box, grid).copy_(to_object(logits(box)))
    width = FIRST_BAND
    while bands := _bands_beyond(result, box, grid, width):
        for axis, band in bands:
            beyond = (*box[:axis], band, *box[axis + 1 :])
            part_of(result, beyond, grid).copy_(to_object(logits(beyond)))
            joined = slice(min(band.start, box[axis].start), max(band.stop, box[axis].stop))
            box = (*box[:axis], joined, *box[axis + 1 :])
        width *= 2
    return result


def _bands_beyond(is_object: torch.Tensor, box: Box, grid: Box, width: int) -> list[tuple[int, slice]]:
    """Of each face of a box that an object ``[B, D, H, W]`` reaches, the axis and the next voxels along it."""
    bands = []
    for axis, (edges, limit) in enumerate(zip(box, grid, strict=True)):
        for face, band in (
            (edges.start, slice(max(edges.start - width, limit.start), edges.start)),
            (edges.stop - 1, slice(edges.stop, min(edges.stop + width, limit.stop))),
        ):
            if band.start < band.stop and is_object.select(axis + 1, face).any():
                bands.append((axis, band))
    return bands


class PaddedScans:
    """Scans in an otherwise empty grid, seen by a U-Net's encoder once: logits of any box, as of the whole grid.

    The encoder's first levels compute no more than the box of the scans and a small empty cube, whose features are
    those of all the rest of the grid; the levels below see the grid whole. The decoder computes what is asked for.

    Parameters
    ----------
    network : UNet
        That is evaluated, not trained.
    batch : torch.Tensor
        Shape ``[B, 1, D, H, W]``, edges in multiples of the network's stride.
    box : Box
        In voxels; the batch is zero outside.
    """

    def __init__(self, network: UNet, batch: torch.Tensor, box: Box) -> None:
        self._network, self._voxels = network, whole(batch)
        features = cells(batch, network.input_stride)
        box = self._in_cells(box)
        spared = SPARED_LEVELS if min(features.shape[2:]) >= EMPTY_EDGE else 0
        empty = features.new_zeros(1, features.shape[1], *[EMPTY_EDGE] * 3)
        self._skips: list[_Skip] = []
        for level, block in enumerate(network.list_encoder_blocks[:-1]):
            grid = whole(features)
            around = grown(box, REACH, grid)
            if level < spared:
                pairs = covering(around, 2)
                known = finer(pairs, 2)
                seen = grown(known, REACH, grid)
                skip = block(part_of(features, seen, grid), wanted=part_within(known, seen))
                around_it = block(empty)
                self._skips.append(_Skip(skip, known, grid, around_it))
                empty = functional.max_pool3d(around_it, 2)
                features = _Skip(functional.max_pool3d(skip, 2), pairs, covering(grid, 2), empty).whole()
            else:
                skip = block(features)
                self._skips.append(_Skip(skip, grid, grid, None))
                features = functional.max_pool3d(skip, 2)
            box = coarser(around, 2, grid)
        self._deepest = network.list_encoder_blocks[-1](features)

    def _in_cells(self, box: Box) -> Box:
        stride = self._network.input_stride
        return box if stride == 1 else coarser(box, stride, self._voxels)

    def logits(self, box: Box) -> torch.Tensor:
        """Logits ``[B, n_classes, *box]`` of a box in voxels."""
        wanted, stride = self._in_cells(box), self._network.input_stride
        logits = self._network.last_conv(self._decoded(wanted))
        return logits if stride == 1 else part_of(interpolate(logits, stride), box, finer(wanted, stride))

    def _decoded(self, box: Box) -> torch.Tensor:
        """The decoder's last features in a box of cells."""
        boxes, around_each = [box], []
        for skip in self._skips:
            around_each.append(grown(boxes[-1], REACH, skip.grid))
            boxes.append(coarser(around_each[-1], 2, skip.grid))
        features = part_of(self._deepest, boxes[-1], whole(self._deepest))
        for block, skip in zip(self._network.list_decoder_blocks, reversed(self._skips), strict=True):
            known = finer(boxes.pop(), 2)
            around = around_each.pop()
            # In order, else torch interpolates by code that takes twice as long.
            coarse = features.contiguous(memory_format=torch.channels_last_3d)
            wanted = part_within(boxes[-1], around)
            features = block(skip.part(around), coarse, part_within(around, known), wanted)
        return features


class _Skip(NamedTuple):
    """Features of a box, and of a small empty cube where the rest of the grid shows nothing."""

    features: torch.Tensor
    known: Box
    grid: Box
    empty: torch.Tensor | None
    """None where the box is the whole grid."""

    def whole(self) -> torch.Tensor:
        """The features of the whole grid."""
        return self.part(self.grid, copy=True)

    def part(self, box: Box, copy: bool = False) -> torch.Tensor:
        """The features of a box of the grid; a view where they are at hand, unless a copy is asked for."""
        inside = all(a.start >= b.start and a.stop <= b.stop for a, b in zip(box, self.known, strict=True))
        if self.empty is None or (inside and not copy):
            return part_of(self.features, box, self.known)
        # Border and inside of the grid are those of the small cube.
        around = self.empty.movedim(1, -1)
        for axis, (edges, limit) in enumerate(zip(box, self.grid, strict=True), start=1):
            half = around.shape[axis] // 2
            place = torch.arange(edges.start, edges.stop)
            from_end = limit.stop - place
            place = torch.where(from_end < half, around.shape[axis] - from_end, place.clamp(max=half))
            around = around.index_select(axis, place)
        result = around.repeat(len(self.features), 1, 1, 1, 1).movedim(-1, 1)
        common = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, self.known, strict=True))
        if all(edges.start < edges.stop for edges in common):
            part_of(result, common, box).copy_(part_of(self.features, common, self.known))
        return result


def _size(box: Box) -> int:
    return math.prod(edges.stop - edges.start for edges in box)
