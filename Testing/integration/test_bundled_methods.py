"""The weights of compared methods that come with the project: what they are, and what they answer."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from scipy.spatial.transform import Rotation

from E3PoseLib.cli import main
from E3PoseLib.imaging.geometry import invert_rigid, pose_difference, rigid
from E3PoseLib.imaging.resampling import reslice
from E3PoseLib.imaging.volume import read_volume
from E3PoseLib.models.catalog import resources, sample_scan
from E3PoseTraining.localisation.networks import LOCALISERS
from E3PoseTraining.methods.equitrack import EquiTrack
from E3PoseTraining.methods.method import Means
from E3PoseTraining.methods.registry import METHODS, WEIGHTS, weights_of
from E3PoseTraining.regression.weights import HEADER_KEY

FILES = sorted(WEIGHTS.iterdir())
MEGABYTE = 10**6

MODEL = str(resources() / "Models" / "default.safetensors")
"""By its file: other tests install a small model of that name."""


@pytest.fixture
def true_pose():
    """Of the sample scan."""
    document = json.loads(sample_scan().with_name("SyntheticFetalEPI.json").read_text(encoding="utf-8"))
    return np.array(document["canonical_to_ras"])


def test_they_are_small_and_say_what_they_have_learned_from():
    assert FILES and sum(path.stat().st_size for path in FILES) < 6 * MEGABYTE
    for path in FILES:
        assert path.stat().st_size < MEGABYTE
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()[HEADER_KEY])
            kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        assert path.name == f"{header['method']}.safetensors" and header["method"] in {*METHODS, *LOCALISERS}
        assert "scans" in header["card"]["trained_on"] and "not for clinical use" in header["card"]["use"]
        assert kinds <= {"F16", "I64"}
    assert weights_of("nowhere") is None
    assert {*LOCALISERS} <= {path.stem for path in FILES}


@pytest.mark.parametrize("method", ["equitrack", *(path.stem for path in FILES if path.stem.startswith("e3cnn"))])
def test_a_method_is_used_by_its_name_alone(true_pose, tmp_path, capsys, method):
    command = ["estimate", str(sample_scan()), "-o", str(tmp_path), "--model", MODEL, "--save-mask", "--method"]
    assert main([*command, method]) == 0
    document = json.loads((tmp_path / "SyntheticFetalEPI.json").read_text(encoding="utf-8"))
    degrees, mm = pose_difference(np.array(document["canonical_to_ras"]), true_pose)
    assert degrees < 30 and mm < 5
    # Weights that are named are used in their place.
    assert main([*command, method, "--weights", str(tmp_path / "none.safetensors"), "--overwrite"]) == 2
    assert "none.safetensors: does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("localiser", sorted(LOCALISERS))
def test_a_localiser_is_used_by_its_name_alone(localiser, true_pose, tmp_path, capsys):
    command = ["estimate", str(sample_scan()), "-o", str(tmp_path), "--model", MODEL, "--method", "e3cnn"]
    assert main([*command, "--localiser", localiser]) == 0
    document = json.loads((tmp_path / "SyntheticFetalEPI.json").read_text(encoding="utf-8"))
    degrees, mm = pose_difference(np.array(document["canonical_to_ras"]), true_pose)
    assert degrees < 45 and mm < 10
    assert main([*command, "--localiser", "e3nn", "--overwrite"]) == 2
    assert "no localiser 'e3nn': e3nn-unet and plain-unet" in capsys.readouterr().err


def test_equitrack_tells_how_a_head_has_turned(true_pose):
    """In the sample scan, cut about the head as it lies and turned."""
    scan, about = read_volume(sample_scan()), rigid(np.eye(3), true_pose[:3, 3])
    turn = rigid(Rotation.from_rotvec(np.radians(90) * np.array([2, -1, 2]) / 3).as_matrix(), [6.0, -4.0, 8.0])
    first, second = (reslice(scan, about @ pose, 3.0, 216.0) for pose in (np.eye(4), invert_rigid(turn)))
    means = Means("cpu", {"source": MODEL}, weights=weights_of("equitrack"), method="equitrack")
    tracker = EquiTrack(means)
    by_points, found = tracker.motion(first, second, by_points_alone=True), tracker.motion(first, second)
    (points_off, points_mm), (off, mm) = (pose_difference(one, turn) for one in (by_points, found))
    assert points_off < 10 and points_mm < 5
    assert off < 1.5 and mm < 1.5
