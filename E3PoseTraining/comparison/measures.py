"""What is told of each method: errors by the three measures in use, successes, and how it differs from E(3)-Pose.

"Rotation error" is not one thing in the literature. E(3)-Pose's own training program logs the mean of the three
absolute Euler angles of R_true·R_estᵀ, EquiTrack (Billot et al., 2024) the mean absolute difference of Euler angles;
the angle of the rotation between the two (geodesic) is the one that does not depend on a choice of axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.stats import permutation_test, wilcoxon

from E3PoseLib.imaging.rotations import matrix_to_euler

from ..evaluation.metrics import Interval, PoseErrors, bootstrap, pose_errors, share

SUCCESSES = ((15.0, 10.0), (30.0, 15.0))
"""Degrees and millimetres: what resliced views need, and a head that was found at all."""

WORST_DEGREES = 180.0
"""Counted for a scan without an answer: a method that declines what is hard must not look better for it."""

SAME_DEGREES = 1e-3
"""Differences below are of rounding, and none."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method made of all scans.

    Parameters
    ----------
    method : str
    estimates : list of np.ndarray or None
        Poses ``[4, 4]``, None where there is no answer.
    errors : PoseErrors
    euler_of_rest, euler_differences : np.ndarray
        ``[N]``, degrees: `mean_euler_of_rest` and `mean_euler_difference`; NaN without an answer.
    seconds, memory_mib : np.ndarray
        ``[N]``, of each scan and of the process until then; NaN where not known.
    refused : str
        Why the method could not be run, or "".
    """

    method: str
    estimates: list[np.ndarray | None]
    errors: PoseErrors
    euler_of_rest: np.ndarray
    euler_differences: np.ndarray
    seconds: np.ndarray
    memory_mib: np.ndarray
    refused: str = ""

    def succeeded(self, degrees: float, millimetres: float) -> np.ndarray:
        """``[N]`` bool; a scan without an answer has not."""
        return (self.errors.rotation_degrees <= degrees) & (self.errors.centre_mm <= millimetres)


@dataclass(frozen=True)
class Row:
    """The figures of one method, by name in the order of the table."""

    method: str
    figures: dict[str, Interval | float | int | str] = field(default_factory=dict)
    refused: str = ""


def outcome(
    method: str,
    estimates: list[np.ndarray | None],
    truths: Sequence[np.ndarray],
    seconds: np.ndarray,
    memory_mib: np.ndarray,
    refused: str = "",
) -> Outcome:
    """Compare a method's poses with the truth; parameters as of `Outcome`."""
    rest, differences = [], []
    for estimate, truth in zip(estimates, truths, strict=True):
        if estimate is None:
            rest.append(np.nan)
            differences.append(np.nan)
        else:
            rest.append(mean_euler_of_rest(estimate[:3, :3], truth[:3, :3]))
            differences.append(mean_euler_difference(estimate[:3, :3], truth[:3, :3]))
    errors = pose_errors(estimates, truths)
    return Outcome(method, estimates, errors, np.array(rest), np.array(differences), seconds, memory_mib, refused)


def mean_euler_of_rest(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Mean of the three absolute Euler angles (xyz, degrees) of ``truth · estimateᵀ``.

    >>> quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> round(mean_euler_of_rest(quarter, np.eye(3)), 6)
    30.0
    """
    return float(np.abs(_euler(truth @ estimate.T)).mean())


def mean_euler_difference(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute difference of the Euler angles (xyz, degrees) of two rotations, each the short way round."""
    difference = _euler(truth) - _euler(estimate)
    return float(np.abs((difference + 180) % 360 - 180).mean())


def _euler(rotation: np.ndarray) -> np.ndarray:
    return matrix_to_euler(torch.from_numpy(np.ascontiguousarray(rotation, dtype=np.float64))).numpy()


def row(one: Outcome, reference: Outcome | None, fetuses: Sequence[str]) -> Row:
    """The figures of a method, with 95 % intervals over fetuses.

    Parameters
    ----------
    one : Outcome
    reference : Outcome or None
        Of E(3)-Pose on the same scans; None where it is not there to be compared with.
    fetuses : sequence of str
        Of each scan: scans of one fetus are no independent evidence.
    """
    if one.refused and not one.errors.answered.any():
        return Row(one.method, refused=one.refused)
    names = np.asarray(fetuses)
    found = one.errors.answered
    figures: dict[str, Interval | float | int | str] = {
        "scans": len(found),
        "failures": int((~found).sum()),
    }
    for degrees, millimetres in SUCCESSES:
        figures[f"within {degrees:g}° and {millimetres:g} mm (%)"] = share(one.succeeded(degrees, millimetres), names)
    centre, rotation = one.errors.centre_mm[found], _with_failures(one)
    figures |= {
        "rotation median (°)": bootstrap(rotation, np.median, names),
        "rotation mean (°)": bootstrap(rotation, np.mean, names),
        "mean of absolute Euler angles of the rest (°)": bootstrap(one.euler_of_rest[found], np.mean, names[found]),
        "mean absolute difference of Euler angles (°)": bootstrap(one.euler_differences[found], np.mean, names[found]),
        "centre median (mm)": bootstrap(centre, np.median, names[found]),
        "flips": int(one.errors.reversed_axes.any(axis=1).sum()),
        "seconds a scan": _median(one.seconds),
        "peak memory (MiB)": float(np.nanmax(one.memory_mib)) if not np.isnan(one.memory_mib).all() else float("nan"),
    }
    if reference is not None and reference is not one:
        figures |= paired(one, reference, names)
    return Row(one.method, figures, one.refused)


def paired(one: Outcome, reference: Outcome, fetuses: np.ndarray) -> dict[str, Interval | float]:
    """How a method differs from another on the same scans.

    Differences of the rotation error (a scan without an answer counts as 180°) in the mean, with an interval over
    fetuses and p of Wilcoxon's signed-rank test of the fetuses' means; and p of the successes within 15° and 10 mm,
    whose difference in each fetus could as well have the other sign: where each scan shows another fetus, that is
    McNemar's exact test. Above 0 the method is worse.
    """
    difference = _with_failures(one) - _with_failures(reference)
    means = np.array([difference[fetuses == name].mean() for name in np.unique(fetuses)])
    means[np.abs(means) < SAME_DEGREES] = 0
    p_rotation = float(wilcoxon(means).pvalue) if means.any() else 1.0
    mine, theirs = (each.succeeded(*SUCCESSES[0]).astype(int) for each in (one, reference))
    more = np.array([(mine - theirs)[fetuses == name].sum() for name in np.unique(fetuses)])
    return {
        "rotation against e3-pose (°)": bootstrap(difference, np.mean, list(fetuses)),
        "p, rotation": p_rotation,
        "p, success": _p_of_signs(more[more != 0]),
    }


def _with_failures(one: Outcome) -> np.ndarray:
    return np.nan_to_num(one.errors.rotation_degrees, nan=WORST_DEGREES)


def _p_of_signs(differences: np.ndarray) -> float:
    """How often signs by chance make as large a sum: of all signs where they are few, else of 9999 draws."""
    if len(differences) < 2:  # either sign is as likely
        return 1.0
    test = permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=9999, random_state=0, vectorized=True
    )
    return float(test.pvalue)


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")
