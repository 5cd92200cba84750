"""The order in which a training command's augmentations are done."""

from __future__ import annotations

import argparse

from monai.transforms import Compose

from .artifacts import RandCroppedFieldOfView, RandGhosting, RandSpinHistory, RandSurroundings
from .distortion import RandEpiDistortion, RandShear
from .inputs import OBJECT_FRACTION
from .intensity import NormalisePercentiles, RandBiasField, RandGamma, RandNoise, RandShading
from .motion import RandInterleavedMotion
from .placement import RandMaskError, RandPlacement, RandUprightHead
from .resolution import RandIsotropicResolution, RandThickSlices

UPRIGHT_SIZES = (0.8, 1.2)
"""Relative sizes of heads that are shown upright to a network that finds the brain."""


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


def upright_augmentation(options: argparse.Namespace) -> Compose:
    """What the U-Nets of `localisation` are shown: a head upright, off its middle and size alone."""
    noise = [RandNoise(options.noise_std)] if options.noise_std else []
    placement = RandUprightHead(options.image_size, 0, options.shift, UPRIGHT_SIZES)
    # At last: slices are those of the scan, not of the head.
    return Compose([*_acquisition(options, [RandIsotropicResolution(options.max_res_iso)], noise), placement])


def _acquisition(options: argparse.Namespace, resolution: list, noise: list) -> list:
    """The order of a scan: the body lies somewhere and moves, signal is excited, encoded, received, and shown."""
    return [
        RandSurroundings(options.surroundings),
        RandInterleavedMotion(options.interleaved_motion, max_passes=options.max_passes),
        RandSpinHistory(
            (options.sigma_min, options.sigma_max), (options.alpha_min, options.alpha_max), options.spin_history
        ),
        RandEpiDistortion(options.distortion),
        RandShear(options.shear),
        *resolution,
        RandThickSlices(options.thick_slices),
        RandGhosting(options.ghosting),
        RandBiasField(options.max_bias),
        *([RandShading(options.shading)] if options.shading else []),
        *noise,
        RandCroppedFieldOfView(options.cropped_fov),
        NormalisePercentiles(options.norm_perc),
        RandGamma((options.gamma_min, options.gamma_max)),
    ]
