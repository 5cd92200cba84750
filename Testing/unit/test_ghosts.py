"""The faint copy of a head half a field of view away is told from a head."""

import numpy as np
import pytest

from E3PoseLib.method.trust.ghosts import is_ghost
from E3PoseTraining.synthesis import FetalHeadGenerator


@pytest.fixture(scope="module")
def head():
    """A scan, whose slices show a head beside empty room, and the head's mask."""
    scan = FetalHeadGenerator(seed=3, field="head", spacing=3.0, motion=0)(0)
    room = [(8, n + 24) for n in scan.image.shape]
    return np.pad(scan.image, room), np.pad(scan.labels == 1, room)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("strength", [0.05, 0.3])
def test_a_ghost_is_told_from_its_head(head, axis, strength):
    image, mask = head
    image_copy, copy = (np.roll(volume, volume.shape[axis] // 2, axis=axis) for volume in head)
    noise = np.abs(np.random.default_rng(0).normal(0, 0.01, image.shape))
    scan = image + strength * image_copy + noise
    assert is_ghost(scan, copy)
    assert is_ghost(np.sqrt(scan), copy)
    assert not is_ghost(scan, mask)


def test_margins_of_zeros_do_not_hide_a_ghost(head):
    image_copy, copy = (np.roll(volume, volume.shape[0] // 2, axis=0) for volume in head)
    scan, mask = (np.pad(volume, [(6, 2), (0, 0), (0, 3)]) for volume in (head[0] + 0.1 * image_copy, copy))
    assert is_ghost(scan, mask)


def test_a_head_beside_something_brighter_is_no_ghost(head):
    image, mask = head
    bright = np.roll(image[::-1, ::-1] * 4, image.shape[0] // 2, axis=0)
    assert not is_ghost(image + bright, mask)


def test_nothing_is_no_ghost(head):
    image, mask = head
    assert not is_ghost(image, np.zeros_like(mask))
    assert not is_ghost(np.ones_like(image), mask)
