"""Grids: isotropic resampling, crop and pad, the way back to the scan's own grid, and reslicing by a pose."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from scipy import ndimage

from .geometry import direction_cosines, rigid, transform_points, voxel_sizes
from .masks import bounding_box
from .volume import Volume

RESLICED_EDGE_MM = 180.0
"""Edge of the resliced cube: a head at term with room around it."""


GRID_TOLERANCE = 1e-4
"""Fraction of a voxel that a new grid may leave uncovered at its end; absorbs the rounding of headers."""

SAME_SAMPLE = 1e-6
"""Fraction of a voxel by which two samples may lie apart and be one: of intensities float32 keeps no more."""


def rescale(array: np.ndarray, clip_fraction: float = 0.0) -> np.ndarray:
    """Intensities to [0, 1] by minimum and maximum, float32; a constant array becomes 0.

    Parameters
    ----------
    array : np.ndarray
    clip_fraction : float
        This fraction of the values is clipped at either end first.
    """
    if clip_fraction:
        low, high = np.quantile(array, (clip_fraction, 1 - clip_fraction)).tolist()
        # Where all but a few values are equal, those few are what there is to see.
        if low < high:
            array = np.clip(array, low, high)
    low, high = array.min(), array.max()
    if low == high:
        return np.zeros(array.shape, np.float32)
    scaled = np.subtract(array, low, dtype=np.float32) if low else array
    return np.divide(scaled, high - low, dtype=np.float32)


def darken_fill(array: np.ndarray) -> None:
    """Give what fills a grid around what a scan shows the scan's least value; in place.

    A scan that was interpolated onto another grid is filled up with some dark value, which its own may fall below by
    then. It is that of at least four of the eight corners, and not the brightest of all.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``.
    """
    corners = array[np.ix_(*[(0, -1)] * 3)]
    values, counts = np.unique(corners, return_counts=True)
    fill, least = values[counts.argmax()], array.min()
    if counts.max() >= 4 and least < fill <= np.median(array) and fill < array.max():
        array[array == fill] = least


def shown_box(array: np.ndarray) -> tuple[slice, ...]:
    """What of a grid is not a margin of zeros, however wide somebody has made that; two voxels at least each way.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, not all 0.

    Returns
    -------
    tuple of slice
    """
    box = []
    for edges, size in zip(bounding_box(array != 0), array.shape, strict=True):
        start = min(edges.start, size - 2)
        box.append(slice(start, max(edges.stop, start + 2)))
    return tuple(box)


def resample_isotropic(
    array: np.ndarray, voxel_to_ras: np.ndarray, spacing: float, tolerance: float = GRID_TOLERANCE
) -> tuple[np.ndarray, np.ndarray]:
    """Linear resampling along the array's own axes to cubic voxels; the corner of the volume stays where it is.

    The new grid covers the old one; its last sample of an axis may lie beyond the volume and is then 0. Within the
    outer half of a border voxel its value holds (ITK's convention, and so TorchIO's).

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, float32.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``.
    spacing : float
        Edge of the new voxels, mm.
    tolerance : float
        Fraction of a new voxel that may stay uncovered at the end. A header's rounding (3.0000002 mm) would else add a
        sample, as it does in the official program.

    Returns
    -------
    array : np.ndarray
        Shape ``ceil(n · old spacing / spacing - tolerance)``, float32.
    voxel_to_ras : np.ndarray
        Of the new grid.
    """
    factors = spacing / voxel_sizes(voxel_to_ras)
    for axis, factor in enumerate(factors):
        array = _resample_axis(array, axis, factor, tolerance)
    grid_to_voxel = np.diag([*factors, 1.0])
    grid_to_voxel[:3, 3] = (factors - 1) / 2
    return array, voxel_to_ras @ grid_to_voxel


def _resample_axis(array: np.ndarray, axis: int, factor: float, tolerance: float) -> np.ndarray:
    """One axis of `resample_isotropic`; the array itself where its samples stay where they are."""
    n_old = array.shape[axis]
    n_new = max(1, math.ceil(n_old / factor - tolerance))
    position = (np.arange(n_new) + 0.5) * factor - 0.5
    if n_new == n_old and np.abs(position - np.arange(n_old)).max() < SAME_SAMPLE:
        return array
    clipped = np.clip(position, 0, n_old - 1)
    low = np.minimum(clipped.astype(int), n_old - 2)
    # Positions in float64, as sums of many voxels; what is left of them in one voxel needs no more than float32.
    weight = (clipped - low).astype(np.float32)
    along = [1, 1, 1]
    along[axis] = -1
    below, resampled = array.take(low, axis), array.take(low + 1, axis)
    resampled -= below
    resampled *= weight.reshape(along)
    resampled += below
    np.moveaxis(resampled, axis, 0)[position > n_old - 0.5] = 0
    return resampled


def crop_or_pad(
    array: np.ndarray, voxel_to_ras: np.ndarray, edges: int | tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Crop or zero-pad around the middle; of an odd number of voxels the larger half stands in front.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``.
    edges : int or tuple of int
        Voxels along each axis of the result, or of a cube.

    Returns
    -------
    array : np.ndarray
        Shape ``edges``.
    voxel_to_ras : np.ndarray
        Of the result.
    """
    shape = (edges,) * 3 if isinstance(edges, int) else edges
    halves = [math.ceil(abs(edge - size) / 2) for size, edge in zip(array.shape, shape, strict=True)]
    start = [half if size > edge else -half for half, size, edge in zip(halves, array.shape, shape, strict=True)]
    box = tuple(slice(first, first + edge) for first, edge in zip(start, shape, strict=True))
    return cut(array, box), voxel_to_ras @ rigid(np.eye(3), start)


