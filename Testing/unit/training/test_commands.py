"""Both training commands as the README prints them: they run, resume exactly, and give a model that estimates."""

import csv
import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from apart import begin_apart, call_all_background, end_well, run_apart
from phantoms import make_model_with_upright_eyes

from E3PoseLib.errors import OutputError, WorkerError
from E3PoseLib.imaging.volume import read_volume, write_volume
from E3PoseLib.method.estimator import PoseEstimator
from E3PoseLib.models.loading import load_model
from E3PoseLib.networks.unet.unet import UNet
from E3PoseTraining.augmentation.inputs import SegmentationInput
from E3PoseTraining.augmentation.sample import Sample
from E3PoseTraining.models.average import main as average
from E3PoseTraining.models.beginning import widened
from E3PoseTraining.models.card import main as card
from E3PoseTraining.models.join import main as join
from E3PoseTraining.train_e3cnn import main as train_e3cnn
from E3PoseTraining.train_unet import main as train_unet
from E3PoseTraining.training.checkpoints import AtomicCheckpointIO, MovableCheckpoint
from E3PoseTraining.training.progress import read_curves
from E3PoseTraining.training.run import fit

CARD = Path(__file__).parents[3] / "E3PoseTraining" / "recipe" / "card.yaml"
TINY_UNET = [
    *("--device", "cpu", "--img_res", "6", "--crop_size", "24", "--n_levels", "2", "--unet_feat", "4"),
    *("--n_epochs", "2"),
]
TINY_E3CNN = [
    *("--device", "cpu", "--img_res", "6", "--image_size", "12", "--n_levels", "1", "--multiplicity", "1"),
    *("--lmax", "2", "--kernel_size", "3", "--n_epochs", "2"),
]


def unet_paths(data: Path, output: Path) -> list[str]:
    return [*(str(data / side / kind) for side in ("train", "val") for kind in ("images", "labels")), str(output)]


def e3cnn_paths(data: Path, output: Path) -> list[str]:
    kinds = ("images", "labels", "annotations.csv")
    return [*(str(data / side / kind) for side in ("train", "val") for kind in kinds), str(output)]


def assert_same_weights(first: Path, second: Path) -> None:
    states = [torch.load(path, weights_only=True) for path in (first, second)]
    assert states[0]["global_step"] == states[1]["global_step"] > 0
    for name, tensor in states[0]["state_dict"].items():
        assert torch.equal(tensor, states[1]["state_dict"][name]), name


