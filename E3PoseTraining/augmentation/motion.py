"""The head moves while the slices of a scan are taken."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .grid import centred_coordinates, object_points
from .sample import CoordinateMap, RandSampleTransform, Sample, resample


class RandInterleavedMotion(RandSampleTransform):
    """The head moves between the interleaves of a slice-by-slice scan: neighbouring slices disagree.

    Interleaves move about the object's centre by rigid motions whose mean is none (two of them by opposite halves of
    one), so that the ground truth, their geodesic mean, stays where it was.

    Parameters
    ----------
    prob : float
        Probability.
    max_rotation : float
        Largest rotation of two interleaves relative to each other, degrees.
    max_translation : float
        Largest shift of two interleaves relative to each other, mm.
    max_passes : int
        Largest number of interleaves; the least is two.
    """

    def __init__(self, prob: float, max_rotation: float = 8, max_translation: float = 6, max_passes: int = 2) -> None:
        super().__init__(prob)
        self.max_rotation = max_rotation
        self.max_translation = max_translation
        self.max_passes = max_passes

    def apply(self, sample: Sample) -> Sample:
        points = object_points(sample.label)
        if not len(points):
            return sample
        slice_axis = int(self.R.randint(3))
        passes = int(self.R.randint(2, self.max_passes + 1)) if self.max_passes > 2 else 2
        angle = math.radians(self.uniform(0, self.max_rotation)) / 2
        shifts = self._about_nothing(passes) * self.uniform(0, self.max_translation) / sample.spacing / 2
        source = interleaves(sample, slice_axis, self._about_nothing(passes) * angle, shifts)
        return resample(sample, source(centred_coordinates(sample.shape, sample.image.device)))

    def _about_nothing(self, count: int) -> Tensor:
        """Vectors ``[count, 3]`` whose sum is none; the longest has length one."""
        if count == 2:
            vector = self.unit_vector()
            return torch.stack([vector, -vector])
        vectors = torch.from_numpy(self.R.normal(size=(count, 3))).float()
        vectors = vectors - vectors.mean(0)
        return vectors / vectors.norm(dim=1).max()


def interleaves(sample: Sample, slice_axis: int, rotations: Tensor, shifts: Tensor) -> CoordinateMap:
    """The map under which every n-th slice shows the head moved by one of n motions.

    Parameters
    ----------
    sample : Sample
        The scan; its object is what the rotations turn about.
    slice_axis : int
        Array axis along which slices are counted.
    rotations : Tensor
        ``[n, 3]`` axis × angle in radians, voxel axes.
    shifts : Tensor
        ``[n, 3]`` voxels.
    """
    device = sample.image.device
    centre = object_points(sample.label).mean(0)
    slices = sample.image.shape[1 + slice_axis]
    # Rotations are taken back by the transpose of the exponential of their cross-product matrix.
    turns = [torch.linalg.matrix_exp(_cross_matrix(rotation)).float().to(device) for rotation in rotations]

    def source(p: Tensor) -> Tensor:
        column = [3] + [1] * (p.dim() - 1)
        from_centre = p - centre.view(column)
        number = (p[slice_axis] + (slices - 1) / 2).round() % len(turns)
        result = torch.empty_like(from_centre)
        for index, (turn, shift) in enumerate(zip(turns, shifts, strict=True)):
            moved = torch.einsum("ji,j...->i...", turn, from_centre - shift.float().to(device).view(column))
            result = torch.where(number == index, moved, result)
        return result + centre.view(column)

    return source


def _cross_matrix(vector: Tensor) -> Tensor:
    """The matrix ``[3, 3]`` float64 by which a vector's cross product is taken."""
    x, y, z = vector.double()
    zero = torch.zeros((), dtype=torch.float64)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3)
