"""Model files, official weights, and what is refused."""

import json
import pickle
import sys
from pathlib import Path

import pytest
import torch
from phantoms import (
    make_model_with_eyes,
    make_model_with_second_opinion,
    make_model_with_upright_eyes,
    make_small_model,
)
from safetensors import safe_open
from safetensors.torch import save_file

from E3PoseLib import load_model
from E3PoseLib.errors import ModelError
from E3PoseLib.models.catalog import available_models, read_header
from E3PoseLib.models.model import Model
from E3PoseLib.models.settings import SETTINGS
from E3PoseLib.networks.unet.unet import UNet
from E3PoseTraining.models.weights import save_weights


def test_a_saved_model_gives_the_same_numbers(small_model, small_model_file):
    volume = torch.rand(1, 1, 24, 24, 24, generator=torch.Generator().manual_seed(0))
    loaded = load_model(small_model_file)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.rotation_network(volume), small_model.rotation_network(volume))
        torch.testing.assert_close(loaded.segmentation_network(volume), small_model.segmentation_network(volume))
    assert loaded.header == small_model.header == read_header(small_model_file)
    assert loaded.identity == small_model.identity != make_small_model(seed=1).identity


def test_a_network_for_the_eyes_is_saved_with_the_others(tmp_path):
    model = make_model_with_eyes()
    model.save(tmp_path / "three.safetensors")
    loaded = load_model(tmp_path / "three.safetensors")
    volume = torch.rand(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded.eyes_network(volume), model.eyes_network(volume))
    assert loaded.identity == model.identity != make_small_model().identity
    assert not loaded.eyes_network.training
    four = make_model_with_upright_eyes()
    four.save(tmp_path / "four.safetensors")
    assert load_model(tmp_path / "four.safetensors").identity == four.identity != model.identity
    both = (model.segmentation_network, model.rotation_network)
    with pytest.raises(ModelError, match="the upright network needs the eyes network"):
        Model(*both, model.header, None, model.eyes_network)
    two_classes = UNet(n_levels=1, n_features=1, n_classes=2)
    with pytest.raises(ModelError, match="the eyes network needs the classes background, brain and eyes"):
        Model(*both, model.header, two_classes)
    telling_places = UNet(n_levels=1, n_features=1, n_classes=6)
    assert Model(*both, model.header, model.eyes_network, telling_places).upright_network is telling_places
    with pytest.raises(ModelError, match="needs the classes background, brain and eyes, and may tell three places"):
        Model(*both, model.header, model.eyes_network, UNet(n_levels=1, n_features=1, n_classes=5))
    with pytest.raises(ModelError, match="the eyes network needs the classes background, brain and eyes"):
        Model(*both, model.header, telling_places)
    deep = UNet(n_levels=5, n_features=1)
    with pytest.raises(ModelError, match="the eyes network's edge 40 is no multiple of 16"):
        Model(*both, model.header, deep)
    with pytest.raises(ModelError, match="the upright network's edge 40 is no multiple of 16"):
        Model(*both, model.header, model.eyes_network, deep)


def test_a_second_opinion_is_saved_with_the_others_and_of_the_same_design(tmp_path):
    model = make_model_with_second_opinion(0, 1)
    model.save(tmp_path / "two.safetensors")
    loaded = load_model(tmp_path / "two.safetensors")
    volume = torch.rand(1, 1, 24, 24, 24, generator=torch.Generator().manual_seed(0))
    for one, other in ((loaded, make_small_model(0)), (loaded.second_opinion, make_small_model(1))):
        torch.testing.assert_close(one.rotation_network(volume), other.rotation_network(volume))
    assert loaded.header.second_opinion and not loaded.second_opinion.header.second_opinion
    assert loaded.identity == model.identity
    assert model.identity not in (make_small_model(0).identity, make_model_with_second_opinion(0, 2).identity)
    kept = loaded.with_header(name="other", spacing_mm=5.0)
    assert kept.header.name == "other" and kept.second_opinion.header.spacing_mm == 5.0
    assert kept.second_opinion.rotation_network is loaded.second_opinion.rotation_network
    with pytest.raises(ModelError, match="second opinion is by networks of another design"):
        Model(model.segmentation_network, model.rotation_network, model.header, second_opinion=make_model_with_eyes())


def test_networks_are_ready_for_inference(small_model_file):
    model = load_model(small_model_file)
    for network in (model.segmentation_network, model.rotation_network):
        assert not network.training and not any(weight.requires_grad for weight in network.parameters())


def test_official_weights_import_into_one_file(official_model, tmp_path):
    path = tmp_path / "official.safetensors"
    official_model.save(path)
    loaded = load_model(path)
    assert loaded.identity == official_model.identity
    assert loaded.header.thresholds == (0.9, 0.8, -1.0)
    assert sum(weight.numel() for weight in loaded.segmentation_network.parameters()) == pytest.approx(1.46e6, rel=0.01)
    assert sum(weight.numel() for weight in loaded.rotation_network.parameters()) == pytest.approx(1.98e6, rel=0.01)
    assert path.stat().st_size < 15e6


