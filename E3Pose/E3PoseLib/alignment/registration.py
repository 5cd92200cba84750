"""Rigid registration of a stack to what other stacks show, by SimpleITK."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ..errors import DependencyError
from ..imaging.boxes import grown
from ..imaging.geometry import LPS_TO_RAS, direction_cosines, rigid, transform_points, voxel_sizes
from ..imaging.masks import filled_box
from .stack import PosedStack, Sample, grid_points, grid_to_frame, normalised, unshaded

if TYPE_CHECKING:
    import SimpleITK

_SHRINK, _SIGMAS_MM = (2, 1), (4.0, 1.0)
_SAMPLED = (1.0, 0.3)
_SEED = 1
"""Regular samples are moved at random within their voxel; by a fixed seed the same stacks give the same answer."""

_STEPS, _FIRST_STEP, _LAST_STEP = 50, 2.0, 0.02
_MARGIN_MM = 25.0


def can_register() -> bool:
    """Whether SimpleITK is installed."""
    return importlib.util.find_spec("SimpleITK") is not None


def registered(
    stack: PosedStack, others: Sample, where: np.ndarray, start: np.ndarray, *, roughly: bool = False
) -> np.ndarray:
    """Where the frame lies in a stack, so that it is most like what others show in that frame.

    Parameters
    ----------
    stack : PosedStack
    others : Sample
    where : np.ndarray
        Bool ``[N, N, N]``, not empty: where they are compared.
    start : np.ndarray
        Shape ``[4, 4]``, rigid, mm: ``frame_to_ras`` to begin with.
    roughly : bool
        Whether half the resolution will do, at a third of the cost.

    Returns
    -------
    np.ndarray
        ``frame_to_ras``, float64 ``[4, 4]``, rigid. The start where no better one was found.

    Raises
    ------
    DependencyError
        If SimpleITK is not installed.
    """
    if not can_register():
        raise DependencyError("registration needs SimpleITK; install it: pip install 'e3pose[formats]'")
    import SimpleITK

    compared = where & others.covered
    if not compared.any():
        return start
    box = grown(filled_box(compared), 4, tuple(slice(0, n) for n in compared.shape))
    corner = rigid(np.eye(3), [edges.start for edges in box])
    fixed = sitk_image(others.values[box], grid_to_frame() @ corner)
    mask = sitk_image(compared[box].astype(np.uint8), grid_to_frame() @ corner)
    moving = _moving(stack, start, where)
    if moving is None:
        return start
    transform = SimpleITK.Euler3DTransform()
    lps = LPS_TO_RAS @ start @ LPS_TO_RAS
    transform.SetMatrix([float(value) for value in lps[:3, :3].ravel()], 1e-6)
    transform.SetTranslation([float(value) for value in lps[:3, 3]])
    method = SimpleITK.ImageRegistrationMethod()
    if stack.is_shaded:
        # SimpleITK's correlation is squared, and goes to where a stack shows the opposite too. Where all have a
        # standard deviation of 1, the least squares are the highest correlation.
        method.SetMetricAsMeanSquares()
    else:
        # What counts as it is may differ in contrast from the others, which correlation allows.
        method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(mask)
    method.SetMetricSamplingStrategy(method.REGULAR)
    levels = slice(1 if roughly else None)
    method.SetMetricSamplingPercentagePerLevel(_SAMPLED[levels], _SEED)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetShrinkFactorsPerLevel(_SHRINK[levels])
    method.SetSmoothingSigmasPerLevel(_SIGMAS_MM[levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetOptimizerAsRegularStepGradientDescent(_FIRST_STEP, _LAST_STEP, _STEPS, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:  # the stack has left the region: it is not there
        return start
    found = np.eye(4)
    found[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    found[:3, 3] = transform.GetTranslation()
    return LPS_TO_RAS @ found @ LPS_TO_RAS


def _moving(stack: PosedStack, start: np.ndarray, where: np.ndarray) -> SimpleITK.Image | None:
    """The part of the stack about the region, without shading, which is smoothed and interpolated faster than the
    whole."""
    to_voxel = np.linalg.inv(stack.volume.voxel_to_ras) @ start
    reached = transform_points(to_voxel, grid_points()[where])
    margin = _MARGIN_MM / voxel_sizes(stack.volume.voxel_to_ras)
    low = np.maximum(np.floor(reached.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(reached.max(axis=0) + margin) + 1, stack.volume.shape).astype(int)
    if (high - low < 4).any():
        return None
    part = stack.intensities[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    part_to_ras = stack.volume.voxel_to_ras @ rigid(np.eye(3), low)
    if not stack.is_shaded:
        return sitk_image(part, part_to_ras)
    to_grid = np.linalg.inv(grid_to_frame()) @ np.linalg.inv(start) @ part_to_ras
    weight = ndimage.affine_transform(
        where.astype(np.float32), to_grid[:3, :3], to_grid[:3, 3], output_shape=part.shape, order=1
    )
    inside = weight > 0.5
    if not inside.any():
        return None
    return sitk_image(normalised(unshaded(part, weight, voxel_sizes(part_to_ras)), inside), part_to_ras)


def sitk_image(array: np.ndarray, voxel_to_ras: np.ndarray) -> SimpleITK.Image:
    """An array on its grid as SimpleITK has it: its first axis runs fastest, its world is LPS.

    Parameters
    ----------
    array : np.ndarray
        ``[X, Y, Z]``; all but uint8 becomes float32.
    voxel_to_ras : np.ndarray
        ``[4, 4]``, mm.
    """
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T))
    lps = LPS_TO_RAS @ voxel_to_ras
    image.SetSpacing([float(size) for size in voxel_sizes(lps)])
    image.SetDirection([float(value) for value in direction_cosines(lps).ravel()])
    image.SetOrigin([float(value) for value in lps[:3, 3]])
    return SimpleITK.Cast(image, SimpleITK.sitkFloat32) if array.dtype != np.uint8 else image
