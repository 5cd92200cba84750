"""What goes wrong in a fetal echo-planar scan without anything moving: signal lost or doubled, strange neighbours."""

from __future__ import annotations

import cmath
import dataclasses
import math

import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn.functional import interpolate

from .grid import affine_coordinates, object_points
from .sample import RandSampleTransform, Sample


class RandSpinHistory(RandSampleTransform):
    """A slice that was excited just before is dark: signal × (1 − α·exp(−d²/2σ²)), d the distance to a plane.

    The plane has a random orientation and passes through the object. Its place between the object's two
    extremes along the normal follows the arcsine law, which prefers the edges, where a dark band is most
    easily taken for the brain's border.

    Parameters
    ----------
    sigma : tuple[float, float]
        Bounds of σ, mm.
    alpha : tuple[float, float]
        Bounds of α; above 1 the signal is lost completely at the plane.
    prob : float
        Probability.
    """

    def __init__(self, sigma: tuple[float, float], alpha: tuple[float, float], prob: float = 0.5) -> None:
        super().__init__(prob)
        self.sigma = sigma
        self.alpha = alpha

    def apply(self, sample: Sample) -> Sample:
        points = object_points(sample.label)
        if not len(points):
            return sample
        normal = self.unit_vector().to(points.device)
        along = points @ normal
        place = float(self.R.beta(0.5, 0.5))
        offset = along.min() + place * (along.max() - along.min())
        sigma = self.uniform(*self.sigma) / sample.spacing
        return dataclasses.replace(
            sample, image=spin_history(sample.image, normal, offset, sigma, self.uniform(*self.alpha))
        )


def spin_history(image: Tensor, normal: Tensor, offset: Tensor | float, sigma: float, alpha: float) -> Tensor:
    """Darkens the plane normal·x = offset (voxels from the middle of the grid) with a Gaussian profile.

    Parameters
    ----------
    image : Tensor
        ``[1, I, J, K]``.
    normal : Tensor
        ``[3]`` unit vector.
    offset : Tensor | float
        Voxels.
    sigma : float
        Voxels.
    alpha : float
        Fraction of the signal lost at the plane; the result is not less than 0.
    """
    origin = -torch.as_tensor(offset, device=image.device).view(1)
    distance = affine_coordinates(tuple(image.shape[1:]), normal[None], origin)
    return image * (1 - alpha * torch.exp(-distance.square() / (2 * sigma**2))).clamp_min(0)


class RandGhosting(RandSampleTransform):
    """Echoes read in alternate directions disagree, and a faint copy appears half a field of view away.

    Every second line of k-space along a random (phase-encoding) axis is scaled and shifted in phase: the
    Nyquist ghost of echo-planar imaging.

    Parameters
    ----------
    prob : float
        Probability.
    max_strength : float
        Largest relative change of the odd lines' magnitude.
    max_phase : float
        Largest phase error of the odd lines, degrees.
    """

    def __init__(self, prob: float, max_strength: float = 0.3, max_phase: float = 30) -> None:
        super().__init__(prob)
        self.max_strength = max_strength
        self.max_phase = max_phase

    def apply(self, sample: Sample) -> Sample:
        axis = 1 + int(self.R.randint(3))
        error = cmath.rect(1 - self.uniform(0, self.max_strength), math.radians(self.uniform(0, self.max_phase)))
        lines = torch.fft.fft(sample.image, dim=axis)
        odd = torch.arange(lines.shape[axis], device=lines.device) % 2 == 1
        factor = torch.where(odd, error, 1 + 0j).view([-1 if d == axis else 1 for d in range(4)])
        return dataclasses.replace(sample, image=torch.fft.ifft(lines * factor, dim=axis).abs())


class RandSurroundings(RandSampleTransform):
    """What lies around the object gives way to something else, so that nobody learns to rely on it.

    Beyond some distance from all that is labelled there is nothing, one grey, or the image itself mirrored through its
    middle along two axes: content of the right kind that says nothing about this object. The distance varies smoothly
    from place to place, else the border would show the object's outline.

    Parameters
    ----------
    prob : float
        Probability.
    distance : tuple[float, float]
        Bounds of the mean distance, mm.
    max_variation : float
        Largest local deviation from it, mm.
    """

    def __init__(self, prob: float, distance: tuple[float, float] = (6, 25), max_variation: float = 6) -> None:
        super().__init__(prob)
        self.distance = distance
        self.max_variation = max_variation

    def apply(self, sample: Sample) -> Sample:
        image, brain, head = sample.image, sample.label[0] == 1, sample.label[0] > 0
        if not brain.any():
            return sample
        away = distance_transform_edt((~head).numpy(force=True)) * sample.spacing
        waves = 2 * torch.rand((1, 1, 4, 4, 4), generator=self.generator(image.device), device=image.device) - 1
        waves = interpolate(waves, size=sample.shape, mode="trilinear", align_corners=True)[0, 0]
        limit = self.uniform(*self.distance) + self.max_variation * waves
        kind, kept_axis = int(self.R.randint(3)), 1 + int(self.R.randint(3))
        if kind == 0:
            replacement = torch.zeros_like(image)
        elif kind == 1:
            replacement = torch.full_like(image, self.uniform(0, 1) * float(image[0, brain].mean()))
        else:
            turned = [axis for axis in (1, 2, 3) if axis != kept_axis]
            # Without a second head: what is labelled must be all that there is of it.
            replacement = torch.where(sample.label.flip(turned) > 0, image, image.flip(turned))
        beyond = torch.from_numpy(away).to(image.device) > limit
        return dataclasses.replace(sample, image=torch.where(beyond, replacement, image))


class RandCroppedFieldOfView(RandSampleTransform):
    """The scan ends early: everything beyond a face of the field of view is zero, and so is its label.

    Half of the time one face cuts the object, of which at least half along the cut axis stays in view. Otherwise the
    scan is a slab, as a stack of a few slices is: both faces lie close to the object, at most a twentieth of its extent
    inside and half of it outside.

    Parameters
    ----------
    prob : float
        Probability.
    """

    def __init__(self, prob: float) -> None:
        super().__init__(prob)

    def apply(self, sample: Sample) -> Sample:
        points = object_points(sample.label)
        if not len(points):
            return sample
        axis = int(self.R.randint(3))
        size = sample.image.shape[1 + axis]
        along = points[:, axis] + (size - 1) / 2
        low, high = float(along.min()), float(along.max())
        first, last = 0, size - 1
        if self.R.uniform() < 0.5:
            first, last = (
                round(face + side * self.uniform(-0.05, 0.5) * (high - low)) for face, side in ((low, -1), (high, 1))
            )
        else:
            middle, margin = (low + high) / 2, (high - low) / 2
            if self.R.uniform() < 0.5:
                last = round(self.uniform(middle, high + margin))
            else:
                first = round(self.uniform(low - margin, middle))
        slices = torch.arange(size, device=points.device)
        keep = ((slices >= first) & (slices <= last)).view([-1 if d == axis + 1 else 1 for d in range(4)])
        return dataclasses.replace(sample, image=sample.image * keep, label=sample.label * keep)
