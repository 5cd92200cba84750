"""Where things are: one random map of coordinates, through which image and label are sampled once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import torch
from monai.transforms import Resample
from torch import Tensor

from E3PoseLib.imaging.rotations import euler_to_matrix
from E3PoseLib.imaging.sampling import sample_grids
from E3PoseLib.method.crop import upright_cube
from E3PoseLib.method.eyes import CANONICAL_PITCH_DEGREES, rotation_from_eyes
from E3PoseTraining.augmentation.sample import (
    RandSampleTransform,
    Sample,
    affine_coordinates,
    centred_coordinates,
    object_points,
    transform_axes,
)

_SAMPLER = Resample(padding_mode="zeros", dtype=torch.float32)

CoordinateMap = Callable[[Tensor], Tensor]
"""From ``[3, ...]`` coordinates in the augmented image to those in the image before, voxels from the middle."""


class RandPlacement(RandSampleTransform):
    """Turns, mirrors, scales and moves the content, and cuts out the grid that the network sees.

    Content at x (voxels from the centre) goes to s·Q·x + t. The label is sampled through the same map and the
    axes follow exactly (`transform_axes`); an isotropic scale changes no axis.

    Args:
        shape: voxels along each edge of the result, or None for a cube whose edge is `margin` times the mean
            extent of the turned object and twice `room` more, and which holds the object.
        rotation: Euler angles "xyz" are drawn from ±`rotation` degrees each.
        translation: shifts are drawn from ±`translation` mm along each axis.
        scaling: bounds of the isotropic scale.
        flipping: mirror each axis with probability one half.
        centre_on_object: keep the centre of the object's bounding box, not that of the volume, in the middle.
        margin: see `shape`.
        room: see `shape`, mm.
    """

    def __init__(
        self,
        shape: int | None,
        rotation: float = 0,
        translation: float = 0,
        scaling: tuple[float, float] = (1, 1),
        flipping: bool = False,
        centre_on_object: bool = False,
        margin: float = 1 / 0.6,
        room: float = 0,
    ) -> None:
        super().__init__(prob=1.0)
        self.shape = shape
        self.rotation = rotation
        self.translation = translation
        self.scaling = scaling
        self.flipping = flipping
        self.centre_on_object = centre_on_object
        self.margin = margin
        self.room = room

    def apply(self, sample: Sample) -> Sample:
        angles = torch.from_numpy(self.R.uniform(-self.rotation, self.rotation, size=3))
        mirror = torch.from_numpy(1.0 - 2.0 * (self.R.uniform(size=3) < 0.5)) if self.flipping else torch.ones(3)
        linear = euler_to_matrix(angles) @ torch.diag(mirror.double())
        scale = self.uniform(*self.scaling)
        shift = torch.from_numpy(self.R.uniform(-1, 1, size=3)) * self.translation / sample.spacing

        points = object_points(sample.label) if self.centre_on_object or self.shape is None else None
        centre = torch.zeros(3)
        if self.centre_on_object and len(points):
            centre = (points.amax(0) + points.amin(0)).cpu() / 2
        room = 2 * self.room / sample.spacing
        shape = self.shape or self._edge_around(points.cpu() @ linear.T.float() * scale, shift, room)

        device = sample.image.device
        inverse = (linear.T / scale).float().to(device)
        origin = centre.to(device) - inverse @ shift.float().to(device)

        axes = sample.axes if sample.axes is None else transform_axes(linear, sample.axes)
        return dataclasses.replace(resample(sample, affine_coordinates((shape,) * 3, inverse, origin)), axes=axes)

    def _edge_around(self, points: Tensor, shift: Tensor, room: float) -> int:
        extents = points.amax(0) - points.amin(0) + 1
        edge = max(float(extents.mean()) * self.margin, float(extents.max()))
        return math.ceil(edge + 2 * float(shift.abs().max()) + room)


class RandUprightHead(RandSampleTransform):
    """The head upright at a fixed size (`E3PoseLib.method.crop.upright_cube`), as well as a first look knows.

    Args:
        edge: of the cube, voxels.
        rotation: Euler angles "xyz" by which it is off are drawn from ±`rotation` degrees each.
        translation: shifts are drawn from ±`translation` mm along each axis.
        scaling: bounds of the relative size.
        flipping: swap left and right with probability one half.
    """

    def __init__(
        self,
        edge: int,
        rotation: float = 0,
        translation: float = 0,
        scaling: tuple[float, float] = (1, 1),
        flipping: bool = False,
    ) -> None:
        super().__init__(prob=1.0)
        self.edge = edge
        self.rotation = rotation
        self.translation = translation
        self.scaling = scaling
        self.flipping = flipping

    def apply(self, sample: Sample) -> Sample:
        turn = euler_to_matrix(torch.from_numpy(self.R.uniform(-self.rotation, self.rotation, size=3))).numpy()
        if self.flipping and self.R.uniform() < 0.5:
            turn = turn * np.array([-1.0, 1, 1])
        shift = self.R.uniform(-1, 1, size=3) * self.translation
        return upright(sample, self.edge, turn / self.uniform(*self.scaling), shift)


def upright(sample: Sample, edge: int, linear: np.ndarray | None = None, shift: np.ndarray | None = None) -> Sample:
    """The head of a sample upright, by its axes, which the result no longer has.

    Args:
        sample: a scan with known axes.
        edge: of the cube, voxels.
        linear: ``[3, 3]`` by which the cube is turned and stretched about its middle.
        shift: ``[3]``, of the cube along the head's axes, mm.
    """
    image, label = (volume[0].numpy(force=True) for volume in (sample.image, sample.label))
    cube_to_grid = upright_cube(label == 1, sample.axes.numpy().T, edge)
    middle = np.full(3, (edge - 1) / 2)
    disturbance = np.eye(4)
    if linear is not None:
        disturbance[:3, :3] = linear
    disturbance[:3, 3] = middle - disturbance[:3, :3] @ middle
    if shift is not None:
        disturbance[:3, 3] += shift / (np.linalg.norm(cube_to_grid[:3, 0]) * sample.spacing)
    where = ((cube_to_grid @ disturbance)[None], (edge,) * 3)
    device = sample.image.device
    image = sample_grids(image, *where, device=device)
    label = sample_grids(label, *where, nearest=True, device=device).to(torch.uint8)
    return dataclasses.replace(sample, image=image, label=label, axes=None)


class RandMaskError(RandSampleTransform):
    """Moves and stretches the label alone, as a segmentation network errs: what is cropped around it is off-centre.

    Args:
        prob: probability.
        max_shift: largest shift along each axis, mm.
        max_stretch: largest relative change of the extent along each axis.
    """

    def __init__(self, prob: float, max_shift: float = 6, max_stretch: float = 0.15) -> None:
        super().__init__(prob)
        self.max_shift = max_shift
        self.max_stretch = max_stretch

    def apply(self, sample: Sample) -> Sample:
        points = object_points(sample.label)
        if not len(points):
            return sample
        shift = torch.from_numpy(self.R.uniform(-1, 1, size=3)).float() * self.max_shift / sample.spacing
        stretch = 1 + torch.from_numpy(self.R.uniform(-1, 1, size=3)).float() * self.max_stretch
        centre = points.mean(0).cpu()
        label = sample.label
        # One axis after the other: what moves and stretches along them needs no coordinates of every voxel.
        for axis, size in enumerate(sample.shape):
            middle = (size - 1) / 2
            place = (torch.arange(size) - middle - centre[axis] - shift[axis]) / stretch[axis] + centre[axis] + middle
            nearest = place.round().long()
            inside = (nearest >= 0) & (nearest < size)
            layers = label.index_select(1 + axis, nearest.clamp(0, size - 1).to(label.device))
            label = layers * inside.to(label.device, label.dtype).view([-1 if d == axis else 1 for d in range(-1, 3)])
        return dataclasses.replace(sample, label=label) if (label == 1).any() else sample


class RandInterleavedMotion(RandSampleTransform):
    """The head moves between the two interleaves of a slice-by-slice scan: odd and even slices disagree.

    The two interleaves move by opposite halves of one rigid motion about the object's centre, so that the
    ground truth, their geodesic mean, stays where it was.

    Args:
        prob: probability.
        max_rotation: largest relative rotation, degrees.
        max_translation: largest relative shift, mm.
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

    Args:
        sample: the scan; its object is what the rotation turns about.
        slice_axis: array axis along which slices are counted.
        half_rotation: ``[3]`` axis × angle in radians, voxel axes.
        half_shift: ``[3]`` voxels.
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


