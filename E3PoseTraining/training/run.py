"""One training run: its folder, its checkpoints, its logs, and the Lightning trainer that carries it out."""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.environments import SLURMEnvironment
from monai.transforms import Compose
from torch.utils.data import DataLoader

from E3PoseLib.errors import DeviceError, ModelError, WorkerError
from E3PoseLib.models.settings import OF_OFFICIAL
from E3PoseLib.networks.device import pick_device

from ..augmentation.sample import Sample
from ..data.datasets import EpochSampler, PreparedScans, ScanDataset
from ..data.sources import Sources
from ..models.join import MUST_AGREE
from ..models.weights import read_network
from .checkpoints import AtomicCheckpointIO, MovableCheckpoint
from .folder import RunFolder, note_of
from .nodes import check_nodes
from .options import plain
from .progress import LearningCurves, RunProgressBar

GO_ON = "go on from the last whole epoch with --resume auto"
"""What an interrupted training command says."""

_OF_A_DEAD_PROCESS = re.compile(
    r"DataLoader worker \(pid|connection (was )?(closed|reset) by peer|remote process exit", re.IGNORECASE
)
"""In what torch says where a reader, or another process of a parallel run, has gone."""


def accelerator(device: str, devices: int) -> str:
    """Lightning's name of a kind of device of which `devices` are wanted.

    Raises
    ------
    DeviceError
        It is not one of auto, cpu, cuda and mps, or this machine has too few.
    """
    if device not in ("auto", "cpu", "cuda", "mps"):
        raise DeviceError(f"unknown device {device!r}; choose auto, cpu, cuda or mps")
    kind = pick_device(device).type
    if kind == "cuda" and devices > torch.cuda.device_count():
        raise DeviceError(f"--devices {devices}: this machine has {torch.cuda.device_count()} CUDA device(s)")
    return {"cuda": "gpu"}.get(kind, kind)