@pytest.fixture(scope="module")
def unet_run(data, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "unet"
    run_apart("train_unet", [*unet_paths(data, output), *TINY_UNET])
    return output


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU and a torch that uses it")
def test_both_commands_train_on_a_gpu(data, tmp_path):
    run_apart("train_unet", [*unet_paths(data, tmp_path / "unet"), *TINY_UNET, "--device", "cuda"])
    run_apart("train_e3cnn", [*e3cnn_paths(data, tmp_path / "e3cnn"), *TINY_E3CNN, "--device", "cuda"])
    for part, figure in (("unet", "val_dice"), ("e3cnn", "val_rotation_degrees")):
        assert sorted(read_curves(tmp_path / part / "logs" / "csv")[figure]) == [0, 1]


def test_unet_run_leaves_checkpoints_logs_and_pictures(unet_run):
    assert {path.name for path in (unet_run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    for picture in ("learning_curves.png", "predictions.png"):
        assert (unet_run / picture).read_bytes().startswith(b"\x89PNG")
    curves = read_curves(unet_run / "logs" / "csv")
    assert sorted(curves["val_dice"]) == sorted(curves["train_loss_epoch"]) == [0, 1]
    assert list((unet_run / "logs" / "tensorboard").glob("version_0/events*"))
    assert json.loads((unet_run / "options.json").read_text())["crop_size"] == 24


def test_stopped_unet_run_resumes_exactly(data, tmp_path, unet_run):
    stopped = [*TINY_UNET[:-1], "1"]
    paths = unet_paths(data, tmp_path / "run")
    run_apart("train_unet", [*paths, *stopped], [*paths, *TINY_UNET, "--resume"])
    assert_same_weights(unet_run / "checkpoints" / "last.ckpt", tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert sorted(read_curves(tmp_path / "run" / "logs" / "csv")["val_dice"]) == [0, 1]


def test_e3cnn_with_average_and_schedule_resumes_exactly_and_gives_a_model(data, tmp_path, unet_run):
    flags = [*TINY_E3CNN, "--ema", "0.9", "--warmup_epochs", "1", "--batch_size", "4", "--distortion", "0.5"]
    flags += ["--interleaved_motion", "0.5", "--thick_slices", "0.5", "--ghosting", "0.5", "--cropped_fov", "0.5"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_apart("train_e3cnn", [*e3cnn_paths(data, whole), *flags, "--unet", str(unet_run / "unet.ckpt")])
    run_apart("train_e3cnn", [*e3cnn_paths(data, parts), *flags, "--n_epochs", "1"])
    # Readers, who begin before the trainer knows its epoch, change nothing.
    run_apart("train_e3cnn", [*e3cnn_paths(data, parts), *flags, "--resume", "auto", "--num_workers", "1"])
    assert_same_weights(whole / "checkpoints" / "last.ckpt", parts / "checkpoints" / "last.ckpt")

    model = load_model(whole / "model.safetensors")
    assert (model.header.spacing_mm, model.header.segmentation_edge, model.header.rotation_edge) == (6, 24, 12)
    trained = torch.load(whole / "e3cnn.pth", weights_only=True)["net_state_dict"]
    for name, tensor in model.rotation_network.state_dict().items():
        assert torch.equal(tensor, trained[name])
    scan = read_volume(data / "val" / "images" / "head_2_00.nii.gz")
    crop = torch.rand(1, 1, 12, 12, 12)
    assert model.rotation_network(crop).isfinite().all()
    assert PoseEstimator(model, "cpu").prepare(scan).array.shape == (24, 24, 24)

    # The two weight files go straight into the method's inference command, too.
    weights = load_model(unet=unet_run / "unet.ckpt", e3cnn=whole / "e3cnn.pth")
    assert torch.equal(weights.rotation_network(crop), model.rotation_network(crop))

    # The other way round: the U-Net's command joins the rotation network of that model file.
    both = tmp_path / "both"
    assert train_unet([*unet_paths(data, both), *TINY_UNET, "--e3cnn", str(whole / "model.safetensors")]) == 0
    assert load_model(both / "model.safetensors").header.rotation == model.header.rotation


def test_one_csv_with_folds_trains(data, tmp_path):
    folder = data / "train"
    rows = (folder / "annotations.csv").read_text().splitlines()
    folds = ["fold", *["train"] * 3, *["val"] * 2, *["test"] * 3]
    (tmp_path / "one.csv").write_text("\n".join(f"{row},{fold}" for row, fold in zip(rows, folds, strict=True)) + "\n")
    paths = [str(folder / "images"), str(folder / "labels"), str(tmp_path / "one.csv"), str(tmp_path / "run")]
    assert train_e3cnn([*paths, *TINY_E3CNN, "--n_epochs", "1"]) == 0
    steps = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert steps == 3


def step_losses(run: Path) -> list[float]:
    with (run / "logs" / "csv" / "version_0" / "metrics.csv").open(newline="") as file:
        return [float(row["train_loss_step"]) for row in csv.DictReader(file) if row.get("train_loss_step")]


def test_two_processes_train_as_one_does(data, tmp_path):
    flags = [*TINY_E3CNN, "--n_epochs", "3"]
    assert train_e3cnn([*e3cnn_paths(data, tmp_path / "one"), *flags, "--batch_size", "4"]) == 0
    # The second process is started by the first one's command line.
    two = [*e3cnn_paths(data, tmp_path / "two"), *flags, "--batch_size", "2", "--devices", "2"]
    command = [sys.executable, "-m", "E3PoseTraining.train_e3cnn", *two]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = step_losses(tmp_path / "one"), step_losses(tmp_path / "two")
    assert len(one) == len(two) == 6
    assert two == pytest.approx(one, abs=1e-4)
    assert one[0] != pytest.approx(one[5], abs=1e-4)


def test_a_process_that_finds_no_object_does_not_keep_the_other_waiting(data, tmp_path):
    flags = [*TINY_UNET, "--n_epochs", "1", "--devices", "2", "--batchsize", "2", "--class_weights", "0", "1", "0"]
    command, screen = [*unet_paths(data, tmp_path / "run"), *flags], tmp_path / "screen.txt"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = [{"MASTER_PORT": port, "LOCAL_RANK": rank} for rank in "01"]
    both = [begin_apart("train_unet", command, screen=screen, environment=e, before=call_all_background) for e in ranks]
    end_well(both, screen)
    assert sorted(read_curves(tmp_path / "run" / "logs" / "csv")["val_centre_mm"]) == [0]


def move_head_to_the_border(image: Path, label: Path) -> None:
    """The same scan with so much added on one side that its middle no longer holds the head."""
    for path in (image, label):
        volume = read_volume(path)
        array = np.pad(volume.array, ((0, 60), (0, 0), (0, 0)))
        write_volume(path, dataclasses.replace(volume, array=array))


def test_scans_whose_object_is_out_of_view_have_no_overlap(data, tmp_path, capsys):
    shutil.copytree(data, tmp_path / "data")
    scans = [sorted((tmp_path / "data" / "val" / kind).iterdir()) for kind in ("images", "labels")]
    pairs = list(zip(*scans, strict=True))
    flags = [*TINY_UNET, "--n_epochs", "1"]
    move_head_to_the_border(*pairs[1])
    assert train_unet([*unet_paths(tmp_path / "data", tmp_path / "both"), *flags]) == 0
    assert f"left out of val_dice: the object of {pairs[1][0]} lies outside of the cube" in capsys.readouterr().err
    for path in pairs[1]:
        path.unlink()
    # Trained on the same, the network is the same.
    assert train_unet([*unet_paths(tmp_path / "data", tmp_path / "one"), *flags]) == 0
    assert "left out" not in capsys.readouterr().err
    both, one = (read_curves(tmp_path / name / "logs" / "csv")["val_dice"] for name in ("both", "one"))
    assert both == pytest.approx(one, abs=1e-6) and 0 < one[0] < 1
    move_head_to_the_border(*pairs[0])
    assert train_unet([*unet_paths(tmp_path / "data", tmp_path / "none"), *flags]) == 2
    assert "The object of every scan that validates lies outside of the cube" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--num_workers", "4096"], "more than the"),
        (["--device", "cuda"], "no device 'cuda'"),
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--resume"], "There is no checkpoint"),
        (["--kernel_size", "4"], "--kernel_size 4 is even"),
        (["--image_size", "8", "--n_levels", "4"], "cannot be halved 4 times"),
        (["--config", "/no/such/file.yaml"], "/no/such/file.yaml cannot be read"),
        (["--lr", "-1"], "--lr -1.0 makes no sense; give 0 or more"),
        (["--momentum", "nan"], "--momentum nan makes no sense; give 0 to 1"),
        (["--img_res", "0"], "--img_res 0.0 makes no sense; give 0.1 to 50"),
        (["--seed", "-1"], "--seed -1 makes no sense"),
        (["--unet", "/no/such/unet.ckpt"], "/no/such/unet.ckpt: no such file"),
        (["--views", "65"], "No model may have such a network: views 65 is no whole number from 0 to 64"),
        (["--multiplicity", "900"], "No model may have such a network: rotation: multiplicity 900 is out of range"),
    ],
)
def test_impossible_request_is_refused_before_anything_is_written(data, tmp_path, capsys, flags, message):
    if "cuda" in flags and torch.cuda.is_available():
        pytest.skip("this machine has the device that the test wants absent")
    assert train_e3cnn([*e3cnn_paths(data, tmp_path / "run"), *TINY_E3CNN, *flags]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--unet_feat", "100000"], "segmentation: n_features 100000 is no whole number from 1 to 128"),
        (["--crop_size", "512"], "segmentation_edge 512 is out of range, 8 to 256"),
        (["--candidates", "100"], "candidates 100 is no whole number from 1 to 20"),
    ],
)
def test_a_network_that_no_model_may_have_is_not_trained(data, tmp_path, capsys, flags, message):
    assert train_unet([*unet_paths(data, tmp_path / "run"), *TINY_UNET, *flags]) == 2
    assert f"No model may have such a network: {message}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_data_that_cannot_be_read_leaves_no_folder_in_the_way(own_data, data, tmp_path, capsys):
    places = [folder / kind for folder in (own_data, data / "val") for kind in ("images", "labels")]
    paths = [*map(str, places), str(tmp_path / "run")]
    spoilt = sorted((own_data / "images").iterdir())[0]
    whole = spoilt.read_bytes()
    spoilt.write_bytes(whole[:100])
    assert train_unet([*paths, *TINY_UNET, "--n_epochs", "1"]) == 2
    assert spoilt.name.partition(".")[0] in capsys.readouterr().err
    spoilt.write_bytes(whole)
    assert train_unet([*paths, *TINY_UNET, "--n_epochs", "1"]) == 0


def test_a_run_killed_in_its_first_epoch_begins_anew(data, tmp_path, capsys):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "options.json").write_text("{}")
    assert train_unet([*unet_paths(data, run), *TINY_UNET, "--n_epochs", "1"]) == 2
    advice = "Name an empty folder, or add --resume auto to go on with that run"
    assert f"holds another run or other files. {advice}" in capsys.readouterr().err
    assert train_unet([*unet_paths(data, run), *TINY_UNET, "--n_epochs", "1", "--resume"]) == 2
    assert "Give --resume auto to begin anew" in capsys.readouterr().err
    assert train_unet([*unet_paths(data, run), *TINY_UNET, "--n_epochs", "1", "--resume", "auto"]) == 0
    assert json.loads((run / "options.json").read_text())["crop_size"] == 24


def test_a_run_that_diverges_ends_with_an_error_and_no_weights(data, tmp_path, capsys):
    assert train_unet([*unet_paths(data, tmp_path / "run"), *TINY_UNET, "--class_weights", "0", "0", "0"]) == 2
    assert "The training has diverged: after epoch 0" in capsys.readouterr().err
    assert not (tmp_path / "run" / "unet.ckpt").exists()


def test_rotations_that_are_no_numbers_are_not_validated(data, tmp_path, capsys):
    assert train_e3cnn([*e3cnn_paths(data, tmp_path / "run"), *TINY_E3CNN, "--lr", "1e30"]) == 2
    assert "The training has diverged: after epoch 0" in capsys.readouterr().err


def test_folder_with_another_run_is_left_alone(data, tmp_path, capsys, unet_run):
    before = {path: path.read_bytes() for path in unet_run.rglob("*") if path.is_file()}
    assert train_unet([*unet_paths(data, unet_run), *TINY_UNET]) == 2
    assert "holds another run" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in unet_run.rglob("*") if path.is_file()} == before


