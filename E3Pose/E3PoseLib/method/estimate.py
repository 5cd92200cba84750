"""The result of an estimate: pose, brain mask, confidence, warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..imaging.geometry import invert_rigid
from .eyes import Eyes
from .trust.confidence import Confidence


@dataclass(frozen=True, eq=False)
class PoseEstimate:
    """The pose of a head, and how far it can be trusted.

    Parameters
    ----------
    canonical_to_ras : np.ndarray
        Shape ``[4, 4]``, float64, rigid: the head's frame (mm; origin the brain's centre of mass, +x the fetus's
        right, +y anterior, +z superior) in RAS mm. The columns of its rotation are the head's axes.
    mask : np.ndarray
        Shape of the scan, uint8: 1 in the brain, in the scan's own grid. E(3)-Pose always gives one; of other methods,
        which the training package has, it may be None.
    confidence : Confidence
    warnings : tuple of str
        What speaks against trusting the pose, in plain words.
    timings : dict
        Seconds of each step, and "total".
    device : str
        Where the networks ran.
    precision : str
        Of the U-Net's convolutions.
    eyes : Eyes or None
        Where the eyes were found; None where they were not, or the model does not look for them.
    figures : mapping
        What another method notes of its work; empty for E(3)-Pose, which has its confidence for that.
    """

    canonical_to_ras: np.ndarray
    mask: np.ndarray
    confidence: Confidence
    warnings: tuple[str, ...]
    timings: dict[str, float]
    device: str
    precision: str
    eyes: Eyes | None = None
    figures: Mapping[str, float | str] = field(default_factory=dict)

    def with_evidence(self, **evidence: Any) -> PoseEstimate:
        """The same estimate with something else that speaks for or against it.

        Parameters
        ----------
        **evidence
            Fields of its `Confidence`.
        """
        confidence = replace(self.confidence, **evidence)
        before = self.confidence.warnings()
        others = tuple(sentence for sentence in self.warnings if sentence not in before)
        return replace(self, confidence=confidence, warnings=(*others, *confidence.warnings()))

    @property
    def ras_to_canonical(self) -> np.ndarray:
        """The inverse pose: put the scan under it and the head is upright."""
        return invert_rigid(self.canonical_to_ras)
