"""What lowers the confidence in a pose, by how much, and what is said of it."""

import numpy as np
import pytest
import torch

from E3PoseLib.method.confidence import Confidence, axis_concentration, orthogonality_error, touches_border


def confidence(**changes) -> Confidence:
    known = {
        "axis_concentration": (0.9, 0.95, 0.92),
        "orthogonality_error_degrees": 0.0,
        "brain_volume_ml": 200.0,
        "touches_border": False,
    }
    return Confidence(**known | changes)


def test_a_clear_pose_is_trusted_without_a_warning():
    clear = confidence()
    assert (clear.score, clear.level, clear.warnings()) == (0.9, "high", ())


@pytest.mark.parametrize(
    ("changes", "score", "level"),
    [
        ({"axis_concentration": (0.4, 0.9, 0.9)}, 0.4, "low"),
        ({"orthogonality_error_degrees": 9.0}, 0.863, "high"),
        ({"orthogonality_error_degrees": 15.0}, 0.743, "moderate"),
        ({"orthogonality_error_degrees": 17.0}, 0.681, "low"),
        ({"orthogonality_error_degrees": 60.0}, 0.0, "low"),
        ({"eyes_agree": True, "eyes_disagreement_degrees": 12.0}, 0.9, "high"),
        ({"eyes_agree": False}, 0.72, "moderate"),
        ({"eyes_agree": False, "view_disagreement_degrees": 3.0}, 0.609, "low"),
        ({"view_disagreement_degrees": 3.0}, 0.762, "moderate"),
        ({"view_disagreement_degrees": 5.0}, 0.682, "low"),
        ({"view_disagreement_degrees": 12.0}, 0.462, "low"),
        ({"view_disagreement_degrees": 90.0}, 0.006, "low"),
        ({"brain_volume_ml": 3.0}, 0.0, "low"),
        ({"brain_volume_ml": 1300.0}, 0.0, "low"),
        ({"touches_border": True}, 0.9, "moderate"),
        ({"interleave_ratio": 0.96}, 0.45, "low"),
        ({"interleave_ratio": 0.94}, 0.9, "high"),
        ({"interleave_ratio": 1.3, "halves_apart_degrees": 8.0, "halves_apart_mm": 5.0}, 0.9, "moderate"),
        ({"brain_agreement": 0.69}, 0.45, "low"),
        ({"brain_agreement": 0.71}, 0.9, "high"),
        ({"upright_agreement": 0.86}, 0.45, "low"),
        ({"upright_agreement": 0.88}, 0.9, "high"),
        ({"by_core": True}, 0.45, "low"),
        ({"brightened": True}, 0.7875, "moderate"),
        ({"brightened": True, "axis_concentration": (0.79, 0.9, 0.9)}, 0.69125, "low"),
        ({"brightened": True, "halves_apart_degrees": 8.0, "halves_apart_mm": 5.0}, 0.394, "low"),
        ({"in_ghost": True}, 0.45, "low"),
        ({"orientation_doubtful": True}, 0.45, "low"),
        ({"another_head_mm": 90.0}, 0.9, "moderate"),
    ],
)
def test_what_speaks_against_a_pose_lowers_it(changes, score, level):
    doubtful = confidence(**changes)
    assert doubtful.score == pytest.approx(score, abs=5e-4) and doubtful.level == level
    said = level == "low" or doubtful.touches_border or doubtful.halves_apart_mm or doubtful.another_head_mm
    said = said or doubtful.eyes_agree is False or doubtful.brightened
    assert bool(doubtful.warnings()) == bool(said)


def test_eyes_that_disagree_are_told_from_none():
    (apart,) = confidence(eyes_agree=False, eyes_disagreement_degrees=26.0).warnings()
    assert "differ by 26°" in apart
    for disagreement in (None, 80.0):
        (none,) = confidence(eyes_agree=False, eyes_disagreement_degrees=disagreement).warnings()
        assert "no eyes" in none


def test_a_score_that_is_no_number_is_low():
    assert confidence(axis_concentration=(float("nan"), 0.9, 0.9)).level == "low"


def test_a_cut_head_that_was_resampled_still_reaches_the_border():
    """Interpolation has left a voxel that is partly filled between what is brain and the zeros."""
    mask, array = np.zeros((30, 30, 30), bool), np.ones((30, 30, 30))
    mask[8:16, 10:20, 10:20] = True
    array[16], array[17:] = 0.3, 0
    assert touches_border(array, mask, 6)
    assert touches_border(array, mask, 3)
    array[17] = 0.3
    assert not touches_border(array, mask, 6)
    assert touches_border(array, mask, 3)
    array[18] = 0.3
    assert not touches_border(array, mask, 3)


