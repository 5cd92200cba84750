"""One run of ``train_unet``: which U-Net, what it sees, and what comes out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.utilities import rank_zero_only

from E3PoseLib.errors import DatasetError, TrainingError
from E3PoseLib.models.catalog import OFFICIAL_THRESHOLDS, thresholds_of
from E3PoseLib.models.model import N_EYES_CLASSES, N_PLACES
from E3PoseLib.networks.unet.unet import UNet

from ..augmentation.grid import OBJECT_LABEL
from ..augmentation.inputs import SegmentationInput, UprightInput
from ..augmentation.pipelines import segmentation_augmentation
from ..data.datasets import PreparedScans
from ..data.sources import find_both_sides
from ..models.beginning import initialise
from ..models.join import write_model
from ..models.weights import check_usable, save_weights
from .folder import RunFolder
from .modules import SegmentationModule
from .pictures import SegmentationPicture
from .run import train

USAGE = """python -m E3PoseTraining.train_unet TRAIN_IMAGES/ TRAIN_LABELS/ VAL_IMAGES/ VAL_LABELS/ OUTPUT/ [flags]
       python -m E3PoseTraining.train_unet IMAGES/ LABELS/ FOLDS.csv OUTPUT/ [flags]"""


def train_segmentation(options: argparse.Namespace) -> None:
    """Trains and writes ``unet.ckpt``, and ``model.safetensors`` where a rotation network is given.

    Raises
    ------
    E3PoseError
        What is wrong with the data, the flags or the machine.
    """
    if len(options.class_weights) != options.n_output_channels:
        raise TrainingError(
            f"--class_weights names {len(options.class_weights)} weights for the {options.n_output_channels} classes "
            "of --n_output_channels; give one for each."
        )
    if len(options.seg_thresh) > options.n_output_channels:
        raise TrainingError(f"--seg_thresh names more thresholds than there are classes, {options.n_output_channels}.")
    part = "eyes" if options.around_object else "upright" if options.upright else "segmentation"
    check_usable(part, unet_architecture(options), _header(options))
    seed_everything(options.seed, verbose=False)
    network = UNet(**unet_architecture(options))
    n_places = network.last_conv.out_channels - options.n_output_channels
    initialise(network, options.init, part, further_outputs=n_places)
    # A step on a CPU takes half the time so, that of inference too.
    network.to(memory_format=torch.channels_last_3d)
    if options.around_object and options.upright:
        raise TrainingError("--around_object and --upright are of different networks; give one of them.")
    own = {"whole_scan": False, "candidates": 1, "seg_thresh": list(OFFICIAL_THRESHOLDS), "e3cnn": None}
    for flag, without in own.items():
        if part != "segmentation" and getattr(options, flag) != without:
            raise TrainingError(
                f"--{flag} is of the network that finds the head; leave it out with --around_object and --upright."
            )
    if part != "segmentation" and options.n_output_channels != N_EYES_CLASSES:
        raise TrainingError("--around_object and --upright need three classes: background, brain and eyes.")
    if options.places and not options.upright:
        raise TrainingError("--places are told of heads that are upright; give it with --upright.")
    if options.places < 0:
        raise TrainingError(f"--places {options.places:g} is the weight of a loss; give none below 0.")
    if options.crop_size % network.stride:
        raise TrainingError(
            f"--crop_size {options.crop_size} is no multiple of {network.stride}, as {options.n_levels} levels need."
        )
    sources = find_both_sides(options.paths, options.val_fold, with_rotations=options.upright, usage=USAGE)
    edge = None if options.whole_scan else options.crop_size
    preparation = (
        UprightInput(options.crop_size, options.norm_perc)
        if options.upright
        else SegmentationInput(edge, network.stride, options.norm_perc, options.around_object)
    )
    train(
        SegmentationModule(network, options),
        options,
        sources,
        segmentation_augmentation(options),
        preparation,
        batch_size=options.batchsize,
        n_classes=options.n_output_channels,
        monitor="val_dice",
        mode="max",
        picture=SegmentationPicture,
        export=export_unet,
        # Cubes around the object show it, and so does the whole scan.
        check=None if part == "eyes" or options.upright or options.whole_scan else objects_in_view,
    )


def objects_in_view(validation: PreparedScans) -> None:
    """Says which validating scans have their object outside of what the network sees, and so no Dice overlap.

    Raises
    ------
    DatasetError
        All have.
    """
    cases = validation.scans.cases
    outside = [case.image for index, case in enumerate(cases) if not (validation[0, index].label == OBJECT_LABEL).any()]
    where = "outside of the cube that the network sees; a larger --crop_size or --whole_scan would show it"
    if len(outside) == len(cases):
        raise DatasetError(f"The object of every scan that validates lies {where}.")
    if outside and rank_zero_only.rank == 0:
        more = f" and of {len(outside) - 1} more scans" if len(outside) > 1 else ""
        print(f"left out of val_dice: the object of {outside[0]}{more} lies {where}", file=sys.stderr)


def unet_architecture(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `UNet` from the flags of `train_unet`."""
    return {
        "n_levels": options.n_levels,
        "n_features": options.unet_feat,
        "feature_multiplier": options.feat_mult,
        "activation": options.activation,
        "n_classes": options.n_output_channels + (N_PLACES if options.places else 0),
        "input_stride": options.input_stride,
    }


def export_unet(folder: RunFolder, options: argparse.Namespace) -> None:
    """Writes the best weights of a run as ``unet.ckpt``, which the method's own program reads as well.

    With ``options.e3cnn`` also ``model.safetensors``, which `load_model` reads.

    Raises
    ------
    ModelError
        The other network's weights cannot be used.
    OutputError
        A file cannot be written.
    """
    checkpoint = folder.chosen_checkpoint(options.export)
    path = folder.path / "unet.ckpt"
    save_weights(path, "state_dict", checkpoint["state_dict"], unet_architecture(options), _header(options))
    if options.e3cnn:
        write_model(folder.path / "model.safetensors", path, Path(options.e3cnn))


def _header(options: argparse.Namespace) -> dict[str, Any]:
    """Of the `ModelHeader`, what the network is trained with."""
    shared = {"spacing_mm": options.img_res, "clip_fraction": options.norm_perc}
    if options.around_object:
        return {**shared, "eyes_edge": options.crop_size}
    if options.upright:
        return {**shared, "upright_edge": options.crop_size}
    return {
        **shared,
        "segmentation_edge": None if options.whole_scan else options.crop_size,
        "candidates": options.candidates,
        "thresholds": thresholds_of(options.n_output_channels, options.seg_thresh),
    }
