"""The evaluation measures known errors, counts flips and failures, and reads every form of truth."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from phantoms import make_head
from scipy.spatial.transform import Rotation

from E3PoseLib.cli import main as e3pose
from E3PoseLib.errors import DatasetError
from E3PoseLib.imaging.geometry import write_npy
from E3PoseLib.imaging.volume import read_volume, write_volume
from E3PoseTraining.data.annotations import pose_rotation_from_axes, read_rotations
from E3PoseTraining.evaluation.__main__ import main as evaluate
from E3PoseTraining.evaluation.figures import middle_planes
from E3PoseTraining.evaluation.metrics import bootstrap, pose_errors, share, summarise
from E3PoseTraining.evaluation.poses import (
    MATRIX_COLUMNS,
    centre_of_label,
    pose_from_voxel_pose,
    read_probabilities,
    read_truth,
)

SHARED = Path(__file__).parents[4] / "shared"
OFFICIAL_POSES = SHARED / "reference" / "poses.npz"


def pose(rotation_vector_degrees, centre=(0, 0, 0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(rotation_vector_degrees, degrees=True).as_matrix()
    matrix[:3, 3] = centre
    return matrix


def test_errors_of_known_poses():
    truth = pose([10, 50, -70], (1, 2, 3))
    estimates = [truth @ pose([0, 0, 12.5]), truth @ pose([180, 0, 0]), truth @ pose([0, 180, 0], (3, 4, 0)), None]
    errors = pose_errors(estimates, [truth] * 4)

    assert errors.rotation_degrees[:3] == pytest.approx([12.5, 180, 180], abs=1e-4)
    assert errors.axis_degrees[0] == pytest.approx([12.5, 12.5, 0], abs=1e-4)
    assert errors.centre_mm[:3] == pytest.approx([0, 0, 5])
    assert errors.answered.tolist() == [True, True, True, False]
    assert errors.reversed_axes[:, 0].tolist() == [False, False, True, False]  # only the third is a left–right flip


def test_a_case_without_an_answer_is_a_failure():
    truth = [np.eye(4)] * 4
    errors = pose_errors([pose([4, 0, 0]), pose([6, 0, 0], (0, 0, 20)), None, pose([0, 0, 40])], truth)
    summary = summarise(errors, [(5, None), (10, None), (10, 10)])
    assert summary["within 5° (%)"].value == 25
    assert summary["within 10° (%)"].value == 50
    assert summary["within 10° and 10 mm (%)"].value == 25
    assert summary["without an answer"] == 1
    assert summary["rotation median (°)"].value == pytest.approx(6, abs=1e-4)


def test_a_centre_that_is_not_known_fails_nobody():
    unknown = pose([0, 0, 0], [np.nan] * 3)
    thresholds = [(10, None), (10, 10)]
    nowhere = summarise(pose_errors([np.eye(4)] * 2, [unknown] * 2), thresholds)
    assert nowhere["within 10° (%)"].value == 100 and "within 10° and 10 mm (%)" not in nowhere
    estimates = [np.eye(4), np.eye(4), pose([0, 0, 0], [0, 0, 20]), None]
    some = summarise(pose_errors(estimates, [unknown, np.eye(4), np.eye(4), np.eye(4)]), thresholds)
    assert some["within 10° (%)"].value == 75
    assert some["within 10° and 10 mm (%)"].value == pytest.approx(100 / 3)
    nobody = summarise(pose_errors([None, None], [np.eye(4)] * 2), thresholds)
    assert nobody["within 10° and 10 mm (%)"].value == 0


def test_what_cannot_be_told_has_no_interval_and_all_of_a_few_is_not_certain():
    alone = bootstrap(np.array([3.0, 5.0]), np.mean, ["A", "A"])
    assert alone.value == 4 and math.isnan(alone.low) and str(alone) == "4.0"
    # Clopper and Pearson: all of n, from the n-th root of 0.025 on.
    assert share(np.ones(15, bool)).low == pytest.approx(100 * 0.025 ** (1 / 15))
    assert share(np.ones(15, bool), [f"{i // 2}" for i in range(15)]).low == pytest.approx(100 * 0.025 ** (1 / 8))
    one_wrong = share(np.arange(15) > 0)
    # One of two tails of 2.5 %: 14 or more of 15 right.
    low = one_wrong.low / 100
    assert low**15 + 15 * low**14 * (1 - low) == pytest.approx(0.025)
    assert one_wrong.value == pytest.approx(100 * 14 / 15)
    none = share(np.zeros(10, bool))
    assert (none.value, none.low) == (0, 0) and none.high == pytest.approx(100 * (1 - 0.025 ** (1 / 10)))


def test_bootstrap_interval_has_the_width_that_theory_gives():
    values = np.random.default_rng(0).normal(10, 2, size=400)
    interval = bootstrap(values, np.mean)
    assert interval.value == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 2 / math.sqrt(400), rel=0.15)


def test_clustered_bootstrap_does_not_take_repeats_for_evidence():
    values = np.repeat(np.random.default_rng(0).normal(10, 2, size=16), 25)
    names = [str(i // 25) for i in range(400)]
    single, clustered = bootstrap(values, np.mean), bootstrap(values, np.mean, names)
    assert (clustered.high - clustered.low) / (single.high - single.low) == pytest.approx(5, rel=0.25)


def write_matrices(path: Path, poses: dict[str, np.ndarray], groups: dict[str, str]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame_id", "fetus", *(f"m{i}{j}" for i in range(4) for j in range(4))])
        for frame, matrix in poses.items():
            writer.writerow([frame, groups[frame], *matrix.ravel()])


def test_command_writes_table_cases_summary_and_figures(tmp_path, capsys):
    truths = {f"scan_{i}": pose([10 * i, 0, 0], (i, 0, 0)) for i in range(4)}
    write_matrices(tmp_path / "truth.csv", truths, dict.fromkeys(truths, "A") | {"scan_3": "B"})
    (tmp_path / "poses").mkdir()
    for i, (frame, truth) in enumerate(truths.items()):
        write_npy(tmp_path / "poses" / f"{frame}.npy", truth @ pose([0, 2.0 * i, 0]))

    arguments = ["evaluate", "--poses", str(tmp_path / "poses"), "--truth", str(tmp_path / "truth.csv")]
    assert e3pose([*arguments, "--group-by", "fetus", "--cluster", "fetus", "-o", str(tmp_path / "out")]) == 0

    table = capsys.readouterr().out
    assert "fetus A" in table.splitlines()[0] and "fetus B" in table.splitlines()[0]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["all"]["rotation median (°)"]["value"] == pytest.approx(3, abs=1e-4)
    assert summary["fetus A"]["cases"] == 3 and summary["fetus B"]["rotation mean (°)"]["value"] == pytest.approx(6)
    with (tmp_path / "out" / "cases.csv").open(newline="") as file:
        cases = list(csv.DictReader(file))
    assert [case["frame_id"] for case in cases] == ["scan_3", "scan_2", "scan_1", "scan_0"]
    assert (tmp_path / "out" / "cumulative_error.png").read_bytes().startswith(b"\x89PNG")


def test_euler_truth_of_left_and_right_handed_scans(data, tmp_path, capsys):
    heads = data / "train"
    for frame, axes in read_rotations(heads / "annotations.csv").items():
        label = read_volume(heads / "labels" / f"{frame}.nii.gz")
        matrix = np.eye(4)
        matrix[:3, :3] = pose_rotation_from_axes(axes, label.voxel_to_ras)
        matrix[:3, 3] = centre_of_label(label)
        write_npy(tmp_path / f"{frame}.npy", matrix @ pose([0, 0, 7]))
    arguments = ["--poses", str(tmp_path), "--truth", str(heads / "annotations.csv"), "-o", str(tmp_path / "out")]
    folders = ["--images", str(heads / "images"), "--labels", str(heads / "labels")]
    assert evaluate([*arguments, *folders]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())["all"]
    assert summary["cases"] == 8
    assert summary["rotation median (°)"]["value"] == pytest.approx(7, abs=1e-3)
    assert summary["centre mean (mm)"]["value"] == pytest.approx(0, abs=1e-6)
    assert (tmp_path / "out" / "worst_cases.png").is_file()
    assert evaluate([*arguments, "--overwrite"]) == 2  # Euler angles without the scans mean nothing
    assert "Give the scans with --images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.diag([-1.0, 1, 1, 1]), "reflection"),
        (np.diag([2.0, 1, 1, 1]), "orthonormal"),
        (np.full((4, 4), np.nan), "finite"),
        (np.eye(3), "4×4"),
    ],
)
def test_estimate_that_is_no_pose_is_refused_by_name(tmp_path, capsys, matrix, message):
    write_matrices(tmp_path / "truth.csv", {"scan": np.eye(4)}, {"scan": "A"})
    np.save(tmp_path / "scan.npy", matrix)
    assert evaluate(["--poses", str(tmp_path), "--truth", str(tmp_path / "truth.csv")]) == 2
    error = capsys.readouterr().err
    assert "scan.npy" in error and message in error


def test_folder_without_any_pose_is_refused(tmp_path, capsys):
    write_matrices(tmp_path / "truth.csv", {"scan": np.eye(4)}, {"scan": "A"})
    assert evaluate(["--poses", str(tmp_path), "--truth", str(tmp_path / "truth.csv")]) == 2
    assert "holds no pose" in capsys.readouterr().err


@pytest.mark.skipif(not OFFICIAL_POSES.is_file(), reason="the official program's poses are not beside the repository")
def test_official_voxel_poses_become_its_scanner_poses():
    poses = np.load(OFFICIAL_POSES)
    for frame in ("ep2d_10", "ep2d_23", "ep2d_32"):
        scan = read_volume(SHARED / "data" / "epi" / f"{frame}.nii.gz")
        assert not scan.is_left_handed
        found = pose_from_voxel_pose(poses[f"voxel_canonical_to_input/{frame}"], scan.voxel_to_ras)
        assert np.allclose(found, poses[f"scanner_canonical_to_input/{frame}"], atol=1e-2)


def test_planes_show_the_face_up_and_left():
    cube = np.zeros((9, 9, 9))
    cube[4, 8, 4] = 1  # anterior
    axial, _, sagittal = middle_planes(cube)
    assert axial[0, 4] == 1 and sagittal[4, 0] == 1


def test_missing_column_is_named(tmp_path):
    (tmp_path / "truth.csv").write_text("frame_id,rot_x\na,1\n")
    with pytest.raises(DatasetError, match="rot_y"):
        read_truth(tmp_path / "truth.csv")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (",".join(["frame_id", *MATRIX_COLUMNS]), "lists no case"),
        (",".join(["frame_id", *MATRIX_COLUMNS[:-3]]), "has no column m31, m32, m33"),
        (";".join(["frame_id", *MATRIX_COLUMNS]), "not semicolons"),
        ("frame_id", "has no column rot_x, rot_y, rot_z"),
    ],
)
def test_what_a_table_lacks_is_named(tmp_path, capsys, header, message):
    (tmp_path / "truth.csv").write_text(header + "\n")
    assert evaluate(["--poses", str(tmp_path), "--truth", str(tmp_path / "truth.csv")]) == 2
    assert message in capsys.readouterr().err


def test_files_that_stand_are_not_replaced_unasked(tmp_path, capsys):
    write_npy(tmp_path / "a.npy", np.eye(4))
    write_matrices(tmp_path / "truth.csv", {"a": np.eye(4)}, {"a": "A"})
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text("mine")
    arguments = ["--poses", str(tmp_path), "--truth", str(tmp_path / "truth.csv"), "-o", str(out)]
    assert evaluate(arguments) == 2
    assert "summary.json: stands already" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["summary.json"] and (out / "summary.json").read_text() == "mine"
    assert evaluate([*arguments, "--overwrite"]) == 0
    assert json.loads((out / "summary.json").read_text())["all"]


def test_a_row_that_ends_before_a_column_is_named(tmp_path, capsys):
    truths = {"a": pose([0, 0, 0]), "b": pose([5, 0, 0])}
    write_matrices(tmp_path / "truth.csv", truths, {"a": "A", "b": "B"})
    header, first, second = (tmp_path / "truth.csv").read_text().splitlines()
    (tmp_path / "truth.csv").write_text(f"{header},site\n{first},1\n{second}\n")
    for frame, truth in truths.items():
        write_npy(tmp_path / f"{frame}.npy", truth)
    command = ["--poses", str(tmp_path), "--truth", str(tmp_path / "truth.csv"), "-o", str(tmp_path / "out")]
    assert evaluate([*command, "--cluster", "site"]) == 2
    assert "b has no site" in capsys.readouterr().err


def test_clusters_are_told_by_names_of_which_spaces_are_no_part_and_none_is_empty(tmp_path, capsys):
    truths = {f"scan_{i}": pose([10 * i, 0, 0]) for i in range(12)}
    clean = {frame: f"F{i // 3}" for i, frame in enumerate(truths)}
    for i, (frame, truth) in enumerate(truths.items()):
        write_npy(tmp_path / f"{frame}.npy", truth @ pose([0, 2 + i // 3 * 8 + i % 3, 0]))
    spaced = {frame: name + " " * (i % 3) for i, (frame, name) in enumerate(clean.items())}
    errors = []
    for name, fetuses in (("clean", clean), ("spaced", spaced)):
        write_matrices(tmp_path / f"{name}.csv", truths, fetuses)
        command = ["--poses", str(tmp_path), "--truth", str(tmp_path / f"{name}.csv"), "-o", str(tmp_path / name)]
        assert evaluate([*command, "--cluster", "fetus", "--group-by", "fetus"]) == 0
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        assert {group: of_group["cases"] for group, of_group in summary.items() if group != "all"} == {
            f"fetus F{n}": 3 for n in range(4)
        }
        errors.append(summary["all"]["rotation mean (°)"])
    assert errors[0] == errors[1] and errors[0]["value"] == pytest.approx(15)
    # Twelve scans of four fetuses whose means are 8° apart.
    assert errors[0]["high"] - errors[0]["low"] > 14
    for unnamed in ({"scan_3", "scan_7"}, set(truths)):
        write_matrices(tmp_path / "blank.csv", truths, clean | dict.fromkeys(unnamed, " "))
        assert evaluate(["--poses", str(tmp_path), "--truth", str(tmp_path / "blank.csv"), "--cluster", "fetus"]) == 2
        said = capsys.readouterr().err
        assert f"blank.csv: {min(unnamed)} and {len(unnamed) - 1} more have no fetus; give it for every scan" in said


def test_confidence_is_drawn_from_the_probabilities_that_stand_beside_the_poses(tmp_path):
    truths = {f"scan_{i}": pose([10 * i, 0, 0]) for i in range(3)}
    write_matrices(tmp_path / "truth.csv", truths, dict.fromkeys(truths, "A"))
    for frame, truth in truths.items():
        write_npy(tmp_path / f"{frame}.npy", truth)
    arguments = ["--poses", str(tmp_path), "--truth", str(tmp_path / "truth.csv"), "-o", str(tmp_path / "out")]
    assert evaluate(arguments) == 0
    assert not (tmp_path / "out" / "confidence.png").exists()
    (tmp_path / "scan_1.json").write_text('{"confidence": {"probability": 0.25}}')
    (tmp_path / "scan_2.json").write_text('{"of": "another program"}')
    probabilities = read_probabilities(tmp_path, list(truths))
    assert np.isnan(probabilities[[0, 2]]).all() and probabilities[1] == 0.25
    assert evaluate([*arguments, "--overwrite"]) == 0
    assert (tmp_path / "out" / "confidence.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("written_as", [["--direction", "input-to-canonical"], ["--space", "voxel"]])
def test_poses_of_this_program_are_taken_as_what_they_are(small_model_file, tmp_path, written_as):
    write_volume(tmp_path / "head.nii.gz", make_head())
    command = ["estimate", str(tmp_path / "head.nii.gz"), "--model", str(small_model_file), "--device", "cpu"]
    assert e3pose([*command, "-o", str(tmp_path / "plain")]) == 0
    assert e3pose([*command, "-o", str(tmp_path / "other"), *written_as]) == 0
    truth, out = tmp_path / "truth.csv", tmp_path / "out"
    write_matrices(truth, {"head": np.load(tmp_path / "plain" / "head.npy")}, {"head": "A"})
    assert evaluate(["--poses", str(tmp_path / "other"), "--truth", str(truth), "-o", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())["all"]
    assert summary["rotation median (°)"]["value"] < 1e-3 and summary["centre median (mm)"]["value"] < 1e-3
    # Another program has written its pose over this one's, whose JSON is left.
    write_npy(tmp_path / "other" / "head.npy", np.eye(4))
    assert evaluate(["--poses", str(tmp_path / "other"), "--truth", str(truth)]) == 2
