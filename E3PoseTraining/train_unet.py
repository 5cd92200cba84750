"""Trains the segmentation U-Net that localises the head: ``python -m E3PoseTraining.train_unet``."""

from __future__ import annotations

import argparse
import sys

from E3PoseLib.cli import positive_int
from E3PoseLib.models.catalog import OFFICIAL_THRESHOLDS
from E3PoseLib.networks.unet.activations import ACTIVATIONS
from E3PoseLib.running.ending import exit_status

from .training.options import add_shared_options, add_signal_options, parse
from .training.run import GO_ON
from .training.segmentation import USAGE, train_segmentation


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
    add_signal_options(
        signal,
        max_res_iso=8,
        max_bias=0.5,
        noise_std=0.03,
        norm_perc=0.005,
        gamma_min=-0.8,
        gamma_max=0,
        sigma_min=1.5,
        sigma_max=2.3,
        alpha_min=0.5,
        alpha_max=1.5,
    )
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
    optimisation.add_argument(
        "--places",
        type=float,
        default=0,
        help="with --upright: weight of the loss of each brain voxel's place in the head, which tells how the head is "
        "turned; 0: the network does not tell it",
    )
    optimisation.add_argument("--n_epochs", type=positive_int, default=1000)
    optimisation.add_argument("--validate_every_n_epoch", type=positive_int, default=1)
    add_shared_options(parser)
    parser.add_argument("--e3cnn", help="weights (.pth) of a rotation network: with them, write a whole model file")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return exit_status("train_unet", lambda: train_segmentation(parse(build_parser(), arguments)), GO_ON)


if __name__ == "__main__":
    sys.exit(main())
