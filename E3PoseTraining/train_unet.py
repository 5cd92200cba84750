"""Trains the segmentation U-Net that localises the head: ``python -m E3PoseTraining.train_unet``."""

from __future__ import annotations

import argparse
import sys

import torch
from lightning.pytorch import seed_everything

from E3PoseLib.errors import TrainingError
from E3PoseLib.models.catalog import OFFICIAL_THRESHOLDS
from E3PoseLib.models.model import N_EYES_CLASSES
from E3PoseLib.networks.unet.activations import ACTIVATIONS
from E3PoseLib.networks.unet.unet import UNet
from E3PoseLib.running.ending import exit_status

from .augmentation.pipelines import SegmentationInput, UprightInput, segmentation_augmentation
from .data.sources import find_both_sides
from .training.export import export_unet, initialise, unet_architecture
from .training.modules import SegmentationModule
from .training.options import add_shared_options, parse, positive_int
from .training.pictures import SegmentationPicture
from .training.run import GO_ON, train

USAGE = """python -m E3PoseTraining.train_unet TRAIN_IMAGES/ TRAIN_LABELS/ VAL_IMAGES/ VAL_LABELS/ OUTPUT/ [flags]
       python -m E3PoseTraining.train_unet IMAGES/ LABELS/ FOLDS.csv OUTPUT/ [flags]"""


def build_parser() -> argparse.ArgumentParser:
    """The command's flags; those of the method keep its names and defaults."""
    parser = argparse.ArgumentParser(
        prog="python -m E3PoseTraining.train_unet",
        usage=USAGE,
        description="Train the U-Net that localises the head. Images and labels pair by file name; the object has "
        "label 1. FOLDS.csv has the columns frame_id and fold.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("paths", nargs="*", help=argparse.SUPPRESS)
    data = parser.add_argument_group("data")
    data.add_argument("--img_res", type=float, default=3, help="isotropic voxel of the network's input, mm")
    data.add_argument("--crop_size", type=positive_int, default=128, help="edge of the network's input, voxels")
    data.add_argument(
        "--whole_scan", action="store_true", help="the model segments whole scans, not their middle of that size"
    )
    data.add_argument(
        "--around_object",
        action="store_true",
        help="cubes around the object, not around the scan's middle: for a network that looks at the head alone",
    )
    data.add_argument(
        "--upright",
        action="store_true",
        help="the head upright at a fixed size: for a network that finds the eyes; the folders come with an "
        "ANNOTATIONS.csv each, as train_e3cnn takes them",
    )
    data.add_argument(
        "--candidates",
        type=positive_int,
        default=1,
        help="where the largest thing called brain gives a doubtful pose, the model tries so many in all",
    )
    data.add_argument(
        "--seg_thresh",
        type=float,
        nargs="+",
        default=list(OFFICIAL_THRESHOLDS),
        help="of the model: probabilities up to this count as 0, for each class; further classes have none",
    )
    data.add_argument("--batchsize", type=positive_int, default=4, help="scans a step and process")
    placement = parser.add_argument_group("augmentation: placement")
    placement.add_argument("--flipping", action="store_true", help="mirror each axis with probability one half")
    placement.add_argument("--rotation", type=float, default=180, help="largest Euler angle, degrees")
    placement.add_argument("--translation", type=float, default=30, help="largest shift along each axis, mm")
    placement.add_argument("--scaling_lower_bound", type=float, default=0.5, help="least isotropic scale")
    placement.add_argument("--scaling_upper_bound", type=float, default=1.3, help="largest isotropic scale")
    signal = parser.add_argument_group("augmentation: signal")
    signal.add_argument("--randomise_res", action="store_true", help="lose resolution at random")
    signal.add_argument("--max_res_iso", type=float, default=8, help="largest isotropic voxel, mm")
    signal.add_argument("--max_bias", type=float, default=0.5, help="largest coefficient of the bias field")
    signal.add_argument("--noise_std", type=float, default=0.03, help="largest standard deviation of the noise")
    signal.add_argument("--norm_perc", type=float, default=0.005, help="quantile that becomes 0; 1 minus it, 1")
    signal.add_argument("--gamma_min", type=float, default=-0.8, help="least logarithm of the exponent")
    signal.add_argument("--gamma_max", type=float, default=0, help="largest logarithm of the exponent")
    signal.add_argument("--sigma_min", type=float, default=1.5, help="least width of a spin-history plane, mm")
    signal.add_argument("--sigma_max", type=float, default=2.3, help="largest width of a spin-history plane, mm")
    signal.add_argument("--alpha_min", type=float, default=0.5, help="least signal loss in a spin-history plane")
    signal.add_argument("--alpha_max", type=float, default=1.5, help="largest signal loss in that plane")
    network = parser.add_argument_group("network")
    network.add_argument("--n_levels", type=positive_int, default=4, help="resolutions")
    network.add_argument("--unet_feat", type=positive_int, default=16, help="features of the first level")
    network.add_argument("--feat_mult", type=positive_int, default=2, help="growth of the features")
    network.add_argument("--activation", choices=sorted(ACTIVATIONS), default="elu")
    network.add_argument(
        "--input_stride", type=positive_int, default=1, help="edge of the cells whose voxels become channels"
    )
    network.add_argument("--n_output_channels", type=positive_int, default=3, help="classes with background")
    optimisation = parser.add_argument_group("optimisation")
    optimisation.add_argument("--optimizer", choices=["adam", "adamw", "sgd"], default="adam")
    optimisation.add_argument("--lr", type=float, default=1e-4, help="learning rate")
    optimisation.add_argument("--weight_decay", type=float, default=0)
    optimisation.add_argument("--momentum", type=float, default=0.9, help="of sgd")
    optimisation.add_argument("--class_weights", type=float, nargs="+", default=[1, 8, 2], help="of every class")
    optimisation.add_argument("--dice_weight", type=float, default=0.5, help="of the Dice loss")
    optimisation.add_argument("--n_epochs", type=positive_int, default=1000)
    optimisation.add_argument("--validate_every_n_epoch", type=positive_int, default=1)
    add_shared_options(parser)
    parser.add_argument("--e3cnn", help="weights (.pth) of a rotation network: with them, write a whole model file")
    return parser


def run(options: argparse.Namespace) -> None:
    """Trains and writes ``unet.ckpt``, and ``model.safetensors`` where a rotation network is given.

    Raises:
        E3PoseError: what is wrong with the data, the flags or the machine.
    """
    if len(options.class_weights) != options.n_output_channels:
        raise TrainingError(
            f"--class_weights names {len(options.class_weights)} weights for the {options.n_output_channels} classes "
            "of --n_output_channels; give one for each."
        )
    if len(options.seg_thresh) > options.n_output_channels:
        raise TrainingError(f"--seg_thresh names more thresholds than there are classes, {options.n_output_channels}.")
    seed_everything(options.seed, verbose=False)
    network = UNet(**unet_architecture(options))
    part = "eyes" if options.around_object else "upright" if options.upright else "segmentation"
    initialise(network, options.init, part)
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
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return exit_status("train_unet", lambda: run(parse(build_parser(), arguments)), GO_ON)


if __name__ == "__main__":
    sys.exit(main())
