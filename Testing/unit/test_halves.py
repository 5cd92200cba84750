"""A head that moved between odd and even slices."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import BY_AXES
from storages import orientations, stored

from E3PoseLib.imaging.geometry import rigid
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.doubt.halves import FURTHEST_DEGREES, between, halfway
from E3PoseLib.method.doubt.interleave import every_other_slice, interleave_ratios
from E3PoseLib.method.estimate import PoseEstimate
from E3PoseLib.method.eyes import Eyes
from E3PoseLib.method.trust.confidence import Confidence

WITH_MOTION = replace(BY_AXES, right=replace(BY_AXES.right, weights={"axes": -15.0, "moved": -1.0}))


def blob(shift: float) -> tuple[np.ndarray, np.ndarray]:
    """A patterned ball whose odd slices along the second axis lie `shift` voxels beside the even ones, and its mask."""
    i, j, k = np.meshgrid(*[np.arange(40.0)] * 3, indexing="ij")
    i = i + shift * (j % 2)
    radius = np.sqrt((i - 20) ** 2 + (j - 20) ** 2 + (k - 20) ** 2)
    return (100 + 20 * np.sin(0.5 * i) * np.cos(0.4 * k)) / (1 + np.exp(radius - 12)), radius < 12


def test_odd_slices_beside_even_ones_are_noticed_and_noise_is_not():
    assert max(interleave_ratios(*blob(0))) < 0.7
    assert interleave_ratios(*blob(4))[1] == max(interleave_ratios(*blob(4))) > 1.2
    for order in ((1, 0, 2), (0, 2, 1)):
        turned = tuple(np.ascontiguousarray(part.transpose(order)[::-1]) for part in blob(4))
        assert interleave_ratios(*turned) == pytest.approx([interleave_ratios(*blob(4))[axis] for axis in order])
    noise = np.random.default_rng(0).normal(size=(40, 40, 40))
    assert all(0.9 < ratio < 1.03 for ratio in interleave_ratios(noise, blob(0)[1]))
    assert interleave_ratios(np.ones((9, 9, 9)), np.ones((9, 9, 9), bool)) == (0, 0, 0)
    assert interleave_ratios(noise, np.zeros((40, 40, 40), bool)) == (0, 0, 0)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("n", [3, 4, 5, 8])
def test_every_other_slice_is_kept_and_the_others_are_between_them(axis, n):
    # What rises evenly along the slices is filled in as it was, but at its ends.
    slices = np.arange(n, dtype=np.float32)[:, None, None] + np.zeros((1, 6, 7), np.float32)
    array = np.moveaxis(slices, 0, axis)
    for first in (0, 1):
        filled = np.moveaxis(every_other_slice(array, axis, first), axis, 0)[:, 0, 0]
        expected = np.arange(n, dtype=np.float32)
        if first:
            expected[0] = 1
        if (n - first) % 2 == 0:
            expected[-1] = n - 2
        np.testing.assert_array_equal(filled, expected)
    np.testing.assert_array_equal(array, np.moveaxis(slices, 0, axis))


def turned(degrees: float, origin: tuple[float, float, float]) -> np.ndarray:
    """A pose turned about z."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return rigid(np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]), origin)


def test_halfway_is_in_the_middle_of_both_rotations_and_places():
    pose = halfway(turned(10, (1, 2, 3)), turned(34, (1, 8, 11)))
    np.testing.assert_allclose(pose, turned(22, (1, 5, 7)), atol=1e-9)


def estimate(pose: np.ndarray, concentration: float, shape: tuple[int, ...], mask: int = 1, **changes) -> PoseEstimate:
    confidence = Confidence((concentration,) * 3, 0.0, 200.0, False, calibration=WITH_MOTION, **changes)
    return PoseEstimate(pose, np.full(shape, mask, np.uint8), confidence, (), {}, "cpu", "float32")


def test_the_estimate_between_has_the_doubt_of_the_less_certain_half_and_the_mask_of_each():
    orientation = list(orientations())[17]
    scan = stored(Volume(np.ones((8, 9, 10), np.float32), np.diag([3.0, 3, 3, 1])), orientation)
    shape = scan.closest_canonical().shape
    even = estimate(turned(0, (0, 0, 0)), 0.95, shape, mask=1)
    odd = estimate(turned(12, (0, 6, 0)), 0.75, shape, mask=0)
    even = replace(even, eyes=Eyes(np.zeros(3), np.ones(3), 0.9))
    whole = estimate(np.eye(4), 0.9, scan.shape, interleave_ratio=1.2)
    assert whole.confidence.level == "low"
    found = between(scan, 1, even, odd, whole)
    np.testing.assert_allclose(found.canonical_to_ras, turned(6, (0, 3, 0)), atol=1e-9)
    assert found.eyes is None and found.confidence.level == "moderate"
    assert min(found.confidence.axis_concentration) == 0.75
    assert found.confidence.interleave_ratio == 1.2
    assert any("12° and 6 mm apart" in sentence for sentence in found.warnings)
    mask = replace(scan, array=found.mask).closest_canonical().array
    assert found.mask.shape == scan.shape and mask[:, ::2].all() and not mask[:, 1::2].any()
    odd = replace(odd, eyes=Eyes(np.full(3, 2.0), np.full(3, 3.0), 0.6))
    eyes = between(scan, 1, even, odd, whole).eyes
    np.testing.assert_array_equal([eyes.left, eyes.right], [[1, 1, 1], [2, 2, 2]])
    assert eyes.probability == 0.6


def test_there_is_nothing_between_doubtful_halves():
    scan = Volume(np.ones((8, 9, 10), np.float32), np.diag([3.0, 3, 3, 1]))
    whole = estimate(np.eye(4), 0.8, scan.shape, interleave_ratio=1.2)
    even = estimate(np.eye(4), 0.9, scan.shape)
    # The motion costs the whole as much as 0.3 of concentration: 10 · (1.2 − 0.75) of 1, beside 15.
    assert between(scan, 0, even, estimate(np.eye(4), 0.51, scan.shape), whole) is not None
    assert between(scan, 0, even, estimate(np.eye(4), 0.49, scan.shape), whole) is None


def test_of_clear_halves_far_apart_the_surer_one_stands_with_half_its_probability():
    scan = Volume(np.ones((8, 9, 10), np.float32), np.diag([3.0, 3, 3, 1]))
    whole = estimate(np.eye(4), 0.8, scan.shape, interleave_ratio=1.2)
    near, far = (turned(FURTHEST_DEGREES + more, (0, 0, 0)) for more in (-1, 1))
    even, clear, doubtful = estimate(np.eye(4), 0.9, scan.shape), 0.88, 0.7
    assert between(scan, 0, even, estimate(near, clear, scan.shape), whole).confidence.probability > 0.9
    assert between(scan, 0, even, estimate(far, doubtful, scan.shape), whole) is None
    for halves in ((even, estimate(far, clear, scan.shape)), (estimate(far, clear, scan.shape), even)):
        one = between(scan, 0, *halves, whole)
        assert np.array_equal(one.canonical_to_ras, even.canonical_to_ras)
        assert 0.4 < one.confidence.probability <= 0.5 and one.confidence.level == "low"
        # Another reading of the scan would not tell where the head is now.
        seen = one.with_evidence(eyes_disagreement_degrees=3.0).confidence
        assert not seen.may_be_elsewhere and not seen.may_be_wrong
        (sentence,) = (one for one in one.warnings if "31° and 0 mm apart" in one)
        assert sentence.endswith("the pose is that of one half")
