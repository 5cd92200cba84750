"""EquiTrack: its points turn with the head; from them follow its rotation and its motion between two scans."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_small_model
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from E3PoseLib.errors import DependencyError, MethodError
from E3PoseLib.imaging.geometry import invert_rigid, pose_difference, rigid
from E3PoseLib.imaging.resampling import reslice
from E3PoseLib.imaging.rotations import geodesic_angle
from E3PoseLib.imaging.volume import Volume
from E3PoseTraining.augmentation.sample import Sample
from E3PoseTraining.equitrack.frames import TwoFrames
from E3PoseTraining.equitrack.head_alone import GONE, KEPT, head_alone
from E3PoseTraining.equitrack.points import EquiTrack, rotation_between
from E3PoseTraining.methods.equitrack import EquiTrack as Method
from E3PoseTraining.methods.method import Means
from E3PoseTraining.regression.module import cube_rotations
from E3PoseTraining.regression.weights import save_network
from E3PoseTraining.train_methods import main
from E3PoseTraining.training.progress import read_curves

TINY = ["--device", "cpu", "--img_res", "6", "--image_size", "12", "--views", "2", "--n_epochs", "1"]
TINY += ["--batch_size", "4", "--export", "last"]


def test_points_turn_with_what_a_cube_of_voxels_shows():
    torch.manual_seed(0)
    network = EquiTrack(n_points=8).eval()
    volume = gaussian_filter(np.random.default_rng(0).random((12, 12, 12)), 1)
    cube = torch.from_numpy((volume - volume.min()) / np.ptp(volume)).float()[None]
    turned = torch.stack([cube.permute(0, *(1 + a for a in order)).flip(flips) for order, flips, _ in cube_rotations()])
    with torch.no_grad():
        points, found = network(cube[None]), network(turned)
    expected = points @ torch.stack([matrix for *_, matrix in cube_rotations()]).float().mT
    assert float(points.std()) > 0.05
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("flat", [False, True], ids=["spread", "in one plane"])
def test_the_rotation_between_points_is_found_and_proper(flat):
    rng = np.random.default_rng(1)
    points = rng.normal(size=(5, 7, 3)) * ([0, 1, 1] if flat else 1)
    points -= points.mean(axis=1, keepdims=True)
    true = Rotation.random(5, random_state=2).as_matrix()
    found = rotation_between(torch.from_numpy(points), torch.from_numpy(points @ true.transpose(0, 2, 1)))
    torch.testing.assert_close(found, torch.from_numpy(true), atol=1e-9, rtol=0)


def test_it_can_be_trained_after_a_rotation_was_found_in_the_same_process():
    command = (
        "import torch; from E3PoseTraining.equitrack.points import EquiTrack, rotation_between\n"
        "network, frames = EquiTrack(n_points=4), torch.rand(2, 1, 12, 12, 12)\n"
        "with torch.inference_mode(): network.to_template(network(frames))\n"
        "one, other = network(frames); rotation_between(one[None], other[None]).sum().backward()"
    )
    subprocess.run([sys.executable, "-c", command], check=True, timeout=120)


def test_a_head_fades_away_beyond_its_skull():
    place = np.stack(np.meshgrid(*[np.arange(60) - 29.5] * 3, indexing="ij"), axis=-1)
    radii = np.linalg.norm(place, axis=-1) / 15
    alone = head_alone(np.ones(radii.shape), radii <= 1)
    assert alone[radii < 1 + KEPT - 0.05].min() > 0.99
    assert alone[radii > 1 + GONE + 0.08].max() == 0
    half = alone[np.abs(radii - 1 - (KEPT + GONE) / 2) < 0.03]
    assert 0.3 < half.min() < half.max() < 0.8


def test_both_frames_show_the_head_as_their_axes_tell():
    """An ellipsoid that is longest in front and narrowest above."""
    axes = Rotation.random(random_state=3).as_matrix()
    place = np.stack(np.meshgrid(*[np.arange(100.0)] * 3, indexing="ij"), axis=-1) - [51.0, 47.0, 50.0]
    label = (((place @ axes.T) / [20.0, 28.0, 14.0]) ** 2).sum(axis=-1) <= 1
    image = torch.from_numpy(label).float()[None]
    sample = Sample(image, image.to(torch.uint8), torch.from_numpy(axes), 3.0)
    shown = TwoFrames(24, 0.0)(sample)
    assert shown.image.shape == (2, 24, 24, 24)
    apart = np.degrees(float(geodesic_angle(*shown.axes)))
    assert apart > 10  # and not twice the same
    grid = np.stack(np.meshgrid(*[np.arange(24) - 11.5] * 3, indexing="ij"), axis=-1)
    for frame, its_axes in zip(shown.image.numpy(), shown.axes.numpy(), strict=True):
        inside = grid[frame > 0.95] @ its_axes.T
        spread = inside.std(axis=0)
        np.testing.assert_allclose(spread / spread.mean(), np.array([20, 28, 14]) / (62 / 3), atol=0.06)
        assert np.abs(np.corrcoef(inside.T) - np.eye(3)).max() < 0.1
    # A restart shows the same, another draw of the augmentation something else.
    torch.testing.assert_close(TwoFrames(24, 0.0)(sample).image, shown.image)
    other = replace(sample, axes=torch.from_numpy(axes @ Rotation.random(random_state=4).as_matrix()))
    assert float((TwoFrames(24, 0.0)(other).image - shown.image).abs().max()) > 0.5


def test_one_command_trains_it_on_pairs_of_frames(sides, tmp_path, capsys):
    command = [*sides, str(tmp_path / "run"), *TINY, "--methods", "equitrack"]
    assert main([*command, "e3cnn"]) != 0
    assert "equitrack sees pairs of frames: train e3cnn in a run of its own" in capsys.readouterr().err
    assert main([*command, "--image_size", "18"]) != 0
    assert "an --image_size that is a multiple of 4" in capsys.readouterr().err
    assert main(command) == 0
    curves = read_curves(tmp_path / "run" / "logs" / "csv")
    assert all(0 <= curves[f"val_{name}_degrees"][0] <= 180 for name in ("frames", "rotation"))
    assert (tmp_path / "run" / "equitrack.safetensors").stat().st_size < 1e6


class Levels(torch.nn.Module):
    """In the place of a trained network: each field is where the intensity is near a level of its own."""

    def forward(self, frames):
        levels = torch.tensor([0.3, 0.45, 0.7, 0.8, 0.95]).view(1, -1, 1, 1, 1)
        return -200 * (frames - levels) ** 2


@pytest.fixture
def method(tmp_path):
    """By a model that calls brain what is bright, and points of different brightness."""
    make_small_model().save(tmp_path / "small.safetensors")
    crop = {"edge": 24, "object_fraction": 0.6, "clip_fraction": 0.0}
    header = {"architecture": {"n_points": 5}, "crop": crop, "views": 8}
    save_network(tmp_path / "equitrack.safetensors", "equitrack", EquiTrack(n_points=5).state_dict(), header)
    model = {"source": str(tmp_path / "small.safetensors")}
    method = Method(Means("cpu", model, weights=tmp_path / "equitrack.safetensors", method="equitrack"))
    method._network.network = Levels()
    return method


TO_RAS = rigid(Rotation.from_rotvec([0.3, 0.2, -0.4]).as_matrix(), [10.0, -20.0, 30.0])
"""Of the head below."""


def head_with_lumps():
    """An ellipsoid with a bright lump to the right, a dark one in front and a weaker bright one behind above, within
    something larger and dim: it is no brain alone.
    """
    mm = (np.stack(np.meshgrid(*[np.arange(96)] * 3, indexing="ij"), axis=-1) - 47.5) * 2.0
    array = 1 / (1 + np.exp((np.linalg.norm(mm / [36, 46, 32], axis=-1) - 1) * 8))
    array += 0.03 * (np.linalg.norm(mm, axis=-1) < 85)
    for place, brighter in (((22, 5, 0), 0.5), ((-5, 28, 8), -0.35), ((-10, -15, 16), 0.3)):
        array += brighter * np.exp(-(((mm - place) / 14) ** 2).sum(axis=-1))
    to_head = np.diag([2.0, 2.0, 2.0, 1.0]) @ rigid(np.eye(3), [-47.5] * 3)
    return Volume((1000 * array.clip(0)).astype(np.float32), TO_RAS @ to_head, name="lumps")


def moved_by(scan, motion):
    """What a scanner shows when all of the scan has moved, on another grid."""
    return replace(reslice(scan, invert_rigid(motion), 2.0, 240.0), name="moved")


@pytest.mark.parametrize("degrees", [0, 20, 90, 150])
def test_the_motion_between_two_scans_is_found(method, degrees):
    scan = head_with_lumps()
    turn = Rotation.from_rotvec(np.radians(degrees) * np.array([2, -1, 2]) / 3).as_matrix()
    centre = TO_RAS[:3, 3]
    true = rigid(np.eye(3), [6.0, -4.0, 8.0]) @ rigid(turn, centre - turn @ centre)
    other = moved_by(scan, true)
    by_points, found = method.motion(scan, other, by_points_alone=True), method.motion(scan, other)
    assert pose_difference(by_points, true)[0] < 3  # of voxels of 6 mm
    np.testing.assert_allclose(by_points @ [*centre, 1], true @ [*centre, 1], atol=1.5)
    assert pose_difference(found, true)[0] < 0.5
    np.testing.assert_allclose(found @ [*centre, 1], true @ [*centre, 1], atol=0.5)


def test_without_simpleitk_the_motion_of_the_points_can_still_be_had(method, monkeypatch):
    monkeypatch.setattr("E3PoseLib.alignment.registration.can_register", lambda: False)
    scan = head_with_lumps()
    with pytest.raises(DependencyError, match="registration needs SimpleITK"):
        method.motion(scan, scan)
    np.testing.assert_allclose(method.motion(scan, scan, by_points_alone=True), np.eye(4), atol=1e-3)


def test_the_pose_is_that_of_the_template_and_turns_with_the_head(method):
    scan = head_with_lumps()
    # The points of the head as it lies along the axes of its own frame.
    upright = method._points(
        *method._find_brain.on_grid(replace(scan, voxel_to_ras=invert_rigid(TO_RAS) @ scan.voxel_to_ras))
    )
    with torch.no_grad():
        method._network.template.copy_(upright[0])
    motion = rigid(Rotation.from_rotvec([0.3, 0.8, -0.5]).as_matrix(), [5.0, 0.0, -5.0])
    for volume, true in ((scan, TO_RAS), (moved_by(scan, motion), motion @ TO_RAS)):
        answer = method(volume, None)
        angle, _ = pose_difference(answer.canonical_to_ras, true)
        assert angle < 3  # of voxels of 6 mm
        assert answer.mask.shape == volume.shape


def test_weights_of_another_method_are_refused(tmp_path, method):
    save_network(tmp_path / "other.safetensors", "6drep", {}, {})
    with pytest.raises(MethodError, match="holds the weights of 6drep, not of equitrack"):
        Method(Means("cpu", {"source": "default"}, weights=tmp_path / "other.safetensors", method="equitrack"))
