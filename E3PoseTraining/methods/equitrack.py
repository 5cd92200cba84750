"""EquiTrack: the head's rotation from its points and a template's, and from one frame to another without a template."""

from __future__ import annotations

import numpy as np
import torch

from E3PoseLib.alignment.registration import registered
from E3PoseLib.alignment.stack import PosedStack, region, sampled
from E3PoseLib.imaging.geometry import direction_cosines, invert_rigid, rigid, transform_points
from E3PoseLib.imaging.masks import centre_of_mass
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.prepared import PreparedScan

from ..equitrack.head_alone import head_alone
from ..equitrack.points import TRACKERS, rotation_between
from .learned import Learned

REGISTERED = 2
"""Times that a registration begins anew where it ended: it stops while it still gains."""


class EquiTrack(Learned):
    """Points of the head around the brain that E(3)-Pose's U-Nets find, each the mean of those seen in all views.

    The brain is that of the closer look: what lies outside of it fades away, so other masks are other heads.

    A grid does not turn as a head does: in a single view of coarse voxels the points are off by more than by noise.
    """

    networks = TRACKERS
    looks_closer = True

    @torch.inference_mode()
    def motion(self, volume: Volume, other: Volume, *, by_points_alone: bool = False) -> np.ndarray:
        """How a head has moved from one scan to another.

        The points tell it however far the head has turned, and from there both brains are registered, which the paper
        does not do.

        Parameters
        ----------
        volume, other : Volume
            Two scans of one head.
        by_points_alone : bool
            Whether it stays at the rotation of the points, and the shift of the brain's centre.

        Returns
        -------
        np.ndarray
            ``[4, 4]``, rigid, RAS mm: where a point of the head lies in the first, to where it lies in the other.

        Raises
        ------
        NoHeadFoundError
            If there is none in one of them.
        DependencyError
            If both are to be registered and SimpleITK is not installed.
        VolumeError, DeviceError
            See `PoseEstimator.estimate`.
        """
        frames = [self._find_brain.on_grid(each) for each in (volume, other)]
        turn = rotation_between(*(self._points(*frame) for frame in frames))[0].double().cpu().numpy()
        before, after = (direction_cosines(scan.grid_to_ras) for scan, _ in frames)
        start, end = (transform_points(scan.grid_to_ras, centre_of_mass(brain)) for scan, brain in frames)
        by_points = rigid(after @ turn @ before.T, end) @ rigid(np.eye(3), -start)
        if by_points_alone:
            return by_points
        # In a frame about the first brain's centre, along the world's axes.
        frame = rigid(np.eye(3), start)
        first, second = (
            PosedStack(each.name, each, pose, self._find_brain.in_scan(scan, brain))
            for each, pose, (scan, brain) in zip((volume, other), (frame, by_points @ frame), frames, strict=True)
        )
        shown = sampled(first, frame)
        moved = second.canonical_to_ras
        for _ in range(REGISTERED):
            moved = registered(second, shown, region(shown.brain), moved)
        return moved @ invert_rigid(frame)

    def _axes(self, scan: PreparedScan, brain: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        return self._network.to_template(self._points(scan, brain))[0].double().cpu().numpy(), {}

    def _points(self, scan: PreparedScan, brain: np.ndarray) -> torch.Tensor:
        """``[1, K, 3]`` along the grid's axes."""
        points = self._network(self._seen(brain, head_alone(scan.array, brain)))
        to_grid = torch.from_numpy(self._views).to(points)
        return (points @ to_grid.mT).mean(dim=0, keepdim=True)
