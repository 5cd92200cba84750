"""A brain that the end of the scan cuts has its centre where that of the whole is."""

import numpy as np
import pytest
import torch

from E3PoseLib.imaging.masks import centre_of_mass
from E3PoseLib.imaging.rotations import random_rotations
from E3PoseLib.method.cut_brain import BRAIN_MOMENTS, whole_brain
from E3PoseLib.method.trust.proportions import stretched_by

EDGE, MIDDLE, SIZE = 60, np.array([30.0, 31.0, 29.0]), 9000.0
ROTATIONS = random_rotations(6, torch.Generator().manual_seed(3), torch.float64).numpy()


def brain(rotation, stretch=(1.0, 1.0, 1.0)):
    """An ellipsoid with the moments of a brain, stretched along the head's axes, ``[60, 60, 60]``."""
    from_middle = (np.moveaxis(np.indices((EDGE,) * 3), 0, -1) - MIDDLE) @ rotation
    form = np.linalg.inv(5 * np.diag(stretch) @ BRAIN_MOMENTS @ np.diag(stretch))
    return np.einsum("...i,ij,...j->...", from_middle, form, from_middle) <= SIZE ** (2 / 3)


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize(("lost", "most_off", "size_off"), [(3, 0.3, 0.02), (8, 0.5, 0.04), (11, 0.7, 0.05)])
def test_the_centre_of_a_cut_brain_is_that_of_the_whole(rotation, lost, most_off, size_off):
    whole = brain(rotation)
    first = int(np.flatnonzero(whole.any(axis=(1, 2)))[0]) + lost
    shown = np.full(whole.shape, 0.5, np.float32)
    shown[:first] = 0
    seen = whole & (shown != 0)
    centre, size = whole_brain(shown, seen, rotation)
    assert np.linalg.norm(centre - MIDDLE) < most_off
    assert np.linalg.norm(centre - MIDDLE) < np.linalg.norm(centre_of_mass(seen) - MIDDLE) / 2
    assert size == pytest.approx(whole.sum(), rel=size_off)


def test_where_the_grid_ends_the_brain_goes_on_as_well():
    whole = brain(ROTATIONS[0])
    first = int(np.flatnonzero(whole.any(axis=(0, 1)))[-1]) - 9
    seen = whole[:, :, :first].copy()
    centre, _ = whole_brain(np.ones(seen.shape, np.float32), seen, ROTATIONS[0])
    assert np.linalg.norm(centre - MIDDLE) < 0.5
    assert np.linalg.norm(centre_of_mass(seen) - MIDDLE) > 1.5


def test_brains_of_another_form_are_moved_the_right_way_too():
    whole = brain(ROTATIONS[1], stretch=(1.1, 0.9, 1.0))
    first = int(np.flatnonzero(whole.any(axis=(1, 2)))[0]) + 9
    seen = whole[first:]
    centre, _ = whole_brain(np.ones(seen.shape, np.float32), seen, ROTATIONS[1])
    there = MIDDLE - [first, 0, 0]
    assert np.linalg.norm(centre - there) < np.linalg.norm(centre_of_mass(seen) - there) / 2


def test_a_brain_within_the_scan_keeps_its_centre_and_size():
    whole = brain(ROTATIONS[2])
    shown = np.ones(whole.shape, np.float32)
    shown[12, 13, 14] = 0  # A single dark voxel is no end.
    shown[:4] = 0
    centre, size = whole_brain(shown, whole, ROTATIONS[2])
    np.testing.assert_array_equal(centre, centre_of_mass(whole))
    assert size == whole.sum()


def test_a_brain_of_which_only_the_unsure_rim_is_shown_keeps_what_it_has():
    seen = np.zeros((20, 20, 20), bool)
    seen[0:2, 8:12, 8:12] = True
    centre, size = whole_brain(np.ones(seen.shape, np.float32), seen, np.eye(3))
    np.testing.assert_array_equal(centre, [0.5, 9.5, 9.5])
    assert size == 32


@pytest.mark.parametrize("rotation", ROTATIONS[:3])
@pytest.mark.parametrize(("factor", "axis"), [(1.0, 2), (1.5, 2), (0.6, 0)])
def test_a_brain_in_a_scan_of_a_wrong_voxel_size_is_known_by_its_form(rotation, factor, axis):
    mask = brain(rotation)[:, :, ::3]
    told = np.diag([2.0, 2.0, 6.0, 1.0]) @ np.diag([*np.where(np.arange(3) == axis, factor, 1), 1])
    assert stretched_by(mask, told, rotation) == pytest.approx(factor, rel=0.06)
