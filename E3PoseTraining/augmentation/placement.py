"""Where the head lies in the picture that a network sees, and how far off a first look may have it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor

from E3PoseLib.imaging.rotations import euler_to_matrix
from E3PoseLib.imaging.sampling import sample_grids
from E3PoseLib.method.crop import upright_cube

from .grid import affine_coordinates, object_points
from .sample import RandSampleTransform, Sample, resample, transform_axes


class RandPlacement(RandSampleTransform):
    """Turns, mirrors, scales and moves the content, and cuts out the grid that the network sees.

    Content at x (voxels from the centre) goes to s·Q·x + t. The label is sampled through the same map and the
    axes follow exactly (`transform_axes`); an isotropic scale changes no axis.

    Parameters
    ----------
    shape : int | None
        Voxels along each edge of the result, or None for a cube whose edge is `margin` times the mean extent of the
        turned object and twice `room` more, and which holds the object.
    rotation : float
        Euler angles "xyz" are drawn from ±`rotation` degrees each.
    translation : float
        Shifts are drawn from ±`translation` mm along each axis.
    scaling : tuple[float, float]
        Bounds of the isotropic scale.
    flipping : bool
        Mirror each axis with probability one half.
    centre_on_object : bool
        Keep the centre of the object's bounding box, not that of the volume, in the middle.
    margin : float
        See `shape`.
    room : float
        See `shape`, mm.
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

    Parameters
    ----------
    edge : int
        Of the cube, voxels.
    rotation : float
        Euler angles "xyz" by which it is off are drawn from ±`rotation` degrees each.
    translation : float
        Shifts are drawn from ±`translation` mm along each axis.
    scaling : tuple[float, float]
        Bounds of the relative size.
    flipping : bool
        Swap left and right with probability one half.
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
    """The head of a sample upright, by its axes; those of the result tell how far it is off.

    Parameters
    ----------
    sample : Sample
        A scan with known axes.
    edge : int
        Of the cube, voxels.
    linear : np.ndarray | None
        ``[3, 3]`` by which the cube is turned and stretched about its middle.
    shift : np.ndarray | None
        ``[3]``, of the cube along the head's axes, mm.
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
    # Without a disturbance the cube's axes are the head's.
    content = np.linalg.inv(disturbance[:3, :3])
    turn = torch.from_numpy(content / abs(np.linalg.det(content)) ** (1 / 3))
    axes = transform_axes(turn, torch.eye(3, dtype=sample.axes.dtype))
    return dataclasses.replace(sample, image=image, label=label, axes=axes, is_upright=True)


class RandMaskError(RandSampleTransform):
    """Moves and stretches the label of a first look, as a segmentation network errs: a crop around it is off-centre.

    Parameters
    ----------
    prob : float
        Probability.
    max_shift : float
        Largest shift along each axis, mm.
    max_stretch : float
        Largest relative change of the extent along each axis.
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
        return dataclasses.replace(sample, first_look=label) if (label == 1).any() else sample