def written(folder: Path, model: Model, bare: bool = False, **changes: object) -> dict[str, Path]:
    """Both networks as this project's training writes them, with their settings unless `bare`."""
    files = {}
    for part, name, key, prefix in (
        ("segmentation", "unet.ckpt", "state_dict", "model."),
        ("rotation", "e3cnn.pth", "net_state_dict", ""),
    ):
        settings = {name: getattr(model.header, name) for name in SETTINGS[part]} | changes.get(part, {})
        weights = {prefix + name: tensor for name, tensor in model.networks[part].state_dict().items()}
        files[name.split(".")[0]] = folder / name
        save_weights(folder / name, key, weights, getattr(model.header, part), {} if bare else settings)
    return files


def test_weights_of_own_training_keep_the_settings_of_their_training(tmp_path):
    other = {"segmentation_edge": 32, "rotation_edge": 24, "object_fraction": 0.5, "views": 4, "spacing_mm": 4.5}
    model = make_small_model().with_header(
        **other, clip_fraction=0.01, candidates=3, thresholds=(0.7, 0.6, *make_small_model().header.thresholds[2:])
    )
    loaded = load_model(**written(tmp_path, model))
    for name in {name for part in ("segmentation", "rotation") for name in SETTINGS[part]}:
        assert getattr(loaded.header, name) == getattr(model.header, name), name
    assert loaded.header.views == 4 and loaded.header.candidates == 3


@pytest.mark.parametrize(
    ("part", "settings", "message"),
    [
        ("rotation", {"spacing_mm": 3.5}, r"trained with different spacing_mm: .*unet\.ckpt 4\.5, .*e3cnn\.pth 3\.5"),
        ("segmentation", {"candidates": 10**6}, "candidates 1000000 is no whole number from 1 to 20"),
        ("segmentation", {"thresholds": "0.9"}, "thresholds '0.9' are no numbers"),
        ("segmentation", {"thresholds": [0.9]}, "classes need as many thresholds"),
        ("rotation", {"views": 2.5}, "views 2.5 is no whole number"),
        ("rotation", {"eyes_edge": 48}, "trained for another part of a model"),
        ("segmentation", {1: 2}, "settings of its training are damaged"),
    ],
)
def test_settings_of_training_that_cannot_be_are_refused(part, settings, message, tmp_path):
    model = make_small_model().with_header(spacing_mm=4.5)
    files = written(tmp_path, model, **{part: settings})
    with pytest.raises(ModelError, match=message):
        load_model(**files)


@pytest.mark.parametrize(
    ("part", "settings", "message"),
    [
        ("segmentation", {}, None),
        ("rotation", {}, None),
        ("segmentation", {"clip_fraction": 0.01}, r"clip_fraction: .*unet\.ckpt 0\.01, .*e3cnn\.pth .*official.* 0\.0"),
        ("rotation", {"clip_fraction": 0.01}, r"clip_fraction: .*unet\.ckpt \(.*official.* 0\.0, .*e3cnn\.pth 0\.01;"),
        ("rotation", {"spacing_mm": 4.5}, r"spacing_mm: .*unet\.ckpt \(.*official.* 3\.0, .*e3cnn\.pth 4\.5;"),
    ],
)
def test_a_file_without_settings_stands_for_those_of_the_official_program(part, settings, message, tmp_path):
    model = make_small_model().with_header(spacing_mm=3.0)
    (tmp_path / "bare").mkdir()
    files = written(tmp_path, model, **{part: settings})
    bare = written(tmp_path / "bare", model, bare=True)
    other = "e3cnn" if part == "segmentation" else "unet"
    pair = files | {other: bare[other]}
    if message is None:
        assert load_model(**pair).header.spacing_mm == 3.0
        return
    with pytest.raises(ModelError, match=message):
        load_model(**pair)


def test_a_named_model_is_found_in_the_users_folder(small_model, tmp_path, monkeypatch):
    monkeypatch.setenv("E3POSE_MODELS", str(tmp_path))
    small_model.save(tmp_path / "mine.safetensors")
    assert available_models()["mine"] == tmp_path / "mine.safetensors"
    assert load_model("mine").identity == small_model.identity
    with pytest.raises(ModelError, match=r"no model named 'yours'; there are: .*mine"):
        load_model("yours")


