"""Trained networks that see a crop around the brain and say how the head is turned.

Where the brain is, E(3)-Pose's U-Net says at its first look. The crop, the views whose answers are combined, and how
they are combined are those of E(3)-Pose; its eyes, its close-ups and its doubts are left out.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from E3PoseLib.imaging.geometry import head_axes_to_ras, rigid, transform_points
from E3PoseLib.imaging.masks import centre_of_mass
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.crop import crop_views
from E3PoseLib.method.views import assemble_rotation, combine_views, view_rotations
from E3PoseLib.networks.device import pick_device

from ..regression.named import NETWORKS
from ..regression.weights import read_network
from .brain_of_model import BrainOfModel
from .method import Answer, Means, Need


class Learned:
    """A network of `E3PoseTraining.regression`, by the name of the method."""

    needs: ClassVar[frozenset[Need]] = frozenset({Need.WEIGHTS, Need.MODEL})
    takes_localiser = True

    def __init__(self, means: Means) -> None:
        assert means.weights is not None
        network, header = read_network(means.weights, {means.method: NETWORKS[means.method]}, ("crop", "views"))
        self._device = pick_device(means.device)
        self._network = network.to(self._device)
        self._crop = header["crop"]
        self._views = view_rotations(header["views"])
        self._find_brain = BrainOfModel(means)

    @torch.inference_mode()
    def __call__(self, volume: Volume, age_weeks: float | None) -> Answer:
        scan, brain = self._find_brain.on_grid(volume)
        edge, fraction, clip = (self._crop[key] for key in ("edge", "object_fraction", "clip_fraction"))
        views = crop_views(brain, scan.array, edge, fraction, self._views, clip, self._device)
        rotations = self._network.rotation(torch.from_numpy(views)[:, None].to(self._device))
        axes, disagreement = combine_views(rotations.double().cpu().numpy(), self._views)
        rotation = assemble_rotation(head_axes_to_ras(axes, scan.grid_to_ras))
        centre = transform_points(scan.grid_to_ras, centre_of_mass(brain))
        mask = self._find_brain.in_scan(scan, brain)
        return Answer(rigid(rotation, np.asarray(centre)), mask, figures={"view_disagreement_degrees": disagreement})