def test_resuming_with_other_flags_is_refused(data, tmp_path, capsys, unet_run):
    shutil.copytree(unet_run, tmp_path / "run")
    command = [*unet_paths(data, tmp_path / "run"), *TINY_UNET, "--resume"]
    assert train_unet([*command, "--unet_feat", "8", "--lr", "0.1"]) == 2
    assert "--unet_feat 8 instead of 4, --lr 0.1 instead of 0.0001" in capsys.readouterr().err
    options = tmp_path / "run" / "options.json"
    options.write_text(options.read_text().replace('"constant"', '"cosine"'))
    # How far a schedule has come depends on where it ends.
    assert train_unet([*command, "--schedule", "cosine", "--n_epochs", "3"]) == 2
    assert "--n_epochs 3 instead of 2" in capsys.readouterr().err


def test_resuming_with_other_scans_is_refused(data, tmp_path, capsys, unet_run):
    shutil.copytree(unet_run, tmp_path / "run")
    shutil.copytree(data, tmp_path / "data")
    command = [*unet_paths(tmp_path / "data", tmp_path / "run"), *TINY_UNET, "--n_epochs", "3", "--resume"]

    def rename(to: str) -> None:
        for kind in ("images", "labels"):
            scans = sorted((tmp_path / "data" / "val" / kind).iterdir())
            scans[0].rename(scans[0].with_name(f"{to}.nii.gz"))

    rename("another")
    assert train_unet(command) == 2
    assert "was begun with other scans: 2 for validation then, others now. Resume it" in capsys.readouterr().err
    rename("head_2_00")
    for kind in ("images", "labels"):
        (tmp_path / "data" / "train" / kind / "head_1_00.nii.gz").unlink()
    assert train_unet(command) == 2
    assert "was begun with other scans: 8 for training then, 7 now" in capsys.readouterr().err
    # A run that has no note of its scans goes on.
    options = json.loads((tmp_path / "run" / "options.json").read_text())
    assert options.pop("scans")["training"]["count"] == 8
    (tmp_path / "run" / "options.json").write_text(json.dumps(options))
    assert train_unet(command) == 0


