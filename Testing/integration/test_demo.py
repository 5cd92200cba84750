"""``e3pose demo``: one scan in, everything about its pose out, with a picture."""

import json

import numpy as np
import pytest
from matplotlib.image import imread
from phantoms import make_head, make_small_model

from E3PoseLib import PoseEstimator
from E3PoseLib.cli import main
from E3PoseLib.imaging.volume import read_volume, write_volume
from E3PoseLib.running.picture import draw_estimate


def coloured(picture: np.ndarray, red: bool, green: bool, blue: bool) -> np.ndarray:
    """Pixels in which some primary colours are strong and the others are weak, RGBA in [0, 1]."""
    return np.all(
        [(picture[..., n] > 0.7) if on else (picture[..., n] < 0.45) for n, on in enumerate((red, green, blue))], axis=0
    )


def test_the_demo_writes_pose_mask_resliced_scan_and_picture_and_says_where(tmp_path, small_model_file, capsys):
    write_volume(tmp_path / "own.nii.gz", make_head())
    out = tmp_path / "out"
    arguments = ["demo", str(tmp_path / "own.nii.gz"), "-o", str(out), "--model", str(small_model_file)]
    assert main([*arguments, "--device", "cpu"]) == 0
    files = {f"own{suffix}" for suffix in (".json", ".npy", ".tfm", ".png", "_mask.nii.gz", "_resliced.nii.gz")}
    assert {path.name for path in out.iterdir()} == files
    said = capsys.readouterr().out
    assert all(str(out / name) in said for name in files - {"own.npy"}) and "confidence" in said
    assert json.loads((out / "own.json").read_text())["confidence"]["level"] in said
    resliced = read_volume(out / "own_resliced.nii.gz")
    np.testing.assert_allclose(resliced.spacing, 1)


def test_the_picture_shows_the_axes_of_the_pose_and_the_brain(tmp_path):
    scan = make_head()
    draw_estimate(tmp_path / "pose.png", scan, PoseEstimator(make_small_model(), "cpu").estimate(scan))
    picture = imread(tmp_path / "pose.png")
    height, width = picture.shape[:2]
    lower = picture[height // 2 :]
    # Upright, the sagittal slice has anterior to the right and superior up, the others right to the right.
    sagittal, coronal = lower[:, : width // 3], lower[:, width // 3 : 2 * width // 3]
    green = np.argwhere(coloured(sagittal, False, True, False))
    assert np.ptp(green[:, 1]) > 60 and np.ptp(green[:, 0]) < 25
    assert not coloured(sagittal, True, False, False).any()
    red = np.argwhere(coloured(coronal, True, False, False))
    assert np.ptp(red[:, 1]) > 60 and np.ptp(red[:, 0]) < 25
    yellow = coloured(picture, True, True, False)
    assert yellow.sum() > 300


def test_the_demo_refuses_a_missing_scan(tmp_path, small_model_file, capsys):
    arguments = ["demo", str(tmp_path / "none.nii"), "-o", str(tmp_path / "out"), "--model", str(small_model_file)]
    assert main(arguments) == 2
    assert "none.nii" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["own.png", "own.json"])
def test_the_demo_replaces_files_of_another_origin_only_when_told(name, tmp_path, small_model_file, capsys):
    write_volume(tmp_path / "own.nii.gz", make_head())
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("drawn by hand")
    arguments = ["demo", str(tmp_path / "own.nii.gz"), "-o", str(out), "--model", str(small_model_file)]
    assert main([*arguments, "--device", "cpu"]) == 2
    assert str(out / name) in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [(name, "drawn by hand")]
    if name == "own.json":  # a scanner's, perhaps: it is never replaced
        assert main([*arguments, "--device", "cpu", "--overwrite"]) == 2
        assert [(path.name, path.read_text()) for path in out.iterdir()] == [(name, "drawn by hand")]
        return
    # Its own results it replaces unasked.
    for more in (["--overwrite"], []):
        assert main([*arguments, "--device", "cpu", *more]) == 0
        assert (out / name).read_bytes() != b"drawn by hand"
