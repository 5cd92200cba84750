"""What a method is: a scan in, a pose out, and what it has to be told beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.trust.confidence import Confidence


class Need(Enum):
    """What a method has to be told, and how."""

    AGE = "the gestational age: give --age WEEKS, or --age CSV with the columns frame_id and gestational_age_weeks"
    TEMPLATES = "templates of heads, which E3PoseTraining.make_templates makes (docs/methods.md): give --templates DIR"
    MODEL = "a model of E(3)-Pose: give --model NAME"
    WEIGHTS = "its weights: give --weights FILE (to compare: --weights METHOD=FILE; see docs/methods.md)"


@dataclass(frozen=True)
class Means:
    """What all scans of a run have in common.

    Parameters
    ----------
    device : str
        As for `PoseEstimator`.
    model : mapping
        The arguments of `load_model`: of E(3)-Pose, and of what needs its brain mask.
    templates : Path, optional
        Folder of templates.
    weights : Path, optional
        A learned method's weights.
    method : str
        By which name the method was asked for; filled in by `MethodEstimator`.
    localiser : Path, optional
        Weights of a U-Net of `localisation`, which looks for the brain anew where E(3)-Pose's U-Net has found it.
    """

    device: str = "auto"
    model: Mapping[str, Any] = field(default_factory=lambda: {"source": "default"})
    templates: Path | None = None
    weights: Path | None = None
    method: str = ""
    localiser: Path | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method says of one scan.

    Parameters
    ----------
    canonical_to_ras : np.ndarray
        Shape ``[4, 4]``, rigid: the head's frame (mm; origin the brain's centre of mass, +x the fetus's right, +y
        anterior, +z superior) in RAS mm.
    mask : np.ndarray, optional
        Shape of the scan; 1 in the brain.
    figures : mapping
        What the method notes of its work, by name: plain numbers and words for the JSON document.
    warnings : tuple of str
        What speaks against the pose, in plain words.
    confidence : Confidence, optional
        Where the method judges its own answers as E(3)-Pose does.
    """

    canonical_to_ras: np.ndarray
    mask: np.ndarray | None = None
    figures: Mapping[str, float | str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    confidence: Confidence | None = None


class Method(Protocol):
    """A way to find the head's pose. A class of this shape is made once for a run and called once for each scan.

    What goes wrong with a scan is raised as an `E3PoseError` that says what and why; the other scans are estimated.
    """

    needs: ClassVar[frozenset[Need]]

    def __init__(self, means: Means) -> None: ...

    def __call__(self, volume: Volume, age_weeks: float | None) -> Answer:
        """Find the pose of the head in a scan; the age is None unless the method needs it."""