def test_resuming_another_network_is_refused(data, tmp_path, capsys, unet_run):
    shutil.copytree(unet_run, tmp_path / "run")
    options = tmp_path / "run" / "options.json"
    options.write_text(options.read_text().replace('"unet_feat": 4', '"unet_feat": 8'))
    assert train_unet([*unet_paths(data, tmp_path / "run"), *TINY_UNET, "--unet_feat", "8", "--resume"]) == 2
    assert "does not fit the network" in capsys.readouterr().err


@pytest.mark.parametrize(("best_score", "is_replaced"), [(0.999, False), (0.0, True)])
def test_a_copied_run_keeps_its_best_checkpoint_until_a_better_one(data, tmp_path, unet_run, best_score, is_replaced):
    run = tmp_path / "copy"
    shutil.copytree(unet_run, run)
    best, last = run / "checkpoints" / "best.ckpt", run / "checkpoints" / "last.ckpt"
    # As if the best one, which now is known by a mark in it, had validated so well.
    marked = torch.load(best, weights_only=True) | {"mark": 7}
    torch.save(marked, best)
    state = torch.load(last, weights_only=True)
    (key,) = (key for key in state["callbacks"] if key.startswith("ModelCheckpoint") and "val_dice" in key)
    noted = state["callbacks"][key]
    noted["best_k_models"] = dict.fromkeys(noted["best_k_models"], torch.tensor(best_score))
    noted["best_model_score"] = noted["kth_value"] = torch.tensor(best_score)
    torch.save(state, last)
    before = (unet_run / "checkpoints" / "best.ckpt").read_bytes()
    assert train_unet([*unet_paths(data, run), *TINY_UNET, "--n_epochs", "3", "--resume"]) == 0
    after = torch.load(best, weights_only=True)
    assert ("mark" in after, after["epoch"]) == ((False, 2) if is_replaced else (True, marked["epoch"]))
    exported = torch.load(run / "unet.ckpt", weights_only=True)["state_dict"]
    for name, tensor in after["state_dict"].items():
        assert torch.equal(exported[name], tensor), name
    assert (unet_run / "checkpoints" / "best.ckpt").read_bytes() == before


