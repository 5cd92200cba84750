"""A training step of several networks on the same crops: what one has seen, all have."""

from __future__ import annotations

import argparse
from itertools import permutations, product

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import CatMetric

from E3PoseLib.imaging.rotations import geodesic_angle

from ..augmentation.sample import Sample
from ..training.modules import ScheduleFactor, TrainingModule
from .networks import RotationNetwork


class SideBySide(TrainingModule):
    """Trains networks that have nothing in common but the crops; validates the median rotation error of each.

    Parameters
    ----------
    networks : dict of str to RotationNetwork
        By the name of their method.
    options : argparse.Namespace
        Those of ``train_methods``.
    """

    def __init__(self, networks: dict[str, RotationNetwork], options: argparse.Namespace) -> None:
        super().__init__(nn.ModuleDict(networks), options)
        self.errors = nn.ModuleDict({name: CatMetric() for name in networks})
        self.orientations = cube_rotations()

    def configure_optimizers(self) -> dict:
        options = self.options
        groups = [
            {"params": network.parameters(), "lr": options.lr_plain if network.turned else options.lr}
            for network in self.model.values()
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=options.weight_decay)
        factor = ScheduleFactor(options.schedule, options.warmup_epochs, options.n_epochs)
        return {"optimizer": optimizer, "lr_scheduler": LambdaLR(optimizer, factor)}

    def training_step(self, batch: list[Sample], batch_idx: int) -> Tensor:
        crops, axes = torch.stack([s.image for s in batch]), torch.stack([s.axes for s in batch])
        many_crops, many_axes = self._turned(crops, axes)
        progress = self.current_epoch / self.options.n_epochs
        losses = {}
        for name, network in self.model.items():
            shown = (many_crops, many_axes) if network.turned else (crops, axes)
            losses[name] = network.loss(*shown, progress)
            self.log(f"train_loss_{name}", losses[name], on_epoch=True, sync_dist=True, batch_size=len(batch))
        # No weight belongs to two of them, so the gradient of the sum is that of each.
        return torch.stack(list(losses.values())).sum()

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        # One by one: Lightning's own limit is that of all gradients together.
        for network in self.model.values() if gradient_clip_val else ():
            nn.utils.clip_grad_norm_(network.parameters(), gradient_clip_val)

    def validation_step(self, batch: list[Sample], batch_idx: int) -> None:
        crops, axes = torch.stack([s.image for s in batch]), torch.stack([s.axes for s in batch])
        for name, network in self.model.items():
            found = network.rotation(crops).double().cpu()
            self.errors[name].update(geodesic_angle(found, axes.cpu()).to(self.device))

    def on_validation_epoch_end(self) -> None:
        medians = []
        for name, errors in self.errors.items():
            medians.append(errors.compute().median().float())
            errors.reset()
            self.log(f"val_degrees_{name}", medians[-1], prog_bar=True, rank_zero_only=False)
        self.log("val_rotation_degrees", torch.stack(medians).mean(), rank_zero_only=False)

    def _turned(self, crops: Tensor, axes: Tensor) -> tuple[Tensor, Tensor]:
        """Each crop in ``options.orientations`` different orientations of a cube, and the axes with it."""
        turned_crops, turned_axes = [], []
        for crop, its_axes in zip(crops, axes, strict=True):
            for number in torch.randperm(len(self.orientations))[: self.options.orientations].tolist():
                order, mirrored, matrix = self.orientations[number]
                turned_crops.append(crop.permute(0, *(1 + axis for axis in order)).flip(mirrored))
                turned_axes.append(its_axes @ matrix.T.to(its_axes))
        return torch.stack(turned_crops), torch.stack(turned_axes)


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
