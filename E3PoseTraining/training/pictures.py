"""Sample predictions of a run as PNG, drawn after each validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from ..augmentation.sample import Sample
from ..data.figures import save_figure
from .axes import axes_of_field

N_SCANS = 4
COLOURS = ("tab:red", "tab:green", "tab:blue")


class PredictionPicture(Callback):
    """Shows the first validation scans with what the network says of them.

    Parameters
    ----------
    picture : Path
        PNG to write.
    """

    def __init__(self, picture: Path) -> None:
        self.picture = picture
        self._batches: list[Sample] = []

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0) -> None:
        if len(self._batches) < N_SCANS:
            self._batches += batch

    @rank_zero_only
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        samples, self._batches = self._batches[:N_SCANS], []
        figure = Figure(figsize=(7.5, 2.5 * len(samples)), layout="constrained")
        panels = figure.subplots(len(samples), 3, squeeze=False)
        for row, sample in zip(panels, samples, strict=True):
            with torch.no_grad():
                self.draw(row, sample, pl_module)
        save_figure(figure, self.picture)

    def draw(self, row, sample: Sample, module: LightningModule) -> None:
        raise NotImplementedError


class SegmentationPicture(PredictionPicture):
    """Three cuts through the object: truth in green, prediction in red."""

    def draw(self, row, sample: Sample, module: LightningModule) -> None:
        found = module.brain(module.model(sample.image[None]))[0, 0].cpu().numpy()
        truth = (sample.label[0] == 1).cpu().numpy()
        centre = np.argwhere(truth).mean(0).round().astype(int) if truth.any() else np.array(truth.shape) // 2
        for axis, panel in enumerate(row):
            panel.imshow(_cut(sample.image[0].cpu().numpy(), axis, centre), cmap="gray", origin="lower")
            for mask, colour in ((truth, "tab:green"), (found, "tab:red")):
                cut = _cut(mask, axis, centre)
                if cut.any() and not cut.all():
                    panel.contour(cut, levels=[0.5], colors=colour, linewidths=1)
            panel.set_axis_off()
        row[0].set_title("truth green, prediction red", fontsize=8)


class RotationPicture(PredictionPicture):
    """Three cuts through the crop with the head's axes: right red, anterior green, superior blue.

    Truth is dashed, the prediction solid.
    """

    def draw(self, row, sample: Sample, module: LightningModule) -> None:
        estimate = axes_of_field(module.model.axes_field(sample.image[None]))[0]
        middle = np.array(sample.image.shape[1:]) // 2
        for axis, panel in enumerate(row):
            panel.imshow(_cut(sample.image[0].cpu().numpy(), axis, middle), cmap="gray", origin="lower")
            across, up = (other for other in range(3) if other != axis)
            for axes, style in ((sample.axes.numpy(), "--"), (estimate, "-")):
                for vector, colour in zip(axes, COLOURS, strict=True):
                    tip = middle + 0.3 * min(sample.image.shape[1:]) * vector
                    line = [middle[across], tip[across]], [middle[up], tip[up]]
                    panel.plot(*line, style, color=colour, linewidth=1.5)
            panel.set_axis_off()
        row[0].set_title("R red, A green, S blue; truth dashed", fontsize=8)


def _cut(array: np.ndarray, axis: int, centre: np.ndarray) -> np.ndarray:
    """The slice of an array through a voxel, transposed so that the first axis left runs to the right."""
    return array.take(centre[axis], axis).T
