"""Heads that navigators are taken of while they move: synthetic ones, and that of a scan."""

from __future__ import annotations

from typing import Protocol as Interface

import numpy as np
from scipy import ndimage

from E3PoseLib.errors import DatasetError
from E3PoseLib.imaging.geometry import invert_rigid, rigid, transform_points
from E3PoseLib.imaging.resampling import reslice
from E3PoseLib.imaging.volume import Volume

from ..synthesis.anatomy.drawn_brain import ParametricBrain
from ..synthesis.kinds.kind import Wanted
from ..synthesis.kinds.moving import MovingFetus
from .acquisition import Protocol

NAVIGATOR_EDGES_MM = (384.0, 384.0, 216.0)
SCANNED_EDGE_MM = 180.0
"""Of the navigators of a scan's head; beyond the scan they are dark."""

POINTS_MM = 2.0
"""Apart, of the points that stand for the brain."""

FURTHEST_CENTRE_MM = 20.0
"""From the brain's centre to that of its pose."""

FWHM_PER_SIGMA = 2.355


class Head(Interface):
    """What `run_trial` needs."""

    age_weeks: float

    @property
    def rest_to_ras(self) -> np.ndarray:
        """The head's pose at rest, ``canonical_to_ras``, ``[4, 4]``."""

    def brain_points(self) -> np.ndarray:
        """Points of the brain in the head's frame, mm, ``[P, 3]``."""

    def navigator(self, motion: np.ndarray, moment: int) -> Volume:
        """What a navigator shows when the head has moved by ``motion``, ``[4, 4]``, within its own frame."""


class SyntheticHead:
    """Drawn by a seed, in its mother.

    Parameters
    ----------
    seed : int
    age_weeks : float
    protocol : Protocol
    """

    def __init__(self, seed: int, age_weeks: float, protocol: Protocol) -> None:
        self.age_weeks = age_weeks
        spacing = protocol.navigator_spacing
        shape = tuple(int(np.ceil(edge / spacing)) for edge in NAVIGATOR_EDGES_MM)
        self._fetus = MovingFetus(seed, age_weeks, lambda age, rng: ParametricBrain(), Wanted(shape, spacing))

    @property
    def rest_to_ras(self) -> np.ndarray:
        return self._fetus.rest_to_ras

    def brain_points(self) -> np.ndarray:
        return self._fetus.brain_points(POINTS_MM)

    def navigator(self, motion: np.ndarray, moment: int) -> Volume:
        made = self._fetus.scan(motion, moment)
        return Volume(made.image, made.voxel_to_ras, name=f"navigator {moment}")


class ScannedHead:
    """The head of a scan. All that the scan shows moves with it, in one piece; nothing moves within a navigator.

    Parameters
    ----------
    volume : Volume
    canonical_to_ras : np.ndarray
        Shape ``[4, 4]``, the head's pose in it.
    brain : np.ndarray
        Shape of the volume, not 0 in the brain.
    protocol : Protocol

    Raises
    ------
    DatasetError
        If the pose's centre is far from the brain.
    """

    age_weeks = float("nan")

    def __init__(self, volume: Volume, canonical_to_ras: np.ndarray, brain: np.ndarray, protocol: Protocol) -> None:
        self._rest, self._spacing = canonical_to_ras, protocol.navigator_spacing
        # A navigator's voxel is the mean of what lies in it.
        sigma = self._spacing / FWHM_PER_SIGMA / volume.spacing
        smooth = ndimage.gaussian_filter(np.asarray(volume.intensities(), np.float32), sigma)
        self._volume = Volume(smooth, volume.voxel_to_ras, name=volume.name)
        voxel_to_canonical = invert_rigid(canonical_to_ras) @ volume.voxel_to_ras
        points = transform_points(voxel_to_canonical, np.argwhere(brain))
        self._brain = np.unique(np.rint(points / POINTS_MM), axis=0) * POINTS_MM
        away = float(np.linalg.norm(self._brain.mean(axis=0)))
        if away > FURTHEST_CENTRE_MM:
            raise DatasetError(
                f"{volume.name}: the pose's centre lies {away:.0f} mm from the brain's; a pose is canonical_to_ras, "
                "is it the inverse?"
            )

    @property
    def rest_to_ras(self) -> np.ndarray:
        return self._rest

    def brain_points(self) -> np.ndarray:
        return self._brain

    def navigator(self, motion: np.ndarray, moment: int) -> Volume:
        to_rest = self._rest @ invert_rigid(motion) @ invert_rigid(self._rest)
        about_head = rigid(np.eye(3), self._rest[:3, 3])
        seen = reslice(self._volume, to_rest @ about_head, self._spacing, SCANNED_EDGE_MM)
        return Volume(seen.array, about_head @ seen.voxel_to_ras, name=f"navigator {moment}")
