"""Volume in, pose out: whatever way the scan is stored."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import (
    BY_AXES,
    make_head,
    make_model_with_brain_only_network,
    make_model_with_eyes,
    make_model_with_second_opinion,
    make_model_with_upright_eyes,
    make_small_model,
)
from storages import orientations, sheared, stored

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.errors import DeviceError, NoHeadFoundError, VolumeError
from E3PoseLib.imaging.geometry import pose_difference, transform_points
from E3PoseLib.imaging.volume import Volume, read_volume
from E3PoseLib.models.model import Model
from E3PoseLib.running.summary import summarise


@pytest.fixture(scope="module")
def estimator(small_model):
    return PoseEstimator(small_model, "cpu")


def head_centre(scan: Volume) -> np.ndarray:
    return PoseEstimator(make_small_model(), "cpu").estimate(scan).canonical_to_ras[:3, 3]


def head_with_eyes() -> tuple[Volume, np.ndarray]:
    """A scan with two blobs brighter than all else before the brain, and where they are, [2, 3] RAS mm."""
    scan = make_head()
    index = np.stack(np.meshgrid(*map(np.arange, scan.shape), indexing="ij"), axis=-1)
    ras = transform_points(scan.voxel_to_ras, index)
    eyes = head_centre(scan) + np.array([[-14.0, 32.0, -12.0], [14.0, 32.0, -12.0]])
    array = scan.array.copy()
    for eye in eyes:
        array[np.linalg.norm(ras - eye, axis=-1) < 8] = 1.2 * scan.array.max()
    return replace(scan, array=array), eyes


def test_one_pose_for_all_48_storages(estimator):
    scan = make_head(spacing=(3.0, 3.0, 4.5))
    first = estimator.estimate(scan)
    for orientation in orientations():
        other = stored(scan, orientation)
        estimate = estimator.estimate(other)
        degrees, mm = pose_difference(first.canonical_to_ras, estimate.canonical_to_ras)
        assert degrees < 0.01 and mm < 0.01
        np.testing.assert_array_equal(estimate.mask, stored(replace(scan, array=first.mask), orientation).array)


def test_real_scans_reach_the_networks_alike_in_all_48_storages(epi, official_model):
    """The official networks take seconds a scan; that they are shown the same numbers is enough."""
    estimator = PoseEstimator(official_model, "cpu")
    for name in ("ep2d_14", "ep2d_18"):
        scan = read_volume(epi / f"{name}.nii.gz")
        first = estimator.prepare(scan)
        for orientation in orientations():
            other = estimator.prepare(stored(scan, orientation))
            np.testing.assert_allclose(other.array, first.array, atol=1e-6)
            np.testing.assert_allclose(other.grid_to_ras, first.grid_to_ras, atol=1e-6)


def test_the_files_own_order_gives_proper_rotations_too(small_model):
    estimator = PoseEstimator(small_model, "cpu", as_official=True)
    scan = make_head()
    for orientation in list(orientations())[::5]:
        other = stored(scan, orientation)
        pose = estimator.estimate(other).canonical_to_ras
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
        assert pose_difference(pose, estimator.estimate(scan).canonical_to_ras)[1] < 0.01


def test_the_estimate_is_where_the_head_is(estimator, head):
    estimate = estimator.estimate(head)
    assert np.abs(estimate.canonical_to_ras[:3, 3] - [10, -20, 30]).max() < 12
    np.testing.assert_allclose(estimate.ras_to_canonical @ estimate.canonical_to_ras, np.eye(4), atol=1e-9)
    assert estimate.mask.shape == head.shape and estimate.mask.dtype == np.uint8
    assert set(estimate.timings) == {"prepare", "segment", "crop", "rotate", "assemble", "total"}
    assert estimate.device == "cpu"


def test_a_scan_on_sheared_axes_shows_the_head_where_it_lies(estimator):
    straight = make_head(shape=(60, 60, 60))
    skewed = sheared(straight, axis=0, along=1, slope=0.25)
    estimate = estimator.estimate(skewed)
    assert pose_difference(estimate.canonical_to_ras, estimator.estimate(straight).canonical_to_ras)[1] < 0.5
    assert any("not at right angles" in warning for warning in estimate.warnings)
    centre = transform_points(skewed.voxel_to_ras, np.argwhere(estimate.mask).mean(axis=0))
    np.testing.assert_allclose(centre, estimate.canonical_to_ras[:3, 3], atol=0.5)


def test_progress_is_told_step_by_step(estimator, head):
    told = []
    estimator.estimate(head, progress=lambda step, fraction: told.append((step, fraction)))
    assert [step for step, _ in told] == ["prepare", "segment", "crop", "rotate", "assemble"]
    assert sorted(fraction for _, fraction in told) == [fraction for _, fraction in told]


def test_a_batch_is_its_scans_and_its_failures(estimator):
    nothing = Volume(np.eye(20)[..., None].repeat(20, axis=2), np.eye(4), name="constant")
    flat = replace(nothing, array=np.ones((20, 20, 20)))
    scans = [make_head(seed=1), flat, make_head(seed=2)]
    batch = estimator.estimate_batch(scans)
    assert isinstance(batch[1], VolumeError)
    for index in (0, 2):
        degrees, mm = pose_difference(batch[index].canonical_to_ras, estimator.estimate(scans[index]).canonical_to_ras)
        assert degrees < 0.1 and mm < 1e-6
    assert estimator.estimate_batch([]) == []


def test_no_brain_is_an_error_of_its_own(head):
    blind = make_small_model()
    with torch.no_grad():
        blind.segmentation_network.last_conv.bias.copy_(torch.tensor([100.0, -100.0]))
    with pytest.raises(NoHeadFoundError, match=r"blob: no fetal head"):
        PoseEstimator(blind, "cpu").estimate(head)
    # Why there may be none is said with it.
    with pytest.raises(NoHeadFoundError, match="; the voxel size looks lost; check that"):
        PoseEstimator(blind, "cpu").estimate(replace(head, doubts=("the voxel size looks lost",)))


def test_a_cut_head_is_marked(estimator):
    scan = make_head(shape=(60, 44, 36))
    assert not estimator.estimate(scan).confidence.touches_border
    cut = replace(scan, array=scan.array[30:])
    estimate = estimator.estimate(cut)
    assert estimate.confidence.touches_border
    assert any("cut" in warning for warning in estimate.warnings)
    assert estimate.confidence.level != "high"


def test_bad_voxels_are_passed_on_as_a_warning(estimator, head):
    values = head.array.astype(np.float32)
    values[0, 0, :3] = np.nan
    assert "3 voxels are NaN or infinite" in estimator.estimate(replace(head, array=values)).warnings[0]


@pytest.mark.parametrize("name", ["cuda:99", "abacus", "mps"])
def test_a_device_that_is_not_there_is_named(small_model, name):
    with pytest.raises(DeviceError, match=name):
        PoseEstimator(small_model, name)


def test_lower_precision_of_the_segmentation_network(small_model, estimator):
    scan = make_head()
    full = estimator.estimate(scan)
    lower = PoseEstimator(small_model, "cpu", precision="bfloat16").estimate(scan)
    overlap = 2 * np.sum(full.mask & lower.mask) / (full.mask.sum() + lower.mask.sum())
    assert overlap > 0.95
    assert (full.precision, lower.precision) == ("float32", "bfloat16")
    with pytest.raises(ValueError, match="half"):
        PoseEstimator(small_model, "cpu", precision="half")


def test_a_precision_once_chosen_holds_for_all_scans(small_model):
    automatic = PoseEstimator(small_model, "cpu", precision="auto")
    first, second = automatic.estimate(make_head(seed=1)), automatic.estimate(make_head(seed=2))
    assert first.precision == second.precision in ("float32", "bfloat16")
    same = PoseEstimator(small_model, "cpu", precision=first.precision).estimate(make_head(seed=2))
    np.testing.assert_array_equal(second.canonical_to_ras, same.canonical_to_ras)


def test_where_the_largest_thing_is_no_brain_the_next_largest_is_tried():
    model = make_small_model()
    model.header = replace(model.header, segmentation_edge=None)
    head = make_head(shape=(110, 44, 36))
    scan = replace(head, array=head.array.copy())
    # Two litres, which no brain has, 14 cm away.
    scan.array[:20] = 0.9 * head.array.max()
    largest = PoseEstimator(model, "cpu").estimate(scan)
    assert largest.mask[:20].all() and largest.confidence.certainty == 0
    model.header = replace(model.header, candidates=2)
    estimator, told = PoseEstimator(model, "cpu"), []
    estimate = estimator.estimate(scan, progress=lambda step, fraction: told.append(fraction))
    assert not estimate.mask[:20].any() and estimate.confidence.certainty > 0
    assert pose_difference(estimate.canonical_to_ras, estimator.estimate(head).canonical_to_ras)[1] < 0.5
    assert "something larger looked like a brain too" in estimate.warnings[-1]
    assert told == sorted(told)
    assert estimate.timings["total"] == pytest.approx(sum(estimate.timings.values()) / 2)
    alone, both = estimator.estimate_batch([head, scan])
    assert "something larger" not in " ".join(alone.warnings)
    np.testing.assert_allclose(both.canonical_to_ras, estimate.canonical_to_ras, atol=1e-5)
    # Where the next is no brain either, the first stands, or what is about its thickest place.
    scan.array[95:] = 0.9 * head.array.max()
    scan.array[25:85] = 0
    steps = []
    in_vain = estimator.estimate(scan, progress=lambda step, fraction: steps.append(step))
    assert in_vain.mask[:20].any() and not in_vain.mask[20:].any() and in_vain.confidence.by_core
    assert steps.count("rotate") == 12  # and all of that in the continued, the brightened and the darkened scan


def test_a_head_in_the_dark_is_found_in_the_brightened_scan():
    model = make_small_model()
    model.header = replace(model.header, segmentation_edge=None)
    head = make_head(shape=(110, 44, 36))
    lit = PoseEstimator(model, "cpu").estimate(head)
    # Something small far away is more than twice as bright: for this model the brain is what is brighter than half.
    dark = replace(head, array=head.array.copy())
    dark.array[:4, :4, :4] = 2.4 * head.array.max()
    lost = PoseEstimator(model, "cpu").estimate(dark)
    assert lost.confidence.certainty == 0 and pose_difference(lost.canonical_to_ras, lit.canonical_to_ras)[1] > 50
    model.header = replace(model.header, candidates=2)
    estimator = PoseEstimator(model, "cpu")
    found, beside = estimator.estimate_batch([dark, head])
    assert found.confidence.certainty > 0 and found.confidence.brightened
    assert any("brightened scan only" in warning for warning in found.warnings)
    assert not beside.confidence.brightened
    assert pose_difference(found.canonical_to_ras, lit.canonical_to_ras)[1] < 2
    np.testing.assert_allclose(beside.canonical_to_ras, estimator.estimate(head).canonical_to_ras, atol=1e-5)
    # Too dark even so: what was seen first stands.
    dark.array[4:] //= 5
    assert estimator.estimate(dark).confidence.certainty == 0


def test_a_pose_that_is_likelier_wrong_is_also_sought_in_the_darkened_scan():
    model = make_small_model()
    model.header = replace(model.header, segmentation_edge=None, candidates=2)
    estimator, head = PoseEstimator(model, "cpu"), make_head(shape=(110, 44, 36))
    bathed = replace(head, array=head.array.copy())
    bathed.array[10:100] = np.maximum(head.array, (0.6 * head.array.max()).astype(head.array.dtype))[10:100]
    found = estimator.consider(bathed)
    assert found[-1].confidence.certainty == max(one.confidence.certainty for one in found) < 0.5
    darkened = next(one for one in found if one.confidence.darkened)
    assert any("darkened scan only" in warning for warning in darkened.warnings)
    # What is less bright than the head is less so in the square: less of it is taken for brain.
    assert darkened.confidence.brain_volume_ml < found[-1].confidence.brain_volume_ml


def test_around_a_known_brain_a_dark_scan_shows_it_only_brightened():
    estimator, head = PoseEstimator(make_model_with_upright_eyes(), "cpu"), make_head()
    found = estimator.estimate(head)
    brain = replace(head, array=found.mask)
    dark = replace(head, array=head.array / 4)
    # The corner of the box about the brain is not brain, and lies in what the close-up network sees.
    corner = np.argwhere(brain.array).min(axis=0)
    dark.array[tuple(slice(edge, edge + 3) for edge in corner)] = head.array.max()
    as_it_is, brightened = (
        estimator.estimate_around(dark, brain, replace(found.confidence, brain_agreement=None, brightened=bright))
        for bright in (False, True)
    )
    assert as_it_is.confidence.upright_agreement < 0.1 and not as_it_is.confidence.brightened
    assert brightened.confidence.upright_agreement > 0.5 and brightened.confidence.brightened


def test_a_head_with_eyes_is_not_searched_for_again_in_other_contrasts():
    model = make_model_with_eyes()
    model.header = replace(model.header, segmentation_edge=None, candidates=2)
    estimator, (scan, _) = PoseEstimator(model, "cpu"), head_with_eyes()
    searched = []
    for bias in (-12.5, -24.0):  # the second network's brain is what is brighter than a quarter, or than nearly half
        with torch.no_grad():
            model.eyes_network.last_conv.bias[1] = bias
        steps = []
        estimate = estimator.estimate(scan, progress=lambda step, fraction, steps=steps: steps.append(step))
        assert estimate.confidence.level == "low" and steps.count("eyes") > 1
        searched.append(steps.count("segment"))
    assert searched == [4, 2]  # once more in the continued scan, since what is beyond its end shows nowhere else


def test_where_the_brain_has_grown_together_with_something_its_core_is_tried():
    model = make_small_model()
    model.header = replace(model.header, segmentation_edge=None)
    head = make_head(shape=(110, 44, 36))
    scan = replace(head, array=head.array.copy())
    # A plate of more than half a litre, on a bridge to the head.
    scan.array[:, :, :2] = scan.array[55, 22, :18] = 0.9 * head.array.max()
    whole = PoseEstimator(model, "cpu").estimate(scan)
    assert whole.mask[:, :, :2].all() and whole.confidence.certainty == 0
    model.header = replace(model.header, candidates=2)
    estimator = PoseEstimator(model, "cpu")
    by_core = estimator.estimate(scan)
    assert by_core.mask[:, :, :2].mean() < 0.1
    true = estimator.estimate(head).canonical_to_ras
    assert pose_difference(whole.canonical_to_ras, true)[1] > 25
    assert pose_difference(by_core.canonical_to_ras, true)[1] < 5
    assert by_core.confidence.by_core and by_core.confidence.certainty > 0
    assert any("on second thought only" in warning for warning in by_core.warnings)
    assert not estimator.estimate(head).confidence.by_core


def test_what_hangs_on_the_brain_by_a_bridge_is_cut_off():
    scan = make_head(shape=(60, 44, 36))
    # One brighter voxel beside the head, so that nothing else is as bright as this model wants eyes to be.
    scan.array[18, 22, 18] = 1.2 * scan.array.max()
    bright = replace(scan, array=scan.array.copy())
    # A lump of 20 mm, 74 mm from the head's middle, on a bridge of 8 mm.
    bright.array[46:51, 20:25, 16:21] = bright.array[36:46, 21:23, 17:19] = 0.8 * scan.array.max()
    without_eyes = PoseEstimator(make_small_model(), "cpu").estimate(bright)
    assert without_eyes.mask[46:51, 20:25, 16:21].all()
    estimator = PoseEstimator(make_model_with_eyes(), "cpu")
    estimate = estimator.estimate(bright)
    assert not estimate.mask[46:51].any()
    assert without_eyes.confidence.brain_agreement is None
    # What is brain for the first of this model's networks is twice what is for the second.
    assert 0.4 < estimate.confidence.brain_agreement < 0.6
    assert any("two networks find different brains" in warning for warning in estimate.warnings)
    assert pose_difference(estimate.canonical_to_ras, estimator.estimate(scan).canonical_to_ras)[1] < 1.5


def test_a_brain_seen_upright_takes_the_place_of_the_one_before():
    """Its network here wants more brightness, so it finds less."""
    model = make_model_with_upright_eyes()
    with torch.no_grad():
        model.upright_network.last_conv.bias[1] -= 12.5
    scan = make_head()
    before, upright = (PoseEstimator(one, "cpu").estimate(scan) for one in (make_model_with_eyes(), model))
    volumes = before.confidence.brain_volume_ml, upright.confidence.brain_volume_ml
    assert 0.4 < volumes[1] / volumes[0] < 0.7
    overlap = 2 * (before.mask & upright.mask).sum() / (before.mask.sum() + upright.mask.sum())
    assert upright.confidence.upright_agreement == pytest.approx(overlap, abs=0.02)
    assert upright.confidence.level == "low"
    assert any("two networks find different brains" in warning for warning in upright.warnings)
    # Where it sees none, the brain before stays.
    with torch.no_grad():
        model.upright_network.last_conv.bias[1] -= 1000
    assert (PoseEstimator(model, "cpu").estimate(scan).mask == before.mask).all()


@pytest.mark.parametrize("make_model", [make_model_with_eyes, make_model_with_upright_eyes])
def test_the_eyes_are_where_they_were_put_in_any_storage(make_model):
    estimator = PoseEstimator(make_model(), "cpu")
    assert estimator.estimate(make_head()).eyes is None
    scan, eyes = head_with_eyes()
    estimate = estimator.estimate(scan)
    np.testing.assert_allclose(estimate.canonical_to_ras[:3, 3], head_centre(make_head()), atol=2.0)
    # Which of the two is the left one the rotation decides, whose weights are random here.
    found = np.stack([estimate.eyes.left, estimate.eyes.right])
    found = found if np.linalg.norm(found - eyes) < np.linalg.norm(found[::-1] - eyes) else found[::-1]
    assert np.linalg.norm(found - eyes, axis=1).max() < 1.5
    assert 0 <= estimate.confidence.eyes_disagreement_degrees <= 180
    upright_agreement = estimate.confidence.upright_agreement
    assert upright_agreement is None if estimator.model.upright_network is None else 0.8 < upright_agreement < 1
    assert summarise(estimate)["eyes"]["left"] == estimate.eyes.left.tolist()
    for orientation in list(orientations())[5::9]:
        other = estimator.estimate(stored(scan, orientation))
        np.testing.assert_allclose(other.eyes.left, estimate.eyes.left, atol=1e-3)
        np.testing.assert_allclose(other.canonical_to_ras, estimate.canonical_to_ras, atol=1e-3)


@pytest.mark.parametrize(("seeds", "second_is_surer"), [((0, 1), False), ((1, 0), True)])
def test_a_doubtful_scan_is_read_by_the_second_networks_too(seeds, second_is_surer, tmp_path):
    model = make_model_with_second_opinion(*seeds).with_header(calibration=BY_AXES.as_dict())
    model.save(tmp_path / "two.safetensors")
    both = PoseEstimator(load_model(tmp_path / "two.safetensors"), "cpu")
    first, second = (
        PoseEstimator(make_small_model(seed).with_header(calibration=BY_AXES.as_dict()), "cpu") for seed in seeds
    )
    scans = [make_head(seed=seed) for seed in range(3)]
    for scan, answer in zip(scans, both.estimate_batch(scans), strict=True):
        one, other = first.estimate(scan), second.estimate(scan)
        assert one.confidence.level != "high"
        assert (other.confidence.certainty > one.confidence.certainty) == second_is_surer
        surer = other if second_is_surer else one
        np.testing.assert_allclose(answer.canonical_to_ras, surer.canonical_to_ras, atol=1e-4)
        degrees, mm = pose_difference(one.canonical_to_ras, other.canonical_to_ras)
        assert answer.confidence.opinions_apart_degrees == pytest.approx(degrees, abs=0.01)
        assert answer.confidence.opinions_apart_mm == pytest.approx(mm, abs=0.01)
        assert answer.confidence.by_second_opinion == second_is_surer
    hasty = both.estimate(scans[0], thorough=False)
    assert hasty.confidence.opinions_apart_mm is not None
    official = PoseEstimator(load_model(tmp_path / "two.safetensors"), "cpu", as_official=True)
    assert official.estimate(scans[0]).confidence.opinions_apart_mm is None
    tried = PoseEstimator(load_model(tmp_path / "two.safetensors"), "cpu", precision="auto")
    tried.estimate(scans[0])
    assert tried.precision == tried.second_reader.localiser.precision != "auto"


def test_a_head_that_the_second_networks_have_found_is_followed_by_them():
    first, second = (make_model_with_upright_eyes(seed) for seed in (0, 1))
    networks = {f"{part}_network": network for part, network in first.own_networks.items()}
    both = PoseEstimator(Model(header=first.header, second_opinion=second, **networks), "cpu")
    alone, head = PoseEstimator(second, "cpu"), make_head()
    found = alone.estimate(head)
    brain, evidence = replace(head, array=found.mask), found.confidence
    expected = alone.estimate_around(head, brain, evidence)
    # Halves are wanted; of a head that held still there is nothing to read apart.
    followed = both.estimate_around(head, brain, replace(evidence, by_second_opinion=True), lambda found: True)
    np.testing.assert_allclose(followed.canonical_to_ras, expected.canonical_to_ras, atol=1e-4)
    assert followed.confidence.by_second_opinion
    by_first = both.estimate_around(head, brain, evidence)
    assert pose_difference(by_first.canonical_to_ras, expected.canonical_to_ras)[0] > 5
    assert not by_first.confidence.by_second_opinion


def test_brains_without_skull_are_read_by_a_network_of_their_own(tmp_path):
    make_model_with_brain_only_network(0, 1).save(tmp_path / "both.safetensors")
    both = PoseEstimator(load_model(tmp_path / "both.safetensors"), "cpu")
    one, other = (PoseEstimator(make_small_model(seed), "cpu") for seed in (0, 1))
    scan = make_head()
    whole = one.estimate(scan)
    stripped = replace(scan, array=scan.array * whole.mask, name="stripped")
    assert pose_difference(one.estimate(stripped).canonical_to_ras, other.estimate(stripped).canonical_to_ras)[0] > 10
    of_scan, of_stripped, again = both.estimate_batch([scan, stripped, scan])
    assert of_stripped.confidence.brain_only and not of_scan.confidence.brain_only
    for found, expected in ((of_scan, whole), (of_stripped, other.estimate(stripped)), (again, of_scan)):
        np.testing.assert_allclose(found.canonical_to_ras, expected.canonical_to_ras, atol=1e-4)
