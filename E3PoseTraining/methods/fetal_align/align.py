"""The method on one page: sections, brain, eyes, frame."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from E3PoseLib.errors import MethodError, NoHeadFoundError
from E3PoseLib.imaging.geometry import rigid
from E3PoseLib.imaging.resampling import nearest_on_grid, straighten
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.eyes import rotation_from_eyes

from ...synthesis.anatomy.growth import head_size
from ..method import Answer, Means, Need
from .brain import find_brain
from .eyes import find_eyes
from .planes import planes_of
from .sections import find_sections

LAST_WEEK = 40.0
"""Of the growth tables; a fetus does not grow much after it."""

DOUBTFUL_SHARE, DOUBTFUL_SCORE = 0.4, 0.6
"""Share of slices with a section of the brain, and score of the eyes, below which a warning is given; those scouts of
docs/comparison.md whose pose is right have 0.5 and 0.68 and more."""


class FetalAlign:
    """Brain and eyes by stable regions of the size that a head has at the age."""

    needs: ClassVar[frozenset[Need]] = frozenset({Need.AGE})

    def __init__(self, means: Means) -> None:
        del means  # no device, no weights

    def __call__(self, volume: Volume, age_weeks: float | None) -> Answer:
        assert age_weeks is not None
        try:
            size = head_size(min(age_weeks, LAST_WEEK))
        except ValueError as error:
            raise MethodError(f"{volume.name}: {error}; fetal-align cannot tell how large its head is") from error
        # The same axes however the file stores them, so that the same scan gives the same answer.
        oriented = volume.closest_canonical()
        planes = planes_of(oriented if oriented.has_orthogonal_axes else straighten(oriented))
        brain = find_brain(planes, list(find_sections(planes, size)), size)
        if brain is None:
            raise NoHeadFoundError(f"{volume.name}: fetal-align found no brain of {age_weeks:g} weeks; check the age")
        eyes = find_eyes(planes, brain, size)
        if eyes is None:
            raise NoHeadFoundError(f"{volume.name}: fetal-align found no two eyes at the brain it found")
        centre, one, other, above = (
            planes.point_to_ras(point) for point in (brain.centre, eyes.one, eyes.other, brain.centre + eyes.upward)
        )
        left, right = one - centre, other - centre
        if np.cross(right, left) @ (above - centre) < 0:
            left, right = right, left
        pose = rigid(rotation_from_eyes(left, right), centre)
        mask = nearest_on_grid(brain.mask.astype(np.uint8), planes.to_ras, oriented.shape, oriented.voxel_to_ras)
        figures = {"age_weeks": float(age_weeks), "share_of_slices": brain.share, "eyes_score": eyes.score}
        warnings = []
        if brain.share < DOUBTFUL_SHARE:
            warnings.append(
                f"the brain is seen in {brain.share:.0%} of its slices alone; look at the pose, check the age"
            )
        if eyes.score < DOUBTFUL_SCORE:
            warnings.append("what was taken for the eyes hardly looks like eyes; the head may lie the other way round")
        return Answer(pose, volume.in_own_order(mask), figures, tuple(warnings))