class _Touch:
    """Unpickled, it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_a_checkpoint_is_never_run(reference, tmp_path):
    trap = tmp_path / "trap"
    torch.save({"state_dict": {"model.weight": torch.zeros(1)}, "x": _Touch(trap)}, tmp_path / "bad.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps(_Touch(trap)))
    for name in ("bad.ckpt", "plain.ckpt"):
        with pytest.raises(ModelError, match=f"{name}.*code from a file is never run"):
            load_model(unet=tmp_path / name, e3cnn=reference / "e3cnn.pth")
    assert not trap.exists()


def test_checkpoints_that_do_not_fit_are_named(reference, tmp_path):
    unet, e3cnn = reference / "unet.ckpt", reference / "e3cnn.pth"
    torch.save({"weights": {}}, tmp_path / "other.pth")
    (tmp_path / "cut.ckpt").write_bytes(unet.read_bytes()[:100000])
    changed = torch.load(e3cnn, weights_only=True)
    changed["net_state_dict"]["net.down.down_blocks.2.conv1.weight"] = torch.zeros(5, 7)
    torch.save(changed, tmp_path / "shape.pth")
    changed["net_state_dict"]["net.down.down_blocks.2.conv1.weight"] = torch.full((5, 5760), torch.nan)
    torch.save(changed, tmp_path / "nan.pth")
    for pair, word in [
        ((e3cnn, e3cnn), "state_dict"),
        ((unet, unet), "net_state_dict"),
        ((unet, tmp_path / "other.pth"), "net_state_dict"),
        ((tmp_path / "cut.ckpt", e3cnn), "cut.ckpt"),
        ((tmp_path / "missing.ckpt", e3cnn), "no such file"),
        ((unet, tmp_path / "shape.pth"), "not those of E3CNN"),
        ((unet, tmp_path / "nan.pth"), "NaN"),
    ]:
        with pytest.raises(ModelError, match=word):
            load_model(unet=pair[0], e3cnn=pair[1])
    with pytest.raises(ModelError, match="pairs"):
        load_model(unet=unet)
    # Neither of two models is taken silently.
    with pytest.raises(ModelError, match="either the model 'other' or official weights"):
        load_model("other", unet=unet, e3cnn=unet)


def test_model_files_that_do_not_fit_are_named(small_model_file, tmp_path):
    with safe_open(small_model_file, framework="pt") as file:
        header = json.loads(file.metadata()["e3pose"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)

    def variant(name, tensors=tensors, **changes):
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors, path, metadata={"e3pose": json.dumps(header | changes)})
        return path

    save_file(tensors, tmp_path / "bare.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(small_model_file.read_bytes()[:-50])
    for path, word in [
        (tmp_path / "bare.safetensors", "no E3Pose header"),
        (tmp_path / "cut.safetensors", "not a readable model"),
        (tmp_path / "missing.safetensors", "no such model file"),
        (variant("newer", format_version=2), "format 2"),
        (variant("unknown", surprise=1), "header is damaged"),
        (variant("wide", segmentation={"n_levels": 1, "n_features": 2, "n_classes": 2}), "not those of UNet"),
        (variant("odd", thresholds=[0.5]), "thresholds"),
        (variant("tiny", rotation_edge=2), "halved"),
    ]:
        with pytest.raises(ModelError, match=word):
            load_model(path)


def test_input_stride_sees_the_voxels_of_cells_and_answers_on_the_fine_grid():
    torch.manual_seed(0)
    coarse, strided = UNet(2, 4, n_input_channels=8), UNet(2, 4, input_stride=2)
    strided.load_state_dict(coarse.state_dict())
    coarse.eval(), strided.eval()
    assert strided.stride == 4
    fine = torch.rand(1, 1, 12, 8, 16)
    voxels = [fine[:, :, i::2, j::2, k::2] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    logits, expected = strided(fine), coarse(torch.cat(voxels, dim=1))
    assert logits.shape == (1, 3, 12, 8, 16)
    # A fine voxel lies a quarter of a cell from the middle of its cell: interpolation mixes three to one, and the mean
    # over a cell is (1, 6, 1) / 8 of its neighbours along each axis.
    means = logits.reshape(1, 3, 6, 2, 4, 2, 8, 2).mean(dim=(3, 5, 7))
    for axis in (2, 3, 4):
        n = expected.shape[axis]
        before, own, after = (expected.narrow(axis, start, n - 2) for start in range(3))
        expected = (before + 6 * own + after) / 8
    assert torch.allclose(means[:, :, 1:-1, 1:-1, 1:-1], expected, atol=1e-5)
    with pytest.raises(ValueError, match="input stride"):
        UNet(2, 4, input_stride=0)


def test_a_card_is_read_before_any_package_is_installed(small_model, small_model_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert read_header(small_model_file) == small_model.header


def test_a_user_without_a_home_has_the_models_that_come_along(monkeypatch):
    """As in a container, of a user whom the system does not know."""

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.delenv("E3POSE_MODELS", raising=False)
    assert list(available_models()) == ["default"]
    assert read_header("default").licence
