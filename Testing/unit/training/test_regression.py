"""Networks that are compared with the E(3)-CNN: their rotations, training side by side, files and poses."""

import argparse
import json
from unittest.mock import patch

import numpy as np
import pytest
import torch
from phantoms import make_head, make_small_model
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter

from E3PoseLib.cli import main as e3pose
from E3PoseLib.errors import MethodError
from E3PoseLib.imaging.rotations import geodesic_angle, random_rotations
from E3PoseLib.imaging.volume import write_volume
from E3PoseLib.models.catalog import resources
from E3PoseLib.models.loading import load_model
from E3PoseTraining.methods import registry
from E3PoseTraining.regression import weights
from E3PoseTraining.regression.equivariant import SO3CNN
from E3PoseTraining.regression.module import Independent, cube_rotations
from E3PoseTraining.regression.named import NETWORKS, OWN_AUGMENTATION, SIDE_BY_SIDE
from E3PoseTraining.regression.networks import EDGE, Heads, PlainCNN
from E3PoseTraining.regression.weights import save_network
from E3PoseTraining.train_methods import build_parser, main
from E3PoseTraining.training.progress import read_curves

TINY = ["--device", "cpu", "--img_res", "6", "--image_size", "24", "--views", "2", "--n_levels", "2"]
TINY += ["--multiplicity", "1", "--lmax", "2", "--kernel_size", "3", "--n_epochs", "2", "--batch_size", "4"]
TINY += ["--export", "last", "--rbr_levels", "3", "--rbr_features", "4", "--orientations", "2"]
SMALL_E3CNN = {"n_levels": 2, "kernel_size": 3, "multiplicity": 1, "lmax": 2}
CROP = {"edge": EDGE, "object_fraction": 0.6, "clip_fraction": 0.005}


def make(name):
    torch.manual_seed(0)
    return NETWORKS[name](**(SMALL_E3CNN if name.startswith("e3cnn") else {})).eval()


def read_network(path, name):
    return weights.read_network(path, {name: NETWORKS[name]})


def heads_of(crops, axes):
    return Heads(crops, axes, torch.zeros_like(crops))


def rough_crop():
    """Structure everywhere, so that no voxel's axes are rounding errors made unit vectors."""
    volume = gaussian_filter(np.random.default_rng(0).random((EDGE,) * 3), 1)
    return torch.from_numpy((volume - volume.min()) / np.ptp(volume)).float()[None]


