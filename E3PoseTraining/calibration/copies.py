"""Other scans made of one whose pose is known: harder to read, or without its head; and scans of nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from E3PoseLib.errors import DatasetError
from E3PoseLib.imaging.geometry import rigid, transform_points
from E3PoseLib.imaging.masks import bounding_box
from E3PoseLib.imaging.volume import Volume

from ..data.folders import check_same_grid
from ..synthesis.scanner.fields import receive_field

HEAD_MM = 75.0
"""From the brain's centre, what is never cut off."""


def harder(scan: Volume, centre: np.ndarray, generator: np.random.Generator) -> Volume:
    """A copy of a scan, whose brain's centre in RAS mm is given, that is harder to read."""
    array = scan.array.astype(np.float32) * receive_field(scan.shape, scan.spacing, generator)
    bright = np.float32(np.quantile(array, 0.995))
    array = bright * np.maximum(array / bright, 0) ** np.float32(np.exp(generator.uniform(-0.4, 0.4)))
    sigma = bright * generator.uniform(0, 0.04)
    array = np.hypot(array + generator.normal(0, sigma, array.shape), generator.normal(0, sigma, array.shape))
    if generator.random() < 0.4:
        slices = np.moveaxis(array, int(np.argmax(scan.spacing)), 0)
        slices[generator.integers(0, len(slices), 3)] *= generator.uniform(0.2, 0.7)
    scan = replace(scan, array=array.astype(np.float32))
    if generator.random() < 0.4:
        scan = thicker(scan, int(generator.integers(3)), generator.uniform(1.2, 2.0))
    return narrower(scan, centre, generator) if generator.random() < 0.6 else scan


def thicker(scan: Volume, axis: int, factor: float) -> Volume:
    """Slices across an axis that are thicker and further apart by a factor."""
    array = np.moveaxis(scan.array, axis, 0)
    taken = np.arange((factor - 1) / 2, len(array) - 1, factor)
    blurred = ndimage.gaussian_filter1d(array, 0.4 * factor, axis=0)
    share = (taken % 1).astype(np.float32)[:, None, None]
    below = taken.astype(int)
    array = np.moveaxis((1 - share) * blurred[below] + share * blurred[below + 1], 0, axis)
    to_old = np.eye(4)
    to_old[axis, axis], to_old[axis, 3] = factor, taken[0]
    return Volume(array, scan.voxel_to_ras @ to_old, scan.name)


def narrower(scan: Volume, centre: np.ndarray, generator: np.random.Generator) -> Volume:
    """A smaller field of view, which holds the head."""
    voxel = transform_points(np.linalg.inv(scan.voxel_to_ras), centre)
    first, last = np.maximum(voxel - HEAD_MM / scan.spacing, 0), voxel + HEAD_MM / scan.spacing
    last = np.minimum(np.ceil(last), scan.shape)
    start = (first * generator.random(3)).astype(int)
    stop = (last + (scan.shape - last) * generator.random(3)).astype(int)
    kept = scan.array[tuple(map(slice, start, stop))]
    return Volume(kept, scan.voxel_to_ras @ rigid(np.eye(3), start), scan.name)


HEAD_MARGIN_MM = 25.0
"""From the brain's bounding box to where no part of the head is left; the face is further out in front only."""

SHORTEST_MM = 90.0
"""A side of the cut that is thinner than this shows nothing that could be taken for a head."""

GRID = np.diag([3.0, 3.0, 3.0, 1.0])


def body_without_head(scan: Volume, label: Volume) -> Volume | None:
    """The larger side of the best cut, or None where the head is in the middle of all axes.

    Parameters
    ----------
    scan : Volume
    label : Volume
        On the scan's grid, above 0 in the head.

    Raises
    ------
    DatasetError
        The label is on another grid, so that the cut would go through the head or keep it; or it shows no head.
    """
    check_same_grid(scan, label)
    best, largest = None, 0
    head = bounding_box(label.array > 0)
    if head is None:
        raise DatasetError(f"{label.name} has no voxel above 0.")
    for axis, (edges, size, step) in enumerate(zip(head, scan.shape, scan.spacing, strict=True)):
        margin = int(np.ceil(HEAD_MARGIN_MM / step))
        for side in (slice(0, max(0, edges.start - margin)), slice(min(size, edges.stop + margin), size)):
            kept = side.stop - side.start
            if kept * step >= SHORTEST_MM and kept / size > largest:
                best, largest = (axis, side), kept / size
    if best is None:
        return None
    axis, side = best
    cut = tuple(side if dimension == axis else slice(None) for dimension in range(3))
    shift = np.eye(4)
    shift[axis, 3] = side.start
    return Volume(scan.array[cut], scan.voxel_to_ras @ shift, scan.name)


def strange_volumes(count: int, generator: np.random.Generator) -> Iterator[tuple[str, Volume]]:
    """Noise, smooth noise, ellipsoids of adult size, and such as lie bare; each with the name of its kind."""
    # Of its own, so that the other kinds are what they were for a seed before there were bare ones.
    (alone,) = generator.spawn(1)
    offset = np.stack(np.meshgrid(*[np.arange(90) - 44.5] * 3, indexing="ij"), axis=-1) * 3.0
    for _ in range(count):
        noise = np.abs(generator.normal(size=(90, 90, 90)))
        smooth = ndimage.gaussian_filter(generator.normal(size=(90, 90, 90)), generator.uniform(2, 8))
        ball = ((offset / generator.uniform([65, 80, 60], [85, 105, 85])) ** 2).sum(axis=-1) < 1
        yield "noise", Volume((500 * noise).astype(np.int16), GRID)
        yield "smooth noise", Volume((500 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.int16), GRID)
        yield "adult ellipsoid", Volume((500 * (0.7 * ball + 0.05 * noise)).astype(np.int16), GRID)
        yield "bare ellipsoid", _bare_ellipsoid(alone)


def _bare_ellipsoid(generator: np.random.Generator) -> Volume:
    """An ellipsoid as large as a fetal brain with nothing around it, as a skull-stripped brain is stored.

    In any pose; of one tissue, mottled, or of several in shells.
    """
    offset = np.stack(np.meshgrid(*[np.arange(80) - 39.5] * 3, indexing="ij"), axis=-1) * 1.5
    turn = Rotation.random(random_state=generator).as_matrix()
    distance = np.linalg.norm(offset @ turn / generator.uniform(18, 50, size=3), axis=-1)
    values = np.full(distance.shape, 500.0)
    for border in generator.uniform(0.2, 0.95, size=generator.integers(0, 4)):
        values[distance < border] *= generator.uniform(0.4, 1.8)
    mottling = ndimage.gaussian_filter(generator.normal(size=distance.shape), generator.uniform(0.5, 4))
    values *= np.exp(generator.uniform(0, 0.3) * mottling / mottling.std())
    return Volume(np.where(distance < 1, values, 0).astype(np.int16), np.diag([1.5, 1.5, 1.5, 1.0]))
