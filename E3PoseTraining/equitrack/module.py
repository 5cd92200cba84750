"""A training step of EquiTrack: the turn between two frames of a head, and the head's own axes, from its points."""

from __future__ import annotations

import argparse

import roma
import torch
from torch import Tensor
from torchmetrics import CatMetric

from E3PoseLib.imaging.rotations import geodesic_angle

from ..augmentation.sample import Sample
from ..regression.module import Independent
from ..regression.networks import LARGEST_SINE
from .points import EquiTrack, rotation_between

LARGEST_GAMMA, LARGEST_BIAS, LARGEST_NOISE = 0.2, 0.3, 0.05
"""By which the frames of a pair differ, those of the paper: logarithm of the exponent, logarithm of the gain at the
crop's border, and standard deviation of noise relative to the brightest."""


class BetweenFrames(Independent):
    """Trains EquiTrack; validates the median errors of both rotations on frames that differ as in training.

    The paper's loss compares images. Here poses are known, so it is how far each point lies from its place in the
    head, in radii of the template, and the angles by which both rotations are off: between the frames, and from each
    frame to the template.

    Parameters
    ----------
    networks : dict of str to EquiTrack
        One, by the name of its method.
    options : argparse.Namespace
        Those of ``train_methods``.
    """

    def __init__(self, networks: dict[str, EquiTrack], options: argparse.Namespace) -> None:
        super().__init__(networks, dict.fromkeys(networks, options.lr), options)
        self.between, self.posed = CatMetric(), CatMetric()

    def training_step(self, batch: list[Sample], batch_idx: int) -> Tensor:
        losses = {}
        for name, network in self.model.items():
            points, axes = self._seen(network, batch, batch_idx)
            losses[name] = network.distance_from_places(points, axes)
            for found, true in self._rotations(network, points, axes):
                losses[name] += roma.rotmat_geodesic_distance(found, true, clamping=LARGEST_SINE).mean()
        return self.sum_of(losses, len(batch))

    def validation_step(self, batch: list[Sample], batch_idx: int) -> None:
        for network in self.model.values():
            rotations = self._rotations(network, *self._seen(network, batch, batch_idx))
            for metric, (found, true) in zip((self.between, self.posed), rotations, strict=True):
                metric.update(geodesic_angle(found.double().cpu(), true.double().cpu()).to(self.device))

    def on_validation_epoch_end(self) -> None:
        for name, metric in (("frames", self.between), ("rotation", self.posed)):
            self.log(f"val_{name}_degrees", metric.compute().median().float(), prog_bar=True, rank_zero_only=False)
            metric.reset()

    def _seen(self, network: EquiTrack, batch: list[Sample], batch_idx: int) -> tuple[Tensor, Tensor]:
        """Points ``[2 B, K, 3]`` of all frames, the two of a pair side by side, and the heads' axes ``[2 B, 3, 3]``."""
        frames = torch.cat([sample.image for sample in batch])[:, None]
        points = network(shown_anew(frames, self.generator(batch_idx, frames.device)))
        return points, torch.cat([sample.axes for sample in batch]).to(points)

    @staticmethod
    def _rotations(network: EquiTrack, points: Tensor, axes: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """As found and as they are: those between frames ``[B, 3, 3]``, and the axes of all frames ``[2 B, 3, 3]``."""
        between = rotation_between(points[0::2], points[1::2]), axes[1::2].mT @ axes[0::2]
        return between, (network.to_template(points), axes)


def shown_anew(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Frames ``[B, 1, D, D, D]`` with another exponent, gain and noise each; what is empty stays so.

    The generator is on their device.
    """
    drawn = {"generator": generator, "device": frames.device}
    each = (len(frames), 1, 1, 1, 1)
    gamma, sigma = (torch.rand(each, **drawn) for _ in range(2))
    offsets = torch.linspace(-1, 1, frames.shape[2], device=frames.device)
    slopes = torch.randn(len(frames), 3, **drawn) * LARGEST_BIAS / 3**0.5
    i, j, k = (slope[:, None] * offsets for slope in slopes.T)
    gain = torch.exp(i[:, :, None, None] + j[:, None, :, None] + k[:, None, None, :])[:, None]
    noise = torch.randn(frames.shape, dtype=frames.dtype, **drawn) * sigma * LARGEST_NOISE
    return torch.where(frames > 0, frames ** torch.exp((2 * gamma - 1) * LARGEST_GAMMA) * gain + noise, 0)
