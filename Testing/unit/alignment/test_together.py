"""Stacks that registration cannot bring together stand by their poses, and that is said."""

from dataclasses import replace

import numpy as np
import pytest
from stacks import Brain, moved

from E3PoseLib.alignment.consensus import ALIKE, ALIKE_UNREGISTERED
from E3PoseLib.alignment.likeness import pairwise
from E3PoseLib.alignment.stack import sampled
from E3PoseLib.errors import AlignmentError
from E3PoseLib.running.align import together

TRUTH = {"axial": moved(40, 30, 1), "coronal": moved(48, 38, 1)}


@pytest.fixture(scope="module")
def right():
    brain = Brain()
    return [brain.stack(plane, place) for plane, place in TRUTH.items()]


def pair(right, degrees):
    """The two stacks, the second with a pose that is off, and how alike they are so."""
    stacks = [right[0], replace(right[1], canonical_to_ras=right[1].canonical_to_ras @ moved(degrees, 1, 3))]
    return stacks, pairwise([sampled(stack, stack.canonical_to_ras) for stack in stacks])[0, 1]


@pytest.fixture
def vain_registration(monkeypatch):
    """Registration that finds nothing better than where it begins."""
    monkeypatch.setattr(together, "can_register", lambda: True)
    monkeypatch.setattr(together, "registered", lambda stack, others, where, start: start)


@pytest.mark.usefixtures("vain_registration")
def test_where_registration_makes_none_alike_poses_stay_as_estimated(right):
    stacks, alike = pair(right, 28)
    assert ALIKE_UNREGISTERED < alike < ALIKE
    found = together.bring_together(stacks)
    assert not found.is_registered and all(one.is_kept for one in found.placed)
    apart = np.linalg.inv(found.placed[0].frame_to_ras) @ found.placed[1].frame_to_ras
    own = np.linalg.inv(stacks[0].canonical_to_ras) @ stacks[1].canonical_to_ras
    np.testing.assert_allclose(apart, own, atol=1e-6)
    assert "poses stay as estimated" in found.remarks[0] and f"{alike:.2f}" in found.remarks[0]


@pytest.mark.usefixtures("vain_registration")
def test_where_neither_makes_them_alike_that_is_an_error(right):
    stacks, alike = pair(right, 120)
    assert alike < ALIKE_UNREGISTERED
    with pytest.raises(AlignmentError, match="no two of the 2 stacks show the same head"):
        together.bring_together(stacks)


def test_without_simpleitk_poses_stay_as_estimated(right, monkeypatch):
    monkeypatch.setattr(together, "can_register", lambda: False)
    found = together.bring_together(right)
    assert not found.is_registered and "SimpleITK is not installed" in found.remarks[0]
    assert found.placed[0].likeness > 0.9
