"""What an annotation's angles mean, whichever way the volume is stored."""

import csv
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from E3PoseLib.errors import DatasetError
from E3PoseLib.imaging.volume import read_volume
from E3PoseTraining.data.annotations import (
    angles_to_axes,
    axes_from_pose,
    axes_to_angles,
    pose_rotation_from_axes,
    read_rotations,
    write_rotations,
)
from E3PoseTraining.data.landmarks import pose_from_landmarks
from E3PoseTraining.prepare import main as prepare

EPI = Path(__file__).parents[4] / "shared" / "data" / "epi"
needs_epi = pytest.mark.skipif(not EPI.is_dir(), reason="the clinical EPI scans are not beside the repository")


def some_pose() -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = angles_to_axes([20.0, -50.0, 130.0])
    return pose


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product([1, -1], repeat=3)))
def test_annotation_of_every_voxel_order_names_the_same_pose(order, signs):
    voxel_to_ras = np.eye(4)
    voxel_to_ras[:3, :3] = np.eye(3)[:, order] * signs * [2.0, 3.0, 4.5]
    pose = some_pose()

    axes = axes_from_pose(pose, voxel_to_ras)

    assert np.linalg.det(axes) == pytest.approx(1)
    # Anterior and superior are true vectors in voxel axes, whatever the handedness.
    assert np.allclose(axes[1:] @ (voxel_to_ras[:3, :3] / [2, 3, 4.5]).T, pose[:3, 1:3].T)
    angles = axes_to_angles(axes)
    assert np.allclose(pose_rotation_from_axes(angles_to_axes(angles), voxel_to_ras), pose[:3, :3], atol=1e-9)


def test_written_rotations_are_read_back_exactly(tmp_path):
    axes = {"a": angles_to_axes([1.25, -33.0, 170.0]), "b": np.eye(3)}
    write_rotations(tmp_path / "rotations.csv", axes)
    read = read_rotations(tmp_path / "rotations.csv")
    assert read.keys() == axes.keys()
    assert all(np.allclose(read[frame], axes[frame], atol=1e-12) for frame in axes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame_id,rot_x,rot_y\na,1,2\n", "no column rot_z"),
        ("frame_id,rot_x,rot_y,rot_z\na,1,two,3\n", "rot_y of a is 'two'"),
        ("frame_id,rot_x,rot_y,rot_z\na,1,2\n", "rot_z of a is ''"),
        ("frame_id,rot_x,rot_y,rot_z\na,1,2,nan\n", "rot_z of a is 'nan'"),
        ("frame_id,rot_x,rot_y,rot_z\na,1,2,3\na,1,2,3\n", "line 3: a is listed already in line 2"),
        ("frame_id,rot_x,rot_y,rot_z\n,1,2,3\n", "line 2: frame_id is empty"),
        ("", "header names nothing"),
    ],
)
def test_bad_table_is_refused_by_name(tmp_path, text, message):
    table = tmp_path / "rotations.csv"
    table.write_text(text)
    with pytest.raises(DatasetError, match=message) as error:
        read_rotations(table)
    assert str(table) in str(error.value)


def epi_rows(name: str) -> dict[str, dict[str, str]]:
    with (EPI / name).open(newline="") as file:
        return {row["frame_id"]: row for row in csv.DictReader(file)}


@needs_epi
def test_poses_of_landmarks_are_the_published_ones():
    truth = epi_rows("poses_ras.csv")
    for frame, row in epi_rows("landmarks.csv").items():
        points = [[float(row[f"{p}_{a}"]) for a in "ras"] for p in ("brain", "left_eye", "right_eye")]
        expected = np.array([float(truth[frame][f"m{i}{j}"]) for i in range(4) for j in range(4)]).reshape(4, 4)
        assert np.allclose(pose_from_landmarks(*np.array(points)), expected, atol=1e-3)


@needs_epi
def test_landmark_scans_become_a_data_set(tmp_path):
    source = tmp_path / "epi"
    source.mkdir()
    chosen = ["ep2d_10", "ep2d_14"]  # one of right-handed, one of left-handed voxel axes
    lines = (EPI / "landmarks.csv").read_text().splitlines()
    kept = [lines[0], *[line for line in lines if line.split(",")[0] in chosen]]
    (source / "landmarks.csv").write_text("\n".join(kept) + "\n")
    for frame in chosen:
        (source / f"{frame}.nii.gz").symlink_to(EPI / f"{frame}.nii.gz")

    assert prepare(["epi", str(source), "-o", str(tmp_path / "out")]) == 0

    truth = epi_rows("poses_ras.csv")
    for frame, axes in read_rotations(tmp_path / "out" / "annotations.csv").items():
        label = read_volume(tmp_path / "out" / "labels" / f"{frame}.nii.gz")
        expected = np.array([float(truth[frame][f"m{i}{j}"]) for i in range(4) for j in range(4)]).reshape(4, 4)
        assert np.allclose(pose_rotation_from_axes(axes, label.voxel_to_ras), expected[:3, :3], atol=1e-3)
        centre = label.voxel_to_ras @ [*np.argwhere(label.array == 1).mean(0), 1]
        assert np.linalg.norm(centre[:3] - expected[:3, 3]) < 2
        assert set(np.unique(label.array)) == {0, 1, 2}
    assert prepare(["epi", str(source), "-o", str(tmp_path / "out")]) == 2  # not over what is there
