"""U-Nets that are trained on upright heads: the law of the equivariant one, what both see, and how they are judged."""

import argparse

import numpy as np
import pytest
import torch
from phantoms import make_head, make_small_model
from scipy.ndimage import gaussian_filter

from E3PoseLib.errors import MethodError, NoHeadFoundError
from E3PoseLib.imaging.masks import dice_overlap
from E3PoseLib.method.crop import UPRIGHT_RADII
from E3PoseLib.method.views import view_rotations
from E3PoseTraining.augmentation.sample import Sample
from E3PoseTraining.localisation.heads import N_TURNED, UprightHead
from E3PoseTraining.localisation.module import UprightSegmentation
from E3PoseTraining.localisation.networks import EquivariantUNet, PlainUNet
from E3PoseTraining.methods.brain_of_model import BrainOfModel
from E3PoseTraining.methods.method import Means
from E3PoseTraining.regression.module import cube_rotations
from E3PoseTraining.regression.weights import save_network
from E3PoseTraining.train_methods import main
from E3PoseTraining.training.progress import read_curves

EDGE = 12
TINY = ["--device", "cpu", "--img_res", "6", "--image_size", str(EDGE), "--kernel_size", "3", "--n_epochs", "1"]
TINY += ["--batch_size", "4", "--export", "last"]


def rough_cube():
    volume = gaussian_filter(np.random.default_rng(0).random((EDGE,) * 3), 1)
    return torch.from_numpy((volume - volume.min()) / np.ptp(volume)).float()[None]


def test_a_turned_or_mirrored_cube_gives_the_mask_turned_or_mirrored():
    torch.manual_seed(0)
    assert deviations(EquivariantUNet().eval()).max() < 1e-3


def test_a_plain_unet_does_not_turn_with_the_cube():
    torch.manual_seed(0)
    assert np.median(deviations(PlainUNet().eval())) > 0.1


def deviations(network):
    """For each of the 48 symmetries of a cube, the largest difference of the answers relative to their spread."""
    symmetries = [
        (order, flips)
        for order, mirrored, _ in cube_rotations()
        for flips in (mirrored, tuple(axis for axis in (1, 2, 3) if axis not in mirrored))
    ]
    cube = rough_cube()
    every = [cube.permute(0, *(1 + axis for axis in order)).flip(flips) for order, flips in symmetries]
    with torch.no_grad():
        answer, *answers = network(torch.stack([cube, *every]))
    expected = [answer.permute(0, *(1 + axis for axis in order)).flip(flips) for order, flips in symmetries]
    assert len(answers) == 48
    return (torch.stack(answers) - torch.stack(expected)).abs().amax((1, 2, 3, 4)).numpy() / float(answer.std())


def test_a_head_is_judged_upright_and_in_other_orientations_about_its_middle():
    """An ellipsoid that is longest in front and narrowest above, in a scan of no particular orientation."""
    axes = view_rotations(9)[8]  # rows right, anterior, superior in voxel axes
    place = np.stack(np.meshgrid(*[np.arange(100.0)] * 3, indexing="ij"), axis=-1)
    middle, half = np.array([51.0, 47.0, 50.0]), np.array([20.0, 28.0, 14.0])
    label = ((((place - middle) @ axes.T) / half) ** 2).sum(axis=-1) <= 1
    image = torch.from_numpy(label).float()[None]
    sample = Sample(image, image.to(torch.uint8), torch.from_numpy(axes), 3.0)
    shown = UprightHead(32)(sample)
    assert shown.image.shape == shown.label.shape == (1 + N_TURNED, 32, 32, 32)
    radius = half.prod() ** (1 / 3)
    offsets = np.stack(np.meshgrid(*[np.arange(32) - 15.5] * 3, indexing="ij"), axis=-1) * radius * UPRIGHT_RADII / 32
    for orientation, found in zip(view_rotations(1 + N_TURNED), shown.label.numpy() == 1, strict=True):
        expected = (((offsets @ orientation.T) / half) ** 2).sum(axis=-1) <= 1
        assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.97
    # What the augmentation has placed is only rescaled.
    placed = Sample(shown.image[:1] * 5, shown.label[:1], None, 3.0, is_upright=True)
    torch.testing.assert_close(UprightHead(32)(placed).image, shown.image[:1])


