"""EquiTrack: the head's rotation from its points and a template's, and from one frame to another without a template."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from E3PoseLib.imaging.geometry import direction_cosines, head_axes_to_ras, rigid, transform_points
from E3PoseLib.imaging.masks import centre_of_mass
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.crop import crop_views
from E3PoseLib.method.prepared import PreparedScan
from E3PoseLib.method.views import assemble_rotation, view_rotations
from E3PoseLib.networks.device import pick_device

from ..equitrack.frames import head_alone
from ..equitrack.points import rotation_between
from ..equitrack.run import TRACKERS
from ..regression.weights import read_network
from .brain_of_model import BrainOfModel
from .method import Answer, Means, Need


class EquiTrack:
    """Points of the head around the brain that E(3)-Pose's U-Net finds, each the mean of those seen in all views.

    A grid does not turn as a head does: in a single view of coarse voxels the points are off by more than by noise.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.WEIGHTS, Need.MODEL})
    takes_localiser = True

    def __init__(self, means: Means) -> None:
        assert means.weights is not None
        network, header = read_network(means.weights, TRACKERS, ("crop", "views"))
        self._device = pick_device(means.device)
        self._network = network.to(self._device)
        self._crop = header["crop"]
        self._views = view_rotations(header["views"])
        self._find_brain = BrainOfModel(means)

    @torch.inference_mode()
    def __call__(self, volume: Volume, age_weeks: float | None) -> Answer:
        scan, brain = self._find_brain.on_grid(volume)
        axes = self._network.to_template(self._points(scan, brain))[0].double().cpu().numpy()
        rotation = assemble_rotation(head_axes_to_ras(axes, scan.grid_to_ras))
        centre = transform_points(scan.grid_to_ras, centre_of_mass(brain))
        return Answer(rigid(rotation, np.asarray(centre)), self._find_brain.in_scan(scan, brain))

    @torch.inference_mode()
    def motion(self, volume: Volume, other: Volume) -> np.ndarray:
        """How a head has moved from one scan to another.

        Parameters
        ----------
        volume, other : Volume
            Two scans of one head.

        Returns
        -------
        np.ndarray
            ``[4, 4]``, rigid, RAS mm: where a point of the head lies in the first, to where it lies in the other. The
            rotation is that of the points, the shift that of the brain's centre.

        Raises
        ------
        NoHeadFoundError
            If there is none in one of them.
        """
        frames = [self._find_brain.on_grid(each) for each in (volume, other)]
        turn = rotation_between(*(self._points(*frame) for frame in frames))[0].double().cpu().numpy()
        before, after = (direction_cosines(scan.grid_to_ras) for scan, _ in frames)
        start, end = (transform_points(scan.grid_to_ras, centre_of_mass(brain)) for scan, brain in frames)
        rotation = after @ turn @ before.T
        return rigid(rotation, end - rotation @ start)

    def _points(self, scan: PreparedScan, brain: np.ndarray) -> torch.Tensor:
        """``[1, K, 3]`` along the grid's axes."""
        place = (self._crop["edge"], self._crop["object_fraction"], self._views, self._crop["clip_fraction"])
        views = crop_views(brain, head_alone(scan.array, brain), *place, self._device)
        points = self._network(torch.from_numpy(views)[:, None].to(self._device))
        to_grid = torch.from_numpy(self._views).to(points)
        return (points @ to_grid.mT).mean(dim=0, keepdim=True)
