"""One training run: its folder, its checkpoints, its logs, and the Lightning trainer that carries it out."""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from E3PoseLib.errors import DeviceError, ModelError, OutputError, TrainingError

from .augmentation.sample import Sample
from .progress import LearningCurves, RunProgressBar


class RunFolder:
    """The output folder of one training run.

    ``options.json`` holds the flags; ``checkpoints/last.ckpt`` everything that is needed to go on, and
    ``checkpoints/best.ckpt`` the best validated weights; ``logs/`` the CSV and TensorBoard logs.

    Args:
        path: the folder; it is made by `prepare`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.ckpt"
        self.options = path / "options.json"
        self.logs = path / "logs"

    def prepare(self, options: dict[str, Any], resume: str | None) -> Path | None:
        """Makes the folder, or finds what to resume.

        Args:
            options: the run's flags, kept beside the results.
            resume: None, "last", or "auto".

        Returns:
            the checkpoint to go on from, if any.

        Raises:
            OutputError: the folder holds another run, or cannot be made.
            TrainingError: there is nothing to resume.
        """
        if resume == "last" and not self.last.is_file():
            raise TrainingError(
                f"There is no checkpoint {self.last} to resume from. Leave --resume out to start a new run."
            )
        if resume and self.last.is_file():
            return self.last
        # A process of a parallel run that starts later than the first finds the first one's folder.
        if rank_zero_only.rank == 0:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise OutputError(
                    f"{self.path} holds another run or other files. Name an empty folder, or add --resume to go on "
                    "with that run."
                )
            try:
                self.checkpoints.mkdir(parents=True)
                write_text(self.options, json.dumps(options, indent=2, default=str) + "\n")
            except OSError as error:
                raise OutputError(f"The output folder {self.path} cannot be written: {error}") from error
        return None


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its final name and renames it, so a killed run leaves the previous one whole.

    Lightning's own writer goes through the system's temporary folder; moving from there to another file system
    copies, and a copy can be cut short.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OutputError(
                f"The checkpoint {path} cannot be written ({error}); the one before it is whole. Free some space and "
                "go on with --resume."
            ) from error


def accelerator(device: str) -> str:
    """Lightning's name of a device.

    Raises:
        DeviceError: it is not one of auto, cpu, cuda and mps, or this machine has none.
    """
    if device not in ("auto", "cpu", "cuda", "mps"):
        raise DeviceError(f"There is no kind of device called {device!r}. Use auto, cpu, cuda or mps.")
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "--device cuda: this machine or this torch has no CUDA device. Use --device cpu or auto."
        )
    if device == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(
            "--device mps: this machine or this torch has no MPS device. Use --device cpu or auto."
        )
    return {"cuda": "gpu"}.get(device, device)


def check_device_count(kind: str, devices: int) -> None:
    """Refuses more GPUs than there are.

    Raises:
        DeviceError: with the number there is.
    """
    if kind in ("gpu", "auto") and torch.cuda.is_available() and devices > torch.cuda.device_count():
        raise DeviceError(
            f"--devices {devices}: this machine has {torch.cuda.device_count()} CUDA device(s)."
        )


def build_trainer(
    options: argparse.Namespace,
    folder: RunFolder,
    monitor: str,
    mode: str,
    validate_every: int,
    pictures: list,
) -> Trainer:
    """The Lightning trainer of a run.

    Args:
        options: the flags of `options.add_shared_options`, with ``n_epochs``.
        folder: of the run.
        monitor: logged validation figure that tells the best checkpoint.
        mode: "min" or "max" of it.
        validate_every: epochs between validations.
        pictures: callbacks of the network at hand.
    """
    kind = accelerator(options.device)
    check_device_count(kind, options.devices)
    callbacks = [
        # Both names are fixed: a new file replaces the old one in a single rename.
        ModelCheckpoint(
            folder.checkpoints,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
        ),
        ModelCheckpoint(
            folder.checkpoints, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
        ),
        LearningRateMonitor(logging_interval="epoch"),
        LearningCurves(folder.logs / "csv", folder.path / "learning_curves.png"),
        RunProgressBar(),
        *pictures,
    ]
    if options.ema:
        callbacks.append(EMAWeightAveraging(decay=options.ema))
    if options.early_stopping:
        callbacks.append(EarlyStopping(monitor=monitor, mode=mode, patience=options.early_stopping))
    parallel = options.devices * options.num_nodes > 1
    plugins: list[Any] = [AtomicCheckpointIO()]
    if SLURMEnvironment.detect():
        # A requeued job runs the same command again, which goes on by `--resume auto` from a whole epoch.
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return Trainer(
        accelerator=kind,
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy="ddp" if parallel else "auto",
        precision=options.precision,
        max_epochs=options.n_epochs,
        accumulate_grad_batches=options.accumulate,
        gradient_clip_val=options.clip_gradient or None,
        check_val_every_n_epoch=validate_every,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        callbacks=callbacks,
        logger=[CSVLogger(folder.logs, name="csv"), TensorBoardLogger(folder.logs, name="tensorboard")],
        plugins=plugins,
        use_distributed_sampler=False,
        sync_batchnorm=parallel and kind != "cpu",
        enable_model_summary=False,
    )


class ScanDataModule(LightningDataModule):
    """Training and validation batches: each process's share, in an order that seed and epoch decide.

    Every process takes every n-th scan of one common permutation, so n processes with 1/n of the batch each see
    together, step by step, the batches that one process would see.

    Args:
        training, validation: the scans.
        options: the flags of `options.add_shared_options`.
        batch_size: scans a step and process.
    """

    def __init__(
        self, training: Dataset, validation: Dataset, options: argparse.Namespace, batch_size: int
    ) -> None:
        super().__init__()
        self.training = training
        self.validation = validation
        self.options = options
        self.batch_size = batch_size

    def train_dataloader(self) -> DataLoader:
        return self._loader(self.training, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader(self.validation, shuffle=False)

    def _loader(self, dataset: Dataset, shuffle: bool) -> DataLoader:
        world, rank = self.trainer.world_size, self.trainer.global_rank
        return DataLoader(
            dataset,
            batch_size=self.batch_size if shuffle else 1,
            sampler=DistributedSampler(dataset, world, rank, shuffle=shuffle, seed=self.options.seed),
            num_workers=self.options.num_workers,
            collate_fn=list[Sample],
            persistent_workers=self.options.num_workers > 0,
        )


def fit(trainer: Trainer, module: LightningModule, data: ScanDataModule, resume: Path | None) -> None:
    """Trains, from a checkpoint where one is given.

    Raises:
        ModelError: the checkpoint is damaged or of another network.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        try:
            trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
        except RuntimeError as error:
            if resume and "state_dict" in str(error):
                raise ModelError(
                    f"{resume} does not fit the network that the flags describe: {error}. Resume with the flags in "
                    f"{resume.parent.parent / 'options.json'}."
                ) from error
            raise
