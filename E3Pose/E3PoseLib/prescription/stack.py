"""A stack of slices in a plane of the head, planned so that it covers the brain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import PrescriptionError
from ..imaging.geometry import check_rigid, invert_rigid, outermost_voxels, transform_points
from .settings import PLANES, StackSettings

CUT_BRAIN = "the scan ends in the brain: on that side the slices reach as far as what is seen does on the other"
"""What is to be known of slices around a brain that is cut."""

ROUNDING_SLICES = 1e-6
"""Part of a slice by which the brain may stick out of a stack: rounding alone must not add a slice."""


@dataclass(frozen=True, eq=False)
class SlicePlane:
    """Where slices lie and how their images stand.

    Parameters
    ----------
    plane : str
        Of the head, one of `PLANES`.
    centre : np.ndarray
        Shape ``[3]``, RAS mm: the middle of the stack.
    row, column : np.ndarray
        Shape ``[3]``, unit vectors in RAS: along a row of the image (to the right on the screen) and along a column
        (downwards).

    Raises
    ------
    PrescriptionError
        If the vectors are not finite, not of length one or not at right angles.
    """

    plane: str
    centre: np.ndarray
    row: np.ndarray
    column: np.ndarray

    def __post_init__(self) -> None:
        for name in ("centre", "row", "column"):
            vector = np.asarray(getattr(self, name), dtype=np.float64)
            if vector.shape != (3,) or not np.isfinite(vector).all():
                raise PrescriptionError(f"the {name} of a slice is three finite numbers, not {vector.tolist()}")
            object.__setattr__(self, name, vector)
        axes = np.stack([self.row, self.column])
        if not np.allclose(axes @ axes.T, np.eye(2), atol=1e-4):
            raise PrescriptionError(
                f"row and column of a slice are unit vectors at right angles, not {self.row.tolist()} and "
                f"{self.column.tolist()}"
            )

    @property
    def normal(self) -> np.ndarray:
        """``row × column``, ``[3]``, in RAS: from each slice to the next."""
        return np.cross(self.row, self.column)


@dataclass(frozen=True, eq=False)
class Stack(SlicePlane):
    """Parallel slices of one size, see `SlicePlane` for where they lie.

    Parameters
    ----------
    field_of_view, matrix, thickness, gap
        As in `StackSettings`.
    n_slices : int
    """

    field_of_view: tuple[float, float]
    matrix: tuple[int, int]
    thickness: float
    gap: float
    n_slices: int

    @property
    def spacing(self) -> float:
        """From the middle of one slice to that of the next, mm."""
        return self.thickness + self.gap

    @property
    def length(self) -> float:
        """From the outer face of the first slice to that of the last, mm."""
        return self.n_slices * self.spacing - self.gap

    @property
    def pixel_sizes(self) -> tuple[float, float]:
        """Of a pixel along a row and along a column, mm."""
        return self.field_of_view[0] / self.matrix[0], self.field_of_view[1] / self.matrix[1]

    @property
    def slice_centres(self) -> np.ndarray:
        """Middles of the slices, ``[n_slices, 3]``, RAS mm."""
        steps = (np.arange(self.n_slices) - (self.n_slices - 1) / 2) * self.spacing
        return self.centre + steps[:, None] * self.normal

    @property
    def voxel_to_ras(self) -> np.ndarray:
        """From the voxels of the images to RAS, ``[4, 4]``: i along a row, j along a column, k from slice to slice."""
        matrix = np.eye(4)
        axes = np.stack([self.row, self.column, self.normal], axis=1)
        matrix[:3, :3] = axes * [*self.pixel_sizes, self.spacing]
        matrix[:3, 3] = self.centre - matrix[:3, :3] @ ((np.array([*self.matrix, self.n_slices]) - 1) / 2)
        return matrix

    @property
    def box_to_ras(self) -> np.ndarray:
        """From the cube [-1, 1]³ to the stack's box in RAS, ``[4, 4]``: along a row, a column and the normal."""
        matrix = np.eye(4)
        axes = np.stack([self.row, self.column, self.normal], axis=1)
        matrix[:3, :3] = axes * np.array([*self.field_of_view, self.length]) / 2
        matrix[:3, 3] = self.centre
        return matrix


