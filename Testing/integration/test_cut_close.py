"""A scan cut close about the head in which no brain stands out: the bundled model looks at its middle."""

from dataclasses import replace

import numpy as np
import pytest

from E3PoseLib import PoseEstimator, load_model, read_volume
from E3PoseLib.errors import NoHeadFoundError
from E3PoseLib.imaging.geometry import pose_difference, read_json, rigid, transform_points
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.localise import BrainLocaliser
from E3PoseLib.models.catalog import resources, sample_scan

TRUTH = np.array(read_json(sample_scan().with_name("SyntheticFetalEPI.json"))["canonical_to_ras"])


@pytest.fixture(scope="module")
def estimator():
    return PoseEstimator(load_model(resources() / "Models" / "default.safetensors"), "cpu")


@pytest.fixture
def blind(monkeypatch):
    """The segmentation networks see no brain, as it happens where little surrounds it."""
    monkeypatch.setattr(BrainLocaliser, "__call__", lambda self, scans: [[] for _ in scans])


def cut(scan: Volume, centre: np.ndarray, half_mm: float) -> Volume:
    """A cube about a place in RAS."""
    middle, half = transform_points(np.linalg.inv(scan.voxel_to_ras), centre), half_mm / scan.spacing
    start = np.maximum(np.floor(middle - half), 0).astype(int)
    stop = np.minimum(np.ceil(middle + half), scan.shape).astype(int)
    array = scan.array[tuple(map(slice, start, stop))].copy()
    return replace(scan, array=array, voxel_to_ras=scan.voxel_to_ras @ rigid(np.eye(3), start))


@pytest.mark.usefixtures("blind")
def test_the_head_is_found_in_the_middle(estimator):
    scan = read_volume(sample_scan())
    close = cut(scan, TRUTH[:3, 3] + [8.0, -6.0, 5.0], 66.0)
    estimate = estimator.estimate(close)
    degrees, mm = pose_difference(estimate.canonical_to_ras, TRUTH)
    assert degrees < 8 and mm < 5
    assert estimate.confidence.by_middle and estimate.confidence.level != "high"
    assert any("the middle of the scan was looked at" in sentence for sentence in estimate.warnings)
    # Not in a series, whose next scan comes soon; nor where a scan shows more than a head, or something else.
    with pytest.raises(NoHeadFoundError):
        estimator.estimate(close, thorough=False)
    # Of two scans each has its own outcome.
    together, none = estimator.estimate_batch([close, scan])
    np.testing.assert_allclose(together.canonical_to_ras, estimate.canonical_to_ras, atol=1e-4)
    assert isinstance(none, NoHeadFoundError)


@pytest.mark.usefixtures("blind")
def test_beside_the_head_none_is_found(estimator):
    away = TRUTH[:3, 3] - 150 * TRUTH[:3, 2]
    beside = cut(read_volume(sample_scan()), away, 60.0)
    assert min(beside.shape) >= 20
    with pytest.raises(NoHeadFoundError):
        estimator.estimate(beside)
    assert estimator.consider(beside) == []
