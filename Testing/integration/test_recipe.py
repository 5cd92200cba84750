"""The recipe that makes the bundled model: its flags, its stages, and what it says where something is missing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from E3PoseLib.models.catalog import read_header, resources
from E3PoseLib.models.model import N_PLACES
from E3PoseTraining import train_e3cnn, train_unet
from E3PoseTraining.training.options import parse

MODEL = resources() / "Models" / "default.safetensors"
RECIPE = Path(train_unet.__file__).parent / "recipe"


def test_the_recipe_names_only_flags_that_exist():
    unet = parse(train_unet.build_parser(), ["--config", str(RECIPE / "unet.yaml")])
    eyes = parse(train_unet.build_parser(), ["--config", str(RECIPE / "eyes.yaml")])
    upright = parse(train_unet.build_parser(), ["--config", str(RECIPE / "upright.yaml")])
    e3cnn = parse(train_e3cnn.build_parser(), ["--config", str(RECIPE / "e3cnn.yaml")])
    header = read_header(MODEL)
    assert (unet.unet_feat, unet.n_levels) == (header.segmentation["n_features"], header.segmentation["n_levels"])
    assert (eyes.unet_feat, eyes.n_levels) == (header.eyes["n_features"], header.eyes["n_levels"])
    assert (eyes.crop_size, eyes.around_object) == (header.eyes_edge, True)
    assert (upright.unet_feat, upright.n_levels) == (header.upright["n_features"], header.upright["n_levels"])
    assert (upright.crop_size, upright.upright) == (header.upright_edge, True)
    assert header.upright["n_classes"] == upright.n_output_channels + N_PLACES
    assert (e3cnn.multiplicity, e3cnn.views) == (header.rotation["multiplicity"], header.views)
    assert header.brain_only == header.rotation and header.second_opinion


def dry_run(work: Path, *arguments: str) -> list[str]:
    """The recipe's commands of this package, in order, for those targets and variables."""
    scouts = work / "scouts"
    scouts.mkdir(exist_ok=True)
    fetuses = "".join(f"scan_{letter},{letter}\n" for letter in "ABC")
    (scouts / "landmarks.csv").write_text(f"frame_id,fetus\n{fetuses}")
    variables = [f"EPI={scouts}", "BRAINS=maps", f"WORK={work}"]
    command = ["make", "--dry-run", "--file", str(RECIPE / "default.mk"), *variables, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if " -m E3PoseTraining." in line]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_recipe_builds_every_stage_in_order(tmp_path):
    lines = dry_run(tmp_path, "model", "cross-validation")
    stages = [line.split()[2] for line in lines]
    # Five of every kind, the last for calibration.
    assert stages.count("E3PoseTraining.synthesize") == 13 + 5 + 1
    # The U-Net in three stages, the closer look in two, the upright one in four; two once more for the second opinion.
    assert stages.count("E3PoseTraining.train_unet") == 3 + 2 + 4 + 2
    # The rotation network in three, that of brains alone in two, that of the second opinion, and without each fetus.
    assert stages.count("E3PoseTraining.train_e3cnn") == 3 + 2 + 1 + 3
    assert stages.count("E3PoseTraining.models.join") == 2 + 3
    # What is tuned keeps all other networks of the model that it was.
    kept = ("--unet BASE", "--eyes BASE", "--upright BASE", "--brain_only BASE", "--second_opinion BASE")
    tuned = [line.replace(f"{tmp_path}/default.safetensors", "BASE") for line in lines if "/model_without_" in line]
    assert len(tuned) == 3 and all(part in line for line in tuned for part in kept)
    assert stages.count("E3PoseTraining.models.card") == 1
    assert stages.count("E3PoseTraining.calibrate") == 4  # collected and fitted, twice


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("target", "given", "missing"), [("model", {}, "BRAINS"), ("cross-validation", {"BRAINS": "maps"}, "EPI")]
)
def test_the_recipe_says_what_it_was_not_given(tmp_path, target, given, missing):
    variables = [f"{name}={value}" for name, value in given.items()]
    command = ["make", "--dry-run", "--file", str(RECIPE / "default.mk"), f"WORK={tmp_path}", *variables, target]
    environment = {name: value for name, value in os.environ.items() if name not in ("BRAINS", "EPI")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode != 0
    assert f"{missing} is not given" in done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_tuning_can_begin_with_the_bundled_model(tmp_path):
    lines = dry_run(tmp_path, f"BASE={MODEL}", "tuned")
    trained = [line for line in lines if " -m E3PoseTraining.train_" in line]
    assert [line.split()[2] for line in trained] == ["E3PoseTraining.train_e3cnn"]
    assert f"--init {MODEL}" in trained[0]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_model_is_made_without_clinical_scans(tmp_path):
    """So its accuracy on them needs no folds."""
    assert "No clinical scan" in read_header(MODEL).training_data
    assert not any("scouts" in line or "/epi" in line for line in dry_run(tmp_path, "model"))