@pytest.fixture(scope="module")
def run(sides, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "methods"
    assert main([*sides, str(output), *TINY, "--n_epochs", "1"]) == 0
    return output


@pytest.mark.parametrize("name", list(NETWORKS))
def test_answers_are_proper_rotations(name):
    rotations = make(name).rotation(torch.rand(3, 1, EDGE, EDGE, EDGE))
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(3, 3, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(3), atol=1e-4, rtol=0)


def test_a_cube_has_24_rotations_that_carry_content_and_vectors_alike():
    rotations = cube_rotations()
    assert len({tuple(matrix.flatten().tolist()) for *_, matrix in rotations}) == 24
    volume = torch.zeros(1, 5, 5, 5)
    volume[0, 4, 2, 1] = 1  # at (2, 0, -1) from the middle
    for order, mirrored, matrix in rotations:
        turned = volume.permute(0, *(1 + axis for axis in order)).flip(mirrored)
        place = turned[0].nonzero()[0].double() - 2
        torch.testing.assert_close(place, matrix @ torch.tensor([2.0, 0.0, -1.0], dtype=torch.float64))
        assert torch.linalg.det(matrix) == pytest.approx(1)


@pytest.mark.parametrize("name", ["plain-cnn", *(name for name in SIDE_BY_SIDE if name.startswith("e3cnn"))])
def test_the_e3cnn_and_its_ablations_turn_with_the_cube_and_the_plain_cnn_does_not(name):
    crop, network = rough_crop(), make(name)
    degrees = []
    for order, mirrored, matrix in cube_rotations():
        turned = crop.permute(0, *(1 + axis for axis in order)).flip(mirrored)
        with torch.no_grad():
            one, other = network.rotation(torch.stack([crop, turned])).double()
        degrees.append(float(geodesic_angle(one @ matrix.T, other)))
    assert len(degrees) == 24
    if name == "plain-cnn":
        assert np.median(degrees) > 10
    else:
        assert max(degrees) < 0.5


@pytest.mark.parametrize("name", ["e3cnn", "e3cnn-pooled-loss", "e3cnn-so3", "e3cnn-vector-x"])
def test_a_mirrored_crop_has_the_mirrored_pose_where_parity_and_the_pseudovector_are_kept(name):
    crop, network = rough_crop(), make(name)
    mirror = torch.diag(torch.tensor([-1.0, 1, 1], dtype=torch.float64))
    with torch.no_grad():
        one, other = network.rotation(torch.stack([crop, crop.flip(1)])).double()
    # Of a mirrored head anterior and superior are mirrored, and right is what makes the frame right-handed.
    expected = mirror @ one @ mirror
    apart = float(geodesic_angle(expected, other))
    if name in ("e3cnn", "e3cnn-pooled-loss"):
        assert apart < 0.5
    else:
        assert apart > 10


def test_a_vector_x_vanishes_on_a_head_with_a_plane_of_symmetry_and_a_pseudovector_stands_upright_on_it():
    half = rough_crop()
    symmetric = (half + half.flip(1)) / 2  # the plane's normal is the first axis
    x = {}
    for name in ("e3cnn", "e3cnn-vector-x", "e3cnn-so3"):
        with torch.no_grad():
            field = make(name).axes_field(symmetric[None])[0, :3]
        mean = field.flatten(1).mean(1)
        x[name] = mean.abs() / field.flatten(1).norm(dim=0).mean()
    assert x["e3cnn-vector-x"][0] < 1e-4 < x["e3cnn-vector-x"][1:].max()
    assert x["e3cnn"][1:].max() < 1e-4 < x["e3cnn"][0]
    # Without parity nothing of the kind is known.
    assert x["e3cnn-so3"].min() > 1e-4


def test_the_loss_of_pooled_axes_is_that_of_the_answer_alone():
    """Axes of voxels that differ, but whose pooled ones are the true ones: only the loss by voxel sees them."""
    field = torch.zeros(1, 9, 1, 1, 2)
    field[0, :, 0, 0, 0] = torch.tensor([2.0, 0, 0, 0.6, 0.8, 0, 0, 0, 1])
    field[0, :, 0, 0, 1] = torch.tensor([0.0, 1, 0, -0.6, 0.8, 0, 0, 0, 1])
    losses = {}
    for name in ("e3cnn", "e3cnn-pooled-loss"):
        network = make(name)
        network.axes_field = lambda crops: field
        losses[name] = float(network.loss(heads_of(torch.zeros(1), torch.eye(3)[None]), 0))
    assert losses["e3cnn-pooled-loss"] == pytest.approx(0, abs=1e-5)
    # Half of x is wrong by a right angle; of the 12 numbers of y two are wrong by 0.6 and two by 0.2, of z none.
    assert losses["e3cnn"] == pytest.approx(0.5 * 0.5 + 1.6 / 12, abs=1e-5)


def test_an_x_that_is_a_vector_has_a_sign_and_the_frame_is_made_proper_by_the_least_change():
    field = torch.zeros(1, 9, 1, 1, 2)
    field[0, :, 0, 0, 0] = torch.tensor([-0.6, 0.8, 0, 0, 1.0, 0, 0, 0, 1])
    field[0, :, 0, 0, 1] = torch.tensor([-0.6, -0.8, 0, 0, 1.0, 0, 0, 0, 1])
    network = make("e3cnn-vector-x")
    network.axes_field = lambda crops: field
    # x, on which the voxels disagree, gives way.
    torch.testing.assert_close(network.rotation(torch.zeros(1))[0], torch.eye(3))
    # -0.6 for 1 and ±0.8 for 0 of the 9 numbers of each voxel.
    assert float(network.loss(heads_of(torch.zeros(1), torch.eye(3)[None]), 0)) == pytest.approx((1.6 + 0.8) / 9)


@pytest.mark.parametrize("name", ["3dpose-net", "6drep"])
def test_a_regression_learns_what_it_is_shown(name):
    torch.manual_seed(1)
    network = NETWORKS[name]().train()
    crops, axes = torch.rand(8, 1, EDGE, EDGE, EDGE), random_rotations(8, torch.Generator().manual_seed(2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.003)
    for step in range(60):
        optimizer.zero_grad()
        network.loss(heads_of(crops, axes), step / 60).backward()
        optimizer.step()
    with torch.no_grad():
        degrees = geodesic_angle(network.rotation(crops).double(), axes.double())
    assert degrees.median() < 20


@pytest.mark.parametrize("name", ["3dpose-net", "6drep"])
def test_a_rotation_wrong_by_half_a_turn_or_by_nothing_has_a_finite_gradient(name):
    network = make(name).train()
    axes = random_rotations(200, torch.Generator().manual_seed(0))
    for difference in (torch.eye(3), torch.diag(torch.tensor([1.0, -1, -1]))):
        rotations = (difference @ axes).requires_grad_()
        network.rotation = lambda crops, rotations=rotations: rotations
        network.loss(heads_of(torch.zeros(1), axes), 1).backward()
        assert rotations.grad.isfinite().all()


def test_the_plain_cnn_and_that_without_parity_have_as_many_weights_as_the_default_e3cnn():
    default = load_model(resources() / "Models" / "default.safetensors")
    equivariant = sum(weight.numel() for weight in default.rotation_network.parameters())
    assert sum(weight.numel() for weight in PlainCNN().parameters()) == pytest.approx(equivariant, rel=0.05)
    without_parity = SO3CNN(**default.header.rotation)
    assert sum(weight.numel() for weight in without_parity.parameters()) == pytest.approx(equivariant, rel=0.05)


def test_one_run_trains_all_and_leaves_a_file_of_each(run):
    curves = read_curves(run / "logs" / "csv")
    for name in SIDE_BY_SIDE:
        assert sorted(curves[f"val_degrees_{name}"]) == [0]
        network, header = read_network(run / f"{name}.safetensors", name)
        assert header["crop"]["edge"] == EDGE
        assert header["card"]["trained_on"] == "8 scans, 1 epochs, seed 0"
        assert not network.training
        assert (run / f"{name}.safetensors").stat().st_size < 1e6
    _, header = read_network(run / "rbr.safetensors", "rbr")
    assert header["architecture"] == {"n_levels": 3, "n_features": 4}
    for name in ("3dpose-net", "6drep", "rbr"):  # all that is shown to one is shown to all, but each learns by itself
        assert len(curves[f"train_loss_{name}_epoch"]) == 1


@pytest.fixture
def one_thread():
    """Sums in one order, so that equal means to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("name", "edge"), [("6drep", EDGE), ("equitrack", 12)])
def test_a_stopped_run_resumes_exactly(sides, tmp_path, one_thread, name, edge):
    flags = [*TINY, "--methods", name, "--image_size", str(edge)]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main([*sides, str(whole), *flags]) == 0
    assert main([*sides, str(parts), *flags, "--n_epochs", "1"]) == 0
    assert main([*sides, str(parts), *flags, "--resume"]) == 0
    one, other = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (whole, parts))
    assert one["global_step"] == other["global_step"] == 4
    for key, tensor in one["state_dict"].items():
        assert torch.equal(tensor, other["state_dict"][key]), key
    curves = [read_curves(run / "logs" / "csv") for run in (whole, parts)]
    assert curves[0]["val_rotation_degrees"] == curves[1]["val_rotation_degrees"]


def test_random_numbers_are_others_in_each_step_and_the_same_in_each_validation():
    module = Independent({"6drep": make("6drep")}, {"6drep": 0.1}, argparse.Namespace(seed=3))

    def drawn(batch_idx: int, epoch: int, training: bool) -> float:
        with patch.object(Independent, "current_epoch", epoch):
            return float(torch.rand(1, generator=module.train(training).generator(batch_idx)))

    steps = [drawn(index, epoch, True) for epoch in (0, 1) for index in (0, 1)]
    validations = [[drawn(index, epoch, False) for index in (0, 1)] for epoch in (0, 1)]
    assert validations[0] == validations[1]
    assert len({*steps, *validations[0]}) == 6
    assert drawn(0, 0, True) == steps[0]


def test_the_best_epoch_is_of_one_network(sides, tmp_path, capsys):
    command = [*sides, str(tmp_path / "run"), *TINY, "--n_epochs", "1", "--methods", "6drep"]
    assert main([*command, "3dpose-net", "--export", "best"]) == 2
    assert "none of them need be best there" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main([*command, "--export", "best"]) == 0
    _, header = read_network(tmp_path / "run" / "6drep.safetensors", "6drep")
    assert header["card"]["trained_on"] == "8 scans, 1 epochs, seed 0"
    assert build_parser().parse_args([]).export == "last"


def test_what_sees_other_crops_has_a_run_of_its_own(sides, tmp_path, capsys):
    command = [*sides, str(tmp_path / "run"), *TINY, "--n_epochs", "1", "--methods", "e3cnn-no-low-resolution"]
    assert main([*command, "e3cnn"]) != 0
    assert "e3cnn-no-low-resolution sees other crops" in capsys.readouterr().err
    assert main(command) == 0
    _, header = read_network(tmp_path / "run" / "e3cnn-no-low-resolution.safetensors", "e3cnn-no-low-resolution")
    assert header["card"]["augmentation"] == "max_res_iso 0, thick_slices 0"
    used = json.loads((tmp_path / "run" / "options.json").read_text(encoding="utf-8"))
    assert (used["max_res_iso"], used["thick_slices"]) == (0, 0)
    assert used["spin_history"] > 0
    assert set(OWN_AUGMENTATION) == {"e3cnn-no-low-resolution", "e3cnn-no-spin-history"}


def test_another_size_of_crops_is_refused(sides, tmp_path, capsys):
    assert main([*sides, str(tmp_path / "run"), *TINY, "--image_size", "32"]) != 0
    assert "--image_size 24" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_weights_of_another_method_and_damaged_ones_are_said(tmp_path):
    path = tmp_path / "some.safetensors"
    save_network(path, "6drep", make("6drep").state_dict(), {"architecture": {}, "crop": CROP, "views": 2})
    with pytest.raises(MethodError, match="weights of 6drep, not of 3dpose-net"):
        read_network(path, "3dpose-net")
    with pytest.raises(MethodError, match="its header lacks cube, so the file is damaged"):
        weights.read_network(path, {"6drep": NETWORKS["6drep"]}, ("crop", "cube"))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(MethodError, match="no file of weights"):
        read_network(path, "6drep")
    for header in ("{", "[]", '{"architecture": {}}'):
        save_file({"a": torch.zeros(1)}, path, metadata={weights.HEADER_KEY: header})
        with pytest.raises(MethodError, match="its header cannot be read"):
            read_network(path, "6drep")
    make_small_model().save(path)
    with pytest.raises(MethodError, match="holds no weights of a method"):
        read_network(path, "6drep")


def test_weights_in_half_precision_answer_as_those_in_single(tmp_path):
    network, crops = make("6drep"), torch.rand(2, 1, EDGE, EDGE, EDGE)
    path = tmp_path / "some.safetensors"
    save_network(path, "6drep", network.state_dict(), {"architecture": {}, "crop": CROP, "views": 2})
    again, _ = read_network(path, "6drep")
    with torch.no_grad():
        apart = geodesic_angle(network.rotation(crops).double(), again.rotation(crops).double())
    assert apart.max() < 1


@pytest.mark.parametrize("name", ["3dpose-net", "e3cnn", "e3cnn-so3", "rbr"])
def test_estimate_by_a_trained_network(run, tmp_path, name, monkeypatch):
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path / "nowhere")  # some come with the project
    make_small_model().save(tmp_path / "small.safetensors")
    scan = make_head()
    write_volume(tmp_path / "scan.nii.gz", scan)
    flags = ["--method", name, "--model", str(tmp_path / "small.safetensors"), "--device", "cpu"]
    command = ["estimate", str(tmp_path / "scan.nii.gz"), "-o", str(tmp_path / "out"), *flags]
    assert e3pose(command) != 0  # weights are missing
    assert e3pose([*command, "--weights", str(run / f"{name}.safetensors")]) == 0
    document = json.loads((tmp_path / "out" / "scan.json").read_text(encoding="utf-8"))
    pose = np.array(document["canonical_to_ras"])
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    assert 0 <= document["figures"]["view_disagreement_degrees"] <= 180
    assert document["confidence"]["level"] == "not judged"
