"""A training step of several networks on the same crops: what one has seen, all have."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import permutations, product

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import CatMetric

from E3PoseLib.imaging.rotations import geodesic_angle

from ..augmentation.sample import Sample
from ..training.modules import ScheduleFactor, TrainingModule
from .networks import Heads, RotationNetwork


class Independent(TrainingModule):
    """Trains networks that have nothing in common but what they see: each learns as if it were alone.

    Parameters
    ----------
    networks : dict of str to nn.Module
        By the name of their method.
    rates : dict of str to float
        Learning rate of each.
    options : argparse.Namespace
        Those of ``train_methods``.
    """

    def __init__(self, networks: Mapping[str, nn.Module], rates: dict[str, float], options: argparse.Namespace) -> None:
        super().__init__(nn.ModuleDict(networks), options)
        self.rates = rates

    def configure_optimizers(self) -> dict:
        options = self.options
        groups = [{"params": network.parameters(), "lr": self.rates[name]} for name, network in self.model.items()]
        optimizer = torch.optim.AdamW(groups, weight_decay=options.weight_decay)
        factor = ScheduleFactor(options.schedule, options.warmup_epochs, options.n_epochs)
        return {"optimizer": optimizer, "lr_scheduler": LambdaLR(optimizer, factor)}

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        # One by one: Lightning's own limit is that of all gradients together.
        for network in self.model.values() if gradient_clip_val else ():
            nn.utils.clip_grad_norm_(network.parameters(), gradient_clip_val)

    def generator(self, batch_idx: int, device: torch.device | str = "cpu") -> torch.Generator:
        """The random numbers of a step: the same after a restart, and for a validation those of every validation.

        Parameters
        ----------
        batch_idx : int
            Of the epoch, in this process.
        device : torch.device | str
            Where they are drawn.
        """
        epoch = self.current_epoch + 1 if self.training else 0
        key = np.random.SeedSequence([self.options.seed, epoch, batch_idx, self.global_rank])
        return torch.Generator(device).manual_seed(int(key.generate_state(1)[0]))

    def sum_of(self, losses: dict[str, Tensor], batch_size: int) -> Tensor:
        """The loss of a step; that of each network is logged."""
        for name, loss in losses.items():
            self.log(f"train_loss_{name}", loss, on_epoch=True, sync_dist=True, batch_size=batch_size)
        # No weight belongs to two of them, so the gradient of the sum is that of each.
        return torch.stack(list(losses.values())).sum()


class SideBySide(Independent):
    """Trains networks on the same crops; validates the median rotation error of each.

    Parameters
    ----------
    networks : dict of str to RotationNetwork
        By the name of their method.
    options : argparse.Namespace
        Those of ``train_methods``.
    """

    def __init__(self, networks: dict[str, RotationNetwork], options: argparse.Namespace) -> None:
        rates = {name: options.lr_plain if network.turned else options.lr for name, network in networks.items()}
        super().__init__(networks, rates, options)
        self.errors = nn.ModuleDict({name: CatMetric() for name in networks})
        self.orientations = cube_rotations()

    def training_step(self, batch: list[Sample], batch_idx: int) -> Tensor:
        heads = _heads(batch)
        many = self._turned(heads, self.generator(batch_idx))
        progress = self.current_epoch / self.options.n_epochs
        losses = {
            name: network.loss(many if network.turned else heads, progress) for name, network in self.model.items()
        }
        return self.sum_of(losses, len(batch))

    def validation_step(self, batch: list[Sample], batch_idx: int) -> None:
        heads = _heads(batch)
        for name, network in self.model.items():
            found = network.rotation(heads.crops).double().cpu()
            self.errors[name].update(geodesic_angle(found, heads.axes.cpu()).to(self.device))

    def on_validation_epoch_end(self) -> None:
        medians = []
        for name, errors in self.errors.items():
            medians.append(errors.compute().median().float())
            errors.reset()
            self.log(f"val_degrees_{name}", medians[-1], prog_bar=True, rank_zero_only=False)
        self.log("val_rotation_degrees", torch.stack(medians).mean(), rank_zero_only=False)

    def _turned(self, heads: Heads, generator: torch.Generator) -> Heads:
        """Each crop in ``options.orientations`` different orientations of a cube, and axes and brain with it."""
        crops, axes, brains = [], [], []
        for crop, its_axes, brain in zip(heads.crops, heads.axes, heads.brains, strict=True):
            drawn = torch.randperm(len(self.orientations), generator=generator)[: self.options.orientations]
            for number in drawn.tolist():
                order, mirrored, matrix = self.orientations[number]
                for turned, volume in ((crops, crop), (brains, brain)):
                    turned.append(volume.permute(0, *(1 + axis for axis in order)).flip(mirrored))
                axes.append(its_axes @ matrix.T.to(its_axes))
        return Heads(torch.stack(crops), torch.stack(axes), torch.stack(brains))


def _heads(batch: list[Sample]) -> Heads:
    return Heads(*(torch.stack([getattr(sample, name) for sample in batch]) for name in ("image", "axes", "label")))


def cube_rotations() -> list[tuple[tuple[int, ...], tuple[int, ...], Tensor]]:
    """The 24 rotations of a cube.

    Returns
    -------
    list of (tuple of int, tuple of int, Tensor)
        The order of the old axes, the dimensions of ``[1, D, H, W]`` that are then mirrored, and the matrix ``[3, 3]``
        by which a vector turns with the content.
    """
    rotations = []
    for order, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3)):
        matrix = torch.zeros(3, 3, dtype=torch.float64)
        for new, (old, sign) in enumerate(zip(order, signs, strict=True)):
            matrix[new, old] = sign
        if torch.linalg.det(matrix) > 0:
            rotations.append((order, tuple(1 + axis for axis in range(3) if signs[axis] < 0), matrix))
    return rotations
