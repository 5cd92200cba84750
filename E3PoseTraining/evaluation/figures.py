"""Pictures of an evaluation: how many cases are within each error, and what the worst ones look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from E3PoseLib.imaging.resampling import reslice
from E3PoseLib.imaging.volume import read_volume
from E3PoseLib.method.trust.confidence import HIGH, MODERATE

from ..data.figures import save_figure
from .metrics import PoseErrors
from .poses import Truth

SPACING_MM = 2.0
EDGE_MM = 140.0
PLANES = ("axial", "coronal", "sagittal")
SQUARE_ROOT = (lambda x: np.sqrt(np.maximum(x, 0)), np.square)
"""A scale and its inverse, on which one flipped head does not press all others against the axis."""
PROBABILITIES = (0.01, 0.9997)
PROBABILITY_TICKS = (0.02, 0.1, 0.5, 0.9, 0.98, 0.995, 0.999)
TICKS = (0, 2, 5, 10, 20, 30, 45, 60, 90, 120, 180)


def draw_cumulative_errors(groups: dict[str, PoseErrors], picture: Path) -> None:
    """The share of cases whose error is at most x, for rotation and, where known, centre; one curve a group.

    A case without an answer is never within any error, so its curve ends below 100 %.
    """
    quantities = {"rotation error (°)": ("rotation_degrees", 180.0)}
    centres = np.concatenate([errors.centre_mm for errors in groups.values()])
    if not np.isnan(centres).all():
        quantities["centre error (mm)"] = ("centre_mm", max(10.0, 1.05 * np.nanmax(centres)))
    figure = Figure(figsize=(4.6 * len(quantities), 3.6), layout="constrained")
    panels = figure.subplots(1, len(quantities), squeeze=False)[0]
    for axes, (title, (name, limit)) in zip(panels, quantities.items(), strict=True):
        for label, errors in groups.items():
            values = getattr(errors, name)
            found = np.sort(values[~np.isnan(values)])
            share = 100 * np.arange(1, len(found) + 1) / len(values)
            last = share[-1] if len(share) else 0
            axes.step([0, *found, limit], [0, *share, last], where="post", label=f"{label} ({len(values)})")
        axes.set_xscale("function", functions=SQUARE_ROOT)
        axes.set_xticks([tick for tick in TICKS if tick <= limit], minor=False)
        axes.set(xlabel=title, ylabel="cases within it (%)", xlim=(0, limit), ylim=(0, 103))
        axes.grid(alpha=0.3)
    # Beside the panels: where errors are large, curves run through every corner of them.
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside right center")
    save_figure(figure, picture)


def draw_confidence(probabilities: np.ndarray, errors: PoseErrors, picture: Path) -> None:
    """Probability against rotation error, a point a case: where the probability is high, no error may be large.

    Parameters
    ----------
    probabilities : np.ndarray
        ``[N]`` in [0, 1]; cases with NaN are left out.
    errors : PoseErrors
        Of the same cases.
    picture : Path
        PNG to write.
    """
    known = ~np.isnan(probabilities) & errors.answered
    figure = Figure(figsize=(4.8, 3.8), layout="constrained")
    axes = figure.subplots()
    # On a scale of log-odds, which spreads what lies near certainty.
    shown = np.clip(probabilities[known], *PROBABILITIES)
    axes.scatter(shown, errors.rotation_degrees[known], s=18, alpha=0.7, color="tab:blue", linewidths=0)
    for limit, name in ((MODERATE, "low"), (HIGH, "moderate")):
        axes.axvline(limit, color="0.5", linewidth=0.8, linestyle="--")
        axes.annotate(f"{name} ", (limit, 176), ha="right", va="top", rotation=90, fontsize=8)
    axes.set_yscale("function", functions=SQUARE_ROOT)
    axes.set_yticks(TICKS, minor=False)
    axes.set_xscale("logit")
    axes.set_xticks(PROBABILITY_TICKS, [f"{100 * tick:g}" for tick in PROBABILITY_TICKS])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="probability of a right pose (%)", ylabel="rotation error (°)", xlim=PROBABILITIES, ylim=(0, 180))
    axes.grid(alpha=0.3)
    save_figure(figure, picture)


def draw_worst_cases(
    truths: Sequence[Truth],
    estimates: Sequence[np.ndarray | None],
    errors: PoseErrors,
    scans: Mapping[str, Path],
    count: int,
    picture: Path,
) -> None:
    """The answered cases of largest rotation error, resliced by the estimate (left) and by the truth (right).

    Where the pose is right the head is upright in the three planes: axial with the face up, coronal, and sagittal
    with the face to the left. Where the truth has no centre, that of the estimate is used for both. Cases
    whose scan is not among ``scans`` are left out.
    """
    answered = np.flatnonzero(errors.answered)
    worst = answered[np.argsort(-errors.rotation_degrees[answered])][:count]
    worst = [index for index in worst if truths[index].frame_id in scans]
    if not worst:
        return
    figure = Figure(figsize=(10.5, 1.85 * len(worst) + 0.4), layout="constrained")
    panels = figure.subplots(len(worst), 6, squeeze=False)
    for row, index in zip(panels, worst, strict=True):
        volume = read_volume(scans[truths[index].frame_id])
        truth = truths[index].canonical_to_ras.copy()
        if np.isnan(truth[:3, 3]).any():
            truth[:3, 3] = estimates[index][:3, 3]
        for first, pose in ((0, estimates[index]), (3, truth)):
            cube = reslice(volume, pose, SPACING_MM, EDGE_MM).array
            for panel, cut in zip(row[first : first + 3], middle_planes(cube), strict=True):
                panel.imshow(cut, cmap="gray", vmin=0, vmax=np.percentile(cube, 99.5))
                panel.set(xticks=[], yticks=[])
        label = f"{truths[index].frame_id}\n{errors.rotation_degrees[index]:.0f}°"
        if not np.isnan(errors.centre_mm[index]):
            label += f", {errors.centre_mm[index]:.0f} mm"
        row[0].set_ylabel(label, fontsize=8)
    for first, name in ((0, "estimate"), (3, "truth")):
        for offset, plane in enumerate(PLANES):
            panels[0, first + offset].set_title(f"{name}: {plane}", fontsize=8)
    save_figure(figure, picture)


def middle_planes(cube: np.ndarray) -> list[np.ndarray]:
    """Axial (face up), coronal and sagittal (face left) planes ``[rows, columns]`` through the middle of a cube.

    Parameters
    ----------
    cube : np.ndarray
        ``[R, A, S]``: axes run to the head's right, anterior and superior.
    """
    middle = cube.shape[0] // 2
    axial, coronal, sagittal = cube[:, :, middle], cube[:, middle], cube[middle]
    # Radiological habit: the patient's right is on the left of the picture.
    return [axial.T[::-1, ::-1], coronal.T[::-1, ::-1], sagittal.T[::-1, ::-1]]
