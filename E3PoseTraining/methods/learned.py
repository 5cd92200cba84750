"""Trained networks that see a crop around the brain and say how the head is turned.

Where the brain is, E(3)-Pose's U-Net says at its first look, but for methods that ask for the closer one. The crop,
the views whose answers are combined, and how they are combined are those of E(3)-Pose; its eyes and its doubts are left
out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from E3PoseLib.imaging.geometry import head_axes_to_ras, rigid, transform_points
from E3PoseLib.imaging.masks import centre_of_mass
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.crop import crop_views
from E3PoseLib.method.prepared import PreparedScan
from E3PoseLib.method.views import assemble_rotation, combine_views, view_rotations
from E3PoseLib.networks.device import pick_device

from ..regression.named import NETWORKS
from ..regression.weights import read_network
from .brain_of_model import BrainOfModel
from .method import Answer, Means, Need


class Learned:
    """A network of `E3PoseTraining.regression`, by the name of the method."""

    networks: ClassVar[Mapping[str, type[torch.nn.Module]]] = NETWORKS
    needs: ClassVar[frozenset[Need]] = frozenset({Need.WEIGHTS, Need.MODEL})
    takes_localiser = True
    looks_closer: ClassVar[bool] = False
    """See `BrainOfModel`."""

    def __init__(self, means: Means) -> None:
        assert means.weights is not None
        network, header = read_network(means.weights, {means.method: self.networks[means.method]}, ("crop", "views"))
        self._device = pick_device(means.device)
        self._network: Any = network.to(self._device)
        self._crop = header["crop"]
        self._views = view_rotations(header["views"])
        self._find_brain = BrainOfModel(means, self.looks_closer)

    @torch.inference_mode()
    def __call__(self, volume: Volume, age_weeks: float | None) -> Answer:
        scan, brain = self._find_brain.on_grid(volume)
        axes, figures = self._axes(scan, brain)
        rotation = assemble_rotation(head_axes_to_ras(axes, scan.grid_to_ras))
        centre = transform_points(scan.grid_to_ras, centre_of_mass(brain))
        mask = self._find_brain.in_scan(scan, brain)
        return Answer(rigid(rotation, np.asarray(centre)), mask, figures)

    def _axes(self, scan: PreparedScan, brain: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        """Rows right, anterior and superior along the grid's axes, and figures of how they were found."""
        rotations = self._network.rotation(self._seen(brain, scan.array))
        axes, disagreement = combine_views(rotations.double().cpu().numpy(), self._views)
        return axes, {"view_disagreement_degrees": disagreement}

    def _seen(self, brain: np.ndarray, array: np.ndarray) -> torch.Tensor:
        """The crop around the brain in every view, ``[V, 1, edge, edge, edge]``."""
        edge, fraction, clip = (self._crop[key] for key in ("edge", "object_fraction", "clip_fraction"))
        views = crop_views(brain, array, edge, fraction, self._views, clip, self._device)
        return torch.from_numpy(views)[:, None].to(self._device)
