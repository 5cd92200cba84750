"""The two networks as Lightning modules: what a training step and a validation are."""

from __future__ import annotations

import argparse
import math

import torch
from lightning.pytorch import LightningModule
from monai.losses import DiceLoss
from monai.metrics import compute_dice
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import CatMetric, MeanMetric

from E3PoseLib.errors import TrainingError
from E3PoseLib.imaging.rotations import geodesic_angle

from ..augmentation.sample import Sample
from .axes import AxesLoss, axes_of_field
from .options import plain
from .places import PlacesLoss
from .recording import RecordedField


class TrainingModule(LightningModule):
    """What both networks share: optimiser and schedule.

    The network is the attribute ``model``, so that a checkpoint holds its weights under ``model.``, as the
    method's own files do.

    Parameters
    ----------
    model : nn.Module
        The network.
    options : argparse.Namespace
        The command's flags; saved with every checkpoint.
    """

    def __init__(self, model: nn.Module, options: argparse.Namespace) -> None:
        super().__init__()
        self.model = model
        self.options = options
        self.save_hyperparameters({"options": plain(options)})

    def configure_optimizers(self) -> dict:
        optimizer = build_optimizer(self.model, self.options)
        factor = ScheduleFactor(self.options.schedule, self.options.warmup_epochs, self.options.n_epochs)
        return {"optimizer": optimizer, "lr_scheduler": LambdaLR(optimizer, factor)}

    def on_validation_epoch_start(self) -> None:
        """Raises TrainingError where the training has diverged, of which nothing can be validated."""
        self._check_weights()

    def on_train_epoch_end(self) -> None:
        """Raises TrainingError where the training has diverged; nothing is saved then."""
        self._check_weights()

    def _check_weights(self) -> None:
        if not all(weight.isfinite().all() for weight in self.model.parameters()):
            raise TrainingError(
                f"The training has diverged: after epoch {self.current_epoch} the weights are no longer finite. Lower "
                "--lr, or limit the gradient by --clip_gradient."
            )


def build_optimizer(model: nn.Module, options: argparse.Namespace) -> torch.optim.Optimizer:
    """The optimiser that ``options.optimizer`` names, with the learning rate, weight decay and momentum there."""
    common = {"lr": options.lr, "weight_decay": options.weight_decay}
    if options.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=options.momentum, **common)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[options.optimizer](model.parameters(), **common)


class ScheduleFactor:
    """Multiple of the learning rate by epoch: a linear warm-up, then constant, cosine or polynomial to zero."""

    def __init__(self, schedule: str, warmup_epochs: int, n_epochs: int) -> None:
        self.schedule = schedule
        self.warmup_epochs = warmup_epochs
        self.n_epochs = n_epochs

    def __call__(self, epoch: int) -> float:
        if epoch < self.warmup_epochs:
            return (epoch + 1) / (self.warmup_epochs + 1)
        progress = min(1.0, (epoch - self.warmup_epochs) / max(1, self.n_epochs - self.warmup_epochs))
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        # The power 0.9 is that of Chen et al., DeepLab, IEEE TPAMI 40(4), 2018.
        return (1 - progress) ** 0.9 if self.schedule == "polynomial" else 1.0


class SegmentationLoss(nn.Module):
    """Class-weighted cross-entropy plus `dice_weight` times class-weighted soft Dice.

    The mean over the samples of a batch, so the mean over processes that each hold an equal share of the batch is the
    loss of the whole batch. So is that of `AxesLoss`.

    Parameters
    ----------
    class_weights : list[float]
        One weight a class, background first.
    dice_weight : float
        Weight of the Dice loss.
    """

    def __init__(self, class_weights: list[float], dice_weight: float) -> None:
        super().__init__()
        self.register_buffer("class_weights", torch.tensor(class_weights), persistent=False)
        self.dice_weight = dice_weight
        self.dice = DiceLoss(softmax=True, to_onehot_y=True, reduction="none")

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """The loss of ``[B, C, D, H, W]`` logits against ``[B, 1, D, H, W]`` integer labels, a scalar."""
        weights = self.class_weights.to(logits.dtype)
        voxelwise = cross_entropy(logits, label[:, 0].long(), weight=weights, reduction="none")
        weight_sum = weights[label[:, 0].long()].flatten(1).sum(1)
        entropy = voxelwise.flatten(1).sum(1) / weight_sum
        dice = self.dice(logits, label).flatten(1) @ weights / weights.sum()
        return (entropy + self.dice_weight * dice).mean()


