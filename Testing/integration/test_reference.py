"""The official weights give the official program's numbers, on real scans."""

import json
import re

import numpy as np
import pytest
import torch

from E3PoseLib import PoseEstimator
from E3PoseLib.cli import main as e3pose
from E3PoseLib.imaging.geometry import head_axes_to_ras, pose_difference, read_npy, rigid, transform_points
from E3PoseLib.imaging.volume import read_volume
from E3PoseLib.method.head import Head
from E3PoseLib.method.views import assemble_rotation
from E3PoseLib.models.catalog import resources
from E3PoseLib.networks.equivariant.network import pool_axes
from E3PoseTraining.inference import main as inference
from E3PoseTraining.methods.official import official_matrix

STAGED = ("ep2d_10", "ep2d_14", "ep2d_32")
ESTIMATED = ("ep2d_10", "ep2d_14")
LEFT_HANDED = "ep2d_14"


@pytest.fixture(scope="module")
def stages(reference):
    return np.load(reference / "stages.npz")


@pytest.fixture(scope="module")
def poses(reference):
    return np.load(reference / "poses.npz")


@pytest.fixture(scope="module")
def estimator(official_model):
    return PoseEstimator(official_model, "cpu", as_official=True)


@pytest.fixture(scope="module")
def estimates(epi, estimator):
    """Stacks as the official program takes them: name to (volume, estimate); docs/parity.md has all."""
    volumes = {name: read_volume(epi / f"{name}.nii.gz") for name in ESTIMATED}
    return {name: (volume, estimator.estimate(volume)) for name, volume in volumes.items()}


def angle(a, b):
    """Degrees between the rotations of two poses, or two rotations."""
    return pose_difference(rigid(a[:3, :3], np.zeros(3)), rigid(b[:3, :3], np.zeros(3)))[0]


@pytest.mark.parametrize("name", STAGED)
def test_the_segmentation_networks_input_and_output(name, epi, estimator, stages):
    scan = estimator.prepare(read_volume(epi / f"{name}.nii.gz"))
    pick = stages[f"{name}/pick"]
    np.testing.assert_allclose(scan.array.ravel()[pick], stages[f"{name}/unet_input"], atol=1e-6)
    np.testing.assert_allclose(scan.grid_to_ras, stages[f"{name}/unet_input_affine"], atol=1e-4)
    with torch.inference_mode():
        logits = estimator.model.segmentation_network(torch.from_numpy(scan.array)[None, None])
    expected = stages[f"{name}/unet_logits"]
    error = np.abs(logits[0].flatten(1).numpy()[:, pick] - expected).max() / np.abs(expected).max()
    assert error < 1e-3

    mask = np.unpackbits(stages[f"{name}/mask"]).reshape(scan.array.shape).astype(bool)
    (found,) = estimator.reader.localiser.candidates(scan, estimator.reader.localiser.to_object(logits)[0].numpy())
    assert 2 * (mask & found).sum() / (mask.sum() + found.sum()) >= 0.999
    [crop] = estimator.reader.views.crop(Head(scan, found))
    assert crop.shape == stages[f"{name}/crop"].shape
    np.testing.assert_allclose(crop, stages[f"{name}/crop"], atol=1e-5)


@pytest.mark.parametrize("name", STAGED)
def test_the_rotation_networks_output(name, official_model, stages):
    crop = torch.from_numpy(stages[f"{name}/crop"])
    with torch.inference_mode():
        axes = official_model.rotation_network(crop[None, None])[0].numpy()
    expected = stages[f"{name}/e3cnn_axes"]
    assert np.abs(axes - expected).max() < 1e-3 * np.abs(expected).max()
    rotation = assemble_rotation(axes.astype(float).reshape(3, 3))
    assert angle(rotation, stages[f"{name}/rotation"]) < 0.1


def test_a_batch_gives_the_same(official_model, stages):
    # The middle of their heads: whole ones take six times as long and show no more.
    middle = (slice(16, 48), slice(16, 48), slice(8, 40))
    crops = torch.stack([torch.from_numpy(stages[f"{name}/crop"][middle]) for name in ("ep2d_10", "ep2d_32")])[:, None]
    with torch.inference_mode():
        together = official_model.rotation_network(crops)
        for index in range(len(crops)):
            alone = official_model.rotation_network(crops[index : index + 1])[0]
            assert (together[index] - alone).abs().max() < 1e-3 * alone.abs().max()


@pytest.mark.parametrize("name", ESTIMATED)
def test_the_official_programs_poses(name, estimates, poses):
    volume, estimate = estimates[name]
    expected = poses[f"voxel_canonical_to_input/{name}"]
    matrix = official_matrix(volume, estimate)
    assert np.abs(matrix[:3, 3] - expected[:3, 3]).max() <= 0.1
    assert angle(matrix, expected) <= 0.5


