"""One picture of an estimate: the scan as it is stored and as the head sees it, with the brain and the head's axes.

And what all pictures of scans share: a slice with an outline, and how a figure is saved.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import E3PoseError
from ..imaging.files import whole_file
from ..imaging.geometry import rigid
from ..imaging.resampling import reslice
from ..imaging.volume import Volume
from ..method.estimate import PoseEstimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLANES = ("sagittal", "coronal", "axial")
BRAIN_COLOUR = "#ffd54a"
AXIS_COLOURS = {"right": "#ff5a5a", "anterior": "#5ad75a", "superior": "#5aa0ff"}
_ARROW_MM = 45.0
_FIELD_MM = 170.0


def check_can_draw() -> None:
    """Whether pictures can be drawn.

    Raises
    ------
    E3PoseError
        If matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise E3PoseError("drawing needs matplotlib; install it: pip install matplotlib")


def draw_estimate(path: Path, volume: Volume, estimate: PoseEstimate) -> None:
    """Draw six slices through the head's centre, three in the patient's planes and three in the head's, as a PNG.

    Parameters
    ----------
    path : Path
    volume : Volume
    estimate : PoseEstimate
        Of that volume.

    Raises
    ------
    E3PoseError
        If matplotlib is not installed.
    OutputError
        If the file cannot be written.
    """
    check_can_draw()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 7.0), facecolor="black", layout="constrained")
    rows = figure.subplots(2, 3)
    mask = Volume(estimate.mask.astype(np.float32), volume.voxel_to_ras)
    upright = rigid(np.eye(3), estimate.canonical_to_ras[:3, 3])
    frames = {"as scanned": upright, "as the head lies": estimate.canonical_to_ras}
    for panels, (title, frame_to_ras) in zip(rows, frames.items(), strict=True):
        scan = reslice(volume, frame_to_ras, 1.0, _FIELD_MM)
        brain = reslice(mask, frame_to_ras, 1.0, _FIELD_MM)
        axes = np.linalg.inv(frame_to_ras)[:3, :3] @ estimate.canonical_to_ras[:3, :3]
        for normal, panel in enumerate(panels):
            draw_slice(panel, scan.array, brain.array, normal, _FIELD_MM)
            _draw_axes(panel, axes, normal)
            panel.set_title(f"{PLANES[normal]}, {title}", color="white", fontsize=10)
    legend = ", ".join(f"{name} {colour}" for name, colour in zip(AXIS_COLOURS, ("red", "green", "blue"), strict=True))
    certainty = f"confidence {estimate.confidence.in_words}"
    figure.suptitle(
        f"{Path(volume.name).name}   {certainty}\naxes: {legend}   outline: brain", color="white", fontsize=10
    )
    save_figure(figure, path, dpi=120)


def draw_slice(
    panel: Axes, scan: np.ndarray, brain: np.ndarray, normal: int, field_mm: float, level: float = 0.5
) -> None:
    """Draw one slice through the middle, and the brain's outline.

    Parameters
    ----------
    panel : matplotlib.axes.Axes
    scan, brain : np.ndarray
        Shape ``[N, N, N]``, axes right, anterior, superior.
    normal : int
        The axis across the slice. The first of the other two points to the right, the second up.
    field_mm : float
        Edge of the cube that both show.
    level : float
        Of `brain`, along which the outline runs.
    """
    half = field_mm / 2
    middle = scan.shape[normal] // 2
    image, outline = (array.take(middle, axis=normal).T for array in (scan, brain))
    extent = (-half, half, -half, half)
    brightest = float(np.percentile(scan[scan > 0], 99.5)) if (scan > 0).any() else 1.0
    panel.imshow(image, cmap="gray", origin="lower", extent=extent, vmin=0, vmax=brightest)
    if outline.max() > level:
        panel.contour(outline, levels=[level], colors=BRAIN_COLOUR, linewidths=0.8, origin="lower", extent=extent)
    panel.axis("off")


def save_figure(figure: Figure, path: Path, dpi: int = 100) -> None:
    """Save a figure as a PNG, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")


def _draw_axes(panel: Axes, axes: np.ndarray, normal: int) -> None:
    """Arrows along the head's axes, given as columns in the frame of the slice."""
    across, up = [axis for axis in range(3) if axis != normal]
    half = _FIELD_MM / 2
    for axis, colour in zip(axes.T * _ARROW_MM, AXIS_COLOURS.values(), strict=True):
        if np.hypot(axis[across], axis[up]) > 5:
            panel.annotate(
                "", (axis[across], axis[up]), (0, 0), arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.6}
            )
    panel.set_xlim(-half, half)
    panel.set_ylim(-half, half)
