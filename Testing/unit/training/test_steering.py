"""What steering gains: a stack through a head that moves, by numbers that can be told without a model; and with it."""

import csv
import io

import numpy as np
import pytest
from damaged import arrays
from scipy.spatial.transform import Rotation

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.errors import DatasetError, NoHeadFoundError
from E3PoseLib.imaging.geometry import invert_rigid, read_json, rigid, transform_points
from E3PoseLib.imaging.volume import Volume, read_volume
from E3PoseLib.models.catalog import resources
from E3PoseTraining import simulate_steering
from E3PoseTraining.steering.acquisition import Protocol, acquire, interleaved, slice_offsets
from E3PoseTraining.steering.experiment import recorded_motion, run_trial
from E3PoseTraining.steering.heads import ScannedHead

BALL = np.argwhere(np.linalg.norm(np.indices((31, 31, 31)) - 15, axis=0) <= 15) * 2.0 - 30.0
"""Points of a brain of 30 mm radius, 2 mm apart."""

MODEL = resources() / "Models" / "default.safetensors"


def saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def turned(degrees, axis="x", shift=(0.0, 0.0, 0.0)) -> np.ndarray:
    return rigid(Rotation.from_euler(axis, degrees, degrees=True).as_matrix(), shift)


def test_slices_cover_a_head_at_rest_once_and_are_not_oblique():
    protocol = Protocol()
    offsets = slice_offsets(BALL, protocol)
    # 60 mm of brain and 6 mm on both sides.
    assert len(offsets) == 24 and np.diff(offsets) == pytest.approx(3.0) and offsets.sum() == pytest.approx(0)
    pose = np.repeat(turned(40, "z", (5, 6, 7))[None], 24, axis=0)
    outcome = acquire(BALL, offsets, pose, pose, protocol)
    assert outcome.gap == 0 and outcome.mean_obliqueness == pytest.approx(0, abs=1e-5)
    # No two slices show one place, but where a point lies between both.
    assert outcome.counts.max() <= 2 and np.median(outcome.counts) == 1


def test_a_turn_away_from_the_plane_is_the_obliqueness_and_one_within_it_is_none():
    offsets = np.zeros(3)
    placed = np.repeat(np.eye(4)[None], 3, axis=0)
    heads = np.array([turned(12), turned(30, "z"), turned(-20, "y")])
    outcome = acquire(BALL, offsets, placed, heads, Protocol())
    np.testing.assert_allclose(outcome.obliqueness, [12, 0, 20], atol=1e-6)


def test_what_moves_away_between_two_passes_is_missed_or_seen_twice():
    protocol = Protocol(thickness=4.0, margin=0.0)
    offsets = slice_offsets(BALL, protocol)
    offsets = offsets[interleaved(len(offsets), 2)]
    placed = np.repeat(np.eye(4)[None], len(offsets), axis=0)
    heads = placed.copy()
    first_pass = (len(offsets) + 1) // 2
    # By a slice: the second pass sees what the first has seen.
    heads[first_pass:, 2, 3] = 4.0
    outcome = acquire(BALL, offsets, placed, heads, protocol)
    # Of planes 2 mm apart a slice of 4 mm sees three, those on its faces too; so one in four is missed.
    assert outcome.gap == pytest.approx(0.25, abs=0.02) and outcome.mean_obliqueness == pytest.approx(0, abs=1e-5)
    # Placed by where the head is, nothing is missed.
    assert acquire(BALL, offsets, heads, heads, protocol).gap == 0


def test_a_slice_ends_with_its_field_of_view():
    protocol = Protocol(thickness=80.0, field_of_view=30.0)
    outcome = acquire(BALL, np.zeros(1), np.eye(4)[None], np.eye(4)[None], protocol)
    np.testing.assert_array_equal(outcome.counts, (np.abs(BALL[:, :2]) <= 15).all(axis=1) * (np.abs(BALL[:, 2]) <= 40))


def test_interleaved_order_takes_every_slice_once():
    assert interleaved(10, 4).tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 3, 7]
    assert sorted(interleaved(23, 4)) == list(range(23))


