"""E(3)-Pose itself, as one method among the others."""

from __future__ import annotations

from typing import ClassVar

from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.estimator import PoseEstimator
from E3PoseLib.models.loading import load_model

from .method import Answer, Means, Need


class E3Pose:
    """The method of this project with the model that was asked for."""

    needs: ClassVar[frozenset[Need]] = frozenset({Need.MODEL})
    as_official = False

    def __init__(self, means: Means) -> None:
        self._estimator = PoseEstimator(load_model(**means.model), means.device, as_official=self.as_official)

    def __call__(self, volume: Volume, age_weeks: float | None) -> Answer:
        estimate = self._estimator.estimate(volume)
        return Answer(
            estimate.canonical_to_ras, estimate.mask, warnings=estimate.warnings, confidence=estimate.confidence
        )
