"""On an NVIDIA GPU the answers are those of the CPU; skipped where there is none."""

import numpy as np
import pytest
import torch
from team_work import pose_and_device
from torch.nn.functional import conv3d

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.errors import DeviceError
from E3PoseLib.imaging.geometry import pose_difference
from E3PoseLib.imaging.masks import dice_overlap
from E3PoseLib.imaging.volume import read_volume
from E3PoseLib.models.catalog import sample_scan
from E3PoseLib.networks.device import exact_float32
from E3PoseLib.networks.equivariant.convolution import SteerableConvolution
from E3PoseLib.networks.equivariant.network import E3CNN
from E3PoseLib.networks.equivariant.ways import DENSE, WINDOWS
from E3PoseLib.networks.replay import MOST_RECORDINGS, Replay
from E3PoseLib.running.team import Team
from E3PoseTraining.methods.official import official_matrix
from E3PoseTraining.training.recording import RecordedField

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU and a torch that uses it")

STAGED = ("ep2d_10", "ep2d_14", "ep2d_23", "ep2d_32")
IRREPS = ("4x0e + 3x0o + 2x1e + 3x1o + 2x2e + 1x2o", "5x0e + 2x0o + 3x1o + 2x1e + 2x2e + 1x2o")


@pytest.fixture(autouse=True)
def rounded_products(monkeypatch):
    """Someone else in the process lets the GPU round, as torch itself does for convolutions."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)


@pytest.mark.parametrize("way", [DENSE, WINDOWS, 4, 8, 16])
def test_every_way_of_a_steerable_convolution(way):
    torch.manual_seed(0)
    layer = SteerableConvolution(*IRREPS)
    features = torch.randn(2, layer.irreps_in.dim, 17, 16, 20)
    with torch.inference_mode():
        expected = conv3d(features, layer.kernel(), padding=2)
        layer.to("cuda")
        with exact_float32():
            found = layer.evaluate(way, layer.prepare(way), features.to("cuda")).cpu()
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_other_programs_settings_are_left_as_they_were():
    with pytest.raises(KeyError), exact_float32():
        assert not torch.backends.cudnn.allow_tf32
        raise KeyError
    assert torch.backends.cudnn.allow_tf32
    assert torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("name", STAGED)
def test_the_official_weights_on_real_scans(name, epi, official_model, reference):
    """As near to the official program as the CPU has to be."""
    scan, stages = read_volume(epi / f"{name}.nii.gz"), np.load(reference / "stages.npz")
    estimator = PoseEstimator(official_model, "cuda", as_official=True)
    found = official_matrix(scan, estimator.estimate(scan))
    expected = np.load(reference / "poses.npz")[f"voxel_canonical_to_input/{name}"]
    assert pose_difference(found, expected)[0] <= 0.5
    assert np.abs(found[:3, 3] - expected[:3, 3]).max() <= 0.1
    crop = torch.from_numpy(stages[f"{name}/crop"])[None, None].to("cuda")
    with torch.inference_mode(), exact_float32():
        axes = estimator.model.rotation_network(crop)[0].cpu().numpy()
    assert np.abs(axes - stages[f"{name}/e3cnn_axes"]).max() < 1e-3 * np.abs(stages[f"{name}/e3cnn_axes"]).max()


@pytest.fixture(scope="module")
def sample():
    """The sample scan, and its pose by the bundled model on the CPU."""
    scan = read_volume(sample_scan())
    return scan, PoseEstimator(load_model("default"), "cpu").estimate(scan)


def test_the_bundled_model(sample):
    scan, expected = sample
    estimator = PoseEstimator(load_model("default"))
    one, (first, second) = estimator.estimate(scan), estimator.estimate_batch([scan, scan])
    for estimate in (one, first, second):
        assert estimate.device == "cuda"
        angle, distance = pose_difference(estimate.canonical_to_ras, expected.canonical_to_ras)
        assert angle < 0.1
        # Sums in another order: a few of the mask's thousands of voxels may fall on the other side of its border.
        assert distance < 0.05
        assert abs(estimate.confidence.probability - expected.confidence.probability) < 0.01


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "auto"])
def test_lower_precision_of_the_segmentation(precision, sample):
    scan, expected = sample
    estimator = PoseEstimator(load_model("default"), "cuda", precision=precision)
    estimate = estimator.estimate(scan)
    assert estimator.precision in (precision, "float32", "float16")
    assert dice_overlap(estimate.mask, expected.mask) > 0.99
    angle, distance = pose_difference(estimate.canonical_to_ras, expected.canonical_to_ras)
    assert angle < 1
    assert distance < 0.5


def test_a_full_card_is_named(sample):
    estimator = PoseEstimator(load_model("default"), "cuda")
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        with pytest.raises(DeviceError, match="cuda ran out of memory"):
            estimator.estimate(sample[0])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert estimator.estimate(sample[0]).confidence.level == sample[1].confidence.level


class TestReplay:
    """Networks recorded as CUDA graphs."""

    @staticmethod
    def network(batch: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.max_pool3d(batch, 2).cumsum(2) * 3

    def test_each_call_answers_its_own_batch(self):
        replay, calls = Replay(), []

        def network(batch):
            calls.append(batch.shape)
            return self.network(batch)

        batches = [torch.rand(2, 1, edge, 6, 8, device="cuda") for edge in (4, 6, 4, 6, 4, 6)]
        with torch.inference_mode():
            results = [replay(network, batch) for batch in batches]
            for batch, result in zip(batches, results, strict=True):
                assert torch.equal(result, self.network(batch))
        assert len(calls) == 4  # of each shape one plain call and the recording of one

    def test_what_cannot_be_recorded_is_called(self):
        replay, stream = Replay(), torch.cuda.current_stream()

        def network(batch):
            return self.network(batch.cpu()).to("cuda")

        batches = torch.rand(4, 1, 1, 4, 4, 4, device="cuda")
        with torch.inference_mode():
            for batch in batches:
                assert torch.equal(replay(network, batch), self.network(batch))
        assert torch.cuda.current_stream() == stream

    def test_the_oldest_recording_makes_room(self):
        replay = Replay()
        with torch.inference_mode():
            for edge in 2 * list(range(2, 2 * MOST_RECORDINGS + 4, 2)):
                batch = torch.rand(1, 1, edge, 4, 4, device="cuda")
                for _ in range(3):
                    assert torch.equal(replay(self.network, batch), self.network(batch))


class TestRecordedSteps:
    """A rotation network's training steps recorded as CUDA graphs."""

    @staticmethod
    def train(network, field, batches):
        """Losses of a step for each batch; the weights follow."""
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        losses = []
        for batch in batches:
            optimizer.zero_grad()
            loss = field(batch).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    @staticmethod
    def network():
        torch.manual_seed(0)
        return E3CNN(2, 3, multiplicity=1, n_convolutions=1, smooth_pooling=True).to("cuda")

    def test_they_train_as_plain_ones(self):
        plain, recorded = self.network(), self.network()
        batches = [torch.rand(2, 1, edge, 8, 12, device="cuda") for edge in (8, 12, 8, 12, 8, 8, 12)]
        calls, field = [], recorded.axes_field

        def count(batch):
            calls.append(len(batch))
            return field(batch)

        recorded.axes_field = count
        recording = RecordedField(recorded)
        with exact_float32():
            expected = self.train(plain, plain.axes_field, batches)
            found = self.train(recorded, recording, batches)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        for a, b in zip(recorded.parameters(), plain.parameters(), strict=True):
            assert torch.allclose(a, b, rtol=1e-3, atol=1e-5)
        before = len(calls)
        self.train(recorded, recording, batches)
        assert len(calls) == before + sum(batch.shape != batches[0].shape for batch in batches)

    def test_without_gradients_they_are_plain(self):
        network = self.network()
        field, batch = RecordedField(network), torch.rand(1, 1, 8, 8, 8, device="cuda")
        with torch.no_grad():
            for _ in range(3):
                assert not field(batch).requires_grad


def test_processes_that_share_a_card(sample):
    volume, expected = sample
    with Team({"source": "default"}, "cuda", "float32", 2) as team:
        found = [team.result_of(future) for future in [team.submit(pose_and_device, volume) for _ in range(4)]]
    for pose, device in found:
        degrees, mm = pose_difference(pose, expected.canonical_to_ras)
        assert degrees < 0.1 and mm < 0.1 and device.startswith("cuda:")
