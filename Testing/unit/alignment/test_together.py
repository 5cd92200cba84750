"""Where stacks cannot be registered they stand by their poses, and that is said."""

import pytest
from stacks import Brain, moved

from E3PoseLib.running.align import together

TRUTH = {"axial": moved(40, 30, 1), "coronal": moved(48, 38, 1)}


@pytest.fixture(scope="module")
def right():
    brain = Brain()
    return [brain.stack(plane, place) for plane, place in TRUTH.items()]


def test_without_simpleitk_poses_stay_as_estimated(right, monkeypatch):
    monkeypatch.setattr(together, "can_register", lambda: False)
    found = together.bring_together(right)
    assert not found.is_registered and "SimpleITK is not installed" in found.remarks[0]
    assert found.placed[0].likeness > 0.9
