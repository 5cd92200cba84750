"""Files of one network's weights: what they ask for is bounded, and what they say of themselves is checked."""

import argparse
import contextlib

import pytest
import torch

from E3PoseLib.errors import ModelError
from E3PoseLib.models.loading import load_model
from E3PoseLib.models.settings import SETTINGS, joined_settings
from E3PoseLib.networks.unet.unet import UNet
from E3PoseTraining.models.join import write_model
from E3PoseTraining.models.weights import read_network, save_weights
from E3PoseTraining.training.run import check_partner


@pytest.fixture
def files(small_model, tmp_path):
    """Writes the weights of a model's two networks, with changes of what stands beside those of the U-Net."""

    def write(header=None, **architecture):
        for part, name, key, prefix in (
            ("segmentation", "unet.ckpt", "state_dict", "model."),
            ("rotation", "e3cnn.pth", "net_state_dict", ""),
        ):
            weights = {prefix + name: tensor for name, tensor in small_model.networks[part].state_dict().items()}
            arguments = getattr(small_model.header, part)
            fields = {field: getattr(small_model.header, field) for field in SETTINGS[part]}
            if part == "segmentation":
                arguments = arguments | architecture
                fields = fields | header if isinstance(header, dict) else fields if header is None else header
            save_weights(tmp_path / name, key, weights, arguments, fields)
        return tmp_path / "unet.ckpt", tmp_path / "e3cnn.pth"

    return write


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ({"n_features": 100_000}, "n_features 100000 is no whole number from 1 to 128"),
        ({"n_features": 128}, "weights, where the file has"),
        ({"n_levels": "x"}, "n_levels 'x' is no whole number"),
    ],
)
def test_what_a_file_of_weights_asks_for_is_bounded_before_it_is_built(files, monkeypatch, architecture, words):
    unet, _ = files(**architecture)

    def built(*_, **__):
        raise AssertionError("built")

    monkeypatch.setattr(UNet, "__init__", built)
    with pytest.raises(ModelError, match=rf"unet\.ckpt.*{words}"):
        read_network(unet, "segmentation")


@pytest.mark.parametrize("architecture", [{"activation": "foo"}, {"surprise": 1}, {"n_classes": 5}])
def test_an_architecture_that_is_not_that_of_the_weights_is_said(files, architecture):
    unet, _ = files(**architecture)
    with pytest.raises(ModelError, match=r"unet\.ckpt: the weights are not those of UNet"):
        read_network(unet, "segmentation")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (["spacing_mm"], "settings of its training are damaged"),
        ("spacing_mm", "settings of its training are damaged"),
        ({7: 1}, "settings of its training are damaged"),
        ({"candidates": 10**6}, "candidates 1000000 is no whole number from 1 to 20"),
        ({"clip_fraction": {}}, "clip_fraction {} is no number"),
        ({"spacing_mm": float("nan")}, "spacing_mm nan is no number"),
        ({"rotation_edge": 32}, "another part of a model"),
    ],
)
def test_a_header_that_cannot_be_is_refused_before_a_model_is_written(files, tmp_path, header, words):
    model = tmp_path / "model.safetensors"
    with pytest.raises(ModelError, match=rf"unet\.ckpt.*{words}"):
        write_model(model, *files(header))
    assert not model.exists()


@pytest.mark.parametrize(
    ("img_res", "norm_perc", "words"),
    [(3, 0, ""), (4, 0, "trained with --img_res 3.0, not 4"), (3, 0.005, "trained with --norm_perc 0.0, not 0.005")],
)
def test_a_partner_without_settings_counts_as_official(small_model, tmp_path, img_res, norm_perc, words):
    unet = tmp_path / "unet.ckpt"
    weights = {f"model.{name}": tensor for name, tensor in small_model.segmentation_network.state_dict().items()}
    save_weights(unet, "state_dict", weights, small_model.header.segmentation, {})
    options = argparse.Namespace(unet=unet, img_res=img_res, norm_perc=norm_perc)
    with pytest.raises(ModelError, match=rf"unet\.ckpt was {words}") if words else contextlib.nullcontext():
        check_partner(options)


def test_thresholds_may_be_a_list(files, small_model, tmp_path):
    model = tmp_path / "model.safetensors"
    write_model(model, *files({"thresholds": list(small_model.header.thresholds)}))
    assert load_model(model).header.thresholds == small_model.header.thresholds


def test_weights_alone_have_no_header(small_model, tmp_path):
    weights = {f"model.{name}": tensor for name, tensor in small_model.segmentation_network.state_dict().items()}
    document = {"state_dict": weights, "architecture": small_model.header.segmentation}
    torch.save(document, tmp_path / "unet.ckpt")
    assert read_network(tmp_path / "unet.ckpt", "segmentation")[2] == {}


@pytest.mark.parametrize("official", ["rotation", "brain_only"])
def test_rotation_networks_of_other_crops_do_not_become_one_model(official):
    """An official network, whose file has no settings, was made for crops of 64 voxels in one view."""
    own = {"spacing_mm": 3.0, "rotation_edge": 24, "object_fraction": 0.6, "views": 8, "clip_fraction": 0.0}
    settings = {"segmentation": {}, "rotation": own, "brain_only": own}
    assert joined_settings(settings, ("a", "b", "c")) == own
    words = r"different rotation_edge: .*which has no settings, so the official program's\) 64"
    with pytest.raises(ModelError, match=words):
        joined_settings({**settings, official: {}}, ("a", "b", "c"))
