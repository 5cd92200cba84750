"""The part of ``train_methods`` that trains EquiTrack."""

from __future__ import annotations

import argparse
from functools import partial

from lightning.pytorch import seed_everything

from E3PoseLib.errors import TrainingError

from ..augmentation.inputs import OBJECT_FRACTION
from ..augmentation.pipelines import rotation_augmentation
from ..data.sources import find_both_sides
from ..localisation.networks import STRIDE
from ..regression.run import USAGE, export_methods
from ..training.run import train
from .frames import TwoFrames
from .module import BetweenFrames
from .points import EquiTrack

TRACKERS: dict[str, type[EquiTrack]] = {"equitrack": EquiTrack}


def train_tracker(options: argparse.Namespace) -> None:
    """Trains EquiTrack on pairs of frames and writes ``equitrack.safetensors``.

    Raises
    ------
    E3PoseError
        What is wrong with the data, the flags or the machine.
    """
    others = [name for name in options.methods if name not in TRACKERS]
    if others:
        raise TrainingError(f"equitrack sees pairs of frames: train {' and '.join(others)} in a run of its own")
    if options.image_size % STRIDE or not options.views:
        raise TrainingError(f"equitrack sees cubes: give --views, and an --image_size that is a multiple of {STRIDE}")
    seed_everything(options.seed, verbose=False)
    sources = find_both_sides(options.paths, options.val_fold, with_rotations=True, usage=USAGE)
    train(
        BetweenFrames({name: TRACKERS[name]() for name in options.methods}, options),
        options,
        sources,
        rotation_augmentation(options),
        TwoFrames(options.image_size, options.norm_perc),
        batch_size=options.batch_size,
        n_classes=256,
        monitor="val_rotation_degrees",
        mode="min",
        picture=None,
        export=partial(export_methods, n_scans=len(sources.training), header_of=header_of),
    )


def header_of(name: str, options: argparse.Namespace) -> dict:
    """What is needed to use it."""
    crop = {"edge": options.image_size, "object_fraction": OBJECT_FRACTION, "clip_fraction": options.norm_perc}
    return {"architecture": {}, "crop": crop, "views": options.views}
