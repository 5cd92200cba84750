"""The part of ``train_methods`` that trains U-Nets on upright heads."""

from __future__ import annotations

import argparse

from E3PoseLib.errors import TrainingError

from ..augmentation.pipelines import upright_augmentation
from ..regression.run import refuse_others, train_by_name
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
    refuse_others(options, LOCALISERS, f"{' and '.join(LOCALISERS)} see upright heads")
    if options.image_size % STRIDE:
        raise TrainingError(f"--image_size {options.image_size} is no multiple of {STRIDE}, as two halvings need")
    train_by_name(
        lambda: UprightSegmentation(
            {name: LOCALISERS[name](**architecture_of(name, options)) for name in options.methods}, options
        ),
        options,
        upright_augmentation(options),
        UprightHead(options.image_size, options.norm_perc),
        header_of,
        monitor="val_dice",
        mode="max",
    )


def architecture_of(name: str, options: argparse.Namespace) -> dict:
    """Arguments of a U-Net's class."""
    return {"kernel_size": options.kernel_size} if name == "e3nn-unet" else {}


def header_of(name: str, options: argparse.Namespace) -> dict:
    """What is needed to use a U-Net."""
    cube = {"edge": options.image_size, "clip_fraction": options.norm_perc}
    return {"architecture": architecture_of(name, options), "cube": cube}