def build_trainer(
    options: argparse.Namespace, folder: RunFolder, monitor: str, mode: str, pictures: list[Callback]
) -> Trainer:
    """The Lightning trainer of a run.

    Parameters
    ----------
    options : argparse.Namespace
        The flags of `options.add_shared_options`, with ``n_epochs``.
    folder : RunFolder
        Of the run.
    monitor : str
        Logged validation figure that tells the best checkpoint.
    mode : str
        "min" or "max" of it.
    pictures : list[Callback]
        Callbacks of the network at hand.
    """
    kind = accelerator(options.device, options.devices)
    callbacks = [
        # Both names are fixed: a new file replaces the old one in a single rename.
        MovableCheckpoint(
            folder.checkpoints,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
        ),
        MovableCheckpoint(
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
    check_nodes(options.num_nodes, options.devices)
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
        check_val_every_n_epoch=options.validate_every_n_epoch,
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

    Parameters
    ----------
    training, validation : PreparedScans
        The scans.
    options : argparse.Namespace
        The flags of `options.add_shared_options`.
    batch_size : int
        Scans a step and process.
    """

    def __init__(
        self, training: PreparedScans, validation: PreparedScans, options: argparse.Namespace, batch_size: int
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

    def _loader(self, dataset: PreparedScans, shuffle: bool) -> DataLoader:
        world, rank = self.trainer.world_size, self.trainer.global_rank
        sampler = EpochSampler(dataset, world, rank, shuffle=shuffle, seed=self.options.seed)
        # Lightning sets the epoch of a resumed run too late for readers, which begin with the loader.
        sampler.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)
        return DataLoader(
            dataset,
            batch_size=self.batch_size if shuffle else 1,
            sampler=sampler,
            num_workers=self.options.num_workers,
            collate_fn=list[Sample],
            persistent_workers=self.options.num_workers > 0,
        )


def fit(trainer: Trainer, module: LightningModule, data: ScanDataModule, resume: Path | None) -> None:
    """Trains, from a checkpoint where one is given.

    Raises
    ------
    ModelError
        The checkpoint is damaged or of another network.
    WorkerError
        A reader, or another process of a parallel run, was killed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        try:
            trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
        except SystemExit as end:
            if isinstance(end.__context__, KeyboardInterrupt):  # Lightning turns one into the other
                raise KeyboardInterrupt from end
            raise
        except RuntimeError as error:
            if resume and "state_dict" in str(error):
                raise ModelError(
                    f"{resume} does not fit the network that the flags describe: {error}. Resume with the flags in "
                    f"{resume.parent.parent / 'options.json'}."
                ) from error
            if _OF_A_DEAD_PROCESS.search(str(error)):
                raise WorkerError(
                    f"another process of the run has ended ({str(error).strip().splitlines()[0]}); where it has not "
                    f"said why, it was killed, most likely for lack of memory: {GO_ON}, and fewer --num_workers or "
                    "--devices or a smaller batch"
                ) from error
            raise


def train(
    module: LightningModule,
    options: argparse.Namespace,
    sources: Sources,
    augmentation: Compose,
    preparation: Callable[[Sample], Sample],
    *,
    batch_size: int,
    n_classes: int,
    monitor: str,
    mode: str,
    picture: type | None,
    export: Callable[[RunFolder, argparse.Namespace], None],
    check: Callable[[PreparedScans], None] | None = None,
) -> None:
    """Carries out a training command: checks everything, trains, and writes the weights and the model file.

    Parameters
    ----------
    module : LightningModule
        The network with its losses.
    options : argparse.Namespace
        The command's flags.
    sources : Sources
        The scans and the output folder.
    augmentation : Compose
    preparation : Callable[[Sample], Sample]
        See `PreparedScans`.
    batch_size : int
        Scans a step and process.
    n_classes : int
        Labels must be below this.
    monitor, mode : str
        See `build_trainer`.
    picture : type
        Callback class that draws sample predictions to a PNG, if any.
    export : Callable[[RunFolder, argparse.Namespace], None]
        Writes the results from the finished run's folder.
    check : Callable[[PreparedScans], None] | None
        Looks at the validating scans before anything is written, and raises where they are of no use.

    Raises
    ------
    E3PoseError
        What is wrong with the data, the flags or the machine.
    """
    check_partner(options)
    folder = RunFolder(sources.output)
    trainer = build_trainer(
        options, folder, monitor, mode, [picture(folder.path / "predictions.png")] if picture else []
    )
    noted = note_of(sources.training, sources.validation)
    resume = folder.checkpoint_to_resume(plain(options), options.resume, noted)
    readers = max(1, options.num_workers)
    memory_per_scan = options.memory_gb / (len(sources.training) + len(sources.validation))
    scans = [
        ScanDataset(cases, options.img_res, n_classes, memory_per_scan * len(cases), readers)
        for cases in (sources.training, sources.validation)
    ]
    training = PreparedScans(scans[0], preparation, augmentation, options.seed)
    validation = PreparedScans(scans[1], preparation)
    if resume is None:
        if check is not None:
            check(validation)
        folder.make(plain(options), noted)
    fit(trainer, module, ScanDataModule(training, validation, options, batch_size), resume)
    if trainer.is_global_zero:
        export(folder, options)


def check_partner(options: argparse.Namespace) -> None:
    """Reads the other network, where one is given for the model file, so that a mistake is told before training.

    Raises
    ------
    ModelError
        Its weights cannot be used, or it was trained on other voxels or intensities.
    """
    for flag, part in (("unet", "segmentation"), ("e3cnn", "rotation")):
        if getattr(options, flag, None):
            *_, header = read_network(Path(getattr(options, flag)), part)
            for field, name in MUST_AGREE.items():
                ours, theirs = getattr(options, name), (header or OF_OFFICIAL[part]).get(field)
                if theirs not in (None, ours):
                    raise ModelError(
                        f"{getattr(options, flag)} was trained with --{name} {theirs}, not {ours}; a model needs one."
                    )
