"""Fits a calibration: how likely a pose is right, and how far off it may be, by the doubts about it.

The odds by logistic regression, the bounds by regression of the 0.9-quantile of the logarithm of the error, both linear
in the doubts, so that whoever reads the weights can follow a verdict. No doubt that grows may make a pose more certain:
what would get such a weight is left out, the worst first, until none is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, QuantileRegressor
from sklearn.model_selection import GroupKFold

from E3PoseLib.errors import TrainingError
from E3PoseLib.models.calibration import HOLDS, Calibration, Sum

from .evidence import Evidence

FOLDS = 5
"""Fewer where there are fewer fetuses."""

LEAST_SHRINKAGE = 30.0
"""Inverse strength of the penalty on squared weights, for some thousand poses. With a tenth of it the odds are as good,
and few are as high as they could be; with more nothing changes (docs/accuracy.md)."""

LEAST_ALONE = 10
"""Right poses, and as many wrong ones, without which no weights are fitted alone."""

LEAST_ERRORS = {"degrees": 0.5, "mm": 0.3}
"""Smaller errors count as these: their logarithms would weigh more than what they tell."""

Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[float, np.ndarray]]


def fit_calibration(evidence: Evidence, weights: np.ndarray) -> Calibration:
    """The calibration that a table of evidence gives.

    Parameters
    ----------
    evidence : Evidence
    weights : np.ndarray
        ``[N]``, how much each pose counts.

    Raises
    ------
    TrainingError
        There are too few right or wrong poses, or all that have an error are of one fetus.
    """
    wrong = np.count_nonzero(~evidence.right)
    if min(wrong, np.count_nonzero(evidence.right)) < 30:
        raise TrainingError(
            f"{wrong} of {len(evidence.right)} poses are wrong: at least 30 right and 30 wrong ones are needed. Give "
            "more scans, or more of those that are hard to read."
        )
    right = _signed_fit(evidence, weights, evidence.right, _logistic, -1)
    bounds = {part: _fit_bound(evidence, weights, part) for part in ("degrees", "mm")}
    return Calibration(right, bounds["degrees"], bounds["mm"])


def fit_only(calibration: Calibration, names: Sequence[str], evidence: Evidence, weights: np.ndarray) -> Calibration:
    """The same calibration with other weights of some doubts, by the poses that they are about; all else stays.

    For a doubt that is younger than the rest: the others' weights keep what they have learned from other scans.

    Parameters
    ----------
    calibration : Calibration
    names : sequence of str
        Of the doubts.
    evidence : Evidence
        Poses for which all of these doubts are 0 are left out.
    weights : np.ndarray
        ``[N]``, how much each pose counts.

    Raises
    ------
    TrainingError
        There is no such doubt, or too few right or wrong poses are left.
    """
    for name in names:
        if name not in evidence.doubts:
            raise TrainingError(f"there is no doubt {name!r} in the tables; there are {', '.join(evidence.doubts)}")
    concerned = np.any([evidence.doubts[name] != 0 for name in names], axis=0)
    evidence, weights = evidence.select(concerned), weights[concerned]
    least = min(np.count_nonzero(evidence.right), np.count_nonzero(~evidence.right))
    if least < LEAST_ALONE:
        raise TrainingError(
            f"of {len(evidence.right)} poses about which {' or '.join(names)} says anything, at least {LEAST_ALONE} "
            "must be right and as many wrong"
        )
    rest = {
        part: Sum(one.constant, {name: weight for name, weight in one.weights.items() if name not in names})
        for part, one in calibration.sums.items()
    }
    features = np.stack([evidence.doubts[name] for name in names], axis=1)
    given = _evaluate(rest["right"], evidence)
    found = {"right": _logistic_beside(features, evidence.right, weights, given)}
    for part in ("degrees", "mm"):
        known, logarithms = _known_errors(evidence, part)
        beyond = logarithms - _evaluate(rest[part], evidence.select(known))
        model = QuantileRegressor(quantile=HOLDS, alpha=0, fit_intercept=False, solver="highs")
        found[part] = model.fit(features[known], beyond, sample_weight=weights[known]).coef_.clip(min=0)
    parts = {
        part: Sum(
            one.constant,
            one.weights | {name: w for name, w in zip(names, found[part].round(4).tolist(), strict=True) if w},
        )
        for part, one in rest.items()
    }
    return replace(calibration, **parts)


def fit_landmarks(calibration: Calibration, evidence: Evidence) -> Calibration:
    """The same calibration with what its bounds lack where landmarks are the truth.

    The least with which the bounds hold for the smallest number of these answers that is `HOLDS` of one more than there
    are, as in conformal prediction (Vovk et al., 2005): for another scan of these fetuses they then hold with that
    chance. How far that is so for other fetuses, `landmarks_out_of_fold` shows.

    Parameters
    ----------
    calibration : Calibration
    evidence : Evidence
        Answers to real scans, in which landmarks were set by hand; poses that were not taken have no part in it.

    Raises
    ------
    TrainingError
        There are too few answers, or too many of them are further off than a bound may be.
    """
    errors = np.stack([evidence.degrees, evidence.mm], axis=1)
    known = evidence.taken & np.isfinite(errors).all(axis=1)
    errors, evidence = errors[known], evidence.select(known)
    rank = math.ceil((len(errors) + 1) * HOLDS)
    if rank > len(errors):
        raise TrainingError(f"{len(errors)} answers to scans with landmarks: at least 9 are needed")
    _, bounds = judge(calibration.without_landmarks(), evidence)
    _, largest = judge(replace(calibration, landmark_degrees=np.inf, landmark_mm=np.inf), evidence)
    lacking = np.where(errors > largest, np.inf, np.sqrt((errors**2 - bounds**2).clip(min=0)))
    degrees, mm = (np.ceil(np.sort(lacking, axis=0)[rank - 1] * 100) / 100).tolist()
    if not math.isfinite(max(degrees, mm)):
        raise TrainingError(
            f"more than {len(errors) - rank} of {len(errors)} answers are further off than a bound may be: the odds do "
            "not suit these scans"
        )
    return replace(calibration, landmark_degrees=degrees, landmark_mm=mm)


def landmarks_out_of_fold(calibration: Calibration, evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """What each pose would be given with `fit_landmarks` of the other fetuses.

    Returns
    -------
    probability : np.ndarray
        ``[N]``.
    bounds : np.ndarray
        ``[N, 2]``, degrees and mm.

    Raises
    ------
    TrainingError
        Without one of the fetuses there are too few answers.
    """
    fetuses = (evidence.groups == fetus for fetus in np.unique(evidence.groups))
    folds = ((~own, own) for own in fetuses)
    return _judge_unseen(evidence, folds, lambda seen: fit_landmarks(calibration, evidence.select(seen)))


def out_of_fold(evidence: Evidence, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each pose would be given by a calibration that has not seen its fetus.

    Returns
    -------
    probability : np.ndarray
        ``[N]``.
    bounds : np.ndarray
        ``[N, 2]``, degrees and mm.

    Raises
    ------
    TrainingError
        Without some of the fetuses there are too few poses, or only one fetus is left.
    """
    folds = _folds(evidence)
    return _judge_unseen(evidence, folds, lambda seen: fit_calibration(evidence.select(seen), weights[seen]))


