"""Cropping, zero-padding and putting a part of an array back in its place."""

from __future__ import annotations

import math

import numpy as np

from .boxes import Box
from .geometry import rigid
from .masks import filled_box


def shown_box(array: np.ndarray) -> Box:
    """The box of an array without its margins of zeros, at least two voxels along each axis.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, not all 0.
    """
    box = []
    for edges, size in zip(filled_box(array != 0), array.shape, strict=True):
        start = min(edges.start, size - 2)
        box.append(slice(start, max(edges.stop, start + 2)))
    return tuple(box)


def crop_or_pad(
    array: np.ndarray, voxel_to_ras: np.ndarray, edges: int | tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Crop or zero-pad around the middle; of an odd number of voxels one more is cut or added in front.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``.
    edges : int or tuple of int
        Voxels along each axis of the result; one number for a cube.

    Returns
    -------
    array : np.ndarray
        Shape ``edges``.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``, of the result.
    """
    shape = (edges,) * 3 if isinstance(edges, int) else edges
    halves = [math.ceil(abs(edge - size) / 2) for size, edge in zip(array.shape, shape, strict=True)]
    start = [half if size > edge else -half for half, size, edge in zip(halves, array.shape, shape, strict=True)]
    box = tuple(slice(first, first + edge) for first, edge in zip(start, shape, strict=True))
    return cut(array, box), voxel_to_ras @ rigid(np.eye(3), start)


def cut(array: np.ndarray, box: Box) -> np.ndarray:
    """A copy of the part of an array ``[I, J, K]`` in a box; zeros where the box reaches beyond the array."""
    result = np.zeros([edges.stop - edges.start for edges in box], array.dtype)
    inside, within = _overlap(array.shape, box)
    result[within] = array[inside]
    return result


def put_back(content: np.ndarray, box: Box, shape: tuple[int, ...]) -> np.ndarray:
    """An array of the given shape with `content` in the box and zeros elsewhere; the inverse of `cut`."""
    result = np.zeros(shape, content.dtype)
    inside, within = _overlap(shape, box)
    result[inside] = content[within]
    return result


def _overlap(shape: tuple[int, ...], box: Box) -> tuple[Box, Box]:
    """The voxels that a grid and a box have in common: counted from the grid's start, and from the box's."""
    inside = tuple(
        slice(min(max(edges.start, 0), n), min(max(edges.stop, 0), n)) for edges, n in zip(box, shape, strict=True)
    )
    within = tuple(
        slice(part.start - edges.start, part.stop - edges.start) for part, edges in zip(inside, box, strict=True)
    )
    return inside, within


def whole_multiple(shape: tuple[int, ...], stride: int) -> tuple[int, ...]:
    """The smallest shape that holds a volume of the given one and has edges that are multiples of `stride` voxels.

    >>> whole_multiple((110, 16, 30), 16)
    (112, 16, 32)
    """
    return tuple(-(-n // stride) * stride for n in shape)