def brain_box(
    canonical_to_ras: np.ndarray, mask: np.ndarray, voxel_to_ras: np.ndarray, is_cut: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The box along the head's axes that holds all of the brain mask's voxels, edges included.

    Of a brain that the scan cuts the mask shows a part, and the pose has the middle of the whole: the box then reaches
    as far to one side of that as to the other.

    Parameters
    ----------
    canonical_to_ras : np.ndarray
        Shape ``[4, 4]``, the pose.
    mask : np.ndarray
        Shape ``[I, J, K]``, not 0 in the brain.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``, of the mask.
    is_cut : bool
        Whether the scan ends in the brain.

    Returns
    -------
    low, high : np.ndarray
        Shape ``[3]`` each, mm in the head's frame.

    Raises
    ------
    PrescriptionError
        If the mask is empty.
    TransformError
        If the pose is not rigid.
    """
    index = outermost_voxels(np.asarray(mask) != 0)
    if not len(index):
        raise PrescriptionError("the brain mask is empty: no slices can be planned around it")
    voxel_to_canonical = invert_rigid(canonical_to_ras) @ voxel_to_ras
    centres = transform_points(voxel_to_canonical, index)
    half_voxel = np.abs(voxel_to_canonical[:3, :3]).sum(axis=1) / 2
    low, high = centres.min(axis=0) - half_voxel, centres.max(axis=0) + half_voxel
    if is_cut:
        reach = np.maximum(-low, high)
        return -reach, reach
    return low, high


def head_planes(
    canonical_to_ras: np.ndarray, mask: np.ndarray, voxel_to_ras: np.ndarray, is_cut: bool = False
) -> dict[str, SlicePlane]:
    """The planes of the head through the middle of its `brain_box`; parameters and errors as there."""
    box = brain_box(canonical_to_ras, mask, voxel_to_ras, is_cut)
    return {name: _plane_through(name, canonical_to_ras, *box) for name in PLANES}


def plan_stack(
    plane: str,
    canonical_to_ras: np.ndarray,
    mask: np.ndarray,
    voxel_to_ras: np.ndarray,
    settings: StackSettings | None = None,
    is_cut: bool = False,
) -> Stack:
    """Plan slices in a plane of the head, as few as cover the brain and a margin.

    The stack's middle is that of the brain's box along the head's axes. The first slice begins and the last one ends
    beyond the margin.

    Parameters
    ----------
    plane : str
        One of `PLANES`.
    canonical_to_ras : np.ndarray
        Shape ``[4, 4]``, the pose.
    mask : np.ndarray
        Shape ``[I, J, K]``, not 0 in the brain.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``, of the mask.
    settings : StackSettings, optional
        Its defaults if not given.
    is_cut : bool
        Whether the scan ends in the brain, see `brain_box`.

    Returns
    -------
    Stack

    Raises
    ------
    PrescriptionError
        If there is no such plane, the mask is empty, or the brain needs more slices or a larger field of view.
    TransformError
        If the pose is not rigid.
    """
    settings = settings or StackSettings()
    low, high = brain_box(canonical_to_ras, mask, voxel_to_ras, is_cut)
    place = _plane_through(plane, canonical_to_ras, low, high)
    row, column = np.abs(PLANES[plane])
    edges = high - low + 2 * settings.margin
    needed = float(edges @ row), float(edges @ column)
    if needed[0] > settings.field_of_view[0] or needed[1] > settings.field_of_view[1]:
        raise PrescriptionError(
            f"{plane}: a field of view of {settings.field_of_view[0]:g} × {settings.field_of_view[1]:g} mm does not "
            f"cover the brain with a margin of {settings.margin:g} mm; at least {math.ceil(needed[0])} × "
            f"{math.ceil(needed[1])} mm are needed"
        )
    across = float(edges @ (1 - row - column))
    # n slices and the n - 1 gaps between them.
    spacing = settings.thickness + settings.gap
    n_slices = max(1, math.ceil((across + settings.gap) / spacing - ROUNDING_SLICES))
    if n_slices > settings.max_slices:
        raise PrescriptionError(
            f"{plane}: {n_slices} slices of {settings.thickness:g} mm with a gap of {settings.gap:g} mm are needed to "
            f"cover the brain with a margin of {settings.margin:g} mm, and {settings.max_slices} are allowed; allow "
            f"{n_slices}, or take thicker slices, a larger gap or a smaller margin"
        )
    return Stack(
        plane,
        place.centre,
        place.row,
        place.column,
        settings.field_of_view,
        settings.matrix,
        settings.thickness,
        settings.gap,
        n_slices,
    )


def _plane_through(plane: str, canonical_to_ras: np.ndarray, low: np.ndarray, high: np.ndarray) -> SlicePlane:
    if plane not in PLANES:
        raise PrescriptionError(f"{plane!r} is no plane of the head; choose from {', '.join(PLANES)}")
    canonical_to_ras = check_rigid(canonical_to_ras)
    row, column = (canonical_to_ras[:3, :3] @ direction for direction in PLANES[plane])
    return SlicePlane(plane, transform_points(canonical_to_ras, (low + high) / 2), row, column)