def cut(array: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """What an array ``[I, J, K]`` shows in a box of voxels, which may reach beyond it on any side: zeros there."""
    result = np.zeros([edges.stop - edges.start for edges in box], array.dtype)
    inside, within = _overlap(array.shape, box)
    result[within] = array[inside]
    return result


def put_back(content: np.ndarray, box: tuple[slice, ...], shape: tuple[int, ...]) -> np.ndarray:
    """An array of that shape with the content of a box in its place, and zeros elsewhere; the inverse of `cut`."""
    result = np.zeros(shape, content.dtype)
    inside, within = _overlap(shape, box)
    result[inside] = content[within]
    return result


def _overlap(shape: tuple[int, ...], box: tuple[slice, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where grid and box have voxels in common: as slices of the grid, and as slices of the box."""
    inside = tuple(
        slice(min(max(edges.start, 0), n), min(max(edges.stop, 0), n)) for edges, n in zip(box, shape, strict=True)
    )
    within = tuple(
        slice(part.start - edges.start, part.stop - edges.start) for part, edges in zip(inside, box, strict=True)
    )
    return inside, within


def whole_multiple(shape: tuple[int, ...], stride: int) -> tuple[int, ...]:
    """The least edges, each a multiple of `stride` voxels, that hold a volume of some shape.

    >>> whole_multiple((110, 16, 30), 16)
    (112, 16, 32)
    """
    return tuple(-(-n // stride) * stride for n in shape)


def nearest_on_grid(
    labels: np.ndarray, labels_to_ras: np.ndarray, shape: tuple[int, int, int], voxel_to_ras: np.ndarray
) -> np.ndarray:
    """Labels carried to another grid by the nearest voxel; 0 outside.

    Parameters
    ----------
    labels : np.ndarray
        Shape ``[D, H, W]``.
    labels_to_ras, voxel_to_ras : np.ndarray
        Shape ``[4, 4]``.
    shape : tuple of int
        Of the other grid.

    Returns
    -------
    np.ndarray
        Of that shape, in the type of `labels`.
    """
    voxel_to_label = np.linalg.inv(labels_to_ras) @ voxel_to_ras
    linear = voxel_to_label[:3, :3]
    if np.abs(linear - np.diag(np.diag(linear))).max() * max(shape) > 0.5:
        carried = np.zeros(shape, labels.dtype)
        box = reached_box(labels.shape, np.linalg.inv(voxel_to_label), shape)
        offset = transform_points(voxel_to_label, [edges.start for edges in box])
        size = tuple(edges.stop - edges.start for edges in box)
        carried[box] = ndimage.affine_transform(labels, linear, offset, output_shape=size, order=0)
        return carried
    # Axes that run alike need no more than an index for each.
    target = []
    for axis, size in enumerate(shape):
        index = np.rint(np.arange(size) * voxel_to_label[axis, axis] + voxel_to_label[axis, 3]).astype(int)
        inside = ((index >= 0) & (index < labels.shape[axis])).nonzero()[0]
        labels = labels.take(index[inside], axis)
        # Indices grow or shrink along an axis, so those inside follow each other.
        target.append(slice(inside[0], inside[-1] + 1) if len(inside) else slice(0))
    carried = np.zeros(shape, labels.dtype)
    carried[tuple(target)] = labels
    return carried


def reached_box(
    content_shape: tuple[int, int, int], content_to_grid: np.ndarray, shape: tuple[int, int, int]
) -> tuple[slice, ...]:
    """The box of a grid's voxels, ``[I, J, K]`` of them, that may show any of an array that stands askew in it.

    Parameters
    ----------
    content_shape : tuple of int
        Of the array.
    content_to_grid : np.ndarray
        Shape ``[4, 4]``, from the array's voxels to those of the grid.
    shape : tuple of int
        Of the grid.

    Returns
    -------
    tuple of slice
        Within the grid; empty along an axis on which the array lies beside it.
    """
    corners = np.array(list(np.ndindex(2, 2, 2))) * np.array(content_shape) - 0.5
    reach = transform_points(content_to_grid, corners)
    starts = np.floor(reach.min(axis=0)).astype(int).clip(0, shape)
    stops = (np.ceil(reach.max(axis=0)).astype(int) + 1).clip(starts, shape)
    return tuple(map(slice, starts.tolist(), stops.tolist()))


def straighten(volume: Volume) -> Volume:
    """A scan whose voxel axes are not at right angles, sampled on the nearest grid whose axes are.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    Volume
        Linearly interpolated, float32, with the same voxel sizes; it covers the scan, with its least value around it.

    Raises
    ------
    VolumeError
        If the intensities are of no use, see `Volume.intensities`.
    """
    left, _, right = np.linalg.svd(direction_cosines(volume.voxel_to_ras))
    axes = rigid(left @ right, np.zeros(3))
    corners = np.array(list(product(*[(0, n - 1) for n in volume.shape])))
    along_axes = transform_points(axes.T @ volume.voxel_to_ras, corners) / volume.spacing
    first, last = np.floor(along_axes.min(axis=0)), np.ceil(along_axes.max(axis=0))
    grid_to_ras = axes @ np.diag([*volume.spacing, 1.0]) @ rigid(np.eye(3), first)
    grid_to_voxel = np.linalg.inv(volume.voxel_to_ras) @ grid_to_ras
    shape = tuple((last - first + 1).astype(int).tolist())
    values = volume.intensities()
    array = ndimage.affine_transform(
        values, grid_to_voxel[:3, :3], grid_to_voxel[:3, 3], output_shape=shape, order=1, cval=float(values.min())
    )
    return Volume(array, grid_to_ras, name=volume.name)


def reslice(volume: Volume, canonical_to_ras: np.ndarray, spacing: float, edge: float = RESLICED_EDGE_MM) -> Volume:
    """The scan as seen from the head: a cube around its origin along its right, anterior and superior axes.

    Parameters
    ----------
    volume : Volume
    canonical_to_ras : np.ndarray
        Shape ``[4, 4]``, the pose.
    spacing, edge : float
        Voxel size and edge of the cube, mm.

    Returns
    -------
    Volume
        Linearly interpolated, float32, 0 outside of the scan; its world is the head's frame, so any viewer shows the
        head upright.

    Raises
    ------
    ValueError
        If the spacing is not positive or leaves less than 8 voxels.
    """
    if not 0 < spacing <= edge / 8:
        raise ValueError(f"cannot reslice a cube of {edge:g} mm at a spacing of {spacing:g} mm")
    n = round(edge / spacing)
    grid_to_canonical = np.diag([spacing] * 3 + [1.0])
    grid_to_canonical[:3, 3] = -(n - 1) / 2 * spacing
    grid_to_voxel = np.linalg.inv(volume.voxel_to_ras) @ canonical_to_ras @ grid_to_canonical
    resliced = ndimage.affine_transform(
        volume.intensities(), grid_to_voxel[:3, :3], grid_to_voxel[:3, 3], output_shape=(n, n, n), order=1
    )
    return Volume(resliced, grid_to_canonical, name=f"{volume.name} resliced")
