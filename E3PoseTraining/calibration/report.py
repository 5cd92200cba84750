"""What a calibration is worth on poses that it was not fitted on: in a table, and as a reliability diagram."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binomtest

from E3PoseLib.method.trust.confidence import HIGH, MODERATE
from E3PoseLib.models.calibration import HOLDS

from ..data.figures import save_figure
from .evidence import Evidence

BINS = (0.0, 0.5, 0.8, MODERATE, 0.95, HIGH, 0.99, 1.0)
"""Of the probability: narrow where most poses are."""

HEADER = (
    "kind",
    "answers",
    "right",
    "of the right ones high",
    "moderate",
    "low",
    "wrong and high",
    "wrong and moderate",
    "Brier score",
    "bounds hold: degrees",
    "mm",
)


def levels(probability: np.ndarray) -> np.ndarray:
    """``[N]``: 2 for "high", 1 for "moderate", 0 for "low", by the probability alone."""
    return (probability >= MODERATE).astype(int) + (probability >= HIGH)


def table(evidence: Evidence, probability: np.ndarray, bounds: np.ndarray) -> str:
    """A row for each kind of scan, and one for all, of the answers that a model gave; Markdown.

    Parameters
    ----------
    evidence : Evidence
        ``N`` poses, of which those not taken are left out.
    probability, bounds : np.ndarray
        ``[N]`` and ``[N, 2]``.
    """
    lines = [HEADER, ("---",) * len(HEADER)]
    kinds = [*sorted(set(evidence.kinds[evidence.taken])), "all"]
    for kind in kinds:
        here = evidence.taken & ((evidence.kinds == kind) | (kind == "all"))
        lines.append((kind, *_row(evidence.select(here), probability[here], bounds[here])))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(evidence: Evidence, probability: np.ndarray, bounds: np.ndarray) -> Iterator[str]:
    right, level = evidence.right, levels(probability)
    yield str(len(right))
    yield f"{right.mean():.1%}"
    for wanted in (2, 1, 0):
        yield f"{np.mean(level[right] == wanted):.0%}" if right.any() else ""
    for wanted in (2, 1):
        yield str(np.count_nonzero(~right & (level == wanted)))
    yield f"{np.mean((probability - right) ** 2):.4f}"
    known = ~np.isnan(evidence.degrees)
    for errors, bound in ((evidence.degrees, bounds[:, 0]), (evidence.mm, bounds[:, 1])):
        yield f"{np.mean(errors[known] <= bound[known]):.1%}" if known.any() else ""


def draw_reliability(evidence: Evidence, probability: np.ndarray, bounds: np.ndarray, picture: Path) -> None:
    """Of answers with about the same probability, the share that is right; and the errors beside their bounds.

    Parameters
    ----------
    evidence : Evidence
        ``N`` poses, of which those not taken are left out.
    probability, bounds : np.ndarray
        ``[N]`` and ``[N, 2]``.
    picture : Path
        PNG to write.
    """
    taken = evidence.taken
    evidence, probability, bounds = evidence.select(taken), probability[taken], bounds[taken]
    figure = Figure(figsize=(12.6, 3.9), layout="constrained")
    reliability, *errors = figure.subplots(1, 3)
    _draw_bins(reliability, evidence.right, probability)
    right = evidence.right
    for axes, values, bound, name, unit in (
        (errors[0], evidence.degrees, bounds[:, 0], "rotation", "°"),
        (errors[1], evidence.mm, bounds[:, 1], "centre", " mm"),
    ):
        known = ~np.isnan(values)
        for here, colour, label in ((right & known, "tab:blue", "right"), (~right & known, "tab:red", "wrong")):
            axes.scatter(bound[here], np.maximum(values[here], 0.1), s=6, alpha=0.4, color=colour, label=label, lw=0)
        ends = (bound[known].min(), max(bound[known].max(), values[known].max()))
        axes.plot(ends, ends, color="0.3", linewidth=0.9)
        held = np.mean(values[known] <= bound[known])
        axes.set(
            xscale="log",
            yscale="log",
            xlabel=f"bound of the {name} error ({unit.strip()})",
            ylabel=f"error ({unit.strip()})",
            title=f"{held:.0%} below the line, {HOLDS:.0%} meant",
        )
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8, loc="upper left", markerscale=2)
    save_figure(figure, picture)


def _draw_bins(axes, right: np.ndarray, probability: np.ndarray) -> None:
    """Shares with their 95 % intervals, on a scale of log-odds; the numbers of poses beside them."""
    axes.plot([0.02, 0.9995], [0.02, 0.9995], color="0.3", linewidth=0.9)
    for low, high in pairwise(BINS):
        here = (probability >= low) & ((probability < high) | (high == 1.0))
        if not here.any():
            continue
        mean, share = probability[here].mean(), right[here].mean()
        interval = binomtest(int(right[here].sum()), int(here.sum())).proportion_ci(0.95, "wilson")
        x, y = np.clip([mean, share], 0.02, 0.9995)
        axes.plot([x, x], np.clip([interval.low, interval.high], 0.02, 0.9995), color="tab:blue", linewidth=1.2)
        axes.plot([x], [y], "o", color="tab:blue", markersize=4)
        axes.annotate(f" {here.sum()}", (x, y), fontsize=7, va="top")
    ticks = (0.02, 0.1, 0.5, 0.9, 0.98, 0.995, 0.999)
    for set_scale, set_ticks in ((axes.set_xscale, axes.set_xticks), (axes.set_yscale, axes.set_yticks)):
        set_scale("logit")
        set_ticks(ticks, [f"{100 * tick:g}" for tick in ticks])
        set_ticks([], minor=True)
    for limit in (MODERATE, HIGH):
        axes.axvline(limit, color="0.5", linewidth=0.8, linestyle="--")
    axes.set(xlabel="probability told (%)", ylabel="of these right (%)", title="moderate from 90 %, high from 98 %")
    axes.grid(alpha=0.3)