class RandShear(RandSampleTransform):
    """A static field that varies linearly across the head shears and stretches an echo-planar scan.

    All along its phase-encoding axis. How the head then lies is what its landmarks say: the axes are those of the moved
    brain centre and eyes (`E3PoseLib.method.eyes.rotation_from_eyes`). Without it a network reads the rotation
    about the brain's long axis off the outline's second moments, which a shear of a seventh turns by a dozen degrees.

    Args:
        prob: probability.
        max_slope: largest change of the displacement along each axis, mm a mm.
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

    Args:
        linear: ``[3, 3]`` with positive determinant, where content at x (voxel axes) goes.
        axes: ``[3, 3]`` rows right (pseudovector), anterior and superior (vectors), a proper rotation.

    Returns:
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

    Args:
        prob: probability.
        max_displacement: largest root-mean-square displacement within the object, mm; it is less where more
            would fold the image.
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

    Args:
        points: ``[N, 3]`` voxels of the undistorted object, relative to the middle of the grid.
        phase_axis: array axis of the displacement.
        waves: ``[M, 3]`` wave vectors of the cosines that make up the field, radians a voxel.
        offsets: ``[M]`` their phases, radians.
        size: root-mean-square of the field over the object, voxels, unless that would fold the image.

    Returns:
        u: function of coordinates ``[3, ...]`` giving the displacement ``[...]`` in voxels.
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


def resample(sample: Sample, grid: Tensor) -> Sample:
    """Samples image (linear) and label (nearest); outside the volume both are zero.

    Args:
        grid: ``[3, I, J, K]``, for each voxel of the result the place in `sample`, voxels from the middle.
    """
    image = _SAMPLER(sample.image, grid, mode="bilinear").as_tensor()
    label = _SAMPLER(sample.label.float(), grid, mode="nearest").as_tensor().to(torch.uint8)
    return dataclasses.replace(sample, image=image, label=label)
