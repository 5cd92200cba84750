"""The static field of an echo-planar scan displaces its signal along the phase-encoding axis."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from E3PoseLib.method.eyes import CANONICAL_PITCH_DEGREES, rotation_from_eyes

from .grid import affine_coordinates, centred_coordinates, object_points
from .sample import CoordinateMap, RandSampleTransform, Sample, resample


class RandShear(RandSampleTransform):
    """A static field that varies linearly across the head shears and stretches an echo-planar scan.

    All along its phase-encoding axis. How the head then lies is what its landmarks say: the axes are those of the moved
    brain centre and eyes (`E3PoseLib.method.eyes.rotation_from_eyes`). Without it a network reads the rotation
    about the brain's long axis off the outline's second moments, which a shear of a seventh turns by a dozen degrees.

    Parameters
    ----------
    prob : float
        Probability.
    max_slope : float
        Largest change of the displacement along each axis, mm a mm.
    """

    def __init__(self, prob: float, max_slope: float = 0.2) -> None:
        super().__init__(prob)
        self.max_slope = max_slope

    def apply(self, sample: Sample) -> Sample:
        source = torch.eye(3, dtype=torch.float64)
        source[int(self.R.randint(3))] += torch.from_numpy(self.R.uniform(-self.max_slope, self.max_slope, size=3))
        origin = torch.zeros(3, device=sample.image.device)
        sheared = resample(sample, affine_coordinates(sample.shape, source, origin))
        if sample.axes is None:
            return sheared
        return dataclasses.replace(sheared, axes=sheared_axes(torch.linalg.inv(source), sample.axes))


def sheared_axes(linear: Tensor, axes: Tensor) -> Tensor:
    """The head's axes by its landmarks, after they have moved.

    Parameters
    ----------
    linear : Tensor
        ``[3, 3]`` with positive determinant, where content at x (voxel axes) goes.
    axes : Tensor
        ``[3, 3]`` rows right (pseudovector), anterior and superior (vectors), a proper rotation.

    Returns
    -------
    Tensor
        ``[3, 3]``, as `axes`.
    """
    right, anterior, superior = axes.numpy()
    pitch = math.radians(CANONICAL_PITCH_DEGREES)
    between_eyes = math.cos(pitch) * anterior - math.sin(pitch) * superior
    eyes = (linear.numpy() @ (between_eyes + side * right) for side in (-1, 1))
    return torch.from_numpy(rotation_from_eyes(*eyes).T.copy())


class RandEpiDistortion(RandSampleTransform):
    """Static-field inhomogeneity displaces the signal of an echo-planar scan along its phase-encoding axis.

    The part of the displacement that is an affine motion of the object is taken out, so the best rigid alignment
    of the brain before and after is the identity and its centre stays. The eyes lie outside and may be displaced
    against it, as in a real scan: a rotation by the eyes and the centre then differs by some 4° in the median. The
    signal is multiplied by the Jacobian, as in a real scan: squeezed tissue is bright, stretched tissue dark.

    Parameters
    ----------
    prob : float
        Probability.
    max_displacement : float
        Largest root-mean-square displacement within the object, mm; it is less where more would fold the image.
    """

    def __init__(self, prob: float, max_displacement: float = 4) -> None:
        super().__init__(prob)
        self.max_displacement = max_displacement

    def apply(self, sample: Sample) -> Sample:
        points = object_points(sample.label)
        if len(points) < 4:
            return sample
        phase_axis = int(self.R.randint(3))
        size = self.uniform(0, self.max_displacement) / sample.spacing
        diameter = float((points.amax(0) - points.amin(0)).max()) + 1
        waves = [self.unit_vector() * 2 * math.pi / (diameter * self.uniform(1, 3)) for _ in range(4)]
        offsets = torch.from_numpy(self.R.uniform(0, 2 * math.pi, size=4)).float()
        field = distortion_field(points, phase_axis, torch.stack(waves), offsets, size)

        grid = centred_coordinates(sample.shape, sample.image.device)
        displacement = field(grid)
        grid[phase_axis] += displacement
        distorted = resample(sample, grid)
        jacobian = 1 + torch.gradient(displacement, dim=phase_axis)[0]
        return dataclasses.replace(distorted, image=distorted.image * jacobian)


def distortion_field(points: Tensor, phase_axis: int, waves: Tensor, offsets: Tensor, size: float) -> CoordinateMap:
    """A smooth displacement along one axis that leaves the rigid pose of the object alone.

    The distorted image at p shows what lay at p + u(p) along `phase_axis`. Where the object then lies depends
    on u, and u must have no affine part there, so the two are found together by fixed-point iteration.

    Parameters
    ----------
    points : Tensor
        ``[N, 3]`` voxels of the undistorted object, relative to the middle of the grid.
    phase_axis : int
        Array axis of the displacement.
    waves : Tensor
        ``[M, 3]`` wave vectors of the cosines that make up the field, radians a voxel.
    offsets : Tensor
        ``[M]`` their phases, radians.
    size : float
        Root-mean-square of the field over the object, voxels, unless that would fold the image.

    Returns
    -------
    CoordinateMap
        U: function of coordinates ``[3, ...]`` giving the displacement ``[...]`` in voxels.
    """
    distorted = points.clone()
    for _ in range(20):
        field = affine_free_field(distorted, phase_axis, waves, offsets, size)
        distorted[:, phase_axis] = points[:, phase_axis] - field(distorted.T)
    return affine_free_field(distorted, phase_axis, waves, offsets, size)


def affine_free_field(points: Tensor, phase_axis: int, waves: Tensor, offsets: Tensor, size: float) -> CoordinateMap:
    """A sum of cosines whose least-squares affine part over `points` is zero; see `distortion_field`.

    Its slope along `phase_axis` is at most one half everywhere, so that the displaced image does not fold.
    """
    waves, offsets = waves.to(points.device), offsets.to(points.device)
    centre = points.mean(0)

    def cosines(relative: Tensor) -> Tensor:
        phase = torch.einsum("mi,i...->m...", waves, relative)
        return torch.cos(phase + offsets.view(-1, *[1] * (relative.dim() - 1))).sum(0)

    relative = points - centre
    raw = cosines(relative.T)
    design = torch.cat([torch.ones_like(relative[:, :1]), relative], dim=1)
    fit = torch.linalg.lstsq(design.double(), raw[:, None].double()).solution[:, 0].float()
    deviation = (raw - design @ fit).square().mean().sqrt().clamp_min(1e-6)
    slope = waves[:, phase_axis].abs().sum() + fit[1 + phase_axis].abs()
    scale = torch.minimum(size / deviation, 0.5 / slope)

    def field(p: Tensor) -> Tensor:
        from_centre = p - centre.view(3, *[1] * (p.dim() - 1))
        affine = fit[0] + torch.einsum("i,i...->...", fit[1:], from_centre)
        return scale * (cosines(from_centre) - affine)

    return field
