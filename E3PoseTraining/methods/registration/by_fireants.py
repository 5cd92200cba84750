"""Rigid registration by FireANTs: local correlation, Adam, from coarse to fine; made for GPUs, and runs without."""

from __future__ import annotations

import logging

import numpy as np
import torch
from fireants.io.image import BatchedImages, Image
from fireants.registration.rigid import RigidRegistration

from E3PoseLib.alignment.registration import sitk_image
from E3PoseLib.alignment.stack import PosedStack, grid_to_frame
from E3PoseLib.imaging.geometry import LPS_TO_RAS
from E3PoseLib.imaging.rotations import orthonormalise
from E3PoseLib.networks.device import pick_device

from ..method import Means
from .templates import Template
from .to_template import OUTSIDE, ToTemplate

# It tells of each of its steps, and that it can do without its fused operations.
logging.getLogger("fireants").setLevel(logging.ERROR)

SCALES = (4, 2)
ITERATIONS = (100, 50)
"""At each of the scales, of the template's grid."""

LEARNING_RATE = 0.01
"""Of the quaternion as of the translation in mm."""

WIDTH = 5
"""Voxels along the edge of the cubes whose correlation is taken."""


class ByFireANTs(ToTemplate):
    """The moving image is the scan, the fixed one the template about its brain."""

    def __init__(self, means: Means) -> None:
        super().__init__(means)
        self._device = str(pick_device(means.device))

    def register(
        self, scan: PosedStack, template: Template, compared: np.ndarray, start: np.ndarray, *, roughly: bool = False
    ) -> np.ndarray:
        levels = slice(1 if roughly else None)
        fixed = self._image(template.sample.values, grid_to_frame())
        moving = self._image(scan.intensities, scan.volume.voxel_to_ras)
        lps = torch.from_numpy(LPS_TO_RAS @ start @ LPS_TO_RAS).float()
        registration = RigidRegistration(
            scales=list(SCALES[levels]),
            iterations=list(ITERATIONS[levels]),
            fixed_images=fixed,
            moving_images=moving,
            loss_type="cc",
            cc_kernel_size=WIDTH,
            init_moment=lps[None, :3, :3],
            init_translation=lps[None, :3, 3],
            optimizer_lr=LEARNING_RATE,
            progress_bar=False,
        )
        registration.optimize()
        found = registration.get_rigid_matrix()[0].detach().cpu().double()
        found[:3, :3] = orthonormalise(found[:3, :3])  # it was found in single precision
        return LPS_TO_RAS @ found.numpy() @ LPS_TO_RAS

    def _image(self, array: np.ndarray, voxel_to_ras: np.ndarray) -> BatchedImages:
        """An array on its grid as FireANTs has it."""
        # Beyond an image FireANTs sees zeros: as about the brain, then.
        return BatchedImages([Image(sitk_image(array - OUTSIDE, voxel_to_ras), device=self._device)])
