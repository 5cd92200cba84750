"""What each network sees of a scan, by the very steps of inference."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from monai.transforms import ResizeWithPadOrCrop

from E3PoseLib.imaging.cropping import cut, whole_multiple
from E3PoseLib.imaging.intensities import rescale
from E3PoseLib.imaging.masks import bounding_box
from E3PoseLib.method.crop import crop_around, crop_views, cube_around

from .placement import upright
from .sample import Sample

OBJECT_FRACTION = 0.6
"""Mean extent of the object relative to the cube that the rotation network sees."""


class SegmentationInput:
    """What the U-Net sees of a scan at inference: its middle in a cube, or the whole of it, rescaled.

    Parameters
    ----------
    edge : int | None
        Of the cube, voxels; None for the whole scan, padded.
    stride : int
        Each edge becomes a multiple of this many voxels.
    clip_fraction : float
        See `E3PoseLib.imaging.intensities.rescale`.
    around_object : bool
        The cube is centred on the object, not on the scan.
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

    Parameters
    ----------
    edge : int
        Of the cube, voxels.
    clip_fraction : float
        See `E3PoseLib.imaging.intensities.rescale`.
    """

    def __init__(self, edge: int, clip_fraction: float = 0.0) -> None:
        self.edge = edge
        self.clip_fraction = clip_fraction

    def __call__(self, sample: Sample) -> Sample:
        # What the augmentation has placed, off as a first look errs, stays where it is.
        if not sample.is_upright:
            sample = upright(sample, self.edge)
        image = rescale(sample.image.numpy(force=True), self.clip_fraction)
        return dataclasses.replace(sample, image=torch.from_numpy(image).to(sample.image.device))


class HeadCrop:
    """What the rotation network sees of a scan whose object is known, by the very crop of inference.

    Parameters
    ----------
    edge : int
        Voxels along the longest edge.
    minimum_edge : int
    clip_fraction : float
        See `crop_around`.
    cube : bool
        Fill up with zeros where the crop leaves the scan, as models that look from several sides do. The label is then
        cropped alike: voxels of which the object fills at least half. Otherwise it stays as it is.
    """

    def __init__(self, edge: int, minimum_edge: int, clip_fraction: float = 0.0, cube: bool = False) -> None:
        self.edge = edge
        self.minimum_edge = minimum_edge
        self.clip_fraction = clip_fraction
        self.cube = cube

    def __call__(self, sample: Sample) -> Sample:
        image, truth = rescale(sample.image[0].cpu().numpy()), sample.label[0].cpu().numpy() == 1
        found = truth if sample.first_look is None else sample.first_look[0].cpu().numpy() == 1
        label = sample.label
        if self.cube:
            place = (self.edge, OBJECT_FRACTION, np.eye(3)[None])
            crop = crop_views(found, image, *place, self.clip_fraction)[0]
            filled = crop_views(found, truth.astype(np.float32), *place)
            label = torch.from_numpy(filled >= 0.5).to(label)
        else:
            view = bounding_box(image != 0)
            crop = crop_around(found, image, view, self.edge, OBJECT_FRACTION, self.minimum_edge, self.clip_fraction)
        image = torch.from_numpy(crop)[None].to(sample.image.device)
        return dataclasses.replace(sample, image=image, label=label, first_look=None)
