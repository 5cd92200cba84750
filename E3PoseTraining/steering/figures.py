"""Figures of the experiment: distributions, and what one head's stacks show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from .experiment import WAYS, Trial

COLOURS = {"blind": "#d62728", "steered": "#2ca02c", "ideal": "#7f7f7f"}
MEASURES = {"brain that no slice sampled (%)": "gap", "obliqueness of slices (degrees)": "mean_obliqueness"}


def draw_distributions(trials: Sequence[Trial]) -> Figure:
    """Each head as a point, each way as a box; lines join the stacks of one head."""
    figure = Figure(figsize=(9.5, 4.4), layout="constrained")
    for panel, (label, name) in zip(figure.subplots(1, len(MEASURES)), MEASURES.items(), strict=True):
        scale = 100 if name == "gap" else 1
        values = np.array([[scale * getattr(trial.outcomes[way], name) for way in WAYS] for trial in trials])
        panel.plot(range(len(WAYS)), values.T, color="#cccccc", linewidth=0.6, zorder=0)
        panel.boxplot(values, positions=range(len(WAYS)), widths=0.5, showfliers=False, medianprops={"color": "black"})
        for place, way in enumerate(WAYS):
            panel.plot(np.full(len(values), place), values[:, place], ".", color=COLOURS[way], markersize=6)
        panel.set_xticks(range(len(WAYS)), WAYS)
        panel.set_ylabel(label)
        panel.set_ylim(bottom=0)
        panel.spines[["top", "right"]].set_visible(False)
    return figure


def draw_example(trial: Trial) -> Figure:
    """How often each part of one brain was sampled, in its mid-sagittal and a coronal plane."""
    figure = Figure(figsize=(9.5, 6.4), layout="constrained")
    colours = ListedColormap(["#d62728", "#c7e9c0", "#74c476", "#238b45"])
    rows = figure.subplots(2, len(WAYS))
    views = {"sagittal, 5 mm left": (0, -5.0, 1), "coronal": (1, 0.0, 0)}
    for row, (title, (normal, place, across)) in zip(rows, views.items(), strict=True):
        near = np.abs(trial.brain[:, normal] - place) <= 1.0
        for panel, way in zip(row, WAYS, strict=True):
            outcome = trial.outcomes[way]
            points = trial.brain[near]
            shown = panel.scatter(
                points[:, across],
                points[:, 2],
                c=np.minimum(outcome.counts[near], 3),
                cmap=colours,
                norm=BoundaryNorm([-0.5, 0.5, 1.5, 2.5, 3.5], 4),
                s=9,
                marker="s",
                linewidths=0,
            )
            panel.set_aspect("equal")
            panel.axis("off")
            panel.set_title(
                f"{way}, {title}\ngap {outcome.gap:.0%}, {outcome.mean_obliqueness:.1f}° oblique", fontsize=9
            )
    bar = figure.colorbar(shown, ax=rows, ticks=[0, 1, 2, 3], shrink=0.5)
    bar.ax.set_yticklabels(["never", "once", "twice", "more often"])
    return figure
