"""Resampling: to cubic voxels, to another grid, to orthogonal axes, and to the head's planes by a pose."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from scipy import ndimage

from .boxes import Box
from .geometry import direction_cosines, rigid, transform_points, voxel_sizes
from .volume import Volume

RESLICED_EDGE_MM = 180.0
"""Edge of the resliced cube; holds the head of a fetus at term with a margin."""

GRID_TOLERANCE = 1e-4
"""Fraction of a voxel that a new grid may leave uncovered at its end; for the rounding of voxel sizes in headers."""

SAME_SAMPLE = 1e-6
"""Distance, in voxels, below which two sample positions count as the same: below the precision of float32."""


def resample_isotropic(
    array: np.ndarray, voxel_to_ras: np.ndarray, spacing: float, tolerance: float = GRID_TOLERANCE
) -> tuple[np.ndarray, np.ndarray]:
    """Resample linearly along the array's own axes to cubic voxels; the first corner of the volume keeps its position.

    The new grid covers the old one. The last sample along an axis may lie beyond the volume and is then 0. Within the
    outer half of a border voxel the value is constant, as in ITK and TorchIO.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, float32.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``.
    spacing : float
        Edge of the new voxels, mm.
    tolerance : float
        Fraction of a new voxel that may stay uncovered at the end. Without it the rounding of a header (3.0000002 mm)
        would add a sample, as it does in the official program.

    Returns
    -------
    array : np.ndarray
        Shape ``ceil(n · old spacing / spacing - tolerance)``, float32.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``, of the new grid.
    """
    factors = spacing / voxel_sizes(voxel_to_ras)
    for axis, factor in enumerate(factors):
        array = _resample_axis(array, axis, factor, tolerance)
    grid_to_voxel = np.diag([*factors, 1.0])
    grid_to_voxel[:3, 3] = (factors - 1) / 2
    return array, voxel_to_ras @ grid_to_voxel


def _resample_axis(array: np.ndarray, axis: int, factor: float, tolerance: float) -> np.ndarray:
    """One axis of `resample_isotropic`; returns the array itself where no sample moves."""
    n_old = array.shape[axis]
    n_new = max(1, math.ceil(n_old / factor - tolerance))
    position = (np.arange(n_new) + 0.5) * factor - 0.5
    if n_new == n_old and np.abs(position - np.arange(n_old)).max() < SAME_SAMPLE:
        return array
    clipped = np.clip(position, 0, n_old - 1)
    low = np.minimum(clipped.astype(int), n_old - 2)
    # Positions are float64, as they grow with the array; their fraction within one voxel is exact enough in float32.
    weight = (clipped - low).astype(np.float32)
    along = [1, 1, 1]
    along[axis] = -1
    below, resampled = array.take(low, axis), array.take(low + 1, axis)
    resampled -= below
    resampled *= weight.reshape(along)
    resampled += below
    np.moveaxis(resampled, axis, 0)[position > n_old - 0.5] = 0
    return resampled


def nearest_on_grid(
    labels: np.ndarray, labels_to_ras: np.ndarray, shape: tuple[int, int, int], voxel_to_ras: np.ndarray
) -> np.ndarray:
    """Resample labels to another grid by nearest neighbour; 0 outside.

    Parameters
    ----------
    labels : np.ndarray
        Shape ``[D, H, W]``.
    labels_to_ras, voxel_to_ras : np.ndarray
        Shape ``[4, 4]``.
    shape : tuple of int
        Shape of the other grid.

    Returns
    -------
    np.ndarray
        Shape `shape`, with the dtype of `labels`.
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
    # Parallel axes: one array of indices for each axis is enough.
    target = []
    for axis, n in enumerate(shape):
        index = np.rint(np.arange(n) * voxel_to_label[axis, axis] + voxel_to_label[axis, 3]).astype(int)
        inside = ((index >= 0) & (index < labels.shape[axis])).nonzero()[0]
        labels = labels.take(index[inside], axis)
        # The indices are monotonic, so those inside are consecutive.
        target.append(slice(inside[0], inside[-1] + 1) if len(inside) else slice(0))
    carried = np.zeros(shape, labels.dtype)
    carried[tuple(target)] = labels
    return carried


def reached_box(content_shape: tuple[int, ...], content_to_grid: np.ndarray, shape: tuple[int, ...]) -> Box:
    """The box of a grid's voxels that an array placed obliquely in that grid can overlap.

    Parameters
    ----------
    content_shape : tuple of int
        Shape of the array, ``(D, H, W)``.
    content_to_grid : np.ndarray
        Shape ``[4, 4]``, from the array's voxels to those of the grid.
    shape : tuple of int
        Shape of the grid.

    Returns
    -------
    Box
        Within the grid; empty along an axis on which the two do not overlap.
    """
    corners = np.array(list(np.ndindex(2, 2, 2))) * np.array(content_shape) - 0.5
    reach = transform_points(content_to_grid, corners)
    starts = np.floor(reach.min(axis=0)).astype(int).clip(0, shape)
    stops = (np.ceil(reach.max(axis=0)).astype(int) + 1).clip(starts, shape)
    return tuple(map(slice, starts.tolist(), stops.tolist()))


def straighten(volume: Volume) -> Volume:
    """Resample a scan whose voxel axes are not orthogonal to the nearest grid with orthogonal axes.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    Volume
        Interpolated linearly, float32, with the same voxel sizes. It covers the scan;
        the rest has the scan's least value.

    Raises
    ------
    VolumeError
        If the intensities cannot be used; see `Volume.intensities`.
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
    """Resample a scan to a cube around the head, along the head's right, anterior and superior axes.

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
        Interpolated linearly, float32, 0 outside the scan. Its world is the head's frame, so any viewer shows the head
        upright.

    Raises
    ------
    ValueError
        If the spacing is not positive or leaves less than 8 voxels.
    """
    if not 0 < spacing <= edge / 8:
        raise ValueError(f"cannot reslice a cube of {edge:g} mm at a spacing of {spacing:g} mm")
    shape, grid_to_canonical = resliced_grid(spacing, edge)
    grid_to_voxel = np.linalg.inv(volume.voxel_to_ras) @ canonical_to_ras @ grid_to_canonical
    resliced = ndimage.affine_transform(
        volume.intensities(), grid_to_voxel[:3, :3], grid_to_voxel[:3, 3], output_shape=shape, order=1
    )
    return Volume(resliced, grid_to_canonical, name=f"{volume.name} resliced")


def resliced_grid(spacing: float, edge: float = RESLICED_EDGE_MM) -> tuple[tuple[int, int, int], np.ndarray]:
    """Shape of the cube that `reslice` makes, and its matrix ``[4, 4]`` from voxels to the head's frame."""
    n = round(edge / spacing)
    grid_to_canonical = np.diag([spacing] * 3 + [1.0])
    grid_to_canonical[:3, 3] = -(n - 1) / 2 * spacing
    return (n, n, n), grid_to_canonical
