"""The faint copy of a head half a field of view away is told from a head."""

import numpy as np
import pytest

from E3PoseLib.ghosts import is_ghost
from E3PoseTraining.synthesis import FetalHeadGenerator


@pytest.fixture(scope="module")
def head():
    """A scan, whose slices show a head beside empty room, and the head's mask."""
    scan = FetalHeadGenerator(seed=3, field="head", spacing=3.0, motion=0)(0)
    room = [(8, n + 24) for n in scan.image.shape]
    return np.pad(scan.image, room), np.pad(scan.labels == 1, room)


def with_ghost(image, axis, strength, noise):
    """Every second line of k-space along an axis is off by a phase: see `RandGhosting`."""
    lines = np.fft.fft(image, axis=axis)
    odd = (np.arange(image.shape[axis]) % 2).reshape([-1 if a == axis else 1 for a in range(3)])
    ghosted = np.abs(np.fft.ifft(lines * np.where(odd, np.exp(2j * np.arctan(strength)), 1), axis=axis))
    return ghosted + np.abs(np.random.default_rng(0).normal(0, noise, image.shape))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("strength", [0.05, 0.3])
def test_a_ghost_is_told_from_its_head(head, axis, strength):
    image, mask = head
    if image.shape[axis] % 2:
        image, mask = (np.pad(a, [(0, int(i == axis)) for i in range(3)]) for a in (image, mask))
    scan = with_ghost(image, axis, strength, noise=0.01)
    copy = np.roll(mask, image.shape[axis] // 2, axis=axis)
    assert is_ghost(scan, copy)
    assert is_ghost(np.sqrt(scan), copy)
    assert not is_ghost(scan, mask)


def test_a_head_beside_something_brighter_is_no_ghost(head):
    image, mask = head
    bright = np.roll(image[::-1, ::-1] * 4, image.shape[0] // 2, axis=0)
    assert not is_ghost(image + bright, mask)


def test_nothing_is_no_ghost(head):
    image, mask = head
    assert not is_ghost(image, np.zeros_like(mask))
    assert not is_ghost(np.ones_like(image), mask)
