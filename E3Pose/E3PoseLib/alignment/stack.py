"""A stack of one fetus's head with its pose, and what it shows in a frame of the head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from ..imaging.geometry import transform_points
from ..imaging.volume import Volume

EDGE_MM, SPACING_MM = 140.0, 2.0
"""Of the cube about the origin of the head's frame in which stacks are compared; it holds a brain at term."""

SMOOTHING_MM = 2.0
"""Standard deviation: thick slices in different planes show alike what is coarser than this."""

SHADING_MM = 10.0
"""Standard deviation of the window of a local mean: what is coarser is the receive coils' shading, which is another one
in each stack, as the fetus moves below the coils."""

RIM_MM = 4.0
"""Around the brain: fluid and skull, which move with it."""

FURTHEST_DEVIATION = 4.0
"""In standard deviations; a bright vessel or fluid at the edge of a shaded region counts for no more."""

_LEAST_INSIDE = 100
_LEAST_WEIGHT, _LEAST_MEAN = 1e-4, 0.1


@dataclass(frozen=True, eq=False)
class PosedStack:
    """A stack and the pose of the head in it.

    Parameters
    ----------
    name : str
    volume : Volume
    canonical_to_ras : np.ndarray
        Shape ``[4, 4]``, rigid, mm.
    brain : np.ndarray
        Shape of the volume; above 0 in the brain.
    is_shaded : bool
        Whether coils may shade it. What is left of it then is relative to the local mean; else its intensities count as
        they are, in standard deviations from the brain's mean.
    """

    name: str
    volume: Volume
    canonical_to_ras: np.ndarray
    brain: np.ndarray
    is_shaded: bool = True

    @cached_property
    def intensities(self) -> np.ndarray:
        """See `Volume.intensities`."""
        return self.volume.intensities()

    @cached_property
    def brain_weight(self) -> np.ndarray:
        """The brain as float32, 0 or 1."""
        return (np.asarray(self.brain) > 0).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Sample:
    """What a stack, or several, show in a frame of the head.

    Parameters
    ----------
    values : np.ndarray
        Float32 ``[N, N, N]``, axes along +x, +y, +z of the frame; smoothed, free of shading, of mean 0 and standard
        deviation 1 where they are compared.
    covered : np.ndarray
        Bool, where the stack has voxels.
    brain : np.ndarray
        Float32, 0 to 1.
    """

    values: np.ndarray
    covered: np.ndarray
    brain: np.ndarray


def grid_to_frame() -> np.ndarray:
    """From the voxels of a `Sample` to the head's frame, ``[4, 4]``, mm."""
    n = round(EDGE_MM / SPACING_MM)
    matrix = np.diag([SPACING_MM] * 3 + [1.0])
    matrix[:3, 3] = -(n - 1) / 2 * SPACING_MM
    return matrix


def grid_points() -> np.ndarray:
    """The voxels of a `Sample` in the head's frame, ``[N, N, N, 3]``, mm."""
    n = round(EDGE_MM / SPACING_MM)
    return transform_points(grid_to_frame(), np.moveaxis(np.indices((n, n, n)), 0, -1))


def region(brain: np.ndarray) -> np.ndarray:
    """The brain and a rim around it, bool ``[N, N, N]``."""
    return ndimage.binary_dilation(brain > 0.5, iterations=round(RIM_MM / SPACING_MM))


def sampled(stack: PosedStack, frame_to_ras: np.ndarray, where: np.ndarray | None = None) -> Sample:
    """What a stack shows in a frame.

    Parameters
    ----------
    stack : PosedStack
    frame_to_ras : np.ndarray
        Shape ``[4, 4]``, rigid, mm: where the frame lies in that stack.
    where : np.ndarray, optional
        Bool ``[N, N, N]``: where it is compared, for shading and contrast to be taken there. None is the region of the
        stack's own brain; its brain alone where it is not shaded.
    """
    to_voxel = np.linalg.inv(stack.volume.voxel_to_ras) @ frame_to_ras @ grid_to_frame()
    n = round(EDGE_MM / SPACING_MM)
    values, brain = (
        ndimage.affine_transform(array, to_voxel[:3, :3], to_voxel[:3, 3], output_shape=(n, n, n), order=1)
        for array in (stack.intensities, stack.brain_weight)
    )
    steps = np.arange(n)
    covered = np.ones((n, n, n), bool)
    for (along_x, along_y, along_z, offset), size in zip(to_voxel[:3], stack.volume.shape, strict=True):
        index = along_x * steps[:, None, None] + along_y * steps[:, None] + along_z * steps + offset
        covered &= (index >= -0.5) & (index <= size - 0.5)
    blurred = smoothed(values, covered)
    if where is None:
        where = region(brain) if stack.is_shaded else brain > 0.5
    inside = where & covered
    if np.count_nonzero(inside) < _LEAST_INSIDE:
        inside = covered
    if stack.is_shaded:
        blurred = unshaded(blurred, inside.astype(np.float32), np.full(3, SPACING_MM))
    return Sample(normalised(blurred, inside), covered, brain)


def smoothed(values: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Values smoothed by `SMOOTHING_MM`, of what is covered alone."""
    sigma = SMOOTHING_MM / SPACING_MM
    weight = ndimage.gaussian_filter(covered.astype(np.float32), sigma)
    return ndimage.gaussian_filter(np.where(covered, values, 0).astype(np.float32), sigma) / np.maximum(weight, 0.05)


def unshaded(values: np.ndarray, weight: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Intensities over their local mean, so that smooth factors drop out.

    Parameters
    ----------
    values : np.ndarray
        ``[X, Y, Z]``, 0 or more.
    weight : np.ndarray
        Float32 of that shape, 0 to 1: where means are taken.
    spacing : np.ndarray
        Shape ``[3]``, mm.

    Returns
    -------
    np.ndarray
        Float32 ``[X, Y, Z]``, about 1; 1 where the weight is too far away for a mean.
    """
    sigma = SHADING_MM / np.asarray(spacing)
    near = ndimage.gaussian_filter(weight, sigma)
    mean = ndimage.gaussian_filter((values * weight).astype(np.float32), sigma) / np.maximum(near, _LEAST_WEIGHT)
    least = max(_LEAST_MEAN * float((values * weight).sum()) / max(float(weight.sum()), 1.0), 1e-6)
    return np.where(near > _LEAST_WEIGHT, values / np.maximum(mean, least), 1).astype(np.float32)


def normalised(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Values of mean 0 and standard deviation 1 inside, none further from 0 than `FURTHEST_DEVIATION`."""
    if not inside.any():
        return np.zeros_like(values)
    known = values[inside]
    deviations = (values - known.mean()) / max(float(known.std()), 1e-6)
    return deviations.clip(-FURTHEST_DEVIATION, FURTHEST_DEVIATION).astype(np.float32)
