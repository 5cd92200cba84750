"""The motion of a head as a picture: six traces, displacement, and how far each pose can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...method.tracking.motion import Motion
from ..picture import save_figure
from .followed import Followed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXES = {"right": "#d62728", "anterior": "#2ca02c", "superior": "#1f77b4"}
LEVELS = {"low": "#d62728", "moderate": "#ff9d2e", "high": "#2ca02c"}
DOUBT_COLOUR = "#f4b6b6"


def draw_motion(path: Path, followed: Followed, motion: Motion, smoothed: Motion | None = None) -> None:
    """Draw the traces over time as a PNG; frames with a mark are shaded.

    Parameters
    ----------
    path : Path
    followed : Followed
    motion : Motion
        Of its poses.
    smoothed : Motion, optional
        Drawn as thin black lines.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure

    times, step = followed.times, followed.series.seconds
    figure = Figure(figsize=(11.0, 8.0), layout="constrained")
    panels = figure.subplots(4, 1, sharex=True, gridspec_kw={"height_ratios": [3, 3, 2, 1.4]})
    _draw_traces(panels[0], times, motion.translations, None if smoothed is None else smoothed.translations)
    panels[0].set_ylabel("shift (mm)")
    panels[0].legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, frameon=False)
    degrees = None if smoothed is None else np.degrees(smoothed.rotations)
    _draw_traces(panels[1], times, np.degrees(motion.rotations), degrees)
    panels[1].set_ylabel("turn (degrees)")
    panels[2].plot(times, motion.displacement, color="black", linewidth=1, marker=".", markersize=3)
    panels[2].set_ylabel("framewise\ndisplacement (mm)")
    panels[2].set_ylim(bottom=0)
    _draw_confidence(panels[3], followed)
    panels[3].set_xlabel("time (s)")
    panels[3].set_xlim(times[0] - step, times[-1] + step)
    for panel in panels:
        panel.grid(axis="y", color="#dddddd", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        for time in times[~followed.believed]:
            panel.axvspan(time - step / 2, time + step / 2, color=DOUBT_COLOUR, linewidth=0, zorder=0)
    n_marked = int(np.count_nonzero(~followed.believed))
    figure.suptitle(
        f"{followed.series.name}: {len(times)} volumes, {step:g} s apart, against volume {motion.reference}"
        f"; {n_marked} doubtful (shaded)",
        fontsize=11,
    )
    save_figure(figure, path, dpi=110)


def _draw_traces(panel: Axes, times: np.ndarray, courses: np.ndarray, smoothed: np.ndarray | None) -> None:
    for axis, (name, colour) in enumerate(AXES.items()):
        panel.plot(times, courses[:, axis], color=colour, linewidth=1, marker=".", markersize=3, label=name)
        if smoothed is not None:
            panel.plot(times, smoothed[:, axis], color="black", linewidth=0.7)


def _draw_confidence(panel: Axes, followed: Followed) -> None:
    """The probability where the model states one, else the level in a word."""
    known = [frame.confidence.get("probability") for frame in followed.frames]
    levels = [frame.confidence.get("level") for frame in followed.frames]
    calibrated = any(value is not None for value in known)
    names = list(LEVELS)
    for level, colour in LEVELS.items():
        where = [index for index, one in enumerate(levels) if one == level]
        if calibrated:
            heights = np.array([known[index] for index in where], dtype=float)
        else:
            heights = np.full(len(where), float(names.index(level)))
        panel.plot(followed.times[where], heights, ".", color=colour, markersize=5)
    panel.set_ylabel("confidence")
    if calibrated:
        panel.set_ylim(-0.05, 1.05)
    else:
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(-0.5, len(names) - 0.5)
