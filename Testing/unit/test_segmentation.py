"""From logits to the mask, and the box around it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import ndimage

from E3PoseLib.imaging.masks import box_around, dice_overlap, largest_components, thickest_part
from E3PoseLib.method.localise import BrainLocaliser, posterior_to_object
from E3PoseLib.networks.inference import Inference


def test_the_object_is_the_first_most_probable_label_and_its_components_come_by_size():
    # Few levels, so that classes are often equally probable, and all of them are below their thresholds at times.
    logits = torch.randint(-2, 3, (3, 20, 18, 16), generator=torch.Generator().manual_seed(1)).float()
    for label, thresholds in ((0, (0.5, 0.5, 0.5)), (1, (0.0, 0.3, 0.9)), (2, (0.5, 0.5, 0.5))):
        probabilities = logits.softmax(dim=0).numpy()
        probabilities[probabilities <= np.float32(thresholds)[:, None, None, None]] = 0
        expected = probabilities.argmax(axis=0) == label
        found = posterior_to_object(logits[None], thresholds, label)[0].numpy()
        np.testing.assert_array_equal(found, expected)
        labels, n = ndimage.label(expected)
        sizes = np.bincount(labels.ravel())[1:]
        assert n > 3
        for rank, component in enumerate(largest_components(found, 3)):
            assert component.sum() == np.sort(sizes)[-1 - rank]
            assert (labels[component] == labels[component][0]).all()
        np.testing.assert_array_equal(largest_components(found)[0], labels == sizes.argmax() + 1)
        assert len(largest_components(found, n)) == n
        assert len(largest_components(found, n, least_voxels=9)) == max(1, (sizes >= 9).sum())


@pytest.mark.parametrize("within_reach", [True, False])
def test_what_lies_wholly_in_the_padding_is_no_candidate_and_displaces_none(within_reach, small_model):
    model = small_model.with_header(candidates=2, spacing_mm=3.0)
    localiser = BrainLocaliser(model, Inference(torch.device("cpu")), "float32")
    scan = SimpleNamespace(field_of_view=(slice(20, 60),) * 3)
    found = np.zeros((96,) * 3, bool)
    found[30:34, 30:34, 30:34] = True  # 1.7 ml, less than any candidate but the largest
    if within_reach:
        found[40:50, 40:50, 55:70] = True  # begins in the scan and goes on in the padding
    alone = localiser.candidates(scan, found.copy())
    assert [one.sum() for one in alone] == [1500 if within_reach else 64]
    # Larger ones, on both sides of the scan, and one that is all there is.
    for corner in (slice(64, 80), slice(0, 12)):
        found[corner, corner, corner] = True
    np.testing.assert_array_equal(localiser.candidates(scan, found), alone)
    padding = np.zeros_like(found)
    padding[64:80, 64:80, 64:80] = True
    assert localiser.candidates(scan, padding) == []


def test_where_nothing_is_the_object_there_is_no_component():
    for logits in (torch.zeros(3, 8, 8, 8), torch.full((3, 8, 8, 8), torch.nan)):
        found = posterior_to_object(logits[None], (0.0, 0.5, 0.5), 1)[0].numpy()
        assert not found.any()
        assert largest_components(found, 3) == []


def test_the_box_around_a_brain_has_its_margin_and_ends_with_the_grid():
    mask = np.zeros((96, 64, 128), bool)
    mask[5:30, 20:41, 100:127] = True
    assert box_around(mask, margin=11) == (slice(0, 41), slice(9, 52), slice(89, 128))
    assert box_around(np.ones((16, 32, 48), bool), margin=20) == (slice(0, 16), slice(0, 32), slice(0, 48))


def test_overlap_is_two_thirds_where_one_mask_is_half_of_the_other():
    whole, half = np.ones((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    assert dice_overlap(whole, half) == dice_overlap(half, half) == 0
    half[:2] = True
    assert dice_overlap(whole, half) == dice_overlap(half, whole) == pytest.approx(2 / 3)
    assert dice_overlap(half, half) == 1


def test_the_thickest_part_of_two_balls_that_touch_is_the_larger_one():
    places = np.stack(np.indices((60, 30, 30)), axis=-1)
    large = np.linalg.norm(places - (14, 15, 15), axis=-1) <= 10
    small = np.linalg.norm(places - (31, 15, 15), axis=-1) <= 8
    part = thickest_part(large | small, reach=1.0)
    # The ball that fits in touches the first voxel outside.
    assert part[large].mean() > 0.95
    assert part[small & ~large].mean() < 0.01
    np.testing.assert_array_equal(thickest_part(large, reach=1.3), large)