def test_a_recorded_course_begins_at_rest_and_goes_evenly_from_pose_to_pose():
    start = turned(70, "y", (10, 20, 30))
    poses = np.array([start, np.full((4, 4), np.nan), start @ turned(20, "x", (4, 0, 0))])
    motion_at = recorded_motion(poses, 2.0)
    found = motion_at(np.array([0.0, 1.0, 4.0]))
    np.testing.assert_allclose(found[0], np.eye(4), atol=1e-9)
    np.testing.assert_allclose(found[1], turned(5, "x", (1, 0, 0)), atol=1e-9)
    np.testing.assert_allclose(found[2], turned(20, "x", (4, 0, 0)), atol=1e-9)
    with pytest.raises(DatasetError, match="ends after 4 s"):
        motion_at(np.array([4.1]))
    with pytest.raises(DatasetError, match="two or more poses"):
        recorded_motion(poses[:2], 2.0)


MIRRORED, SCALED = np.diag([-1.0, 1, 1, 1]), np.diag([2.0, 2, 2, 1])


@pytest.mark.parametrize(
    ("poses", "seconds", "message"),
    [
        (np.eye(4), 1.0, r"two or more poses, \[T, 4, 4\], got shape \(4, 4\)"),
        (np.float64(1), 1.0, r"two or more poses, \[T, 4, 4\], got shape \(\)"),
        (np.zeros((3, 4, 3)), 1.0, "two or more poses"),
        (np.stack([np.eye(4)] * 3), 0.0, "0 s between the poses"),
        (np.stack([np.eye(4)] * 3), -1.0, "-1 s between the poses"),
        (np.stack([np.eye(4)] * 3), np.nan, "nan s between the poses"),
        (np.stack([np.eye(4), MIRRORED]), 1.0, "pose 1 of the trajectory: .*reflection"),
        (np.stack([np.eye(4), np.full((4, 4), np.nan), SCALED]), 1.0, "pose 2 of the trajectory: .*orthonormal"),
        (np.zeros((4, 4, 4), int), 1.0, "pose 0 of the trajectory: .*last row"),
    ],
)
def test_a_course_that_cannot_be_is_refused_in_words(poses, seconds, message):
    with pytest.raises(DatasetError, match=message):
        recorded_motion(poses, seconds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "-3"], "--seed -3: give a number from 0 up"),
        (["--heads", "0"], "--heads 0: give a number from 2 up"),
        (["--heads", "1"], "--heads 1: give a number from 2 up"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_before_anything_is_loaded(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as refused:
        simulate_steering.main(["-o", str(tmp_path / "out"), "--model", "none", *arguments])
    assert refused.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("standing", ["steering.csv", "steering.png", "steering_example.png"])
def test_results_that_stand_are_replaced_only_where_that_is_allowed(standing, tmp_path, monkeypatch, capsys):
    made = []

    def run(estimator, seed, *_):
        made.append(seed)
        raise NoHeadFoundError("none")

    monkeypatch.setattr(simulate_steering, "run_trial", run)
    (tmp_path / standing).write_text("an earlier run's")
    flags = ["-o", str(tmp_path), "--heads", "2", "--model"]
    # There is no such model: nothing was loaded.
    assert simulate_steering.main([*flags, "none"]) == 2
    assert f"{standing}: stands already" in capsys.readouterr().err
    assert (tmp_path / standing).read_text() == "an earlier run's" and not made
    assert simulate_steering.main([*flags, str(MODEL), "--device", "cpu", "--overwrite"]) == 2
    assert "stands already" not in capsys.readouterr().err and made == [0, 1]


@pytest.mark.parametrize("content", [np.array("words"), np.array([["a"]]), None])
def test_a_file_of_no_poses_is_refused_in_words(content, tmp_path, capsys):
    np.save(tmp_path / "poses.npy", content if content is not None else 0)
    if content is None:
        (tmp_path / "poses.npy").write_bytes(b"")
    flags = ["-o", str(tmp_path / "out"), "--model", "none", "--trajectory", str(tmp_path / "poses.npy"), "--tr", "2"]
    assert simulate_steering.main(flags) == 2
    assert "poses.npy: cannot be read" in capsys.readouterr().err


DAMAGED = arrays() | {"broken zip": b"PK\x03\x04broken", "series of complex": saved(np.stack([np.eye(4) * 1j] * 3))}


@pytest.mark.parametrize("kind", sorted(DAMAGED))
@pytest.mark.filterwarnings("error::numpy.exceptions.ComplexWarning")
def test_what_is_no_array_of_poses_is_told_in_words(kind, tmp_path, monkeypatch, capsys):
    (tmp_path / "wrong.npy").write_bytes(DAMAGED[kind])
    flags = ["-o", str(tmp_path / "out"), "--model", "none"]
    assert simulate_steering.main([*flags, "--trajectory", str(tmp_path / "wrong.npy"), "--tr", "2"]) == 2
    assert capsys.readouterr().err.startswith(f"simulate_steering: {tmp_path / 'wrong.npy'}: ")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(simulate_steering, "PoseEstimator", lambda *_: None)
    scan = f"{resources() / 'SampleData' / 'SyntheticFetalEPI'}.nii.gz"
    flags[-1] = str(MODEL)
    assert simulate_steering.main([*flags, "--scan", scan, "--pose", str(tmp_path / "wrong.npy")]) == 2
    assert capsys.readouterr().err.startswith(f"simulate_steering: {tmp_path / 'wrong.npy'}: ")


def test_a_damaged_table_of_doubts_is_told_in_words(tmp_path):
    np.save(tmp_path / "own_poses.npy", np.stack([np.eye(4)] * 3))
    (tmp_path / "own_motion.tsv").write_bytes(b"trans_x\tdoubtful\n\xff\t0\n")
    with pytest.raises(DatasetError, match=r"own_motion\.tsv: cannot be read"):
        simulate_steering._believed(tmp_path / "own_poses.npy")


def test_whole_numbers_are_poses_too(tmp_path):
    np.save(tmp_path / "own_poses.npy", np.stack([np.eye(4, dtype=int)] * 3))
    (tmp_path / "own_motion.tsv").write_text("trans_x\tdoubtful\n0\t0\n0\t1\n0\t0\n", encoding="utf-8")
    assert np.isnan(simulate_steering._believed(tmp_path / "own_poses.npy")).any(axis=(1, 2)).tolist() == [0, 1, 0]


def test_slices_steered_by_the_model_are_less_oblique_than_blind_ones():
    # Five thick slices of a head that turns by 4 degrees a second.
    motion_at = recorded_motion(np.array([turned(8.0 * index) for index in range(12)]), 2.0)
    trial = run_trial(PoseEstimator(load_model(MODEL), "cpu"), 3, Protocol(thickness=26.0), motion_at)
    blind, steered, ideal = (trial.outcomes[way] for way in ("blind", "steered", "ideal"))
    # A second behind, that is four degrees.
    np.testing.assert_allclose(ideal.obliqueness, 4.0, atol=0.01)
    assert abs(steered.mean_obliqueness - 4.0) < 3 and blind.obliqueness[-1] > 25
    assert steered.mean_obliqueness < 0.6 * blind.mean_obliqueness
    assert np.median(trial.errors, axis=0) == pytest.approx([0, 0], abs=6)


def test_the_head_of_a_scan_is_shown_where_it_has_moved():
    spacing = np.array([2.0, 2.0, 3.0])
    array = np.full((60, 60, 40), 10.0, np.float32)
    array[38:44, 28:34, 18:22] = 500.0
    volume = Volume(array, rigid(np.eye(3), (-60, -60, -60)) @ np.diag([*spacing, 1.0]))
    rest, motion = turned(90, "z", (3, -2, 1)), turned(30, "z", (10, 0, 6))
    head = ScannedHead(volume, rest, array > 100, Protocol())
    middle = np.array([40.5, 30.5, 19.5]) * spacing - 60
    np.testing.assert_allclose(head.brain_points().mean(axis=0), (np.linalg.inv(rest) @ [*middle, 1])[:3], atol=0.7)
    for moved in (np.eye(4), motion):
        seen = head.navigator(moved, 0)
        assert seen.spacing == pytest.approx(6.0)
        weights = np.clip(seen.array - 10.0, 0, None)
        place = transform_points(seen.voxel_to_ras, np.argwhere(weights > 0))
        found = np.average(place, axis=0, weights=weights[weights > 0])
        np.testing.assert_allclose(found, (rest @ moved @ np.linalg.inv(rest) @ [*middle, 1])[:3], atol=0.3)


def test_a_pose_of_the_wrong_direction_is_refused():
    sample = resources() / "SampleData" / "SyntheticFetalEPI"
    volume = read_volume(f"{sample}.nii.gz")
    pose = np.array(read_json(sample.with_suffix(".json"))["canonical_to_ras"])
    # A ball of 30 mm about the head's centre stands for its brain.
    centre = transform_points(np.linalg.inv(volume.voxel_to_ras), pose[:3, 3])
    away = (np.indices(volume.shape) - centre[:, None, None, None]) * volume.spacing[:, None, None, None]
    brain = np.linalg.norm(away, axis=0) < 30
    assert np.linalg.norm(ScannedHead(volume, pose, brain, Protocol()).brain_points().mean(axis=0)) < 2
    with pytest.raises(DatasetError, match=r"mm from the brain's; .* is it the inverse\?"):
        ScannedHead(volume, invert_rigid(pose), brain, Protocol())


def test_doubtful_poses_of_a_series_are_no_motion(tmp_path):
    poses = np.array([turned(0), turned(90), turned(10)])
    np.save(tmp_path / "own_poses.npy", poses)
    assert np.array_equal(simulate_steering._believed(tmp_path / "own_poses.npy"), poses)
    (tmp_path / "own_motion.tsv").write_text("trans_x\tdoubtful\n0\t0\n0\t1\n0\t0\n", encoding="utf-8")
    found = simulate_steering._believed(tmp_path / "own_poses.npy")
    assert np.isnan(found[1]).all() and np.array_equal(found[[0, 2]], poses[[0, 2]])
    (tmp_path / "own_motion.tsv").write_text("trans_x\tdoubtful\n0\t0\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="has 1 rows for 3 poses"):
        simulate_steering._believed(tmp_path / "own_poses.npy")


def test_the_head_of_a_scan_is_steered_by(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(simulate_steering, "Protocol", lambda: Protocol(thickness=60.0))
    sample = resources() / "SampleData" / "SyntheticFetalEPI"
    pose = read_json(sample.with_suffix(".json"))["canonical_to_ras"]
    np.save(tmp_path / "pose.npy", np.array(pose))
    np.save(tmp_path / "poses.npy", np.array([turned(6.0 * index) for index in range(12)]))
    fixed = ["-o", str(tmp_path / "out"), "--heads", "2", "--model", str(MODEL), "--device", "cpu", "--tr", "2"]
    fixed += ["--trajectory", str(tmp_path / "poses.npy"), "--pose", str(tmp_path / "pose.npy")]
    assert simulate_steering.main([*fixed, "--scan", f"{sample}.nii.gz"]) == 0
    with (tmp_path / "out" / "steering.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 and all(float(row["error_degrees"]) < 8 and float(row["error_mm"]) < 6 for row in rows)
    np.save(tmp_path / "poses.npy", np.array([turned(0), turned(6)]))
    assert simulate_steering.main([*fixed, "--scan", f"{sample}.nii.gz", "--overwrite"]) == 2
    assert "the trajectory ends after 2 s" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        simulate_steering.main(fixed)


def test_the_command_writes_table_and_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(simulate_steering, "Protocol", lambda: Protocol(thickness=40.0))
    poses = np.array([turned(6.0 * index) for index in range(12)])
    np.save(tmp_path / "poses.npy", poses)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "steering.csv").write_text("an earlier run's, which is replaced")
    fixed = ["-o", str(tmp_path / "out"), "--heads", "2", "--seed", "2", "--model", str(MODEL), "--device", "cpu"]
    fixed += ["--overwrite"]
    assert simulate_steering.main([*fixed, "--trajectory", str(tmp_path / "poses.npy"), "--tr", "2"]) == 0
    with (tmp_path / "out" / "steering.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["seed"] for row in rows] == ["2", "3"]
    assert all(float(row["obliqueness_degrees_steered"]) < float(row["obliqueness_degrees_blind"]) for row in rows)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"steering.csv", "steering.png", "steering_example.png"}
    said = capsys.readouterr().out
    assert "obliqueness  steered less than blind in 2 of 2 heads, Wilcoxon p = 0.5" in said
    (tmp_path / "poses.npy").write_bytes(b"no array")
    assert simulate_steering.main([*fixed, "--trajectory", str(tmp_path / "poses.npy"), "--tr", "2"]) == 2
    assert "poses.npy: cannot be read" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        simulate_steering.main([*fixed, "--trajectory", "poses.npy"])