def _folds(evidence: Evidence) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of poses that are seen, and of those of other fetuses that are not."""
    fetuses = np.unique(evidence.groups)
    if len(fetuses) < 2:
        raise TrainingError(
            f"all poses whose error is known are of one fetus ({', '.join(fetuses)}): scans of two or more are "
            "needed, as each is judged by the others"
        )
    return GroupKFold(min(FOLDS, len(fetuses))).split(evidence.right, groups=evidence.groups)


def _judge_unseen(
    evidence: Evidence, folds: Iterable[tuple[np.ndarray, np.ndarray]], fit: Callable[[np.ndarray], Calibration]
) -> tuple[np.ndarray, np.ndarray]:
    """Probability and bounds of each pose, `judge`, by the fit of the fold in which it is unseen."""
    probability, bounds = np.empty(len(evidence.right)), np.empty((len(evidence.right), 2))
    for seen, unseen in folds:
        probability[unseen], bounds[unseen] = judge(fit(seen), evidence.select(unseen))
    return probability, bounds


def judge(calibration: Calibration, evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Probability ``[N]`` and bounds ``[N, 2]`` of each pose by a calibration."""
    names = list(evidence.doubts)
    each = [dict(zip(names, values, strict=True)) for values in zip(*evidence.doubts.values(), strict=True)]
    return np.array([calibration.probability(doubts) for doubts in each]), np.array(
        [calibration.bounds(doubts) for doubts in each]
    ).reshape(-1, 2)