def test_of_a_best_checkpoint_that_is_gone_the_score_is_forgotten(tmp_path):
    """Or no other one would be written before it is reached again."""
    callback = MovableCheckpoint(tmp_path, filename="best", monitor="val_dice", mode="max")
    path = str(tmp_path / "best.ckpt")
    noted = {"best_model_score": torch.tensor(0.9), "best_model_path": path, "best_k_models": {path: torch.tensor(0.9)}}
    state = callback.state_dict() | noted | {"kth_best_model_path": path, "kth_value": torch.tensor(0.9)}
    callback.load_state_dict(state)
    assert callback.best_model_score is None and callback.best_k_models == {}
    Path(path).touch()
    callback.load_state_dict(state | {"dirpath": "C:\\elsewhere", "best_model_path": "C:\\elsewhere\\best.ckpt"})
    assert callback.best_model_score == pytest.approx(0.9) and callback.best_model_path == path


@pytest.mark.parametrize("keep", [0, 2000])
def test_resuming_from_a_damaged_checkpoint_is_refused(data, tmp_path, capsys, unet_run, keep):
    shutil.copytree(unet_run, tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:keep])
    assert train_unet([*unet_paths(data, tmp_path / "run"), *TINY_UNET, "--resume"]) == 2
    assert "last.ckpt is damaged" in capsys.readouterr().err
    shutil.copyfile(last.with_name("best.ckpt"), last)
    assert train_unet([*unet_paths(data, tmp_path / "run"), *TINY_UNET, "--resume"]) == 0


