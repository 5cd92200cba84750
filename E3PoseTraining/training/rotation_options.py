"""Flags of the commands that train a network on crops of heads: data, augmentation, network, optimisation."""

from __future__ import annotations

import argparse

from E3PoseLib.cli import positive_int

from .options import add_shared_options, add_signal_options, non_negative_int, probability


def add_rotation_options(parser: argparse.ArgumentParser) -> None:
    """Adds all that such a command understands; those of the method keep its names and defaults."""
    parser.add_argument("paths", nargs="*", help=argparse.SUPPRESS)
    data = parser.add_argument_group("data")
    data.add_argument("--img_res", type=float, default=3, help="isotropic voxel before the crop, mm")
    data.add_argument("--image_size", type=positive_int, default=64, help="longest edge of the crop, voxels")
    data.add_argument("--batch_size", type=positive_int, default=1, help="scans a step and process")
    data.add_argument(
        "--views",
        type=non_negative_int,
        default=0,
        help="orientations of the crop that the model averages, of cubes filled up with zeros; 0: one crop, cut to "
        "the scan",
    )
    placement = parser.add_argument_group("augmentation: placement")
    placement.add_argument("--rotation", type=float, default=90, help="largest Euler angle, degrees")
    placement.add_argument("--shift", type=float, default=0, help="largest shift along each axis, mm")
    placement.add_argument(
        "--mask_error", type=probability, default=0, help="probability that the crop is off the object's middle"
    )
    signal = parser.add_argument_group("augmentation: signal")
    add_signal_options(
        signal,
        max_res_iso=7.5,
        max_bias=0.5,
        noise_std=0,
        norm_perc=0.005,
        gamma_min=-2,
        gamma_max=0.1,
        sigma_min=2.3,
        sigma_max=4.6,
        alpha_min=0.5,
        alpha_max=1.5,
    )
    network = parser.add_argument_group("network")
    network.add_argument("--n_levels", type=int, default=4, help="times the grid is halved")
    network.add_argument("--kernel_size", type=positive_int, default=5, help="taps along an edge, odd")
    network.add_argument(
        "--multiplicity",
        type=positive_int,
        nargs="+",
        default=[2],
        help="of the first block's irreps, doubled from block to block; or one for each block",
    )
    network.add_argument(
        "--n_convolutions", type=positive_int, nargs="+", default=[2], help="of every block, or one for each block"
    )
    network.add_argument(
        "--smooth_pooling", action="store_true", help="blur and halve the grid instead of taking largest norms"
    )
    network.add_argument("--n_radial", type=positive_int, default=5, help="radial functions of a kernel")
    network.add_argument("--lmax", type=int, default=4, help="highest order of the spherical harmonics")
    optimisation = parser.add_argument_group("optimisation")
    optimisation.add_argument("--optimizer", choices=["sgd", "adam", "adamw"], default="sgd")
    optimisation.add_argument("--lr", type=float, default=0.01, help="learning rate")
    optimisation.add_argument("--weight_decay", type=float, default=3e-5)
    optimisation.add_argument("--momentum", type=float, default=0.99, help="of sgd")
    optimisation.add_argument("--n_epochs", type=positive_int, default=100000)
    optimisation.add_argument(
        "--checkpointing",
        action="store_true",
        help="compute each block's features anew in the backward pass: less memory, more time, the same gradients",
    )
    optimisation.add_argument("--validate_every_n_epoch", type=positive_int, default=1)
    add_shared_options(parser)
