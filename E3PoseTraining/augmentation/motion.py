"""The head moves while the slices of a scan are taken."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .sample import CoordinateMap, RandSampleTransform, Sample, centred_coordinates, object_points, resample


class RandInterleavedMotion(RandSampleTransform):
    """The head moves between the two interleaves of a slice-by-slice scan: odd and even slices disagree.

    The two interleaves move by opposite halves of one rigid motion about the object's centre, so that the
    ground truth, their geodesic mean, stays where it was.

    Parameters
    ----------
    prob : float
        Probability.
    max_rotation : float
        Largest relative rotation, degrees.
    max_translation : float
        Largest relative shift, mm.
    """

    def __init__(self, prob: float, max_rotation: float = 8, max_translation: float = 6) -> None:
        super().__init__(prob)
        self.max_rotation = max_rotation
        self.max_translation = max_translation

    def apply(self, sample: Sample) -> Sample:
        points = object_points(sample.label)
        if not len(points):
            return sample
        slice_axis = int(self.R.randint(3))
        half_angle = math.radians(self.uniform(0, self.max_rotation)) / 2
        half_shift = self.unit_vector() * self.uniform(0, self.max_translation) / sample.spacing / 2
        source = interleaves(sample, slice_axis, self.unit_vector() * half_angle, half_shift)
        return resample(sample, source(centred_coordinates(sample.shape, sample.image.device)))


def interleaves(sample: Sample, slice_axis: int, half_rotation: Tensor, half_shift: Tensor) -> CoordinateMap:
    """The map under which even slices show the head moved by +, odd slices by − the half motion.

    Parameters
    ----------
    sample : Sample
        The scan; its object is what the rotation turns about.
    slice_axis : int
        Array axis along which slices are counted.
    half_rotation : Tensor
        ``[3]`` axis × angle in radians, voxel axes.
    half_shift : Tensor
        ``[3]`` voxels.
    """
    device = sample.image.device
    centre = object_points(sample.label).mean(0)
    x, y, z = half_rotation.double()
    zero = torch.zeros((), dtype=torch.float64)
    generator = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3)
    turn = torch.linalg.matrix_exp(generator).float().to(device)
    shift = half_shift.float().to(device)
    slices = sample.image.shape[1 + slice_axis]

    def source(p: Tensor) -> Tensor:
        column = [3] + [1] * (p.dim() - 1)
        from_centre = p - centre.view(column)
        even = torch.einsum("ji,j...->i...", turn, from_centre - shift.view(column))
        odd = torch.einsum("ij,j...->i...", turn, from_centre + shift.view(column))
        number = (p[slice_axis] + (slices - 1) / 2).round()
        return torch.where(number % 2 == 0, even, odd) + centre.view(column)

    return source
