"""The panel's choices: number format, thresholds, and what happens when memory runs out."""

import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from phantoms import make_small_model

from E3PoseLib.errors import DeviceError
from E3PoseLib.imaging.geometry import pose_difference
from E3PoseLib.imaging.volume import read_volume
from E3PoseLib.method.estimator import PoseEstimator
from E3PoseLib.models.catalog import resources
from E3PoseLib.models.loading import load_model
from E3PoseLib.networks.device import memory_errors
from E3PoseLib.running import session as session_module
from E3PoseLib.running.session import Session


def test_half_precision_changes_the_segmentation_by_rounding_alone(small_model_file, head):
    session = Session()
    model = {"model": str(small_model_file)}
    single = session.estimate(head, model, "cpu")
    half = session.estimate(head, model, "cpu", precision="bfloat16")
    assert 0 < np.mean(half.mask != single.mask) < 0.001
    degrees, mm = pose_difference(half.canonical_to_ras, single.canonical_to_ras)
    assert degrees < 0.1 and mm < 0.1
    # The model itself is left as it was.
    again = session.estimate(head, model, "cpu")
    assert np.array_equal(again.canonical_to_ras, single.canonical_to_ras)


def test_a_series_is_followed_until_another_one_begins():
    session, model = Session(), {"model": str(resources() / "Models" / "default.safetensors")}
    scan = read_volume(resources() / "SampleData" / "SyntheticFetalEPI.nii.gz")

    def searched(series, volume=scan, **choices):
        return session.track(volume, model, series, "cpu", **choices).was_searched

    assert searched(("one", 0.0)) and not searched(("one", 2.0))
    # An estimate in between is another matter.
    session.estimate(scan, model, "cpu")
    assert not searched(("one", 4.0))
    assert searched(("other", 0.0)) and searched(("one", 6.0))
    assert searched(("one", 8.0), thresholds=[0.0, 0.2])
    empty = replace(scan, array=np.zeros_like(scan.array))
    failed = session.track(empty, model, ("one", 10.0), "cpu", thresholds=[0.0, 0.2])
    assert failed.marks == ("failed",) and "same value" in str(failed.error)


def test_thresholds_replace_those_of_the_model_for_one_estimate(small_model_file, head):
    session = Session()
    model = {"model": str(small_model_file)}
    usual = session.estimate(head, model, "cpu")
    strict = session.estimate(head, model, "cpu", thresholds=[0.5, 0.9999])
    assert strict.mask.sum() < usual.mask.sum()
    settings = {"model": load_model(small_model_file).identity, "device": "cpu", "thresholds": [0.5, 0.9999]}
    assert session.summary(strict, device="cpu", thresholds=np.array([0.5, 0.9999]))["settings"] == settings
    again = session.estimate(head, model, "cpu", thresholds=None)
    assert again.mask.sum() == usual.mask.sum()
    assert "thresholds" not in session.summary(again, device="cpu", thresholds=None)["settings"]


def test_a_summary_tells_whose_coordinates_those_of_the_file_are(small_model_file, head, tmp_path):
    session, model = Session(), {"model": str(small_model_file)}
    estimate = session.estimate(head, model, "cpu")
    assert session.summary(estimate)["coordinates"] is None
    for code, told in ((1, None), (4, "by its sform code 4 its coordinates are those of the MNI's atlas")):
        image = nib.Nifti1Image(head.array, head.voxel_to_ras)
        image.set_sform(head.voxel_to_ras, code)
        image.to_filename(tmp_path / "scan.nii")
        assert session.summary(estimate, str(tmp_path / "scan.nii"))["coordinates"] == told


def test_a_full_graphics_card_hands_over_to_the_processor(small_model_file, head, monkeypatch):
    """No card is needed: the one here is full from the start, by the error that torch raises for it."""

    class FullCard:
        def __init__(self, model, device, precision):
            self.model, self.device = model, torch.device(device)

        def estimate(self, volume, progress=None, **others):
            with memory_errors(self.device):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    cuda = torch.device("cuda")
    monkeypatch.setattr(session_module, "pick_device", lambda name: cuda if name in ("auto", "cuda") else None)
    monkeypatch.setattr(
        session_module,
        "PoseEstimator",
        lambda model, device, precision: (FullCard if device == "cuda" else PoseEstimator)(
            model, device, precision=precision
        ),
    )
    model = {"model": str(small_model_file)}
    estimate = Session().estimate(head, model, "auto")
    assert estimate.device == "cpu"
    assert estimate.warnings[-1].startswith("computed on the processor instead: cuda ran out of memory")
    session = Session()
    for seconds in (0.0, 2.0):
        followed = session.track(head, model, ("one", seconds), "auto").estimate
        assert followed.device == "cpu" and followed.warnings[-1] == estimate.warnings[-1]
    with pytest.raises(DeviceError, match="cuda ran out of memory"):
        Session().estimate(head, model, "cuda")


LIMITED = """
import resource, sys
import numpy as np
from E3PoseLib.models.catalog import ModelHeader
from E3PoseLib.networks.equivariant.network import E3CNN
from E3PoseLib.errors import DeviceError
from E3PoseLib.models.model import Model
from E3PoseLib.networks.unet.unet import UNet
from E3PoseLib.running.session import Session
from E3PoseLib.imaging.volume import Volume

sizes = {"n_levels": 1, "n_features": 64}
rotation = {"n_levels": 1, "multiplicity": 1}
header = ModelHeader("wide", sizes, rotation, spacing_mm=3.0, segmentation_edge=160, rotation_edge=12)
Model(UNet(**sizes), E3CNN(**rotation), header).save(sys.argv[1])
session = Session()
session.model({"model": sys.argv[1]})
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, ((used + 600_000) * 1024,) * 2)
volume = Volume(np.random.default_rng(0).random((40, 40, 40)), np.diag([3.0, 3.0, 3.0, 1.0]), "scan")
try:
    session.estimate(volume, {"model": sys.argv[1]}, "cpu")
except DeviceError as error:
    print("RESULT", error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits its memory as Linux does")
def test_a_computer_without_memory_says_so(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "wide.safetensors")], capture_output=True, text=True
    )
    assert "RESULT cpu ran out of memory; close other programs or choose another device" in process.stdout, (
        process.stdout + process.stderr
    )


def test_a_named_model_that_was_replaced_is_loaded_again(tmp_path, monkeypatch):
    monkeypatch.setenv("E3POSE_MODELS", str(tmp_path))
    make_small_model(seed=0).save(tmp_path / "mine.safetensors")
    session = Session()
    first = session.model({"model": "mine"})
    assert session.model({"model": "mine"}) is first
    make_small_model(seed=1).save(tmp_path / "mine.safetensors")
    assert session.model({"model": "mine"}) is not first
