"""The brain mask that E(3)-Pose's U-Net finds, for methods that need one."""

from __future__ import annotations

import numpy as np

from E3PoseLib.errors import NoHeadFoundError
from E3PoseLib.imaging.resampling import nearest_on_grid
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.estimator import PoseEstimator
from E3PoseLib.method.head import Head
from E3PoseLib.method.prepared import PreparedScan
from E3PoseLib.models.loading import load_model
from E3PoseLib.networks.device import pick_device

from ..localisation.second_look import SecondLook
from .method import Means


class BrainOfModel:
    """Finds the brain by E(3)-Pose's U-Net that looks first, or anew around that by another localiser.

    Parameters
    ----------
    means : Means
    closer : bool
        Whether the model's network that looks closer finds the brain anew, where it has one and no other localiser is
        told: for methods that see nothing but what the mask holds.
    """

    def __init__(self, means: Means, closer: bool = False) -> None:
        self._estimator = PoseEstimator(load_model(**means.model), means.device)
        self._closer = closer and self._estimator.reader.close_ups.sees_heads
        self._second_look = SecondLook(means.localiser, pick_device(means.device)) if means.localiser else None

    def __call__(self, volume: Volume) -> np.ndarray:
        """The mask in the scan's own grid, uint8.

        Raises
        ------
        NoHeadFoundError
            If there is none.
        """
        return self.in_scan(*self.on_grid(volume))

    def on_grid(self, volume: Volume) -> tuple[PreparedScan, np.ndarray]:
        """The scan as the networks take it, and the mask on its grid, bool.

        Raises
        ------
        NoHeadFoundError
            If there is none.
        """
        scan = self._estimator.prepare(volume)
        brains = scan.known_brains or self._estimator.reader.localiser([scan])[0]
        if not len(brains):
            raise NoHeadFoundError(f"{volume.name}: no fetal head was found")
        brain = brains[0]
        if self._second_look is not None:
            brain = self._second_look(scan.array, brain)
            if not brain.any():
                raise NoHeadFoundError(f"{volume.name}: the localiser found no brain where the model has found one")
        elif self._closer:
            brain = self._estimator.reader.close_ups.in_scan([Head(scan, brain)])[0].brain
        return scan, brain

    @staticmethod
    def in_scan(scan: PreparedScan, brain: np.ndarray) -> np.ndarray:
        """A mask of the grid in the scan's own voxels, uint8."""
        oriented = scan.oriented
        mask = nearest_on_grid(brain.astype(np.uint8), scan.grid_to_ras, oriented.shape, oriented.voxel_to_ras)
        return scan.volume.in_own_order(mask)
