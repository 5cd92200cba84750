"""Frames, poses and the files that hold them."""

import numpy as np
import pytest
import torch
from damaged import arrays
from scipy.spatial.transform import Rotation

from E3PoseLib.errors import OutputError, TransformError
from E3PoseLib.imaging.geometry import (
    check_rigid,
    head_axes_to_ras,
    invert_rigid,
    outermost_voxels,
    pose_difference,
    read_itk,
    read_json,
    read_npy,
    rigid,
    transform_points,
    write_itk,
    write_json,
    write_npy,
)
from E3PoseLib.imaging.rotations import random_rotations


@pytest.fixture
def pose():
    rotation = random_rotations(1, torch.Generator().manual_seed(0), torch.float64)[0].numpy()
    return rigid(rotation, [12.5, -40.25, 7.0])


def test_no_voxel_of_a_mask_lies_further_out_than_the_outermost_ones():
    generator = np.random.default_rng(0)
    mask = generator.random((9, 8, 7)) < 0.7
    directions = generator.normal(size=(20, 3))
    every, outermost = np.argwhere(mask) @ directions.T, outermost_voxels(mask) @ directions.T
    np.testing.assert_allclose(outermost.max(axis=0), every.max(axis=0))
    assert len(outermost) < len(every)
    assert outermost_voxels(np.zeros((4, 4, 4), bool)).shape == (0, 3)


def test_a_pose_there_and_back_is_the_identity(pose):
    points = np.random.default_rng(0).normal(scale=100, size=(50, 3))
    back = transform_points(invert_rigid(pose), transform_points(pose, points))
    np.testing.assert_allclose(back, points, atol=1e-9)
    np.testing.assert_allclose(invert_rigid(pose) @ pose, np.eye(4), atol=1e-12)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (np.diag([-1.0, 1, 1, 1]), "reflection"),
        (np.diag([2.0, 1, 1, 1]), "orthonormal"),
        (np.diag([1.0, 1, 1, 2]), "last row"),
        (np.full((4, 4), np.nan), "finite"),
        (np.eye(3), "4×4"),
    ],
)
def test_what_is_no_pose_is_refused(change, word):
    with pytest.raises(TransformError, match=word):
        check_rigid(change)


def test_vectors_and_pseudovectors_keep_their_laws_under_a_mirror():
    mirrored = np.diag([-3.0, 3, 3, 1])
    across, along = [1.0, 0, 0], [0.0, 1, 0]
    # A mirror turns the vectors across it and keeps those along it; of a pseudovector it does the opposite.
    np.testing.assert_allclose(head_axes_to_ras([across, across, along], mirrored), [[1, 0, 0], [-1, 0, 0], along])
    np.testing.assert_allclose(head_axes_to_ras([along, along, across], mirrored), [[0, -1, 0], along, [-1, 0, 0]])
    np.testing.assert_allclose(head_axes_to_ras(np.eye(3), np.diag([3.0, 2, 4, 1])), np.eye(3))


def test_itk_file_is_lps_and_comes_back(pose, tmp_path):
    path = tmp_path / "pose.tfm"
    write_itk(path, pose)
    lines = path.read_text().splitlines()
    numbers = np.array(lines[3].split(":")[1].split(), dtype=float)
    assert lines[0] == "#Insight Transform File V1.0"
    np.testing.assert_allclose(numbers[9:], pose[:3, 3] * [-1, -1, 1])
    np.testing.assert_allclose(numbers[:9].reshape(3, 3), np.diag([-1, -1, 1]) @ pose[:3, :3] @ np.diag([-1, -1, 1]))
    np.testing.assert_allclose(read_itk(path), pose, atol=1e-15)


def test_itk_file_with_a_centre_of_rotation_is_understood(pose, tmp_path):
    path = tmp_path / "pose.tfm"
    write_itk(path, pose)
    lps = np.diag([-1, -1, 1, 1]) @ pose @ np.diag([-1, -1, 1, 1])
    centre = np.array([1.0, 2, 3])
    shifted = lps[:3, 3] - centre + lps[:3, :3] @ centre
    text = path.read_text().replace("FixedParameters: 0 0 0", "FixedParameters: 1 2 3")
    head, tail = text.split("Parameters:", 1)[0], "FixedParameters: 1 2 3\n"
    values = " ".join(map(repr, map(float, [*lps[:3, :3].ravel(), *shifted])))
    path.write_text(f"{head}Parameters: {values}\n{tail}")
    np.testing.assert_allclose(read_itk(path), pose, atol=1e-12)


