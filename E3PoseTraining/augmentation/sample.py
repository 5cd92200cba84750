"""What an augmentation receives and returns: one scan with everything that is known about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from monai.transforms import RandomizableTransform, Resample
from torch import Tensor

_SAMPLER = Resample(padding_mode="zeros", dtype=torch.float32)

CoordinateMap = Callable[[Tensor], Tensor]
"""From ``[3, ...]`` coordinates in the augmented image to those in the image before, voxels from the middle."""


@dataclass(frozen=True)
class Sample:
    """A scan on an isotropic grid with its ground truth.

    Attributes
    ----------
    image : Tensor
        ``[1, I, J, K]`` float32.
    label : Tensor
        ``[1, I, J, K]`` uint8; 0 is background and 1 the object whose pose is wanted.
    axes : Tensor | None
        ``[3, 3]`` float64 whose rows are the head's right, anterior and superior axes in voxel axes: the rotation from
        volume to canonical frame. Anterior and superior are vectors and right is the pseudovector anterior × superior,
        so the rows form a proper rotation even where the voxel axes are left-handed. None where only the segmentation
        is known.
    spacing : float
        Edge of a voxel, mm.
    first_look : Tensor | None
        The label as a segmentation network finds it, where that is another (`RandMaskError`): what a crop goes by.
    is_upright : bool
        Whether the head was turned upright, as well as a first look knows (`placement.upright`).
    """

    image: Tensor
    label: Tensor
    axes: Tensor | None
    spacing: float
    first_look: Tensor | None = None
    is_upright: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """``(I, J, K)``."""
        return tuple(self.image.shape[1:])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Sample:
        """The same sample with image and label on `device`; the nine numbers of the axes stay on the CPU."""
        return Sample(
            self.image.to(device, non_blocking=non_blocking),
            self.label.to(device, non_blocking=non_blocking),
            self.axes,
            self.spacing,
            None if self.first_look is None else self.first_look.to(device, non_blocking=non_blocking),
            self.is_upright,
        )


def transform_axes(linear: Tensor, axes: Tensor) -> Tensor:
    """Carries a head's axes along when the image content is turned or mirrored.

    Parameters
    ----------
    linear : Tensor
        ``[3, 3]`` orthogonal Q, where content at x (voxel axes) goes to Q·x.
    axes : Tensor
        ``[3, 3]`` rows right (pseudovector), anterior and superior (vectors).

    Returns
    -------
    Tensor
        ``[3, 3]``: vectors become Q·v and the pseudovector det(Q)·Q·v, so a proper rotation stays one.
    """
    parity = torch.tensor([torch.linalg.det(linear).sign().item(), 1.0, 1.0], dtype=axes.dtype)
    return parity[:, None] * (axes @ linear.T.to(axes.dtype))


class RandSampleTransform(RandomizableTransform):
    """Base of the random transforms of a `Sample`: with probability `prob`, returns `apply(sample)`.

    Every random number comes from MONAI's ``self.R``, so `monai.transforms.Compose.set_random_state` makes a
    whole augmentation repeatable; whole random images come from a generator on the image's own device that
    ``self.R`` seeds.
    """

    def __call__(self, sample: Sample) -> Sample:
        self.randomize(None)
        return self.apply(sample) if self._do_transform else sample

    def apply(self, sample: Sample) -> Sample:
        raise NotImplementedError

    def uniform(self, low: float, high: float) -> float:
        return float(self.R.uniform(low, high))

    def generator(self, device: torch.device) -> torch.Generator:
        return torch.Generator(device).manual_seed(int(self.R.randint(2**31)))

    def unit_vector(self) -> Tensor:
        """A direction ``[3]`` uniform on the sphere, float32, CPU."""
        return torch.nn.functional.normalize(torch.from_numpy(self.R.normal(size=3)).float(), dim=0)


def resample(sample: Sample, grid: Tensor) -> Sample:
    """Samples image (linear) and label (nearest); outside the volume both are zero.

    Parameters
    ----------
    grid : Tensor
        ``[3, I, J, K]``, for each voxel of the result the place in `sample`, voxels from the middle.
    """
    image = _SAMPLER(sample.image, grid, mode="bilinear").as_tensor()
    label = _SAMPLER(sample.label.float(), grid, mode="nearest").as_tensor().to(torch.uint8)
    return dataclasses.replace(sample, image=image, label=label)
