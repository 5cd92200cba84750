"""What equivariance buys: a small E(3)-CNN and a plain CNN of equal size, trained alike, on heads they never saw.

Rotation augmentation is off, so the training shows each network only as many poses as there are heads. From synthetic
scans (no other data needed):

    python -m E3PoseTraining.synthesize --n 32 --field head --seed 1 -o heads/train
    python -m E3PoseTraining.synthesize --n 64 --field head --seed 2 -o heads/unseen
    python Testing/benchmarks/equivariance.py heads/train heads/unseen results/
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import seed_everything
from torch import Tensor, nn

from E3PoseLib.imaging.rotations import geodesic_angle
from E3PoseLib.method.crop import crop_views
from E3PoseLib.method.views import assemble_rotation, combine_views, view_rotations
from E3PoseLib.networks.equivariant.network import E3CNN, pool_axes
from E3PoseTraining.augmentation.grid import OBJECT_LABEL
from E3PoseTraining.augmentation.inputs import OBJECT_FRACTION, HeadCrop
from E3PoseTraining.augmentation.pipelines import rotation_augmentation
from E3PoseTraining.data.datasets import load_sample
from E3PoseTraining.data.folders import Case, find_cases
from E3PoseTraining.data.sources import Sources
from E3PoseTraining.train_e3cnn import build_parser
from E3PoseTraining.training.modules import RotationModule
from E3PoseTraining.training.options import parse
from E3PoseTraining.training.pictures import RotationPicture
from E3PoseTraining.training.progress import read_curves
from E3PoseTraining.training.rotation import e3cnn_architecture
from E3PoseTraining.training.run import train

SMALL = [
    *("--img_res", "3", "--image_size", "24", "--views", "8", "--n_levels", "3", "--kernel_size", "3"),
    *("--multiplicity", "1", "2", "4", "8", "--n_convolutions", "1", "2", "2", "2", "--smooth_pooling"),
    *("--rotation", "0", "--gamma_min", "-0.5", "--gamma_max", "0.3", "--max_bias", "0.5", "--max_res_iso", "5"),
    *("--noise_std", "0.04", "--spin_history", "0.3", "--distortion", "0.15", "--interleaved_motion", "0.35"),
    *("--shear", "0.8", "--surroundings", "0.3", "--thick_slices", "0.2", "--ghosting", "0.1"),
    *("--cropped_fov", "0.5", "--mask_error", "1"),
    *("--optimizer", "adamw", "--lr", "0.02", "--weight_decay", "0.01", "--schedule", "cosine", "--clip_gradient", "1"),
    *("--batch_size", "4", "--device", "cpu"),
]


class PlainCNN(nn.Module):
    """The same layout without the symmetry: per level two 3³ convolutions with instance norm and ReLU.

    Args:
        n_levels: times the grid is halved.
        width: features of the first level; they double from level to level.
    """

    def __init__(self, n_levels: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = 1
        for level in range(n_levels + 1):
            features = width * 2**level
            for n_in in (previous, features):
                layers += [nn.Conv3d(n_in, features, 3, padding=1), nn.InstanceNorm3d(features, affine=True), nn.ReLU()]
            if level < n_levels:
                layers.append(nn.MaxPool3d(2))
            previous = features
        self.layers = nn.Sequential(*layers, nn.Conv3d(previous, 9, 3, padding=1))

    def axes_field(self, volume: Tensor) -> Tensor:
        """``[B, 1, D, H, W]`` to ``[B, 9, d, h, w]``, as `E3CNN.axes_field`."""
        return self.layers(volume)

    def forward(self, volume: Tensor) -> Tensor:
        """``[B, 1, D, H, W]`` to ``[B, 9]``."""
        return pool_axes(self.axes_field(volume))


def voted_errors(network: nn.Module, cases: list[Case], options: argparse.Namespace) -> np.ndarray:
    """Rotation error in degrees of each head, seen in ``options.views`` orientations that vote, as in a model."""
    rotations = view_rotations(options.views)
    errors = []
    for case in cases:
        sample = load_sample(case, options.img_res, n_classes=256)
        mask = sample.label[0].numpy() == OBJECT_LABEL
        size, clip = options.image_size, options.norm_perc
        crops = crop_views(mask, sample.image[0].numpy(), size, OBJECT_FRACTION, rotations, clip)
        with torch.inference_mode():
            raw = network(torch.from_numpy(crops)[:, None]).reshape(-1, 3, 3).double().numpy()
        estimate = assemble_rotation(combine_views(raw, rotations)[0]).T
        errors.append(float(geodesic_angle(torch.from_numpy(estimate)[None], sample.axes[None])[0]))
    return np.array(errors)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def plain_of_equal_size(n_levels: int, parameters: int) -> PlainCNN:
    """The plain network whose number of parameters comes closest."""
    width = min(range(1, 64), key=lambda w: abs(count(PlainCNN(n_levels, w)) - parameters))
    return PlainCNN(n_levels, width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heads", type=Path, help="folder of the training heads")
    parser.add_argument("unseen", type=Path, help="folder of the heads to measure on")
    parser.add_argument("output", type=Path, help="new folder")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--networks", nargs="+", choices=["equivariant", "plain"], default=["equivariant", "plain"])
    arguments, flags = parser.parse_known_args()
    epochs = ["--n_epochs", str(arguments.epochs), "--validate_every_n_epoch", str(min(arguments.epochs, 20))]
    options = parse(build_parser(), [*SMALL, *epochs, *flags])
    torch.set_num_threads(1)
    sides = [find_cases(f / "images", f / "labels", f / "annotations.csv") for f in (arguments.heads, arguments.unseen)]
    for name in arguments.networks:
        seed_everything(options.seed, verbose=False)
        network = E3CNN(**e3cnn_architecture(options))
        if name == "plain":
            network = plain_of_equal_size(options.n_levels, count(network))
        crop = HeadCrop(options.image_size, 2**options.n_levels, options.norm_perc, cube=True)
        output = arguments.output / name
        train(
            RotationModule(network, options),
            options,
            Sources(*sides, output),
            rotation_augmentation(options),
            crop,
            batch_size=options.batch_size,
            n_classes=256,
            monitor="val_rotation_degrees",
            mode="min",
            picture=RotationPicture,
            export=lambda folder, options: None,
        )
        errors = read_curves(output / "logs" / "csv")["val_rotation_degrees"]
        print(
            f"{name}: {count(network)} parameters, {len(sides[0])} heads, rotation augmentation off; median rotation "
            f"error on {len(sides[1])} unseen heads after {arguments.epochs} epochs: {errors[max(errors)]:.1f}° in one "
            f"view, {np.median(voted_errors(network.eval(), sides[1], options)):.1f}° by the vote of {options.views}"
        )


if __name__ == "__main__":
    main()