def test_partner_of_other_voxels_is_refused_before_training(data, tmp_path, capsys, unet_run):
    flags = [*TINY_E3CNN, "--img_res", "5", "--unet", str(unet_run / "unet.ckpt")]
    assert train_e3cnn([*e3cnn_paths(data, tmp_path / "run"), *flags]) == 2
    assert "trained with --img_res 6.0, not 5.0" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_interrupted_run_ends_whole_and_says_how_to_go_on(data, tmp_path):
    screen, last = tmp_path / "screen.txt", tmp_path / "run" / "checkpoints" / "last.ckpt"
    command = [*unet_paths(data, tmp_path / "run"), *TINY_UNET, "--n_epochs", "100000"]
    running = begin_apart("train_unet", command, screen=screen)
    deadline = time.monotonic() + 200
    while not last.is_file() and running.is_alive() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(running.pid, signal.SIGINT)
    running.join(100)
    errors = screen.read_text()
    assert running.exitcode == 130, errors[-2000:]
    assert "train_unet: interrupted; go on from the last whole epoch with --resume auto" in errors
    assert "Traceback" not in errors
    assert torch.load(last, weights_only=True)["global_step"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux readers are copies of the process that is told here")
def test_a_reader_that_is_killed_ends_the_run_in_words(data, tmp_path, capsys, monkeypatch):
    prepare = SegmentationInput.__call__

    def killed(self, sample):
        if torch.utils.data.get_worker_info():
            os.kill(os.getpid(), signal.SIGKILL)
        return prepare(self, sample)

    monkeypatch.setattr(SegmentationInput, "__call__", killed)
    assert train_unet([*unet_paths(data, tmp_path / "run"), *TINY_UNET, "--num_workers", "1"]) == 2
    errors = capsys.readouterr().err
    assert "train_unet: another process of the run has ended (DataLoader worker (pid" in errors
    assert "most likely for lack of memory" in errors
    assert "--resume auto, and fewer --num_workers" in errors and "Traceback" not in errors


@pytest.mark.parametrize(
    ("said", "is_of_a_process"),
    [
        ("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:27782. This is typically", True),
        ("[enforce fail at pair.cc] Read error [127.0.0.1]:27782: Connection reset by peer", True),
        (
            "NCCL error: ncclRemoteError: A call failed possibly due to a network error or a remote process exiting",
            True,
        ),
        ("Caught RuntimeError in DataLoader worker process 0.", False),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_what_torch_says_of_a_dead_process_is_said_in_words_and_other_faults_stay(said, is_of_a_process):
    def fail(*arguments: object, **flags: object) -> None:
        raise RuntimeError(said)

    with pytest.raises(RuntimeError if not is_of_a_process else WorkerError) as error:
        fit(SimpleNamespace(fit=fail), None, None, None)
    assert ("it was killed" in str(error.value)) == is_of_a_process and said in str(error.value)


def test_class_weights_must_be_as_many_as_classes(data, tmp_path, capsys):
    assert train_unet([*unet_paths(data, tmp_path / "run"), *TINY_UNET, "--class_weights", "1", "2"]) == 2
    assert "2 weights for the 3 classes" in capsys.readouterr().err


def test_config_file_sets_flags_and_the_command_line_wins(data, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text("unet_feat: 2\nn_epochs: 1\nflipping: true\nclass_weights: [1, 4, 4]\n")
    flags = ["--device", "cpu", "--img_res", "6", "--crop_size", "24", "--n_levels", "2", "--config", str(config)]
    assert train_unet([*unet_paths(data, tmp_path / "run"), *flags, "--unet_feat", "3"]) == 0
    options = json.loads((tmp_path / "run" / "options.json").read_text())
    assert (options["unet_feat"], options["n_epochs"], options["flipping"]) == (3, 1, True)
    assert options["class_weights"] == [1, 4, 4]
    config.write_text("unet_feet: 2\n")
    assert train_unet([*unet_paths(data, tmp_path / "other"), *flags]) == 2
    assert "--unet_feet" in capsys.readouterr().err


@pytest.mark.skipif("fork" not in get_all_start_methods(), reason="the process that is killed is a copy of this one")
def test_checkpoint_survives_a_kill_while_it_is_replaced(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 7}, path)

    def cut_short(checkpoint, file):
        file.write(b"half a checkpoint")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", cut_short)
        killed = get_context("fork").Process(target=AtomicCheckpointIO().save_checkpoint, args=({}, path))
        killed.start()
        killed.join(120)
    assert killed.exitcode == -signal.SIGKILL
    assert torch.load(path, weights_only=True) == {"epoch": 7}


def test_full_disk_leaves_the_previous_checkpoint_and_no_part(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 7}, path)

    def no_space(checkpoint, file):
        file.write(b"half a checkpoint")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", no_space)
    with pytest.raises(OutputError, match=r"last\.ckpt: cannot be written"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 8}, path)
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(path, weights_only=True) == {"epoch": 7}


def test_training_begins_with_given_weights_and_the_last_can_be_the_result(data, tmp_path, capsys, unet_run):
    still = [*TINY_UNET, "--lr", "1e-30", "--export", "last"]
    command = [*unet_paths(data, tmp_path / "run"), *still, "--init", str(unet_run / "unet.ckpt")]
    assert train_unet(command) == 0
    before, after = (torch.load(run / "unet.ckpt", weights_only=True) for run in (unet_run, tmp_path / "run"))
    for name, tensor in before["state_dict"].items():
        if name.endswith(("weight", "bias")):
            assert torch.allclose(tensor, after["state_dict"][name], atol=1e-6), name
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    for name, tensor in last["state_dict"].items():
        assert torch.equal(tensor, after["state_dict"][name]), name
    command = [*unet_paths(data, tmp_path / "other"), *still, "--unet_feat", "7", "--init", str(unet_run / "unet.ckpt")]
    assert train_unet(command) == 2
    assert "not the network that the flags describe" in capsys.readouterr().err
    # Features may be multiplied, classes may not.
    classes = ["--n_output_channels", "6", "--class_weights", *"111111", "--init", str(unet_run / "unet.ckpt")]
    assert train_unet([*unet_paths(data, tmp_path / "other"), *still, *classes]) == 2
    assert "not the network that the flags describe" in capsys.readouterr().err


def test_a_wider_unet_begins_with_the_answer_of_a_narrow_one():
    torch.manual_seed(0)
    narrow, wide = UNet(3, 4, input_stride=2).eval(), UNet(3, 12, input_stride=2).eval()
    volume = torch.rand(1, 1, 16, 24, 16)
    wide.load_state_dict(widened(narrow.state_dict(), wide.state_dict()))
    answer, same = narrow(volume), wide(volume)
    assert (same - answer).std() < 0.1 * answer.std()
    copies = wide.list_encoder_blocks[1][0].weight[:2].flatten(1)
    assert not torch.allclose(copies[0], copies[1])  # or they would stay equal, however long the training


def test_model_of_whole_scans_and_several_views_estimates(data, tmp_path):
    unet = [*unet_paths(data, tmp_path / "unet"), *TINY_UNET, "--n_epochs", "1", "--whole_scan", "--input_stride", "2"]
    finding = ["--class_weights", "1", "60", "1", "--candidates", "2", "--seg_thresh", "0.7", "0.2"]
    assert train_unet([*unet, *finding]) == 0
    views = ["--views", "3", "--smooth_pooling", "--mask_error", "1", "--unet", str(tmp_path / "unet" / "unet.ckpt")]
    assert train_e3cnn([*e3cnn_paths(data, tmp_path / "e3cnn"), *TINY_E3CNN, "--n_epochs", "1", *views]) == 0
    model = load_model(tmp_path / "e3cnn" / "model.safetensors")
    assert model.header.views == 3 and model.header.segmentation_edge is None and model.header.clip_fraction == 0.005
    assert model.header.candidates == 2 and model.header.thresholds == (0.7, 0.2, -1.0)
    model.header = dataclasses.replace(model.header, thresholds=(-1.0, -1.0, -1.0))
    with torch.no_grad():  # one epoch finds no brain; what follows the mask is what is tried here
        model.segmentation_network.last_conv.bias[1] += 100
    scan = read_volume(sorted((data / "val" / "images").iterdir())[0])
    estimator = PoseEstimator(model, "cpu")
    estimate = estimator.estimate(scan)
    assert estimate.confidence.view_disagreement_degrees > 0
    both = estimator.estimate_batch([scan, scan])
    for other in both:
        np.testing.assert_allclose(other.canonical_to_ras, estimate.canonical_to_ras, atol=1e-4)


def test_a_network_for_the_eyes_becomes_part_of_the_model(data, tmp_path, capsys, unet_run):
    around = ["--around_object", "--class_weights", "1", "1", "3"]
    eyes = [*unet_paths(data, tmp_path / "eyes"), *TINY_UNET, "--n_epochs", "1", *around]
    for wrong, message in (
        (["--whole_scan"], "--whole_scan is of the network that finds the head"),
        (["--candidates", "3"], "--candidates is of the network that finds the head"),
        (["--seg_thresh", "0.5", "0.5"], "--seg_thresh is of the network that finds the head"),
        (["--seg_thresh", *"0000"], "more thresholds than there are classes"),
        (["--n_output_channels", "2", "--class_weights", "1", "1"], "need three classes"),
    ):
        assert train_unet([*eyes, *wrong]) == 2
        assert message in capsys.readouterr().err
    assert train_unet(eyes) == 0
    trained = tmp_path / "eyes" / "unet.ckpt"
    assert train_e3cnn([*e3cnn_paths(data, tmp_path / "e3cnn"), *TINY_E3CNN, "--n_epochs", "1"]) == 0
    unet, e3cnn = unet_run / "unet.ckpt", tmp_path / "e3cnn" / "e3cnn.pth"
    joined = tmp_path / "joined.safetensors"
    assert join(["--unet", str(trained), "--e3cnn", str(e3cnn), "-o", str(joined)]) == 2
    assert "trained for another part of a model" in capsys.readouterr().err
    assert join(["--unet", str(unet), "--e3cnn", str(e3cnn), "--eyes", str(e3cnn), "-o", str(joined)]) == 2
    assert not joined.exists()
    assert join(["--unet", str(unet), "--e3cnn", str(e3cnn), "--eyes", str(trained), "-o", str(joined)]) == 0
    model = load_model(joined)
    assert model.header.name == "joined"
    edge = json.loads((tmp_path / "eyes" / "options.json").read_text())["crop_size"]
    assert model.header.eyes_edge == edge
    upright = [*e3cnn_paths(data, tmp_path / "upright"), *TINY_UNET, "--n_epochs", "1", "--upright", *around[1:]]
    assert train_unet([*upright, "--around_object"]) == 2
    assert "are of different networks" in capsys.readouterr().err
    # What finds the eyes may begin as what looked for them in any pose.
    assert train_unet([*upright, "--init", str(trained)]) == 0
    upright = tmp_path / "upright" / "unet.ckpt"
    # And it may tell places as well, which what it begins with did not.
    places = [*e3cnn_paths(data, tmp_path / "places"), *TINY_UNET, *around[1:], "--places", "2", "--lr", "1e-30"]
    assert train_unet([*places, "--around_object", "--init", str(upright)]) == 2
    assert "--places are told of heads that are upright" in capsys.readouterr().err
    assert train_unet([*places, "--upright", "--places", "-1"]) == 2
    assert "--places -1 is the weight of a loss" in capsys.readouterr().err
    assert train_unet([*places, "--n_epochs", "1", "--upright", "--init", str(upright)]) == 0
    telling, silent = (torch.load(run, weights_only=True) for run in (tmp_path / "places" / "unet.ckpt", upright))
    assert telling["architecture"] == silent["architecture"] | {"n_classes": 6}
    last = "model.last_conv.weight"
    torch.testing.assert_close(telling["state_dict"][last][:3], silent["state_dict"][last])
    files = ["--unet", str(unet), "--e3cnn", str(e3cnn), "--eyes", str(trained), "--upright", str(upright)]
    assert join([*files, "-o", str(tmp_path / "four.safetensors")]) == 0
    four = load_model(tmp_path / "four.safetensors")
    assert four.header.upright_edge == edge and sorted(four.networks) == ["eyes", "rotation", "segmentation", "upright"]
    assert join([*files, "--brain_only", str(e3cnn), "-o", str(tmp_path / "five.safetensors")]) == 0
    five = load_model(tmp_path / "five.safetensors")
    assert five.header.brain_only == five.header.rotation == four.header.rotation
    for name, tensor in five.rotation_network.state_dict().items():
        assert torch.equal(tensor, five.brain_only_network.state_dict()[name]), name
    assert join([*files, "-o", str(joined)]) == 2
    assert f"{joined}: stands already" in capsys.readouterr().err
    before, again = joined.read_bytes(), ["-o", str(joined), "--overwrite"]
    assert join([*files, "--brain_only", str(trained), *again]) == 2
    assert "unet.ckpt" in capsys.readouterr().err
    # It sees heads at another size.
    other = tmp_path / "other.safetensors"
    five.with_header(object_fraction=0.5).save(other)
    assert join([*files, "--brain_only", str(other), *again]) == 2
    assert f"different object_fraction: {e3cnn} (rotation) 0.6, {other} (brain_only) 0.5" in capsys.readouterr().err
    # A second opinion is a whole model of that design; what it has for brains alone is not asked.
    two = tmp_path / "two.safetensors"
    assert join([*files, "--second_opinion", str(tmp_path / "five.safetensors"), "-o", str(two)]) == 0
    second = load_model(two).second_opinion
    assert second.header.brain_only == {} and sorted(second.networks) == sorted(four.networks)
    for name, tensor in second.upright_network.state_dict().items():
        assert torch.equal(tensor, four.upright_network.state_dict()[name]), name
    # Of a model that has one it is taken, not what the model reads at first.
    assert join([*files, "--second_opinion", str(two), "-o", str(tmp_path / "three.safetensors")]) == 0
    third = load_model(tmp_path / "three.safetensors").second_opinion
    assert third.header.description == second.header.description
    assert join([*files, "--second_opinion", str(other), *again]) == 2
    assert "networks of another design" in capsys.readouterr().err
    assert joined.read_bytes() == before
    assert join([*files, "-o", str(two), "--overwrite"]) == 0
    assert load_model(two).second_opinion is None
    weights = torch.load(trained, weights_only=True)["state_dict"]
    for name, tensor in model.eyes_network.state_dict().items():
        assert torch.equal(tensor, weights[f"model.{name}"]), name
    again = [*unet_paths(data, tmp_path / "again"), *TINY_UNET, "--n_epochs", "1", *around]
    assert train_unet([*again, "--init", str(joined)]) == 0


def test_the_mean_of_models_of_one_design_is_a_model(tmp_path, capsys):
    one, other = (make_model_with_upright_eyes(seed) for seed in (0, 1))
    with torch.no_grad():
        other.upright_network.last_conv.bias += 2
    files = [tmp_path / f"{name}.safetensors" for name in ("one", "other", "mean")]
    one.save(files[0])
    other.header = dataclasses.replace(other.header, name="other", licence="none")
    other.save(files[1])
    assert average([*map(str, files[:2]), "-o", str(files[2])]) == 0
    mean = load_model(files[2])
    assert mean.header == dataclasses.replace(one.header, name="mean")
    for part, network in mean.networks.items():
        states = [model.networks[part].state_dict() for model in (one, other)]
        for key, tensor in network.state_dict().items():
            expected = (states[0][key] + states[1][key]) / 2 if tensor.is_floating_point() else states[0][key]
            torch.testing.assert_close(tensor, expected)
    before = files[2].read_bytes()
    for command in (average, card):
        texts = [str(CARD)] if command is card else []
        replacing = [str(files[0]), *texts, "-o", str(files[2])]
        assert command(replacing) == 2
        assert f"{files[2]}: stands already" in capsys.readouterr().err and files[2].read_bytes() == before
        assert command([*replacing, "--overwrite"]) == 0
        assert load_model(files[2]).header.name == "mean" and files[2].read_bytes() != before
        files[2].write_bytes(before)
    other.header = dataclasses.replace(other.header, clip_fraction=0.01)
    other.save(files[1])
    assert average([*map(str, files[:2]), "-o", str(tmp_path / "none.safetensors")]) == 2
    assert "small and other are not of one design" in capsys.readouterr().err
    assert not (tmp_path / "none.safetensors").exists()


def test_the_cube_around_an_object_is_what_validation_sees(data):
    label = np.zeros((20, 40, 30), np.uint8)
    label[1:5, 30:38, 10:14] = 1
    image = np.arange(label.size, dtype=np.float32).reshape(label.shape) / label.size
    sample = Sample(torch.from_numpy(image)[None], torch.from_numpy(label)[None], None, 3.0)
    seen = SegmentationInput(16, 4, around_object=True)(sample)
    assert seen.shape == (16, 16, 16)
    assert (seen.label == 1).sum() == label.sum()
    middle = (seen.label[0] == 1).nonzero().float().mean(0)
    assert (middle - 7.5).abs().max() <= 0.5
    # What is a cube already has been placed by the augmentation and stays.
    moved = dataclasses.replace(seen, image=seen.image.roll(3, 1), label=seen.label.roll(3, 1))
    torch.testing.assert_close(SegmentationInput(16, 4, around_object=True)(moved).label, moved.label)
