"""One picture of a prescription: every stack's slices over the scan, in the patient's planes and in the head's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ...imaging.geometry import transform_points
from ...imaging.volume import Volume
from ...method.estimate import PoseEstimate
from ...prescription.settings import PLANES
from ...prescription.stack import SlicePlane, Stack
from ..picture import BRAIN_COLOUR, check_can_draw, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SLICE_COLOUR, BOX_COLOUR, DOUBT_COLOUR = "#4fc3f7", "#ff7043", "#ff5a5a"
_PIXEL_MM = 1.5
_HEADING_INCHES = 0.4
_VIEW_PER_FIELD = 1.2
"""Edge of a view, in fields of view."""

_SIDES = {"axial": ("R", "A"), "coronal": ("R", "S"), "sagittal": ("A", "S")}
"""What lies to the left and at the top of an image."""


def draw_stacks(path: Path, volume: Volume, estimate: PoseEstimate, stacks: Sequence[Stack]) -> None:
    """Draw planned stacks over the scan as a PNG: a row each, with views through the stack's middle in the axial,
    coronal and sagittal planes of the patient, as a console shows them, and of the head.

    Slices that a view cuts are lines, the first one marked; the stack's box is an outline.

    Parameters
    ----------
    path : Path
    volume : Volume
    estimate : PoseEstimate
        Of that volume.
    stacks : sequence of Stack

    Raises
    ------
    E3PoseError
        If matplotlib is not installed.
    OutputError
        If the file cannot be written.
    """
    check_can_draw()
    from matplotlib.figure import Figure

    height = 2.9 * len(stacks) + _HEADING_INCHES
    figure = Figure(figsize=(16.0, height), facecolor="black")
    top = 1 - (_HEADING_INCHES + 0.2) / height
    spaces = {"left": 0.005, "right": 0.995, "bottom": 0.01, "top": top, "wspace": 0.03, "hspace": 0.1}
    rows = figure.subplots(len(stacks), 2 * len(PLANES), squeeze=False, gridspec_kw=spaces)
    scan = volume.intensities()
    brain = (np.asarray(estimate.mask) > 0).astype(np.float32)
    brightest = float(np.percentile(scan, 99.7))
    frames = {"patient": np.eye(3), "head": estimate.canonical_to_ras[:3, :3]}
    for panels, stack in zip(rows, stacks, strict=True):
        for panel, (whose, name) in zip(panels, product(frames, PLANES), strict=True):
            row, column = (frames[whose] @ direction for direction in PLANES[name])
            view = SlicePlane(name, stack.centre, row, column)
            _draw_view(panel, view, stack, (scan, brain), volume.voxel_to_ras, (float(scan.min()), brightest))
            panel.set_title(f"{stack.plane} stack, {name} of the {whose}", color="white", fontsize=9)
    confidence = estimate.confidence
    doubtful = "DOUBTFUL POSE   " if confidence.level == "low" else ""
    figure.suptitle(
        f"{doubtful}{Path(volume.name).name}   confidence: {confidence.level}   yellow: brain, blue: slices (the first "
        "one thick), orange: the stack   not for clinical use",
        color=DOUBT_COLOUR if doubtful else "white",
        fontsize=10,
        y=1 - 0.5 * _HEADING_INCHES / height,
        va="center",
    )
    save_figure(figure, path)


def _draw_view(
    panel: Axes,
    view: SlicePlane,
    stack: Stack,
    arrays: tuple[np.ndarray, np.ndarray],
    voxel_to_ras: np.ndarray,
    window: tuple[float, float],
) -> None:
    """One view; `arrays` are the scan and the brain in its grid."""
    from matplotlib.collections import LineCollection

    half = max(stack.field_of_view) * _VIEW_PER_FIELD / 2
    steps = np.arange(-half, half + _PIXEL_MM / 2, _PIXEL_MM)
    points = view.centre + steps[:, None, None] * view.column + steps[None, :, None] * view.row
    voxels = np.moveaxis(transform_points(np.linalg.inv(voxel_to_ras), points), -1, 0)
    image, brain = (ndimage.map_coordinates(array, voxels, order=1, cval=float(array.min())) for array in arrays)
    panel.imshow(image, cmap="gray", extent=(-half, half, half, -half), vmin=window[0], vmax=window[1])
    if brain.max() > 0.5:
        panel.contour(steps, steps, brain, levels=[0.5], colors=BRAIN_COLOUR, linewidths=0.8)
    cuts = [_cut(view, corners, [(0, 1), (1, 2), (2, 3), (3, 0)]) for corners in _slice_corners(stack)]
    widths = [2.0, *[0.4] * (len(cuts) - 1)]
    lines = [(cut, width) for cut, width in zip(cuts, widths, strict=True) if len(cut) == 2]
    panel.add_collection(
        LineCollection(
            [cut for cut, _ in lines], linewidths=[width for _, width in lines], colors=SLICE_COLOUR, alpha=0.6
        )
    )
    outline = _box_outline(view, stack)
    if len(outline) > 2:
        panel.fill(*outline.T, fill=False, edgecolor=BOX_COLOUR, linewidth=1.2, zorder=3)
    left, top = _SIDES[view.plane]
    for letter, x, y in ((left, 0.03, 0.5), (top, 0.5, 0.96)):
        panel.text(x, y, letter, color="white", fontsize=8, ha="center", va="center", transform=panel.transAxes)
    panel.set_xlim(-half, half)
    panel.set_ylim(half, -half)
    panel.axis("off")


def _slice_corners(stack: Stack) -> np.ndarray:
    """Corners of the middle of every slice, in order around it, ``[n_slices, 4, 3]``, RAS mm."""
    along_row, along_column = np.array(stack.field_of_view) / 2
    around = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (along_row, along_column)
    return stack.slice_centres[:, None] + around @ np.stack([stack.row, stack.column])


def _box_outline(view: SlicePlane, stack: Stack) -> np.ndarray:
    """The outline of the stack's box in a view, in order around it, ``[N, 2]``, mm from the view's middle."""
    signs = np.array(list(product((-1, 1), repeat=3)))
    edges = [(a, b) for a, b in combinations(range(8), 2) if np.abs(signs[a] - signs[b]).sum() == 2]
    points = _cut(view, transform_points(stack.box_to_ras, signs), edges)
    if len(points) < 3:
        return points
    offset = points - points.mean(axis=0)
    return points[np.argsort(np.arctan2(offset[:, 1], offset[:, 0]))]


def _cut(view: SlicePlane, corners: np.ndarray, edges: Sequence[tuple[int, int]]) -> np.ndarray:
    """Where edges between corners (RAS mm) go through a view: along its row and column, ``[N, 2]``, mm."""
    offset = corners - view.centre
    # Slices that lie in the view's plane, but for rounding, go through it nowhere.
    heights = np.round(offset @ view.normal, 6)
    crossing = [(a, b) for a, b in edges if (heights[a] < 0) != (heights[b] < 0)]
    points = [offset[a] + (offset[b] - offset[a]) * heights[a] / (heights[a] - heights[b]) for a, b in crossing]
    return np.array(points).reshape(-1, 3) @ np.stack([view.row, view.column], axis=1)
