"""A training step of both U-Nets on the same upright heads, and how well they find heads that are turned."""

from __future__ import annotations

import argparse

import torch
from monai.losses import DiceCELoss
from monai.metrics import compute_dice
from torch import Tensor, nn
from torchmetrics import MeanMetric

from ..augmentation.sample import Sample
from ..regression.module import Independent


class UprightSegmentation(Independent):
    """Trains U-Nets side by side; validates the Dice overlap of each, of upright heads and of the same ones turned.

    Parameters
    ----------
    networks : dict of str to nn.Module
        By the name of their method.
    options : argparse.Namespace
        Those of ``train_methods``.
    """

    def __init__(self, networks: dict[str, nn.Module], options: argparse.Namespace) -> None:
        rates = {name: options.lr if network.equivariant else options.lr_plain for name, network in networks.items()}
        super().__init__(networks, rates, options)
        self.loss = DiceCELoss(sigmoid=True)
        self.upright = nn.ModuleDict({name: MeanMetric() for name in networks})
        self.turned = nn.ModuleDict({name: MeanMetric() for name in networks})

    def training_step(self, batch: list[Sample], batch_idx: int) -> Tensor:
        images, labels = torch.stack([s.image for s in batch]), _brains([s.label for s in batch])
        losses = {name: self.loss(network(images), labels) for name, network in self.model.items()}
        return self.sum_of(losses, len(batch))

    def validation_step(self, batch: list[Sample], batch_idx: int) -> None:
        for sample in batch:
            images, brains = sample.image[:, None], _brains(list(sample.label[:, None]))
            for name, network in self.model.items():
                dice = compute_dice((network(images) > 0).float(), brains, ignore_empty=False)[:, 0]
                self.upright[name].update(dice[0])
                self.turned[name].update(dice[1:])

    def on_validation_epoch_end(self) -> None:
        means = []
        for name in self.model:
            for place, metrics in (("upright", self.upright), ("turned", self.turned)):
                means.append(metrics[name].compute())
                metrics[name].reset()
                self.log(f"val_dice_{place}_{name}", means[-1], prog_bar=True, rank_zero_only=False)
        self.log("val_dice", torch.stack(means).mean(), rank_zero_only=False)


def _brains(labels: list[Tensor]) -> Tensor:
    """``[B, 1, D, H, W]`` float, 1 in the brain; labels know of eyes as well."""
    return (torch.stack(labels) == 1).float()
