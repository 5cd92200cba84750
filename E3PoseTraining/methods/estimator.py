"""Runs a method as `run_batch` runs E(3)-Pose: checks what it is told and what it says, takes time and memory."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from E3PoseLib.errors import MethodError, TransformError
from E3PoseLib.imaging.geometry import check_rigid, voxel_sizes
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.estimate import PoseEstimate
from E3PoseLib.networks.device import pick_device

from .method import Answer, Means, Method, Need

ML_PER_MM3 = 1e-3
NOT_JUDGED = "not judged"


@dataclass(frozen=True, eq=False)
class ScanOfAge(Volume):
    """A scan and the gestational age of the fetus in weeks, None where it is not known."""

    age_weeks: float | None = None


@dataclass(frozen=True)
class NotJudged:
    """In the place of a `Confidence`, of a method that says nothing of how far its poses can be trusted."""

    brain_volume_ml: float | None

    level: str = NOT_JUDGED
    brain_is_cut: bool = False
    """As of a `Confidence`; nobody has looked."""

    @property
    def in_words(self) -> str:
        """As of a `Confidence`."""
        return self.level

    def as_dict(self) -> dict[str, Any]:
        """For JSON: no probability and no bounds."""
        return {
            "level": self.level,
            "probability": None,
            "bound_degrees": None,
            "bound_mm": None,
            "brain_volume_ml": self.brain_volume_ml,
        }

    def warnings(self) -> tuple[str, ...]:
        """None of its own."""
        return ()


class MethodEstimator:
    """A method with the face of `PoseEstimator`.

    Parameters
    ----------
    method : type of Method
    name : str
        For messages.
    means : Means

    Raises
    ------
    MethodError
        If templates or weights are not told that the method needs.
    DeviceError
        If there is no such device.
    """

    def __init__(self, method: type[Method], name: str, means: Means) -> None:
        check_means(method, name, means)
        self._name = name
        self._needs_age = Need.AGE in method.needs
        self._device = str(pick_device(means.device))
        self._method = method(replace(means, method=name))

    def estimate(self, volume: Volume) -> PoseEstimate:
        """Estimate the pose of the head in one scan, a `ScanOfAge` where the age is known.

        Raises
        ------
        MethodError
            If the age is not known and the method needs it, or its answer is no pose, no mask of the scan or no figure.
        E3PoseError
            Of the method itself.
        """
        age_weeks = getattr(volume, "age_weeks", None)
        if self._needs_age and age_weeks is None:
            raise MethodError(f"{volume.name}: {self._name} needs {Need.AGE.value}")
        # What it writes into its scan must not change what is written of the scan.
        own = replace(volume, array=volume.array.copy(), voxel_to_ras=volume.voxel_to_ras.copy())
        began = time.perf_counter()
        answer = self._method(own, age_weeks)
        seconds = time.perf_counter() - began
        mask = self._checked(answer, volume)
        figures: Mapping[str, float | str] = {**answer.figures, **peak_memory()}
        confidence = answer.confidence or NotJudged(None if mask is None else _volume_ml(mask, volume))
        told = (*volume.warnings(), *answer.warnings)
        return PoseEstimate(
            canonical_to_ras=np.asarray(answer.canonical_to_ras, dtype=np.float64),
            mask=mask,
            confidence=confidence,
            warnings=tuple(dict.fromkeys(told)),
            timings={"total": seconds},
            device=self._device,
            precision="float32",
            figures=figures,
        )

    def _checked(self, answer: Answer, volume: Volume) -> np.ndarray | None:
        if not isinstance(answer, Answer):
            raise MethodError(f"{volume.name}: {self._name} gave no Answer, but {type(answer).__name__}")
        for name, figure in answer.figures.items():
            if not isinstance(figure, str) and not math.isfinite(figure):
                raise MethodError(f"{volume.name}: the figure {name!r} of {self._name} is {figure}, which is no number")
        try:
            check_rigid(np.asarray(answer.canonical_to_ras, dtype=np.float64))
        except TransformError as error:
            raise MethodError(f"{volume.name}: the answer of {self._name} is no pose: {error}") from error
        if answer.mask is None:
            return None
        if np.shape(answer.mask) != volume.shape:
            raise MethodError(
                f"{volume.name}: the mask of {self._name} has shape {np.shape(answer.mask)}, the scan {volume.shape}"
            )
        mask = np.asarray(answer.mask)
        if not np.isin(mask, (0, 1)).all():
            raise MethodError(
                f"{volume.name}: the mask of {self._name} must be 1 in the brain and 0 elsewhere; make one of "
                "probabilities by a threshold"
            )
        return mask.astype(np.uint8)


def check_means(method: type[Method], name: str, means: Means) -> None:
    """Before anything is begun.

    Raises
    ------
    MethodError
        If templates or weights are not told that the method needs, or are not there, or it has no use for a localiser,
        or that is not there.
    """
    if means.localiser is not None:
        if not getattr(method, "takes_localiser", False):
            raise MethodError(f"{name} takes no mask of another localiser: leave --localiser out")
        if not means.localiser.is_file():
            raise MethodError(
                f"there is no localiser '{means.localiser}': e3nn-unet and plain-unet come with the project; or name a "
                "file of weights"
            )
    for need, given in ((Need.TEMPLATES, means.templates), (Need.WEIGHTS, means.weights)):
        if need in method.needs:
            if given is None:
                raise MethodError(f"{name} needs {need.value}")
            if not given.exists():
                raise MethodError(f"{given}: does not exist; {name} needs {need.value}")


def peak_memory() -> dict[str, float]:
    """The most memory that this process ever had, by the name of its figure; nothing where the system does not tell."""
    try:
        import resource
    except ImportError:  # on Windows
        return {}
    unit = 1 if sys.platform == "darwin" else 1024
    return {"peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)}


def _volume_ml(mask: np.ndarray, volume: Volume) -> float:
    return float(np.count_nonzero(mask) * np.prod(voxel_sizes(volume.voxel_to_ras)) * ML_PER_MM3)
