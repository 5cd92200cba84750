"""What a run shows while it lasts: a progress bar with the time left, and learning curves as a picture."""

from __future__ import annotations

import csv
import sys
import time
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from ..data.figures import save_figure

STEPS_A_LOG_LINE = 50


class RunProgressBar(TQDMProgressBar):
    """Lightning's bar of the epoch, with the time that the whole run still takes; in a log it moves more rarely."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=1 if sys.stdout.isatty() else STEPS_A_LOG_LINE)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._started = time.monotonic()
        self._first_step = trainer.global_step

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        done = trainer.global_step - self._first_step
        if done and trainer.max_epochs:
            total = trainer.max_epochs * trainer.num_training_batches // trainer.accumulate_grad_batches
            left = (time.monotonic() - self._started) / done * (total - trainer.global_step)
            metrics["left"] = str(timedelta(seconds=max(0, round(left))))
        return metrics


class LearningCurves(Callback):
    """Draws every logged figure against the epoch, over all parts of an interrupted run.

    Parameters
    ----------
    logs : Path
        Folder of the CSV logger, one subfolder for each time the run was started.
    picture : Path
        PNG to write after every validation.
    """

    def __init__(self, logs: Path, picture: Path) -> None:
        self.logs = logs
        self.picture = picture

    @rank_zero_only
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (trainer.current_epoch + 1) % trainer.check_val_every_n_epoch == 0:
            for logger in trainer.loggers:
                logger.save()
            curves = read_curves(self.logs)
            if curves:
                draw_curves(curves, self.picture)


def read_curves(logs: Path) -> dict[str, dict[int, float]]:
    """Figure → epoch → value from all CSV logs of a run; where two parts overlap the later one counts."""
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    versions = sorted(logs.glob("version_*/metrics.csv"), key=lambda path: int(path.parent.name.split("_")[1]))
    for path in versions:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                for name, text in row.items():
                    if text and row["epoch"] and name not in ("epoch", "step") and not name.endswith("_step"):
                        curves[name][int(float(row["epoch"]))] = float(text)
    return curves


def draw_curves(curves: dict[str, dict[int, float]], picture: Path) -> None:
    """One panel a quantity, training and validation of it together.

    Parameters
    ----------
    curves : dict[str, dict[int, float]]
        See `read_curves`; names start with ``train_`` or ``val_``.
    picture : Path
        PNG, written whole or not at all.
    """
    panels: dict[str, list[str]] = defaultdict(list)
    for name in sorted(curves):
        quantity = name.removeprefix("train_").removeprefix("val_").removesuffix("_epoch")
        panels[quantity].append(name)
    figure = Figure(figsize=(4.2 * len(panels), 3.2), layout="constrained")
    for axes, (quantity, names) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for name in names:
            epochs = sorted(curves[name])
            role = {"train": "training", "val": "validation"}.get(name.split("_")[0], "")
            marker = "o" if len(epochs) < 30 else None
            axes.plot(epochs, [curves[name][e] for e in epochs], marker=marker, markersize=3, label=role)
        axes.set_title(quantity.replace("_", " "), fontsize=10)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        if any(n.startswith(("train_", "val_")) for n in names):
            axes.legend(frameon=False, fontsize=8)
    save_figure(figure, picture)
