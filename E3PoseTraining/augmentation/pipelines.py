"""The augmentation of each network, put together from the flags of its training command."""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
import torch
from monai.transforms import Compose, ResizeWithPadOrCrop

from E3PoseLib.imaging.cropping import cut, whole_multiple
from E3PoseLib.imaging.intensities import rescale
from E3PoseLib.imaging.masks import bounding_box
from E3PoseLib.method.crop import crop_around, crop_views, cube_around

from .artifacts import RandCroppedFieldOfView, RandGhosting, RandSpinHistory, RandSurroundings
from .intensity import NormalisePercentiles, RandBiasField, RandGamma, RandNoise
from .resolution import RandIsotropicResolution, RandThickSlices
from .sample import Sample
from .spatial import (
    RandEpiDistortion,
    RandInterleavedMotion,
    RandMaskError,
    RandPlacement,
    RandShear,
    RandUprightHead,
    upright,
)

OBJECT_FRACTION = 0.6
"""Mean extent of the object relative to the cube that the rotation network sees."""


def segmentation_augmentation(options: argparse.Namespace) -> Compose:
    """What `train_unet` does to a scan: a cube of ``crop_size`` voxels of it, as another scanner might show it."""
    resolution = [RandIsotropicResolution(options.max_res_iso)] if options.randomise_res else []
    noise = [RandNoise(options.noise_std)]
    if options.upright:
        # At last: slices are those of the scan, not of the head.
        scaling = (options.scaling_lower_bound, options.scaling_upper_bound)
        placement = RandUprightHead(options.crop_size, options.rotation, options.translation, scaling, options.flipping)
        return Compose([*_acquisition(options, resolution, noise), placement])
    placement = RandPlacement(
        options.crop_size,
        options.rotation,
        options.translation,
        (options.scaling_lower_bound, options.scaling_upper_bound),
        options.flipping,
        centre_on_object=options.around_object,
    )
    return Compose([placement, *_acquisition(options, resolution, noise)])


def rotation_augmentation(options: argparse.Namespace) -> Compose:
    """What `train_e3cnn` does to a scan before `HeadCrop`: the head and what is around it, turned as a whole."""
    mask_error = RandMaskError(options.mask_error)
    placement = RandPlacement(
        None,
        options.rotation,
        options.shift,
        centre_on_object=True,
        margin=(1 + mask_error.max_stretch) / OBJECT_FRACTION,
        room=mask_error.max_shift,
    )
    resolution = [RandIsotropicResolution(options.max_res_iso)]
    noise = [RandNoise(options.noise_std)] if options.noise_std else []
    return Compose([placement, *_acquisition(options, resolution, noise), mask_error])


def _acquisition(options: argparse.Namespace, resolution: list, noise: list) -> list:
    """The order of a scan: the body lies somewhere and moves, signal is excited, encoded, received, and shown."""
    return [
        RandSurroundings(options.surroundings),
        RandInterleavedMotion(options.interleaved_motion),
        RandSpinHistory(
            (options.sigma_min, options.sigma_max), (options.alpha_min, options.alpha_max), options.spin_history
        ),
        RandEpiDistortion(options.distortion),
        RandShear(options.shear),
        *resolution,
        RandThickSlices(options.thick_slices),
        RandGhosting(options.ghosting),
        RandBiasField(options.max_bias),
        *noise,
        RandCroppedFieldOfView(options.cropped_fov),
        NormalisePercentiles(options.norm_perc),
        RandGamma((options.gamma_min, options.gamma_max)),
    ]


class SegmentationInput:
    """What the U-Net sees of a scan at inference: its middle in a cube, or the whole of it, rescaled.

    Args:
        edge: of the cube, voxels; None for the whole scan, padded.
        stride: each edge becomes a multiple of this many voxels.
        clip_fraction: see `E3PoseLib.imaging.intensities.rescale`.
        around_object: the cube is centred on the object, not on the scan.
    """

    def __init__(self, edge: int | None, stride: int, clip_fraction: float = 0.0, around_object: bool = False) -> None:
        self.edge = edge
        self.stride = stride
        self.clip_fraction = clip_fraction
        self.around_object = around_object

    def __call__(self, sample: Sample) -> Sample:
        # What the augmentation has placed, off the middle as a first look errs, stays where it is.
        if self.around_object and sample.shape != (self.edge,) * 3:
            place = cube_around(sample.label[0].numpy(force=True) == 1, self.edge)
            image, label = (cut(volume[0].numpy(force=True), place) for volume in (sample.image, sample.label))
            sample = dataclasses.replace(
                sample,
                image=torch.from_numpy(image)[None].to(sample.image.device),
                label=torch.from_numpy(label)[None].to(sample.label.device),
            )
        resize = ResizeWithPadOrCrop(self.edge or whole_multiple(sample.shape, self.stride))
        image = rescale(resize(sample.image).numpy(force=True), self.clip_fraction)
        image = torch.from_numpy(image).to(sample.image.device)
        return dataclasses.replace(sample, image=image, label=resize(sample.label).as_tensor())


class UprightInput:
    """What the network that looks for the eyes sees: the head upright, rescaled.

    Args:
        edge: of the cube, voxels.
        clip_fraction: see `E3PoseLib.imaging.intensities.rescale`.
    """

    def __init__(self, edge: int, clip_fraction: float = 0.0) -> None:
        self.edge = edge
        self.clip_fraction = clip_fraction

    def __call__(self, sample: Sample) -> Sample:
        # What the augmentation has placed, off as a first look errs, stays where it is: its axes are gone.
        if sample.axes is not None:
            sample = upright(sample, self.edge)
        image = rescale(sample.image.numpy(force=True), self.clip_fraction)
        return dataclasses.replace(sample, image=torch.from_numpy(image).to(sample.image.device))


class HeadCrop:
    """What the rotation network sees of a scan whose object is known, by the very crop of inference.

    The label has told where to crop and stays as it is: nothing behind this looks at it.

    Args:
        edge: voxels along the longest edge.
        minimum_edge, clip_fraction: see `crop_around`.
        cube: fill up with zeros where the crop leaves the scan, as models that look from several sides do.
    """

    def __init__(self, edge: int, minimum_edge: int, clip_fraction: float = 0.0, cube: bool = False) -> None:
        self.edge = edge
        self.minimum_edge = minimum_edge
        self.clip_fraction = clip_fraction
        self.cube = cube

    def __call__(self, sample: Sample) -> Sample:
        image, label = rescale(sample.image[0].cpu().numpy()), sample.label[0].cpu().numpy() == 1
        if self.cube:
            crop = crop_views(label, image, self.edge, OBJECT_FRACTION, np.eye(3)[None], self.clip_fraction)[0]
        else:
            view = bounding_box(image != 0)
            crop = crop_around(label, image, view, self.edge, OBJECT_FRACTION, self.minimum_edge, self.clip_fraction)
        return dataclasses.replace(sample, image=torch.from_numpy(crop)[None].to(sample.image.device))
