"""Slices that are not in the order of space: what tells them, and what does not."""

import numpy as np
import pytest
from scipy import ndimage

from E3PoseLib.method.trust.slice_order import slices_out_of_order


@pytest.fixture(scope="module")
def smooth() -> np.ndarray:
    """An image whose slices change by and by, with a little noise; ``[40, 44, 30]``."""
    generator = np.random.default_rng(0)
    image = ndimage.gaussian_filter(generator.normal(size=(40, 44, 30)), 2.5)
    return image / image.std() + 0.1 * generator.normal(size=image.shape)


def sorted_by(passes: int, n: int) -> np.ndarray:
    """The order of slices as they are acquired in so many passes."""
    return np.concatenate([np.arange(first, n, passes) for first in range(passes)])


def test_an_image_in_order_is_not_doubted(smooth):
    assert not slices_out_of_order(smooth)
    assert not slices_out_of_order(smooth[::-1, :, ::-1])
    assert not slices_out_of_order(np.pad(smooth, 20))
    assert not slices_out_of_order(smooth[:, :, ::3])


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("passes", [2, 3, 4])
def test_slices_in_the_order_of_their_acquisition_are_told(smooth, axis, passes):
    shuffled = smooth.take(sorted_by(passes, smooth.shape[axis]), axis)
    assert slices_out_of_order(shuffled)
    assert slices_out_of_order(np.pad(shuffled, [(3, 3) if one != axis else (0, 0) for one in range(3)]))


@pytest.mark.parametrize("images", [2, 5])
def test_several_images_in_one_are_told(smooth, images):
    """Each with a noise of its own, as the time points of a series have."""
    generator = np.random.default_rng(images)
    several = [smooth[:, :, 10:20] + 0.1 * generator.normal(size=(40, 44, 10)) for _ in range(images)]
    assert slices_out_of_order(np.concatenate(several, axis=2))


@pytest.mark.parametrize("passes", [2, 3, 4, 5])
def test_a_head_that_moved_between_passes_is_no_disorder(smooth, passes):
    moved = smooth.copy()
    for one in range(1, passes):
        moved[:, :, one::passes] = np.roll(smooth, 4 * one, axis=0)[:, :, one::passes]
    assert not slices_out_of_order(moved)


def test_noise_and_few_slices_tell_nothing(smooth):
    assert not slices_out_of_order(np.random.default_rng(1).normal(size=(40, 44, 30)))
    assert not slices_out_of_order(np.ones((40, 44, 30)))
    few = smooth[:15, :15, :14]
    assert not slices_out_of_order(few.take(sorted_by(2, 14), 2))
