"""The part of ``train_methods`` that trains U-Nets on upright heads."""

from __future__ import annotations

import argparse
from functools import partial

from lightning.pytorch import seed_everything

from E3PoseLib.errors import TrainingError

from ..augmentation.pipelines import upright_augmentation
from ..data.sources import find_both_sides
from ..regression.run import USAGE, export_methods
from ..training.run import train
from .heads import UprightHead
from .module import UprightSegmentation
from .networks import LOCALISERS, STRIDE


def train_localisers(options: argparse.Namespace) -> None:
    """Trains the U-Nets side by side on upright heads and writes ``METHOD.safetensors`` of each.

    Raises
    ------
    E3PoseError
        What is wrong with the data, the flags or the machine.
    """
    others = [name for name in options.methods if name not in LOCALISERS]
    if others:
        names = " and ".join(LOCALISERS)
        raise TrainingError(f"{names} see upright heads: train {' and '.join(others)} in a run of its own")
    if options.image_size % STRIDE:
        raise TrainingError(f"--image_size {options.image_size} is no multiple of {STRIDE}, as two halvings need")
    seed_everything(options.seed, verbose=False)
    networks = {name: LOCALISERS[name](**architecture_of(name, options)) for name in options.methods}
    sources = find_both_sides(options.paths, options.val_fold, with_rotations=True, usage=USAGE)
    train(
        UprightSegmentation(networks, options),
        options,
        sources,
        upright_augmentation(options),
        UprightHead(options.image_size, options.norm_perc),
        batch_size=options.batch_size,
        n_classes=256,
        monitor="val_dice",
        mode="max",
        picture=None,
        export=partial(export_methods, n_scans=len(sources.training), header_of=header_of),
    )


def architecture_of(name: str, options: argparse.Namespace) -> dict:
    """Arguments of a U-Net's class."""
    return {"kernel_size": options.kernel_size} if name == "e3nn-unet" else {}


def header_of(name: str, options: argparse.Namespace) -> dict:
    """What is needed to use a U-Net."""
    cube = {"edge": options.image_size, "clip_fraction": options.norm_perc}
    return {"architecture": architecture_of(name, options), "cube": cube}
