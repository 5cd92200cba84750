"""The model that comes with E3Pose."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from storages import orientations, sheared, stored

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.errors import NoHeadFoundError
from E3PoseLib.imaging.geometry import pose_difference, rigid, transform_points
from E3PoseLib.imaging.masks import centre_of_mass
from E3PoseLib.imaging.resampling import reslice
from E3PoseLib.imaging.rotations import euler_to_matrix, random_rotations
from E3PoseLib.imaging.volume import Volume, read_volume
from E3PoseLib.method.doubt.halves import halfway
from E3PoseLib.method.trust.confidence import SUSPICIOUS_RATIO
from E3PoseLib.models.catalog import read_header, resources, sample_scan
from E3PoseTraining.evaluation.poses import read_truth

MODEL = resources() / "Models" / "default.safetensors"
SAMPLE = sample_scan()
TRUTH = np.array(json.loads(SAMPLE.with_name("SyntheticFetalEPI.json").read_text())["canonical_to_ras"])


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator(load_model(MODEL), "cpu")


def test_it_is_small_and_says_what_it_is():
    assert MODEL.stat().st_size < 25e6
    header = read_header(MODEL)
    for text in (header.description, header.training_data, header.licence, header.citation):
        assert len(text) > 40
    assert "not for clinical use" in header.description
    assert "Hoffmann" in header.training_data and "Fidon" in header.training_data


def test_it_finds_the_head_of_the_sample_scan_however_that_is_stored(estimator):
    scan = read_volume(SAMPLE)
    estimate = estimator.estimate(scan)
    degrees, mm = pose_difference(estimate.canonical_to_ras, TRUTH)
    print(f"sample scan: {degrees:.1f}°, {mm:.1f} mm, {estimate.confidence.in_words}")
    assert degrees < 15 and mm < 10 and estimate.confidence.level == "high"
    for orientation in list(orientations())[3::9]:
        again = estimator.estimate(stored(scan, orientation))
        degrees, mm = pose_difference(again.canonical_to_ras, estimate.canonical_to_ras)
        assert degrees < 0.01 and mm < 0.01


def test_a_head_that_moved_between_odd_and_even_slices_is_found_halfway(estimator):
    scan = read_volume(SAMPLE)
    turn = euler_to_matrix(torch.tensor([12.0, -8.0, 10.0], dtype=torch.float64)).numpy()
    # What the odd slices show: all turned about the brain's centre and moved, in RAS.
    motion = rigid(turn, TRUTH[:3, 3] + [5, -4, 3] - turn @ TRUTH[:3, 3])
    seen_from = np.linalg.inv(scan.voxel_to_ras) @ np.linalg.inv(motion) @ scan.voxel_to_ras
    moved = ndimage.affine_transform(scan.intensities(), seen_from, order=1)
    slices = int(np.argmax(scan.spacing))
    array = scan.intensities().copy()
    np.moveaxis(array, slices, 0)[1::2] = np.moveaxis(moved, slices, 0)[1::2]
    steps = []
    estimate = estimator.estimate(replace(scan, array=array), lambda step, fraction: steps.append(step))
    assert (steps.count("eyes"), steps.count("rotate")) == (1, 2)  # both halves begin with the brain of the whole
    truth, (degrees, mm) = halfway(TRUTH, motion @ TRUTH), pose_difference(TRUTH, motion @ TRUTH)
    off_degrees, off_mm = pose_difference(estimate.canonical_to_ras, truth)
    print(f"moved by {degrees:.1f}°, {mm:.1f} mm: {off_degrees:.1f}°, {off_mm:.1f} mm off, {estimate.confidence}")
    assert estimate.confidence.halves_apart_degrees == pytest.approx(degrees, abs=6)
    assert estimate.confidence.halves_apart_mm == pytest.approx(mm, abs=3)
    assert off_degrees < 5 and off_mm < 3
    assert estimate.confidence.level == "moderate"
    assert any("the pose is halfway" in sentence for sentence in estimate.warnings)


def test_noise_is_no_motion(estimator):
    """It makes neighbouring slices differ as motion between odd and even ones does."""
    scan = read_volume(SAMPLE)
    noise = np.random.default_rng(1).normal(0, 120, (2, *scan.shape))  # the brain is at 400
    noisy = replace(scan, array=np.hypot(scan.array + noise[0], noise[1]).astype(np.float32))
    estimate = estimator.estimate(noisy)
    assert estimate.confidence.interleave_ratio > SUSPICIOUS_RATIO and estimate.confidence.halves_agree
    assert estimate.confidence.level == "high" and not estimate.warnings
    degrees, mm = pose_difference(estimate.canonical_to_ras, TRUTH)
    assert degrees < 5 and mm < 2


def test_a_scan_whose_every_other_slice_is_empty_keeps_its_pose_and_is_doubted(estimator):
    scan = read_volume(SAMPLE)
    array = scan.intensities().copy()
    np.moveaxis(array, int(np.argmax(scan.spacing)), 0)[1::2] = 0
    whole, striped = estimator.estimate_batch([scan, replace(scan, array=array)])
    assert whole.confidence.level == "high"
    assert striped.confidence.level == "low" and striped.confidence.halves_apart_mm is None


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("lost", [0.2, 0.3])
def test_a_head_that_the_end_of_the_scan_cuts_has_the_centre_of_the_whole(axis, lost, estimator):
    scan = read_volume(SAMPLE)
    where = np.nonzero(estimator.estimate(scan).mask)[axis]
    last = round(np.quantile(where, 1 - lost))
    cut = replace(scan, array=scan.array.take(range(last + 1), axis))
    estimate = estimator.estimate(cut)
    degrees, mm = pose_difference(estimate.canonical_to_ras, TRUTH)
    seen = transform_points(scan.voxel_to_ras, centre_of_mass(estimate.mask > 0))
    print(f"{lost:.0%} lost: {degrees:.1f}°, {mm:.1f} mm, {estimate.confidence.in_words}")
    assert degrees < 6 and mm < 4 and mm < np.linalg.norm(seen - TRUTH[:3, 3]) * 0.6
    assert any("reaches the border" in warning for warning in estimate.warnings)


def test_a_head_in_the_dark_is_read_from_the_brightened_scan(estimator):
    scan, axis = read_volume(SAMPLE), 1
    middle = (np.linalg.inv(scan.voxel_to_ras) @ TRUTH)[axis, 3]
    # Away from the head along the axis all is brighter, by e in 25 mm.
    offset = np.abs(np.arange(scan.shape[axis]) - middle) * scan.spacing[axis]
    shading = np.exp(offset / 25).astype(np.float32).reshape([-1 if n == axis else 1 for n in range(3)])
    estimate = estimator.estimate(replace(scan, array=scan.intensities() * shading))
    degrees, mm = pose_difference(estimate.canonical_to_ras, TRUTH)
    print(f"in the dark: {degrees:.1f}°, {mm:.1f} mm, {estimate.confidence}")
    assert degrees < 5 and mm < 2
    assert estimate.confidence.brightened and estimate.confidence.level != "low"
    assert not estimator.estimate(scan).confidence.brightened


@pytest.mark.parametrize("name", ["stack_a3", "stack_a4"])
def test_brains_in_bright_fluid_are_read_from_the_darkened_scan(name, t2_stacks, estimator):
    """In the scans as they are, fluid is taken for brain: one rotation was 25° off, one centre 24 mm.

    No truth is known of these two, but that of a stack of the same fetus, which moved between them, by some 10°.
    """
    scan, brain = (read_volume(t2_stacks / f"{name}{end}.nii.gz") for end in ("", "_brain"))
    estimate = estimator.estimate(scan)
    centre = transform_points(brain.voxel_to_ras, centre_of_mass(brain.array > 0))
    assert np.linalg.norm(estimate.canonical_to_ras[:3, 3] - centre) < 8
    truths = {truth.frame_id: truth for truth in read_truth(t2_stacks.parent / "stacks_poses_by_eye_ras.csv")}
    assert pose_difference(estimate.canonical_to_ras, truths["stack_a1"].canonical_to_ras)[0] < 15
    assert estimate.confidence.darkened and estimate.confidence.level == "low"


SHEARS = (0, 1, 0.25), (1, 2, -0.2), (2, 0, 0.15)


@pytest.mark.parametrize("shear", SHEARS, ids=str)
def test_sheared_voxel_axes_do_not_turn_the_head(shear, estimator):
    degrees, mm = pose_difference(estimator.estimate(sheared(read_volume(SAMPLE), *shear)).canonical_to_ras, TRUTH)
    assert degrees < 4 and mm < 1


@pytest.mark.parametrize("shear", SHEARS, ids=str)
def test_sheared_voxel_axes_give_nearly_the_pose_of_straight_ones(shear, estimator):
    straight, askew = (estimator.estimate(one) for one in (read_volume(SAMPLE), sheared(read_volume(SAMPLE), *shear)))
    degrees, mm = pose_difference(askew.canonical_to_ras, straight.canonical_to_ras)
    assert degrees < 4 and mm < 1


def test_what_surrounds_a_scan_changes_nothing(estimator):
    """What somebody has put around it, and an offset of its intensities, on sheared axes too."""
    scan = read_volume(SAMPLE)
    expected = estimator.estimate(scan)
    n = np.ceil(200 / scan.spacing).astype(int)
    for value, tolerance in ((scan.array.min(), 1e-3), (0, 0.2)):  # the scan's own darkest voxels are not 0
        array = np.pad(scan.array, [(m, m) for m in n], constant_values=value)
        estimate = estimator.estimate(Volume(array, scan.voxel_to_ras @ rigid(np.eye(3), -n)))
        degrees, mm = pose_difference(estimate.canonical_to_ras, expected.canonical_to_ras)
        assert degrees < tolerance and mm < tolerance
        assert estimate.confidence.probability == pytest.approx(expected.confidence.probability, abs=tolerance)
    askew = sheared(scan, 0, 1, 0.1)
    plain = estimator.estimate(askew)
    for offset in (1000, -2000):
        estimate = estimator.estimate(replace(askew, array=askew.array + np.float32(offset)))
        degrees, mm = pose_difference(estimate.canonical_to_ras, plain.canonical_to_ras)
        assert degrees < 0.1 and mm < 0.1


@pytest.mark.parametrize(("factor", "cut"), [(0.6, False), (1.6, False), (1.6, True)])
def test_a_wrong_distance_of_slices_is_told_by_the_form_of_the_brain(factor, cut, estimator):
    """As of a file that has the thickness of slices, without their gap, in its place; of a brain that is cut, too."""
    scan = read_volume(SAMPLE)
    across = int(np.argmax(scan.spacing))
    scale = np.where(np.arange(3) == across, factor, 1)
    array = scan.array
    if cut:
        in_plane = (across + 1) % 3
        brain = np.argwhere(estimator.estimate(scan).mask)[:, in_plane]
        array = array.take(np.arange(int(np.quantile(brain, 0.98))), in_plane)
    estimate = estimator.estimate(replace(scan, array=array, voxel_to_ras=scan.voxel_to_ras @ np.diag([*scale, 1])))
    assert (estimate.confidence.border_share > 0.05) == cut
    assert estimate.confidence.stretched_by == pytest.approx(factor, rel=0.15)
    assert estimate.confidence.level != "high"
    assert any("the distance of the slices" in sentence for sentence in estimate.warnings)


@pytest.mark.parametrize("passes", [2, 3])
def test_slices_in_the_order_of_their_acquisition_are_told(passes, estimator):
    scan = read_volume(SAMPLE)
    across = int(np.argmax(scan.spacing))
    n = scan.array.shape[across]
    order = np.concatenate([np.arange(first, n, passes) for first in range(passes)])
    estimate = estimator.estimate(replace(scan, array=scan.array.take(order, across)))
    assert estimate.confidence.slices_out_of_order and estimate.confidence.level == "low"
    assert any("sorted by their position" in sentence for sentence in estimate.warnings)
    assert not estimator.estimate(scan).confidence.slices_out_of_order


def test_of_twins_it_is_said_that_there_is_another(estimator):
    scan = read_volume(SAMPLE)
    alone = estimator.estimate(scan)
    axis = int(np.argmax(scan.spacing * scan.shape))
    # By half a turn: a copy as it is would be several images of one head.
    turned = [axis, (axis + 1) % 3]
    estimate = estimator.estimate(replace(scan, array=np.concatenate([scan.array, np.flip(scan.array, turned)], axis)))
    first = transform_points(np.linalg.inv(scan.voxel_to_ras), alone.canonical_to_ras[:3, 3])
    second = first.copy()
    second[turned] = np.array(scan.shape)[turned] - 1 - first[turned]
    second[axis] += scan.shape[axis]
    apart = np.linalg.norm((second - first) * scan.spacing)
    print(f"{apart:.0f} mm apart: {estimate.confidence}")
    assert estimate.confidence.another_head_mm == pytest.approx(apart, abs=5)
    assert estimate.confidence.level == "moderate"
    assert any("another head" in sentence for sentence in estimate.warnings)
    assert alone.confidence.another_head_mm is None


def test_a_pose_in_a_scan_that_may_lie_otherwise_is_low(estimator):
    scan = replace(read_volume(SAMPLE), doubts=("the file does not say how it lies in the patient",))
    estimate = estimator.estimate(scan)
    assert estimate.confidence.orientation_doubtful and estimate.confidence.level == "low"


def test_it_does_not_trust_what_is_no_head(estimator):
    generator = np.random.default_rng(3)
    noise = Volume((500 * np.abs(generator.normal(size=(90, 90, 40)))).astype(np.int16), np.diag([3.0, 3, 3, 1]))
    offset = np.stack(np.meshgrid(*[np.arange(90) - 45] * 3, indexing="ij"), axis=-1) * 3.0
    ball = ((offset / [75, 95, 70]) ** 2).sum(axis=-1) < 1
    adult = (500 * (ball * 0.7 + 0.05 * np.abs(generator.normal(size=ball.shape)))).astype(np.int16)
    for scan in (noise, Volume(adult, np.diag([3.0, 3, 3, 1]))):
        try:
            assert estimator.estimate(scan).confidence.level == "low"
        except NoHeadFoundError:
            continue


def test_a_skull_stripped_head_has_the_pose_of_the_whole_scan_and_no_eyes(estimator):
    scan = read_volume(SAMPLE)
    whole = estimator.estimate(scan)
    brain = ndimage.binary_dilation(whole.mask)
    stripped = estimator.estimate(replace(scan, array=np.where(brain, scan.array, 0)))
    assert stripped.confidence.brain_only and stripped.eyes is None and stripped.confidence.eyes_agree is None
    assert any("without skull" in sentence for sentence in stripped.warnings)
    degrees, mm = pose_difference(stripped.canonical_to_ras, TRUTH)
    assert degrees < 15 and mm < 5
    assert 2 * (stripped.mask & brain).sum() / (stripped.mask.sum() + brain.sum()) > 0.95
    assert not whole.confidence.brain_only


def test_stripped_brains_of_real_fetuses_stand_upright_however_they_are_turned(estimator, brains):
    """They stand in RAS axes but for a pitch, which is the same in each turn."""
    turns = random_rotations(3, torch.Generator().manual_seed(5), torch.float64).numpy()
    for name in ("GA26_operated", "GA30_operated"):
        brain = read_volume(brains / f"{name}_srr.nii.gz")
        centre = transform_points(brain.voxel_to_ras, ndimage.center_of_mass(brain.array > 0))
        for turn in turns:
            turned = reslice(brain, rigid(turn.T, centre), 1.0, 150.0)
            turned = replace(turned, array=np.where(turned.array > 300, turned.array, 0))
            estimate = estimator.estimate(turned)
            assert estimate.confidence.brain_only
            pose = rigid(turn.T, np.zeros(3)) @ estimate.canonical_to_ras
            degrees, mm = pose_difference(pose, np.eye(4))
            assert degrees < 15 and mm < 6, (name, degrees, mm)
            assert estimate.confidence.level != "low"
