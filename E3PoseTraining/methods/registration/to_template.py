"""Where the brain is, E(3)-Pose's U-Net says; how it is turned, the registration that ends best of several starts.

A head may lie in any way, and a registration finds the nearest optimum alone: a few hundred rotations are compared with
the template as they are, and the registration begins at the best of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from E3PoseLib.alignment.likeness import likeness
from E3PoseLib.alignment.stack import SPACING_MM, PosedStack, grid_points, sampled
from E3PoseLib.imaging.geometry import rigid, transform_points
from E3PoseLib.imaging.masks import centre_of_mass
from E3PoseLib.imaging.volume import Volume

from ..brain_of_model import BrainOfModel
from ..method import Answer, Means, Need
from .templates import Template, read_templates

TRIED = 600
"""Rotations that are compared with the template as they are: no rotation is further than some 25° from one of them."""

STARTS = 8
APART_DEGREES = 30.0
"""The best of them, so far from each other, from which the registration starts."""

FINISHED = 3
"""Of the ends at half the resolution, the best that are registered at all of it."""

AGAIN = 4
"""Times at most that the best of these is registered again from where it ended, for its steps shrink too early."""

COARSE = 3
"""Every so many voxels of the template are looked at where rotations are tried."""

COARSE_MM = 3.0
"""Standard deviation by which the scan is smoothed there."""

AROUND_MM = 15.0
"""What is compared is the brain and so much around it, where both are empty: the brain's outline counts."""

OUTSIDE = -4.0
"""What is not brain, in standard deviations from the brain's mean: the mother about the head tells nothing of it."""


@dataclass(frozen=True, eq=False)
class _Fit:
    """A pose ``canonical_to_ras`` from which a registration to a template begins, and how alike the two are there."""

    template: Template
    compared: np.ndarray
    pose: np.ndarray
    likeness: float = -1.0


class ToTemplate:
    """Rigid registration of a head to a template; how, the subclass knows."""

    needs: ClassVar[frozenset[Need]] = frozenset({Need.AGE, Need.TEMPLATES, Need.MODEL})
    takes_localiser = True

    def __init__(self, means: Means) -> None:
        assert means.templates is not None
        self._templates = means.templates
        self._find_brain = BrainOfModel(means)

    def __call__(self, volume: Volume, age_weeks: float | None) -> Answer:
        assert age_weeks is not None
        templates = [brain_of_template(one) for one in read_templates(self._templates, age_weeks)]
        brain = self._find_brain(volume)
        centre = transform_points(volume.voxel_to_ras, centre_of_mass(brain > 0))
        scan = PosedStack(volume.name, brain_of_scan(volume, brain), rigid(np.eye(3), centre), brain, is_shaded=False)
        starts = [_Fit(template, compared_region(template), pose) for template, pose in best_starts(scan, templates)]
        rough = [self._further(scan, start, roughly=True) for start in starts]
        rough.sort(key=lambda end: -end.likeness)
        best = max((self._further(scan, end) for end in rough[:FINISHED]), key=lambda end: end.likeness)
        for _ in range(AGAIN):
            further = self._further(scan, best)
            if further.likeness <= best.likeness:
                break
            best = further
        figures = {
            "age_weeks": float(age_weeks),
            "template": f"{best.template.contrast} {best.template.age_weeks:g} weeks",
            "correlation": best.likeness,
        }
        return Answer(best.pose, brain, figures)

    def _further(self, scan: PosedStack, start: _Fit, roughly: bool = False) -> _Fit:
        end = self.register(scan, start.template, start.compared, start.pose, roughly=roughly)
        reached = likeness(sampled(scan, end), start.template.sample, start.compared)
        return replace(start, pose=end, likeness=reached)

    def register(
        self, scan: PosedStack, template: Template, compared: np.ndarray, start: np.ndarray, *, roughly: bool = False
    ) -> np.ndarray:
        """Improve a pose ``canonical_to_ras``.

        Parameters
        ----------
        scan : PosedStack
        template : Template
        compared : np.ndarray
            Bool, the grid of the template: where the two are compared.
        start : np.ndarray
            Shape ``[4, 4]``, rigid, mm.
        roughly : bool
            Whether it is only to be seen which start leads furthest; the best is registered again.

        Returns
        -------
        np.ndarray
            Shape ``[4, 4]``, rigid; the start where the registration leads nowhere.
        """
        raise NotImplementedError


def brain_of_scan(volume: Volume, brain: np.ndarray) -> Volume:
    """A scan of which the brain alone is left, in standard deviations from the brain's mean."""
    values, inside = volume.intensities(), brain > 0
    values = (values - values[inside].mean()) / max(float(values[inside].std()), 1e-6)
    return Volume(
        np.where(inside, np.clip(values, OUTSIDE, -OUTSIDE), OUTSIDE).astype(np.float32),
        volume.voxel_to_ras,
        volume.name,
    )


def brain_of_template(template: Template) -> Template:
    """A template of which the brain alone is left; where some heads have brain, in part."""
    sample = template.sample
    values = sample.brain * sample.values + (1 - sample.brain) * OUTSIDE
    return replace(template, sample=replace(sample, values=values.astype(np.float32)))


def compared_region(template: Template) -> np.ndarray:
    """The brain of a template and what is around it, bool."""
    outside = template.sample.brain <= 0.5
    return (ndimage.distance_transform_edt(outside, sampling=SPACING_MM) <= AROUND_MM) & template.sample.covered


def best_starts(scan: PosedStack, templates: Sequence[Template]) -> list[tuple[Template, np.ndarray]]:
    """Rotations about the brain's centre under which the scan is most like a template, `APART_DEGREES` at least.

    Parameters
    ----------
    scan : PosedStack
        Its pose's origin is the brain's centre.
    templates : sequence of Template
        At least one.
    """
    rotations = Rotation.random(TRIED, random_state=0)
    smooth = ndimage.gaussian_filter(scan.intensities, COARSE_MM / scan.volume.spacing)
    to_voxel = np.linalg.inv(scan.volume.voxel_to_ras)
    tried: list[tuple[float, int, Template]] = []
    for template in templates:
        coarse = np.zeros_like(template.sample.covered)
        coarse[::COARSE, ::COARSE, ::COARSE] = True
        coarse &= compared_region(template)
        points, wanted = grid_points()[coarse], template.sample.values[coarse]
        for number, matrix in enumerate(rotations.as_matrix()):
            to_scan = to_voxel @ rigid(matrix, scan.canonical_to_ras[:3, 3])
            seen = ndimage.map_coordinates(smooth, transform_points(to_scan, points).T, order=1, mode="nearest")
            tried.append((float(np.corrcoef(seen, wanted)[0, 1]) if seen.std() > 0 else -1.0, number, template))
    chosen: list[tuple[Template, int]] = []
    for _, number, template in sorted(tried, key=lambda each: -each[0]):
        to_others = [(rotations[number].inv() * rotations[other]).magnitude() for _, other in chosen]
        if not to_others or np.rad2deg(min(to_others)) >= APART_DEGREES:
            chosen.append((template, number))
        if len(chosen) == STARTS:
            break
    centre = scan.canonical_to_ras[:3, 3]
    return [(template, rigid(rotations[number].as_matrix(), centre)) for template, number in chosen]
