"""One run of ``train_e3cnn``: which E(3)-CNN, what it sees, and what comes out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lightning.pytorch import seed_everything

from E3PoseLib.errors import TrainingError
from E3PoseLib.networks.equivariant.network import E3CNN

from ..augmentation.inputs import OBJECT_FRACTION, HeadCrop
from ..augmentation.pipelines import rotation_augmentation
from ..data.sources import find_both_sides
from ..models.beginning import initialise
from ..models.join import write_model
from ..models.weights import check_usable, save_weights
from .folder import RunFolder
from .modules import RotationModule
from .pictures import RotationPicture
from .run import train

USAGE = """python -m E3PoseTraining.train_e3cnn TRAIN_IMAGES/ TRAIN_LABELS/ TRAIN_ANNOTATIONS.csv
           VAL_IMAGES/ VAL_LABELS/ VAL_ANNOTATIONS.csv OUTPUT/ [flags]
       python -m E3PoseTraining.train_e3cnn IMAGES/ LABELS/ ANNOTATIONS.csv OUTPUT/ [flags]"""


def train_rotation(options: argparse.Namespace) -> None:
    """Trains and writes ``e3cnn.pth``, and ``model.safetensors`` where a U-Net is given.

    Raises
    ------
    E3PoseError
        What is wrong with the data, the flags or the machine.
    """
    if options.kernel_size % 2 == 0:
        raise TrainingError(f"--kernel_size {options.kernel_size} is even; a kernel needs a middle.")
    if options.image_size < 2**options.n_levels:
        raise TrainingError(
            f"--image_size {options.image_size} cannot be halved {options.n_levels} times (--n_levels)."
        )
    check_usable("rotation", e3cnn_architecture(options), _header(options))
    seed_everything(options.seed, verbose=False)
    network = E3CNN(**e3cnn_architecture(options))
    network.checkpointing = options.checkpointing
    initialise(network, options.init, "rotation")
    sources = find_both_sides(options.paths, options.val_fold, with_rotations=True, usage=USAGE)
    crop = HeadCrop(options.image_size, 2**options.n_levels, options.norm_perc, options.views > 0)
    train(
        RotationModule(network, options),
        options,
        sources,
        rotation_augmentation(options),
        crop,
        batch_size=options.batch_size,
        n_classes=256,
        monitor="val_rotation_degrees",
        mode="min",
        picture=RotationPicture,
        export=export_e3cnn,
    )


def e3cnn_architecture(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `E3CNN` from the flags of `train_e3cnn`."""
    return {
        "n_levels": options.n_levels,
        "kernel_size": options.kernel_size,
        "multiplicity": _one_or_each(options.multiplicity),
        "n_convolutions": _one_or_each(options.n_convolutions),
        "smooth_pooling": options.smooth_pooling,
        "n_radial": options.n_radial,
        "lmax": options.lmax,
    }


def _one_or_each(values: list[int]) -> int | list[int]:
    """A flag of one number for all blocks, or of a number for each."""
    return values[0] if len(values) == 1 else values


def export_e3cnn(folder: RunFolder, options: argparse.Namespace) -> None:
    """Writes the best weights of a run as ``e3cnn.pth``, and with ``options.unet`` also ``model.safetensors``.

    Raises
    ------
    ModelError
        The other network's weights cannot be used.
    OutputError
        A file cannot be written.
    """
    checkpoint = folder.chosen_checkpoint(options.export)
    weights = {name.removeprefix("model."): value for name, value in checkpoint["state_dict"].items()}
    path = folder.path / "e3cnn.pth"
    save_weights(path, "net_state_dict", weights, e3cnn_architecture(options), _header(options))
    if options.unet:
        write_model(folder.path / "model.safetensors", Path(options.unet), path)


def _header(options: argparse.Namespace) -> dict[str, Any]:
    """Of the `ModelHeader`, what the network is trained with."""
    return {
        "spacing_mm": options.img_res,
        "rotation_edge": options.image_size,
        "object_fraction": OBJECT_FRACTION,
        "views": options.views,
        "clip_fraction": options.norm_perc,
    }
