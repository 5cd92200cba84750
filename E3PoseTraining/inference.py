"""The official program's command: same arguments, same voxel order, same ``.npy`` output.

``python -m E3PoseTraining.inference input_dir/ output_dir/ unet.ckpt e3cnn.pth [flags]``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from E3PoseLib.cli import add_device_option
from E3PoseLib.running.ending import exit_status

from .methods.official import estimate_folder


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m E3PoseTraining.inference", description="Estimate rigid poses with trained E(3)-Pose weights."
    )
    parser.add_argument("input_dir", help="folder of .nii or .nii.gz images")
    parser.add_argument("output_dir", help="folder of the .npy poses")
    parser.add_argument("unet", help="the segmentation U-Net's .ckpt")
    parser.add_argument("e3cnn", help="the E(3)-CNN's .pth")
    parser.add_argument(
        "--unet_crop_size",
        type=int,
        help="edge of the U-Net's input, voxels (default: as its training wrote, or else 128)",
    )
    parser.add_argument("--unet_n_levels", type=int, help="default: as in the weights, like all of the architecture")
    parser.add_argument("--unet_feat", type=int)
    parser.add_argument("--unet_feat_mult", type=int)
    parser.add_argument("--unet_activation", help="default: as its training wrote, or else elu")
    parser.add_argument("--unet_n_output_channels", type=int)
    parser.add_argument("--seg_thresh", type=float, nargs="+", help="a threshold for each class (default: 0.9 0.8 -1)")
    parser.add_argument(
        "--e3cnn_image_size",
        type=int,
        help="longest edge of the E(3)-CNN's input (default: as its training wrote, or else 64)",
    )
    parser.add_argument("--e3cnn_n_levels", type=int)
    parser.add_argument("--e3cnn_kernel_size", type=int)
    parser.add_argument("--scanner_space", action="store_true", help="poses in scanner mm instead of voxels")
    parser.add_argument("--input_to_canonical", action="store_true", help="write the inverse poses")
    parser.add_argument("--save_masks", action="store_true", help="also write NAME_mask.nii.gz")
    add_device_option(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status of ``e3pose estimate``."""
    options = build_parser().parse_args(arguments)
    return exit_status("inference", lambda: estimate_folder(options), "what is done stays")


if __name__ == "__main__":
    sys.exit(main())
