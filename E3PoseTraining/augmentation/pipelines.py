"""The augmentation of each network, put together from the flags of its training command."""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
import torch
from monai.transforms import Compose, ResizeWithPadOrCrop

from E3PoseLib.resampling import rescale
from E3PoseLib.segmentation.crop import crop_around
from E3PoseLib.segmentation.posterior import bounding_box

from .artifacts import RandCroppedFieldOfView, RandGhosting, RandSpinHistory
from .intensity import NormalisePercentiles, RandBiasField, RandGamma, RandNoise
from .resolution import RandIsotropicResolution, RandThickSlices
from .sample import Sample
from .spatial import RandEpiDistortion, RandInterleavedMotion, RandPlacement

OBJECT_FRACTION = 0.6
"""Mean extent of the object relative to the cube that the rotation network sees."""


def segmentation_augmentation(options: argparse.Namespace) -> Compose:
    """What `train_unet` does to a scan: a cube of ``crop_size`` voxels of it, as another scanner might show it."""
    placement = RandPlacement(
        options.crop_size,
        options.rotation,
        options.translation,
        (options.scaling_lower_bound, options.scaling_upper_bound),
        options.flipping,
    )
    resolution = [RandIsotropicResolution(options.max_res_iso)] if options.randomise_res else []
    noise = [RandNoise(options.noise_std)]
    return Compose([placement, *_acquisition(options, resolution, noise)])


def rotation_augmentation(options: argparse.Namespace) -> Compose:
    """What `train_e3cnn` does to a scan before `HeadCrop`: the head and what is around it, turned as a whole."""
    placement = RandPlacement(None, options.rotation, options.shift, centre_on_object=True, margin=1 / OBJECT_FRACTION)
    return Compose([placement, *_acquisition(options, [RandIsotropicResolution(options.max_res_iso)], [])])


def _acquisition(options: argparse.Namespace, resolution: list, noise: list) -> list:
    """The order of a scan: the body lies somewhere and moves, signal is excited, encoded, received, and shown."""
    return [
        RandInterleavedMotion(options.interleaved_motion),
        RandSpinHistory(
            (options.sigma_min, options.sigma_max), (options.alpha_min, options.alpha_max), options.spin_history
        ),
        RandEpiDistortion(options.distortion),
        *resolution,
        RandThickSlices(options.thick_slices),
        RandGhosting(options.ghosting),
        RandBiasField(options.max_bias),
        *noise,
        RandCroppedFieldOfView(options.cropped_fov),
        NormalisePercentiles(options.norm_perc),
        RandGamma((options.gamma_min, options.gamma_max)),
    ]


class CentralCube:
    """Crops or pads a scan to a cube around its middle and rescales it, as before the U-Net at inference."""

    def __init__(self, edge: int) -> None:
        self.resize = ResizeWithPadOrCrop(edge)

    def __call__(self, sample: Sample) -> Sample:
        image = self.resize(sample.image).as_tensor()
        low, high = image.aminmax()
        image = (image - low) / (high - low).clamp_min(1e-6)
        return dataclasses.replace(sample, image=image, label=self.resize(sample.label).as_tensor())


class HeadCrop:
    """What the rotation network sees of a scan whose object is known, by the very crop of inference.

    Args:
        edge: voxels along the longest edge.
        minimum_edge: see `crop_around`.
    """

    def __init__(self, edge: int, minimum_edge: int) -> None:
        self.edge = edge
        self.minimum_edge = minimum_edge

    def __call__(self, sample: Sample) -> Sample:
        image, label = rescale(sample.image[0].cpu().numpy()), sample.label[0].cpu().numpy()
        view = bounding_box(image != 0)
        crops = [
            crop_around(label == 1, content, view, self.edge, OBJECT_FRACTION, self.minimum_edge)
            for content in (image, (label == 1).astype(np.float32))
        ]
        tensors = [torch.from_numpy(crop)[None].to(sample.image.device) for crop in crops]
        return dataclasses.replace(sample, image=tensors[0], label=(tensors[1] > 0.5).to(torch.uint8))
