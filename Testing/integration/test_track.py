"""``e3pose track``: a synthetic series in; poses, table, picture and document out."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread

from E3PoseLib.cli import main
from E3PoseLib.imaging.geometry import pose_difference
from E3PoseLib.imaging.resampling import reslice
from E3PoseLib.imaging.series import write_series
from E3PoseLib.imaging.volume import Volume, write_volume
from E3PoseLib.models.catalog import resources
from E3PoseLib.running.tracking.table import COLUMNS
from E3PoseTraining.synthesis.anatomy.drawn_brain import ParametricBrain
from E3PoseTraining.synthesis.kinds.kind import Wanted
from E3PoseTraining.synthesis.kinds.moving import MovingFetus, draw_course

MODEL = resources() / "Models" / "default.safetensors"
SHAPE, N_FRAMES, DARK = (64, 64, 40), 6, 3


@pytest.fixture(scope="module")
def moving():
    """Six frames of a head that jumps and moves, one of which shows nothing; their poses."""
    fetus = MovingFetus(3, 30.0, lambda age, rng: ParametricBrain(), Wanted(SHAPE, 3.0))
    course = draw_course(N_FRAMES, 2.0, np.random.default_rng(5), furthest=(20.0, 12.0))
    made = [fetus.scan(motion, index) for index, motion in enumerate(course.motions)]
    images = [one.image for one in made]
    images[DARK] = np.random.default_rng(0).normal(0, 0.01, SHAPE).astype(np.float32)
    return images, np.array([one.canonical_to_ras for one in made]), made[0].voxel_to_ras


@pytest.fixture
def track(tmp_path, moving):
    """The command, with a series called bold.nii.gz."""
    images, _, voxel_to_ras = moving
    write_series(tmp_path / "bold.nii.gz", images, (*SHAPE, N_FRAMES), voxel_to_ras, 2.0, np.dtype(np.float32))

    def run(*arguments, series=("bold.nii.gz",)):
        fixed = ["-o", str(tmp_path / "out"), "--model", str(MODEL), "--device", "cpu"]
        return main(["track", *(str(tmp_path / one) for one in series), *fixed, *map(str, arguments)])

    return run


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_frame_is_right_or_marked_and_all_is_written(track, tmp_path, moving):
    _, truth, _ = moving
    assert track("--smooth", "--save-aligned", "--save-mask") == 0
    out = tmp_path / "out"
    poses = np.load(out / "bold_poses.npy")
    assert poses.shape == (N_FRAMES, 4, 4) and np.isnan(poses[DARK]).all()
    for index in set(range(N_FRAMES)) - {DARK}:
        degrees, mm = pose_difference(poses[index], truth[index])
        assert degrees < 8 and mm < 4
    document = json.loads((out / "bold_motion.json").read_text(encoding="utf-8"))
    assert [one["frame"] for one in document["marked"]] == [DARK] and document["marked"][0]["marks"] == ["failed"]
    assert document["share_doubtful"] == pytest.approx(1 / N_FRAMES) and document["seconds_between_frames"] == 2
    # Where the head can be followed the whole scan is not searched.
    assert document["searched_frames"][0] == 0 and len(document["searched_frames"]) <= 3
    with (out / "bold_motion.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert list(rows[0]) == list(COLUMNS) and len(rows) == N_FRAMES
    moved = poses[5, :3, 3] - poses[0, :3, 3]
    assert [float(rows[5][f"trans_{axis}"]) for axis in "xyz"] == pytest.approx(moved, abs=1e-5)
    assert rows[DARK]["trans_x"] == "n/a" and rows[DARK]["marks"] == "failed" and rows[DARK]["doubtful"] == "1"
    assert rows[0]["framewise_displacement"] == "n/a" and float(rows[1]["framewise_displacement"]) > 0
    assert imread(out / "bold_motion.png").shape[2] == 4
    smooth = np.load(out / "bold_smooth_poses.npy")
    assert smooth.shape == poses.shape
    masks = nib.load(out / "bold_masks.nii.gz")
    assert masks.shape == (*SHAPE, N_FRAMES)
    volumes = masks.get_fdata().sum(axis=(0, 1, 2)) * 27 / 1000
    assert volumes[DARK] == 0 and (np.delete(volumes, DARK) > 100).all()
    aligned = nib.load(out / "bold_aligned.nii.gz")
    # Of the head's frame, as NIfTI tells frames from the scanner's.
    assert (int(aligned.header["sform_code"]), int(aligned.header["qform_code"])) == (2, 2)
    assert aligned.shape == (60, 60, 60, N_FRAMES) and not aligned.get_fdata()[..., DARK].any()
    for index in (0, 5):
        expected = reslice(Volume(moving[0][index], moving[2]), poses[index], 3.0)
        np.testing.assert_allclose(aligned.get_fdata()[..., index], expected.array, atol=1e-4)
    np.testing.assert_allclose(aligned.affine, expected.voxel_to_ras, atol=1e-4)


def test_what_stands_is_kept_and_a_changed_series_done_anew(track, tmp_path, moving, capsys):
    images, _, voxel_to_ras = moving
    assert track() == 0
    before = contents(tmp_path / "out")
    assert sorted(before) == ["bold_motion.json", "bold_motion.png", "bold_motion.tsv", "bold_poses.npy"]
    assert track() == 0 and contents(tmp_path / "out") == before
    assert "0 series followed, 1 already there" in capsys.readouterr().out
    # Another time between frames is another result.
    assert track("--tr", 1.0) == 1 and "was made with seconds_between_frames 2.0" in capsys.readouterr().err
    write_series(tmp_path / "bold.nii.gz", images[:2], (*SHAPE, 2), voxel_to_ras, 2.0, np.dtype(np.float32))
    assert track() == 0
    assert np.load(tmp_path / "out" / "bold_poses.npy").shape == (2, 4, 4)
    # What was asked for once is made anew with the rest, though it is not asked for again.
    assert track("--save-mask") == 0
    assert track("--smooth") == 0
    assert {"bold_masks.nii.gz", "bold_smooth_poses.npy"} < set(contents(tmp_path / "out"))
    # What somebody has edited is not replaced unasked.
    (tmp_path / "out" / "bold_masks.nii.gz").write_bytes(b"mine")
    assert track("--save-aligned") == 1 and "bold_masks.nii.gz: was edited" in capsys.readouterr().err
    assert (tmp_path / "out" / "bold_masks.nii.gz").read_bytes() == b"mine"
    (tmp_path / "out" / "bold_motion.tsv").write_text("mine", encoding="utf-8")
    assert track() == 1 and "was edited" in capsys.readouterr().err
    assert track("--overwrite") == 0
    assert sorted(contents(tmp_path / "out")) == sorted(before)
    assert (tmp_path / "out" / "bold_motion.tsv").read_text(encoding="utf-8").startswith("trans_x")


def test_a_series_that_fails_stops_no_other(track, tmp_path, moving, capsys):
    images, _, voxel_to_ras = moving
    write_series(tmp_path / "one.nii.gz", images[:1], (*SHAPE, 1), voxel_to_ras, 2.0, np.dtype(np.float32))
    dark = [images[DARK]] * 2
    write_series(tmp_path / "dark.nii.gz", dark, (*SHAPE, 2), voxel_to_ras, 2.0, np.dtype(np.float32))
    write_series(tmp_path / "bold.nii.gz", images[:2], (*SHAPE, 2), voxel_to_ras, 2.0, np.dtype(np.float32))
    assert track(series=("one.nii.gz", "dark.nii.gz", "bold.nii.gz")) == 1
    said = capsys.readouterr()
    assert "one.nii.gz: holds one volume" in said.err and "none of its 2 volumes has a pose" in said.err
    assert "1 series followed, 0 already there, 2 failed" in said.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir())[0] == "bold_motion.json"
    with pytest.raises(SystemExit):
        track("--tr", "0")
    assert "no time in seconds" in capsys.readouterr().err


def test_series_whose_results_would_meet_are_refused_before_anything_is_followed(track, tmp_path, moving, capsys):
    images, _, voxel_to_ras = moving
    for name in ("bold", "BOLD_smooth"):
        write_series(tmp_path / f"{name}.nii.gz", images[:2], (*SHAPE, 2), voxel_to_ras, 2.0, np.dtype(np.float32))
    assert track("--smooth", "--overwrite", series=("bold.nii.gz", "BOLD_smooth.nii.gz")) == 2
    said = capsys.readouterr().err
    assert "BOLD_smooth_poses.npy would be of bold and of BOLD_smooth" in said and "different folders" in said
    assert not (tmp_path / "out").exists()
    assert track(series=("bold.nii.gz", "BOLD_smooth.nii.gz")) == 0


def test_volumes_that_change_places_are_another_series(track, tmp_path, moving, capsys):
    folder = tmp_path / "volumes"
    folder.mkdir()
    for number in range(2):
        write_volume(folder / f"v{number}.nii.gz", Volume(moving[0][number], moving[2]))
    options = {"series": ("volumes",)}
    assert track("--tr", 2.0, **options) == 0
    before = np.load(tmp_path / "out" / "volumes_poses.npy")
    (folder / "notes.txt").write_text("a note", encoding="utf-8")
    capsys.readouterr()
    assert track("--tr", 2.0, **options) == 0 and "1 already there" in capsys.readouterr().out
    (folder / "v0.nii.gz").rename(folder / "v10.nii.gz")
    assert track("--tr", 2.0, **options) == 0
    after = np.load(tmp_path / "out" / "volumes_poses.npy")
    degrees, mm = pose_difference(after[0], before[1])
    assert degrees < 3 and mm < 2 and pose_difference(before[0], before[1]) > (degrees, mm)