def test_axes_in_one_plane_are_as_far_from_right_angles_as_can_be():
    cosine, sine = np.cos(np.deg2rad(70)), np.sin(np.deg2rad(70))
    assert orthogonality_error(np.diag([2.0, 1, 5])) == pytest.approx(0, abs=1e-6)
    assert orthogonality_error(np.array([[1, 0, 0], [cosine, sine, 0], [0, 0, 3]])) == pytest.approx(20)
    # Each pair is apart by 60°, yet the sign of a ten-thousandth decides where the third axis points.
    plane = np.array([[1, 0, 0], [0.5, 0.75**0.5, 0], [-0.5, 0.75**0.5, 1e-4]])
    assert orthogonality_error(plane) > 89.9
    assert confidence(orthogonality_error_degrees=orthogonality_error(plane)).level == "low"


@pytest.mark.parametrize(
    ("centre", "limit", "expected"),
    [
        ((20, 15, 13), 99, False),
        # Three voxels of 3 mm lie between the ball and the grid's end; two; none.
        ((20, 15, 9), 99, False),
        ((20, 15, 8), 99, True),
        ((33, 15, 13), 99, True),
        # The scan ends on the plane i + j = limit; the ball reaches to i + j = 35 + 6 √2 = 43.5.
        ((20, 15, 13), 50, False),
        ((20, 15, 13), 46, True),
    ],
)
def test_a_brain_at_the_end_of_the_scan_is_seen_on_straight_and_on_slanted_borders(centre, limit, expected):
    positions = np.indices((40, 30, 26))
    mask = np.linalg.norm(positions - np.reshape(centre, (3, 1, 1, 1)), axis=0) <= 6
    generator = np.random.default_rng(0)
    array = np.where(positions[0] + positions[1] < limit, generator.uniform(0.1, 1, mask.shape), 0)
    # Dark voxels here and there, in the brain and beside it, are no border.
    array[generator.random(mask.shape) < 0.02] = 0
    assert touches_border(array, mask & (array != 0), 3) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"interleave_ratio": 0.9}, False),  # "high"
        ({"interleave_ratio": 0.96}, True),
        ({"interleave_ratio": 0.86, "axis_concentration": (0.79, 0.9, 0.9)}, True),
        ({"interleave_ratio": 0.84, "axis_concentration": (0.79, 0.9, 0.9)}, False),
        ({"interleave_ratio": 0.96, "halves_apart_degrees": 8.0, "halves_apart_mm": 5.0}, False),
    ],
)
def test_odd_and_even_slices_are_looked_at_where_the_pose_may_be_of_neither(changes, expected):
    assert confidence(**changes).may_be_of_neither_half == expected


MOVED = {"interleave_ratio": 0.96, "eyes_agree": False, "eyes_disagreement_degrees": 18.0}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"axis_concentration": (0.6, 0.9, 0.9)}, True),
        (MOVED, False),  # it is a head, which moved
        (MOVED | {"eyes_disagreement_degrees": None}, True),
        (MOVED | {"upright_agreement": 0.8}, True),
        (MOVED | {"interleave_ratio": 0.94, "axis_concentration": (0.8, 0.9, 0.9)}, True),
        ({"axis_concentration": (np.nan, 0.9, 0.9)}, True),
        ({"orientation_doubtful": True}, False),
        ({"orientation_doubtful": True, "axis_concentration": (0.6, 0.9, 0.9)}, True),
    ],
)
def test_the_head_is_looked_for_elsewhere_unless_something_else_explains_the_doubt(changes, expected):
    assert confidence(**changes).may_be_elsewhere == expected


def test_concentration_is_one_for_one_axis_and_near_zero_for_any():
    one = torch.tensor([0.0, 0, 2, 0, 3, 0, 1, 0, 0]).view(9, 1, 1, 1).expand(9, 4, 4, 4)
    signs = torch.randint(2, (1, 4, 4, 4), generator=torch.Generator().manual_seed(0)) * 2 - 1
    one = torch.cat([one[:3] * signs, one[3:]])  # the sign of the pseudovector is free
    assert axis_concentration(one) == pytest.approx((1, 1, 1), abs=1e-6)
    any_axis = torch.randn(9, 12, 12, 12, generator=torch.Generator().manual_seed(1))
    assert max(axis_concentration(any_axis)) < 0.1