def test_an_itk_file_of_two_transforms_is_refused(pose, tmp_path):
    path = tmp_path / "pose.tfm"
    write_itk(path, pose)
    block = path.read_text().split("#Transform 0\n")[1]
    path.write_text(path.read_text() + "#Transform 1\n" + block)
    with pytest.raises(TransformError, match="one affine transform"):
        read_itk(path)


def test_npy_and_json_come_back(pose, tmp_path):
    write_npy(tmp_path / "pose.npy", pose)
    np.testing.assert_array_equal(read_npy(tmp_path / "pose.npy"), pose)
    write_json(tmp_path / "pose.json", {"matrix": pose, "score": np.float32(0.5)})
    assert read_json(tmp_path / "pose.json") == {"matrix": pose.tolist(), "score": 0.5}


@pytest.mark.parametrize("degrees", [1e-6, 0.01, 30.0, 179.0])
def test_the_difference_of_poses_is_exact_at_any_angle(degrees):
    one = rigid(Rotation.from_euler("xyz", [20, 30, 40], degrees=True).as_matrix(), [1, 2, 3])
    turn = Rotation.from_rotvec(np.array([1, 2, 2]) / 3 * degrees, degrees=True).as_matrix()
    found = pose_difference(one, rigid(one[:3, :3] @ turn, [1, 5, -1]))
    assert found == pytest.approx((degrees, 5.0), rel=1e-6)


@pytest.mark.parametrize("content", [b"", b"not a transform", b"#Insight Transform File V1.0\nTransform: BSpline\n"])
def test_unreadable_transform_files_are_named(content, tmp_path):
    for name, read in [("a.npy", read_npy), ("a.tfm", read_itk), ("a.json", read_json)]:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(TransformError, match=name):
            read(path)
        with pytest.raises(TransformError, match="missing"):
            read(tmp_path / f"missing{path.suffix}")


@pytest.mark.parametrize("kind", sorted(arrays()))
def test_an_array_that_is_no_pose_is_refused(kind, tmp_path):
    path = tmp_path / "pose.npy"
    path.write_bytes(arrays()[kind])
    with pytest.raises(TransformError, match=r"pose\.npy"):
        read_npy(path)


def test_a_series_of_matrices_is_read_and_nothing_of_another_shape(tmp_path):
    path = tmp_path / "poses.npy"
    np.save(path, np.arange(48, dtype="<i4").reshape(3, 4, 4))
    assert read_npy(path, series=True).tolist() == np.arange(48).reshape(3, 4, 4).tolist()
    with pytest.raises(TransformError, match=r"a transform is 4×4 real numbers, this array has shape \(3, 4, 4\)"):
        read_npy(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TransformError, match=r"poses\.npy: cannot be read .*cut short: 191 of 192 bytes"):
        read_npy(path, series=True)
    np.save(path, np.eye(4))
    with pytest.raises(TransformError, match=r"a series of transforms is \[T, 4, 4\] real numbers"):
        read_npy(path, series=True)


@pytest.mark.parametrize("kind", ["<f4", ">f8", "i2", "u1"])
def test_numbers_of_other_types_are_a_matrix(kind, tmp_path):
    np.save(tmp_path / "pose.npy", np.asfortranarray(np.arange(16).reshape(4, 4).astype(kind)))
    read = read_npy(tmp_path / "pose.npy")
    assert read.dtype == np.float64 and read.tolist() == np.arange(16).reshape(4, 4).tolist()


def test_a_failed_write_leaves_nothing_and_keeps_what_stood(tmp_path):
    path = tmp_path / "pose.json"
    write_json(path, {"good": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"bad": float("nan")})
    assert read_json(path) == {"good": 1}
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OutputError, match="cannot be written"):
        write_json(tmp_path / "no" / "folder.json", {})
