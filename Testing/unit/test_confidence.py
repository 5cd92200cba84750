"""What lowers the confidence in a pose, by how much, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import BY_AXES

from E3PoseLib.method.trust.confidence import Confidence
from E3PoseLib.method.trust.evidence import axis_concentration, border_share, orthogonality_error
from E3PoseLib.models.calibration import Calibration, Sum

CALIBRATION = Calibration(
    Sum(
        5.0,
        {"axes": -10.0, "right angles": -0.5, "views": -0.5, "no eyes": -2.0, "moved": -1.5, "brains, poor": -20.0}
        | {"core": -3.0, "brightened": -1.0, "border": -0.5, "cut": -1.0, "brains upright, poor": -20.0},
    ),
    Sum(1.5, {"views": 0.4, "no eyes": 0.8}),
    Sum(0.7, {"cut": 0.5}),
)
"""Made up: a clear pose has odds of e⁴."""


def confidence(**changes) -> Confidence:
    known = {
        "axis_concentration": (0.9, 0.95, 0.92),
        "orthogonality_error_degrees": 0.0,
        "brain_volume_ml": 200.0,
        "touches_border": False,
        "calibration": CALIBRATION,
    }
    return Confidence(**known | changes)


def test_a_clear_pose_is_trusted_without_a_warning():
    clear = confidence()
    assert clear.probability == pytest.approx(1 / (1 + np.exp(-4))) and (clear.level, clear.warnings()) == ("high", ())
    assert clear.bounds == pytest.approx((np.exp(1.5), np.exp(0.7)))
    assert clear.in_words == "high: within 5° and 3 mm, 9 times in 10"


@pytest.mark.parametrize(
    ("changes", "log_odds", "level"),
    [
        ({"axis_concentration": (0.4, 0.9, 0.9)}, -1, "low"),
        ({"orthogonality_error_degrees": 15.0}, 3.25, "moderate"),
        ({"orthogonality_error_degrees": 60.0}, 1, "low"),
        ({"eyes_agree": True, "eyes_disagreement_degrees": 12.0}, 4, "high"),
        ({"eyes_agree": False}, 2, "low"),
        ({"eyes_agree": False, "eyes_disagreement_degrees": 80.0}, 2, "low"),
        ({"eyes_agree": False, "eyes_disagreement_degrees": 20.0}, 4, "high"),
        ({"view_disagreement_degrees": 12.0}, 3.4, "moderate"),
        ({"view_disagreement_degrees": 90.0}, -0.5, "low"),
        ({"touches_border": True}, 3.5, "moderate"),
        ({"touches_border": True, "border_share": 0.2}, 1.5, "low"),
        ({"interleave_ratio": 0.96}, 0.85, "low"),
        ({"interleave_ratio": 0.7}, 4, "high"),
        ({"interleave_ratio": 1.3, "halves_apart_degrees": 8.0, "halves_apart_mm": 5.0}, 4, "moderate"),
        ({"interleave_ratio": 0.9, "halves_apart_degrees": 1.0, "halves_apart_mm": 0.5}, 4, "high"),
        ({"interleave_ratio": 0.9, "halves_apart_degrees": 1.0, "halves_apart_mm": 4.0}, 4, "moderate"),
        ({"brain_agreement": 0.7}, 2, "low"),
        ({"upright_agreement": 0.82}, 3, "moderate"),
        ({"by_core": True}, 1, "low"),
        ({"brightened": True}, 3, "moderate"),
        ({"darkened": True}, 4, "moderate"),
        ({"stretched_by": 1.2}, 4, "high"),
        ({"stretched_by": 1.3}, 4, "moderate"),
        ({"stretched_by": 0.75}, 4, "moderate"),
    ],
)
def test_what_speaks_against_a_pose_lowers_its_probability(changes, log_odds, level):
    doubtful = confidence(**changes)
    assert doubtful.probability == pytest.approx(1 / (1 + np.exp(-log_odds))) and doubtful.level == level
    said = level == "low" or doubtful.touches_border or (doubtful.is_by_halves and not doubtful.halves_agree)
    said = (
        said
        or doubtful.is_stretched
        or doubtful.eyes_agree is False
        or doubtful.brightened
        or doubtful.darkened
        or doubtful.brains_differ
    )
    assert bool(doubtful.warnings()) == bool(said)


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"brain_volume_ml": 3.0}, "low"),
        ({"brain_volume_ml": 1300.0}, "low"),
        ({"in_ghost": True}, "low"),
        ({"orientation_doubtful": True}, "low"),
        ({"slices_out_of_order": True}, "low"),
        ({"another_head_mm": 90.0}, "moderate"),
        ({"interleave_ratio": 0.96, "axis_concentration": (1.0, 1.0, 1.0), "calibration": BY_AXES}, "moderate"),
        ({"calibration": None}, "low"),
        ({"axis_concentration": (float("nan"), 0.9, 0.9)}, "low"),
    ],
)
def test_what_no_scans_can_teach_is_a_rule(changes, level):
    assert confidence(**changes).level == level and confidence(**changes).warnings()


@pytest.mark.parametrize("rule", ["in_ghost", "orientation_doubtful", "slices_out_of_order"])
def test_what_is_low_by_a_rule_is_not_told_to_be_likely_right(rule):
    doubtful = confidence(**{rule: True})
    assert doubtful.probability > 0.9 and doubtful.in_words == "low: see the warnings"
    assert "%" not in " ".join(doubtful.warnings())


def test_without_a_calibration_the_weakest_axis_tells_one_pose_from_another():
    unknown = confidence(calibration=None)
    assert (unknown.probability, unknown.bounds, unknown.certainty) == (None, None, 0.9)
    assert "was never measured" in unknown.warnings()[0] and "never calibrated" in unknown.in_words
    assert confidence(calibration=None, brain_volume_ml=3.0).certainty == 0
    told = unknown.as_dict()
    assert told["probability"] is told["bound_degrees"] is told["bound_mm"] is None and "calibration" not in told


def test_the_doubt_that_weighs_most_is_told_first():
    doubtful = confidence(touches_border=True, border_share=0.05, eyes_agree=False, by_core=True)
    assert [words.split()[0] + " " + words.split()[1] for words in doubtful.warnings()] == [
        "the pose",
        "the brain",  # by the core: 3
        "no eyes",  # 2
        "the head",  # at the border: 0.5, and 0.5 for what is cut
    ]
    assert doubtful.in_words == "low: 12 % that it is right" and "(12 % to be right)" in doubtful.warnings()[0]


def test_the_same_doubts_weigh_more_where_a_brain_is_all_there_is_to_tell_by():
    weights = {"views": -0.5, "brain only": -0.5, "brain only, views": -1.0, "brain only, small": -2.0}
    weights["brain only, right angles"] = -0.25
    calibration = Calibration(Sum(5.0, weights), CALIBRATION.degrees, CALIBRATION.mm)
    known = {"view_disagreement_degrees": 10.0, "brain_volume_ml": 100 / np.e, "orthogonality_error_degrees": 20.0}
    head, brain = (confidence(**known, calibration=calibration, brain_only=only) for only in (False, True))
    assert head.probability == pytest.approx(1 / (1 + np.exp(-4.5)))
    assert brain.probability == pytest.approx(1 / (1 + np.exp(-(4.5 - 0.5 - 1 - 2 - 0.5))))
    assert "a brain without skull" in brain.warnings()[1]


def test_eyes_that_disagree_are_told_from_none():
    apart = confidence(eyes_agree=False, eyes_disagreement_degrees=26.0).warnings()
    assert "differ by 26°" in apart[-1]
    for disagreement in (None, 80.0):
        assert "no eyes" in confidence(eyes_agree=False, eyes_disagreement_degrees=disagreement).warnings()[-1]


def test_bounds_stay_within_what_can_be():
    sure = Calibration(Sum(3.0, {"axes": -100.0}), Sum(4.0, {}), Sum(4.0, {}))
    assert confidence(calibration=sure, axis_concentration=(1, 1, 1)).bounds == (15.0, 10.0)  # right with 95 %
    assert confidence(calibration=sure).bounds == pytest.approx((np.exp(4), np.exp(4)))
    # What landmarks are off is added in quadrature: 3-4-5 triangles.
    marked = Calibration(Sum(3.0, {}), Sum(np.log(6), {}), Sum(np.log(3), {}), landmark_degrees=8.0, landmark_mm=4.0)
    assert confidence(calibration=marked).bounds == pytest.approx((10.0, 5.0))
    assert confidence(calibration=marked).bounds_without_landmarks == pytest.approx((6.0, 3.0))
    assert confidence(calibration=replace(marked, landmark_mm=11.0)).bounds == pytest.approx((10.0, 10.0))
    wide = Calibration(Sum(0.0, {}), Sum(900.0, {}), Sum(-900.0, {}))
    assert confidence(calibration=wide).bounds == (180.0, 0.5)
    unknown = Calibration(Sum(0.0, {}), Sum(1.0, {"axes": 1.0}), Sum(1.0, {"axes": 1.0}))
    assert confidence(calibration=unknown, axis_concentration=(float("nan"), 1, 1)).bounds == (180.0, 500.0)


def test_a_cut_head_that_was_resampled_still_reaches_the_border():
    """Interpolation has left a voxel that is partly filled between what is brain and the zeros."""
    mask, array = np.zeros((30, 30, 30), bool), np.ones((30, 30, 30))
    mask[8:16, 10:20, 10:20] = True
    array[16], array[17:] = 0.3, 0
    assert border_share(array, mask, 6)[0]
    assert border_share(array, mask, 3)[0]
    array[17] = 0.3
    assert not border_share(array, mask, 6)[0]
    assert border_share(array, mask, 3)[0]
    array[18] = 0.3
    assert not border_share(array, mask, 3)[0]


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
    reaches, share = border_share(array, mask & (array != 0), 3)
    assert reaches == expected and 0 <= share < 0.2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"interleave_ratio": 0.86, "axis_concentration": (1.0, 1.0, 1.0)}, True),
        ({"interleave_ratio": 0.84}, False),
        ({"interleave_ratio": 0.86, "calibration": BY_AXES}, True),  # also where it is "high"
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
        (MOVED | {"interleave_ratio": 0.94}, True),
        ({"axis_concentration": (np.nan, 0.9, 0.9)}, True),
        ({"orientation_doubtful": True}, False),
        ({"orientation_doubtful": True, "axis_concentration": (0.6, 0.9, 0.9)}, True),
        ({"calibration": None}, False),
        ({"calibration": None, "axis_concentration": (0.8, 0.9, 0.9)}, True),
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