def test_overlap_is_told_apart_by_orientation():
    class Upright(torch.nn.Module):
        """Finds an upright head and half of a turned one."""

        equivariant = True

        def forward(self, cubes):
            first = torch.arange(len(cubes)).view(-1, 1, 1, 1, 1) == 0
            lower = torch.arange(cubes.shape[2]).view(1, 1, -1, 1, 1) < 4
            return torch.where(first | lower, cubes, -1) - 0.5

    options = argparse.Namespace(lr=0.1, lr_plain=0.2)
    module = UprightSegmentation({"one": Upright()}, options)
    assert module.rates == {"one": 0.1}
    image = torch.ones(3, 8, 8, 8)
    module.validation_step([Sample(image, image.to(torch.uint8), None, 3.0)], 0)
    assert float(module.upright["one"].compute()) == pytest.approx(1)
    assert float(module.turned["one"].compute()) == pytest.approx(2 * 0.5 / 1.5)


def test_one_command_trains_both_on_upright_heads(sides, tmp_path, capsys):
    command = [*sides, str(tmp_path / "run"), *TINY, "--methods", "e3nn-unet", "plain-unet"]
    assert main([*command, "e3cnn"]) != 0
    assert "e3nn-unet and plain-unet see upright heads: train e3cnn in a run of its own" in capsys.readouterr().err
    assert main([*command, "--image_size", "18"]) != 0
    assert "--image_size 18 is no multiple of 4" in capsys.readouterr().err
    assert main(command) == 0
    curves = read_curves(tmp_path / "run" / "logs" / "csv")
    for name in ("e3nn-unet", "plain-unet"):
        for place in ("upright", "turned"):
            assert 0 <= curves[f"val_dice_{place}_{name}"][0] <= 1
        assert (tmp_path / "run" / f"{name}.safetensors").stat().st_size < 1e6


def write_unet_of_brightness(path, threshold):
    """A plain U-Net that hands its input through and calls brain what is brighter than the threshold."""
    network = PlainUNet(n_features=1)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim == 5:
                weight.zero_()[0, 0, weight.shape[2] // 2, weight.shape[3] // 2, weight.shape[4] // 2] = 1
            elif name.endswith("bias"):
                weight.zero_()
        network.unet.last_conv.weight.mul_(200)
        network.unet.last_conv.bias.fill_(-200 * threshold)
    header = {"architecture": {"n_features": 1}, "cube": {"edge": 32, "clip_fraction": 0.0}}
    save_network(path, "plain-unet", network.state_dict(), header)
    return path


def test_another_localiser_finds_the_brain_anew_where_the_model_has_found_it(tmp_path):
    make_small_model().save(tmp_path / "small.safetensors")
    scan = make_head()
    means = {"device": "cpu", "model": {"source": str(tmp_path / "small.safetensors")}}
    brightness = scan.array / scan.array.max()
    assert dice_overlap(BrainOfModel(Means(**means))(scan) > 0, brightness > 0.5) > 0.95
    wider = write_unet_of_brightness(tmp_path / "wider.safetensors", 0.4)
    assert dice_overlap(brightness > 0.4, brightness > 0.5) < 0.85
    assert dice_overlap(BrainOfModel(Means(**means, localiser=wider))(scan) > 0, brightness > 0.4) > 0.95
    nothing = write_unet_of_brightness(tmp_path / "nothing.safetensors", 1.1)
    with pytest.raises(NoHeadFoundError, match="blob: the localiser found no brain"):
        BrainOfModel(Means(**means, localiser=nothing))(scan)
    with pytest.raises(MethodError, match="holds no weights of a method"):
        BrainOfModel(Means(**means, localiser=tmp_path / "small.safetensors"))
