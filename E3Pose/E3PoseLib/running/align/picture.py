"""One picture of an alignment: each stack in the head's three planes, with the brain that the stacks agree on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...alignment.quality import MASK_SHARE
from ...alignment.stack import Sample, grid_to_frame
from ...imaging.resampling import reslice
from ...imaging.volume import Volume
from ..picture import PLANES, check_can_draw, draw_slice, save_figure
from .writing import Aligned

LEFT_OUT_COLOUR = "#ff5a5a"
_FIELD_MM = 140.0
_ROW_INCHES = 2.6


def draw_alignment(path: Path, stacks: Sequence[Aligned], together: Sample) -> None:
    """Draw stacks in their order, a row each; those that were left out last, as their own pose has them.

    Parameters
    ----------
    path : Path
    stacks : sequence of Aligned
    together : Sample
        What those that were kept show.

    Raises
    ------
    E3PoseError
        If matplotlib is not installed.
    OutputError
        If the file cannot be written.
    """
    check_can_draw()
    from matplotlib.figure import Figure

    height = _ROW_INCHES * len(stacks) + 0.5
    figure = Figure(figsize=(3 * _ROW_INCHES + 1.6, height), facecolor="black")
    spaces = {"left": 0.2, "right": 0.995, "bottom": 0.005, "top": 1 - 0.5 / height, "wspace": 0.02, "hspace": 0.02}
    rows = figure.subplots(len(stacks), 3, squeeze=False, gridspec_kw=spaces)
    brain = reslice(Volume(together.brain, grid_to_frame()), np.eye(4), 1.0, _FIELD_MM).array
    for number, (panels, one) in enumerate(zip(rows, stacks, strict=True), 1):
        scan = reslice(one.read.posed.volume, one.placed.frame_to_ras, 1.0, _FIELD_MM).array
        for normal, panel in enumerate(panels):
            draw_slice(panel, scan, brain, normal, _FIELD_MM, MASK_SHARE)
        kept = one.placed.is_kept
        alike = "" if one.placed.likeness is None else f"\nlikeness {one.placed.likeness:.2f}"
        words = [f"{number}. {one.read.task.name[-24:]}" if kept else f"{one.read.task.name[-24:]}\nLEFT OUT"]
        words += ["pose mended"] if one.placed.is_mended else []
        panels[0].text(
            *(-0.06, 0.5, "\n".join(words) + alike),
            color="white" if kept else LEFT_OUT_COLOUR,
            fontsize=8,
            ha="right",
            va="center",
            transform=panels[0].transAxes,
        )
    for panel, title in zip(rows[0], PLANES, strict=True):
        panel.set_title(title, color="white", fontsize=9)
    figure.suptitle(
        "stacks in the planes of the head; yellow: the brain on which they agree", color="white", fontsize=9, y=0.995
    )
    save_figure(figure, path)