class SegmentationModule(TrainingModule):
    """Trains the U-Net; validates the object's Dice overlap and the distance of its centre of mass.

    Scans whose object lies outside of what the network sees have neither.
    """

    def __init__(self, model, options) -> None:
        super().__init__(model, options)
        self.loss = SegmentationLoss(options.class_weights, options.dice_weight)
        self.n_classes = options.n_output_channels
        self.places_loss = PlacesLoss() if options.places else None
        self.overlaps, self.distances = MeanMetric(), MeanMetric()

    def training_step(self, batch: list[Sample], batch_idx: int) -> Tensor:
        images, labels = _images(batch), _labels(batch)
        loss = self.loss_of(self.model(images), labels, batch)
        self.log("train_loss", loss, on_step=True, on_epoch=True, sync_dist=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: list[Sample], batch_idx: int) -> None:
        images, labels = _images(batch), _labels(batch)
        logits = self.model(images)
        self.log("val_loss", self.loss_of(logits, labels, batch), sync_dist=True, batch_size=len(batch))
        found, truth = self.brain(logits), labels == 1
        self.overlaps.update(compute_dice(found.float(), truth.float())[truth.flatten(1).any(1)])
        distances = [
            torch.linalg.vector_norm(_centre(a) - _centre(b)) * sample.spacing
            for a, b, sample in zip(found, truth, batch, strict=True)
            if a.any() and b.any()
        ]
        self.distances.update(torch.stack(distances) if distances else images.new_empty(0))

    def brain(self, output: Tensor) -> Tensor:
        """Where the network sees the object, bool ``[B, 1, D, H, W]``, by what it gives ``[B, C, D, H, W]``."""
        return output[:, : self.n_classes].argmax(1, keepdim=True) == 1

    def loss_of(self, output: Tensor, labels: Tensor, batch: list[Sample]) -> Tensor:
        """The loss of what the network gives."""
        loss = self.loss(output[:, : self.n_classes], labels)
        if self.places_loss is None:
            return loss
        return loss + self.options.places * self.places_loss(output[:, self.n_classes :], labels == 1, _axes(batch))

    def on_validation_epoch_end(self) -> None:
        # Of all processes, those too that saw or found no object: what one does not take part in the others wait for.
        means = [metric.compute() for metric in (self.overlaps, self.distances)]
        self.overlaps.reset()
        self.distances.reset()
        self.log("val_dice", means[0], prog_bar=True, rank_zero_only=False)
        if means[1].isfinite():
            self.log("val_centre_mm", means[1], rank_zero_only=False)


class RotationModule(TrainingModule):
    """Trains the E(3)-CNN, or any network with its ``axes_field``; validates the median rotation error."""

    def __init__(self, model, options) -> None:
        super().__init__(model, options)
        self.loss = AxesLoss()
        self.errors = CatMetric()

    def on_fit_start(self) -> None:
        # Here and not before: a recording reads the weights where they lie in this training.
        self.axes_field = RecordedField(self.model)

    def training_step(self, batch: list[Sample], batch_idx: int) -> Tensor:
        # Crops that the border of a scan cut short differ in shape, so those of one shape go through the network
        # together; the instance normalisation makes that the same as one by one.
        losses = []
        for shape in dict.fromkeys(s.shape for s in batch):
            alike = [s for s in batch if s.shape == shape]
            losses.append(self.loss(self.axes_field(_images(alike)), _axes(alike)) * len(alike))
        loss = torch.stack(losses).sum() / len(batch)
        self.log("train_loss", loss, on_step=True, on_epoch=True, sync_dist=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: list[Sample], batch_idx: int) -> None:
        axes = _axes(batch)
        field = self.model.axes_field(_images(batch))
        self.log("val_loss", self.loss(field, axes), sync_dist=True, batch_size=len(batch))
        estimates = torch.from_numpy(axes_of_field(field))
        self.errors.update(geodesic_angle(estimates, axes.cpu()).to(self.device))

    def on_validation_epoch_end(self) -> None:
        errors = self.errors.compute()
        self.errors.reset()
        self.log("val_rotation_degrees", errors.median().float(), prog_bar=True, rank_zero_only=False)


def _images(batch: list[Sample]) -> Tensor:
    return torch.stack([s.image for s in batch])


def _labels(batch: list[Sample]) -> Tensor:
    return torch.stack([s.label for s in batch])


def _axes(batch: list[Sample]) -> Tensor:
    return torch.stack([s.axes for s in batch]).to(batch[0].image.device)


def _centre(mask: Tensor) -> Tensor:
    """Centre of mass ``[3]`` of a mask ``[1, D, H, W]``, voxels."""
    return mask[0].nonzero().float().mean(0)
