"""How far a pose is from the truth, and how sure a set of cases makes us of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binomtest

from E3PoseLib.imaging.rotations import geodesic_angle

AXES = ("right", "anterior", "superior")


@dataclass(frozen=True)
class PoseErrors:
    """Errors of N cases; a case without an estimate holds NaN everywhere and is a failure.

    Attributes
    ----------
    rotation_degrees : np.ndarray
        ``[N]``, angle of the rotation between estimate and truth, in [0, 180].
    axis_degrees : np.ndarray
        ``[N, 3]``, angle between each estimated axis (right, anterior, superior) and its truth.
    centre_mm : np.ndarray
        ``[N]``, distance of the two origins; NaN where the truth has none.
    """

    rotation_degrees: np.ndarray
    axis_degrees: np.ndarray
    centre_mm: np.ndarray

    @property
    def answered(self) -> np.ndarray:
        """``[N]`` bool: an estimate exists."""
        return ~np.isnan(self.rotation_degrees)

    @property
    def reversed_axes(self) -> np.ndarray:
        """``[N, 3]`` bool: the axis points more than 90° away from its truth.

        The first column is a left–right flip. A rotation reverses none or two axes, or turns so far that one
        of them lies just beyond 90°.
        """
        return self.axis_degrees > 90

    def select(self, keep: np.ndarray | list[int]) -> PoseErrors:
        return PoseErrors(self.rotation_degrees[keep], self.axis_degrees[keep], self.centre_mm[keep])


def pose_errors(estimates: Sequence[np.ndarray | None], truths: Sequence[np.ndarray]) -> PoseErrors:
    """Compares 4×4 poses given in one and the same frame; a truth whose centre is unknown has NaN there.

    Parameters
    ----------
    estimates : Sequence[np.ndarray | None]
        N matrices ``canonical_to_ras``, or None where there is no answer.
    truths : Sequence[np.ndarray]
        N matrices ``canonical_to_ras``.
    """
    rotation, axes, centre = [], [], []
    for estimate, truth in zip(estimates, truths, strict=True):
        if estimate is None:
            rotation.append(np.nan)
            axes.append([np.nan] * 3)
            centre.append(np.nan)
            continue
        pair = torch.from_numpy(np.stack([estimate[:3, :3], truth[:3, :3]]).astype(np.float64))
        rotation.append(float(geodesic_angle(pair[0], pair[1])))
        # atan2 of sine and cosine stays exact where arccos of a rounded cosine does not.
        sine = torch.linalg.cross(pair[0].T, pair[1].T, dim=1).norm(dim=1)
        cosine = (pair[0] * pair[1]).sum(0)
        axes.append(torch.rad2deg(torch.atan2(sine, cosine)).tolist())
        centre.append(float(np.linalg.norm(estimate[:3, 3] - truth[:3, 3])))
    return PoseErrors(np.array(rotation), np.array(axes).reshape(-1, 3), np.array(centre))


@dataclass(frozen=True)
class Interval:
    """A statistic with the bounds of its 95 % interval; these are NaN where they cannot be told."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        known = np.isfinite([self.low, self.high]).all()
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]" if known else f"{self.value:.1f}"


def bootstrap(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    clusters: Sequence[str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap (Efron and Tibshirani, 1993) over cases, or over clusters of cases.

    One case or cluster alone says nothing of how far others would differ: its bounds are NaN.

    Parameters
    ----------
    values : np.ndarray
        ``[N]``.
    statistic : Callable[[np.ndarray], float]
        From a sample ``[n]`` to a number.
    clusters : Sequence[str] | None
        The cluster of each case; whole clusters are then drawn, since scans of one fetus resemble each other and are
        not independent evidence.
    resamples : int
        Number of draws.
    seed : int
        Decides the draws.
    """
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"))
    names = np.arange(len(values)) if clusters is None else np.asarray(clusters)
    members = [values[names == name] for name in np.unique(names)]
    if len(members) < 2:
        return Interval(float(statistic(values)), float("nan"), float("nan"))
    generator = np.random.default_rng(seed)
    draws = generator.integers(len(members), size=(resamples, len(members)))
    replicates = [statistic(np.concatenate([members[i] for i in draw])) for draw in draws]
    low, high = np.percentile(replicates, [2.5, 97.5])
    return Interval(float(statistic(values)), float(low), float(high))


def share(success: np.ndarray, clusters: Sequence[str] | None = None) -> Interval:
    """The percentage of cases that succeed, with the exact bounds of Clopper and Pearson, 1934.

    Resampling would be too sure of a share near all or none. Of clusters it is all there is, but for where all cases
    succeed, or none: the bounds are then those of as many independent cases as there are clusters.

    Parameters
    ----------
    success : np.ndarray
        ``[N]`` bool.
    clusters : Sequence[str] | None
        See `bootstrap`.
    """
    independent = len(success) if clusters is None else len(np.unique(clusters))
    if not independent or (independent < len(success) and success.any() != success.all()):
        return bootstrap(100.0 * success, np.mean, clusters)
    value = float(success.mean())
    exact = binomtest(round(independent * value), independent).proportion_ci(method="exact")
    return Interval(100 * value, 100 * exact.low, 100 * exact.high)


def summarise(
    errors: PoseErrors,
    thresholds: Sequence[tuple[float, float | None]],
    clusters: Sequence[str] | None = None,
) -> dict[str, Interval | int]:
    """The figures of one group of cases.

    Parameters
    ----------
    errors : PoseErrors
        The cases.
    thresholds : Sequence[tuple[float, float | None]]
        Pairs of degrees and millimetres (None: the centre does not count). A case succeeds where both errors are at
        most these; a case without an answer fails. Where no centre is known of those that have one, millimetres are
        left out; where some are not, those cases are.
    clusters : Sequence[str] | None
        See `bootstrap`.

    Returns
    -------
    dict[str, Interval | int]
        By name, in the order in which a table shows them.
    """
    names = np.arange(len(errors.answered)) if clusters is None else np.asarray(clusters)
    found = errors.select(errors.answered)
    found_names = names[errors.answered]
    centred = ~np.isnan(found.centre_mm)

    def over_found(values: np.ndarray, statistic: Callable[[np.ndarray], float]) -> Interval:
        return bootstrap(values, statistic, found_names)

    summary: dict[str, Interval | int] = {
        "cases": len(errors.answered),
        "without an answer": int((~errors.answered).sum()),
        "rotation median (°)": over_found(found.rotation_degrees, np.median),
        "rotation mean (°)": over_found(found.rotation_degrees, np.mean),
    }
    for column, axis in enumerate(AXES):
        summary[f"{axis} axis median (°)"] = over_found(found.axis_degrees[:, column], np.median)
    if centred.any():
        centres, centre_names = found.centre_mm[centred], found_names[centred]
        summary["centre median (mm)"] = bootstrap(centres, np.median, centre_names)
        summary["centre mean (mm)"] = bootstrap(centres, np.mean, centre_names)
    told = np.isfinite(errors.centre_mm) | ~errors.answered
    for degrees, millimetres in thresholds:
        turned_well = errors.rotation_degrees <= degrees
        if millimetres is None:
            summary[f"within {degrees:g}° (%)"] = share(turned_well, names)
        elif centred.any() or not len(found.centre_mm):
            success = turned_well & (errors.centre_mm <= millimetres)
            summary[f"within {degrees:g}° and {millimetres:g} mm (%)"] = share(success[told], names[told])
    for column, axis in enumerate(AXES):
        title = "left–right flips" if axis == "right" else f"{axis} axis reversed"
        summary[title] = int(errors.reversed_axes[:, column].sum())
    return summary