def test_a_pose_that_rounding_decides(epi, estimator):
    """Some choices of the longest vector hang on float32's last bits here, so our answer must be that of float64.

    In float32 throughout it was 0.6° off. The reference network's axes are all but coplanar as well, and the official
    number, 14° off, cannot be met but by chance. docs/parity.md has every scan.
    """
    scan = estimator.prepare(read_volume(epi / "ep2d_27.nii.gz"))
    [[mask]] = estimator.reader.localiser([scan])
    [view] = estimator.reader.views.crop(Head(scan, mask))
    crop = torch.from_numpy(view)[None, None]
    network = estimator.model.rotation_network
    with torch.inference_mode():
        single = pool_axes(network.axes_field(crop))[0].reshape(3, 3).double().numpy()
        network.double().freeze()
        exact = pool_axes(network.axes_field(crop.double()))[0].reshape(3, 3).numpy()
        network.float().freeze()
    unit = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    assert np.linalg.det(unit) == pytest.approx(0.14, abs=0.02)
    rotations = [assemble_rotation(head_axes_to_ras(axes, scan.grid_to_ras)) for axes in (single, exact)]
    assert angle(*rotations) <= 0.001


@pytest.mark.parametrize("name", ESTIMATED)
def test_every_mode_that_is_stored(name, estimates, poses):
    volume, estimate = estimates[name]
    for space in ("voxel", "scanner"):
        there = official_matrix(volume, estimate, scanner_space=space == "scanner")
        back = official_matrix(volume, estimate, scanner_space=space == "scanner", input_to_canonical=True)
        np.testing.assert_allclose(back @ there, np.eye(4), atol=1e-6)
        assert np.linalg.det(there[:3, :3]) == pytest.approx(1)
        for matrix, key in ((there, "canonical_to_input"), (back, "input_to_canonical")):
            expected = poses[f"{space}_{key}/{name}"]
            if space == "scanner" and name == LEFT_HANDED:
                # The official matrix is a reflection here: its x is the fetus's left. The other axes agree.
                assert np.linalg.det(expected[:3, :3]) == pytest.approx(-1)
                axes = matrix[:3, :3] if key == "canonical_to_input" else matrix[:3, :3].T
                official = expected[:3, :3] if key == "canonical_to_input" else expected[:3, :3].T
                np.testing.assert_allclose(axes, official @ np.diag([-1, 1, 1]), atol=0.01)
                continue
            assert angle(matrix, expected) <= 0.5
            tolerance = 0.1 if key == "canonical_to_input" and space == "voxel" else 0.5
            assert np.abs(matrix[:3, 3] - expected[:3, 3]).max() <= tolerance


def test_the_drop_in_program(epi, reference, poses, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("ep2d_14", "ep2d_41"):
        (folder / f"{name}.nii.gz").symlink_to(epi / f"{name}.nii.gz")
    flags = ["--unet_crop_size=128", "--unet_n_levels=4", "--unet_feat=16", "--unet_feat_mult=2"]
    flags += ["--unet_activation=elu", "--unet_n_output_channels=3", "--seg_thresh", "0.9", "0.8", "-1"]
    flags += ["--e3cnn_image_size=64", "--e3cnn_n_levels=4", "--e3cnn_kernel_size=5"]
    arguments = [str(folder), str(tmp_path / "out"), str(reference / "unet.ckpt"), str(reference / "e3cnn.pth")]
    assert inference([*arguments, *flags, "--input_to_canonical", "--device", "cpu"]) == 1
    # Where the official program finds nothing we say so.
    assert re.search(r"ep2d_41.*no fetal head", capsys.readouterr().err)
    matrix = read_npy(tmp_path / "out" / "ep2d_14.npy")
    assert angle(matrix, poses["voxel_input_to_canonical/ep2d_14"]) <= 0.5
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["ep2d_14.npy"]
    assert inference([*arguments, "--unet_n_levels", "3"]) == 2


def test_hardly_trained_weights_are_not_sure_of_themselves(estimates):
    assert {estimate.confidence.level for _, estimate in estimates.values()} == {"low"}


@pytest.mark.parametrize("official", [False, True])
def test_real_scans_run_from_the_command_line(epi, reference, tmp_path, official):
    """A third by the bundled model; by the official weights, which take seconds a scan, the one that takes least."""
    weights = ["--model", str(resources() / "Models" / "default.safetensors")]
    if official:
        weights = ["--unet", str(reference / "unet.ckpt"), "--e3cnn", str(reference / "e3cnn.pth")]
    scans = [epi / "ep2d_10.nii.gz"] if official else sorted(epi.glob("*.nii.gz"))[::3]
    assert len(scans) == (1 if official else 5)
    out = tmp_path / "poses"
    assert e3pose(["estimate", *map(str, scans), "-o", str(out), "--save-mask", "--device", "cpu", *weights]) == 0
    for path in scans:
        name = path.name.removesuffix(".nii.gz")
        document = json.loads((out / f"{name}.json").read_text())
        pose = np.array(document["canonical_to_ras"])
        np.testing.assert_allclose(pose @ np.array(document["ras_to_canonical"]), np.eye(4), atol=1e-6)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1, abs=1e-6)
        mask, scan = read_volume(out / f"{name}_mask.nii.gz"), read_volume(path)
        assert mask.shape == scan.shape and mask.array.any()
        centre = transform_points(mask.voxel_to_ras, np.argwhere(mask.array)).mean(axis=0)
        assert np.abs(centre - pose[:3, 3]).max() < 3
        if official:
            assert document["confidence"]["level"] == "low"
