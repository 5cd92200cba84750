"""What a scanner does to brightness: bias field, noise, contrast; and the normalisation after them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from monai.transforms import AdjustContrast
from torch import Tensor

from .sample import RandSampleTransform, Sample


class RandBiasField(RandSampleTransform):
    """Multiplies the image by exp of a random polynomial of order 3 in coordinates that span [−1, 1].

    The multiplicative model is that of van Leemput et al., *Automated model-based bias field correction of MR
    images of the brain*, IEEE TMI 18(10), 1999.

    Parameters
    ----------
    max_coefficient : float
        The 20 coefficients are drawn from ± this.
    prob : float
        Probability.
    """

    def __init__(self, max_coefficient: float, prob: float = 1.0) -> None:
        super().__init__(prob)
        self.max_coefficient = max_coefficient

    def apply(self, sample: Sample) -> Sample:
        coefficients = self.R.uniform(-self.max_coefficient, self.max_coefficient, size=20)
        field = polynomial_field(coefficients.tolist(), sample.shape, sample.image.device)
        return dataclasses.replace(sample, image=sample.image * field.exp())


def polynomial_field(coefficients: list[float], shape: tuple[int, ...], device: torch.device) -> Tensor:
    """``[I, J, K]``: the polynomial of order 3 with these 20 coefficients over [−1, 1]³.

    It is separable in each term, so it is evaluated as one contraction of three ``[4, n]`` Vandermonde matrices
    with the ``[4, 4, 4]`` coefficients.
    """
    exponents = [(i, j, k) for i in range(4) for j in range(4 - i) for k in range(4 - i - j)]
    weights = torch.zeros(4, 4, 4)
    for (i, j, k), value in zip(exponents, coefficients, strict=True):
        weights[i, j, k] = value
    x, y, z = (torch.stack([torch.linspace(-1, 1, n, device=device) ** power for power in range(4)]) for n in shape)
    return torch.einsum("abc,ai,bj,ck->ijk", weights.to(device), x, y, z)


class RandShading(RandSampleTransform):
    """Coils that are near on one side only: the signal falls smoothly from 1 to a tenth of it at worst.

    The sensitivity of one to four elements around the scan, each of which falls with the square of the distance; its
    logarithm is stretched to the range drawn.

    Parameters
    ----------
    prob : float
        Probability.
    darkest : tuple of float
        Bounds of the least sensitivity over the greatest, drawn evenly in its logarithm.
    """

    def __init__(self, prob: float, darkest: tuple[float, float] = (0.1, 0.7)) -> None:
        super().__init__(prob)
        self.darkest = darkest

    def apply(self, sample: Sample) -> Sample:
        reach = math.sqrt(sum(n * n for n in sample.shape)) / 2
        total = torch.zeros(())
        for _ in range(self.R.randint(1, 5)):
            at, size = self.unit_vector() * self.uniform(0.5, 1.3) * reach, self.uniform(0.4, 1) * reach
            axes = (torch.arange(n) - (n - 1) / 2 - a for n, a in zip(sample.shape, at, strict=True))
            i, j, k = ((axis / size).square() for axis in axes)
            total = total + 1 / (1 + i[:, None, None] + j[:, None] + k)
        log = total.log()
        log = (log - log.max()) / (log.max() - log.min())
        strength = -math.log(self.darkest[0]), -math.log(self.darkest[1])
        field = (log * self.uniform(*strength)).exp().to(sample.image.device)
        return dataclasses.replace(sample, image=sample.image * field)


class RandNoise(RandSampleTransform):
    """Adds Gaussian noise whose standard deviation is drawn from [0, `max_std`], for an image in [0, 1]."""

    def __init__(self, max_std: float, prob: float = 1.0) -> None:
        super().__init__(prob)
        self.max_std = max_std

    def apply(self, sample: Sample) -> Sample:
        image = sample.image
        noise = torch.randn(image.shape, generator=self.generator(image.device), device=image.device)
        return dataclasses.replace(sample, image=image + self.uniform(0, self.max_std) * noise)


class RandGamma(RandSampleTransform):
    """Raises the image, over its own range, to the power exp(g) with g drawn from `log_gamma`."""

    def __init__(self, log_gamma: tuple[float, float], prob: float = 1.0) -> None:
        super().__init__(prob)
        self.log_gamma = log_gamma

    def apply(self, sample: Sample) -> Sample:
        adjust = AdjustContrast(gamma=math.exp(self.uniform(*self.log_gamma)))
        return dataclasses.replace(sample, image=adjust(sample.image).as_tensor())


class NormalisePercentiles:
    """Maps the `fraction` and 1 − `fraction` quantiles of the image to 0 and 1 and clips beyond them.

    On numpy, which partitions where torch sorts: sorting took half of the whole augmentation.
    """

    def __init__(self, fraction: float) -> None:
        self.fractions = (fraction, 1 - fraction)

    def __call__(self, sample: Sample) -> Sample:
        low, high = (float(value) for value in np.quantile(sample.image.numpy(force=True), self.fractions))
        # A constant image has no range; what little differs from it is clipped.
        image = ((sample.image - low) / max(high - low, 1e-6)).clamp(0, 1)
        return dataclasses.replace(sample, image=image)
