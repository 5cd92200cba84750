"""Coarser scans: larger voxels, or thick slices along one axis, seen on the unchanged grid."""

from __future__ import annotations

import dataclasses
import math

from monai.networks.layers import GaussianFilter
from torch import Tensor
from torch.nn.functional import interpolate

from .sample import RandSampleTransform, Sample

FWHM_OVER_SIGMA = math.sqrt(8 * math.log(2))


class RandIsotropicResolution(RandSampleTransform):
    """Samples the image with voxels of an edge drawn from [spacing, `max_spacing`] mm, and interpolates back."""

    def __init__(self, max_spacing: float, prob: float = 1.0) -> None:
        super().__init__(prob)
        self.max_spacing = max_spacing

    def apply(self, sample: Sample) -> Sample:
        coarse = self.uniform(sample.spacing, max(sample.spacing, self.max_spacing))
        return dataclasses.replace(sample, image=coarsen(sample.image, [sample.spacing / coarse] * 3))


class RandThickSlices(RandSampleTransform):
    """Samples the image in slices of [spacing, `max_thickness`] mm along a random axis, and interpolates back."""

    def __init__(self, prob: float, max_thickness: float = 8) -> None:
        super().__init__(prob)
        self.max_thickness = max_thickness

    def apply(self, sample: Sample) -> Sample:
        factors = [1.0, 1.0, 1.0]
        thickness = self.uniform(sample.spacing, max(sample.spacing, self.max_thickness))
        factors[int(self.R.randint(3))] = sample.spacing / thickness
        return dataclasses.replace(sample, image=coarsen(sample.image, factors))


def coarsen(image: Tensor, factors: list[float]) -> Tensor:
    """Blurs with the coarse voxel's profile, takes it on the coarse grid and interpolates linearly back.

    The profile is a Gaussian whose full width at half maximum is the coarse voxel's edge, less what the fine
    voxel has blurred already.

    Parameters
    ----------
    image : Tensor
        ``[1, I, J, K]``.
    factors : list[float]
        For each axis, the edge of the fine voxel over that of the coarse one, in (0, 1].

    Returns
    -------
    Tensor
        ``[1, I, J, K]``.
    """
    shape = tuple(image.shape[1:])
    coarse_shape = [max(1, round(n * factor)) for n, factor in zip(shape, factors, strict=True)]
    sigmas = [math.sqrt(1 / factor**2 - 1) / FWHM_OVER_SIGMA for factor in factors]
    blurred = GaussianFilter(3, sigmas).to(image.device)(image[None])
    # Relative to what of the profile lies within the scan, axis by axis, else its border would darken.
    for axis, (size, sigma) in enumerate(zip(shape, sigmas, strict=True)):
        within = GaussianFilter(1, [sigma]).to(image.device)(image.new_ones(1, 1, size))
        blurred = blurred / within.view([-1 if d == axis else 1 for d in range(-2, 3)])
    coarse = interpolate(blurred, size=coarse_shape, mode="trilinear", align_corners=False)
    return interpolate(coarse, size=shape, mode="trilinear", align_corners=False)[0]