def _fit_bound(evidence: Evidence, weights: np.ndarray, part: str) -> Sum:
    """The sum for a bound, raised or lowered until it holds for `HOLDS` of the poses of unseen fetuses."""
    known, target = _known_errors(evidence, part)
    evidence, weights = evidence.select(known), weights[known]
    one = _signed_fit(evidence, weights, target, _quantile, 1)
    over = np.empty(len(target))
    for seen, unseen in _folds(evidence):
        fold = _signed_fit(evidence.select(seen), weights[seen], target[seen], _quantile, 1)
        over[unseen] = target[unseen] - _evaluate(fold, evidence.select(unseen))
    order = np.argsort(over)
    share = np.cumsum(weights[order]) / weights.sum()
    return Sum(one.constant + float(over[order][np.searchsorted(share, HOLDS)]), one.weights)


def _known_errors(evidence: Evidence, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Which poses have an error, bool ``[N]``, and the logarithms of these errors."""
    errors = getattr(evidence, part)
    known = ~np.isnan(errors)
    return known, np.log(np.maximum(errors[known], LEAST_ERRORS[part]))


def _evaluate(one: Sum, evidence: Evidence) -> np.ndarray:
    """The sum for each pose; a doubt that the tables do not know is none."""
    return one.constant + sum(weight * evidence.doubts.get(name, 0.0) for name, weight in one.weights.items())


def _signed_fit(evidence: Evidence, weights: np.ndarray, target: np.ndarray, fit: Fit, sign: int) -> Sum:
    """A linear fit all of whose weights have that sign."""
    # What is the same for all poses tells nothing.
    names = [name for name, values in evidence.doubts.items() if np.ptp(values) > 0]
    while True:
        # Where no doubt is left the constant is fitted beside one that says the same of all poses.
        features = np.stack([evidence.doubts[name] for name in names] or [np.zeros(len(target))], axis=1)
        constant, found = fit(features, target, weights)
        if not names:
            return Sum(round(constant, 4), {})
        against = sign * found * features.std(axis=0)
        if against.min() >= 0:
            kept = {name: round(float(weight), 4) for name, weight in zip(names, found, strict=True)}
            return Sum(round(constant, 4), {name: weight for name, weight in kept.items() if weight})
        names.pop(int(against.argmin()))


def _logistic(features: np.ndarray, target: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    model = LogisticRegression(C=LEAST_SHRINKAGE, max_iter=5000).fit(features, target, sample_weight=weights)
    return float(model.intercept_[0]), model.coef_[0]


def _logistic_beside(features: np.ndarray, target: np.ndarray, weights: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Weights, none of them positive, of doubts beside log-odds that are given."""
    sign = np.where(target, 1.0, -1.0)

    def loss(found: np.ndarray) -> float:
        penalty = found @ found / (2 * LEAST_SHRINKAGE)
        return float(weights @ np.logaddexp(0, -sign * (given + features @ found)) + penalty)

    return minimize(loss, np.zeros(features.shape[1]), bounds=[(None, 0.0)] * features.shape[1]).x


def _quantile(features: np.ndarray, target: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    model = QuantileRegressor(quantile=HOLDS, alpha=1e-4, solver="highs").fit(features, target, sample_weight=weights)
    return float(model.intercept_), model.coef_
