"""The part of ``train_methods`` that trains EquiTrack."""

from __future__ import annotations

import argparse

from E3PoseLib.errors import TrainingError

from ..augmentation.inputs import OBJECT_FRACTION
from ..augmentation.pipelines import rotation_augmentation
from ..localisation.networks import STRIDE
from ..regression.run import refuse_others, train_by_name
from .frames import TwoFrames
from .module import BetweenFrames
from .points import TRACKERS

ARCHITECTURE = {"n_points": 32, "multiplicity": 2, "kernel_size": 3}


def train_tracker(options: argparse.Namespace) -> None:
    """Trains EquiTrack on pairs of frames and writes ``equitrack.safetensors``.

    Raises
    ------
    E3PoseError
        What is wrong with the data, the flags or the machine.
    """
    refuse_others(options, TRACKERS, "equitrack sees pairs of frames")
    if options.image_size % STRIDE or not options.views:
        raise TrainingError(f"equitrack sees cubes: give --views, and an --image_size that is a multiple of {STRIDE}")
    train_by_name(
        lambda: BetweenFrames({name: TRACKERS[name](**ARCHITECTURE) for name in options.methods}, options),
        options,
        rotation_augmentation(options),
        TwoFrames(options.image_size, options.norm_perc),
        header_of,
    )


def header_of(name: str, options: argparse.Namespace) -> dict:
    """What is needed to use it."""
    crop = {"edge": options.image_size, "object_fraction": OBJECT_FRACTION, "clip_fraction": options.norm_perc}
    return {"architecture": ARCHITECTURE, "crop": crop, "views": options.views}
