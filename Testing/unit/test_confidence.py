"""What lowers the confidence in a pose, by how much, and what is said of it."""

import numpy as np
import pytest
import torch

from E3PoseLib.confidence import Confidence, axis_concentration, orthogonality_error


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
        ({"orthogonality_error_degrees": 60.0}, 0.45, "low"),
        ({"view_disagreement_degrees": 5.0}, 0.675, "moderate"),
        ({"view_disagreement_degrees": 12.0}, 0.36, "low"),
        ({"view_disagreement_degrees": 90.0}, 0.0, "low"),
        ({"brain_volume_ml": 3.0}, 0.0, "low"),
        ({"brain_volume_ml": 1300.0}, 0.0, "low"),
        ({"touches_border": True}, 0.9, "moderate"),
    ],
)
def test_what_speaks_against_a_pose_lowers_it(changes, score, level):
    doubtful = confidence(**changes)
    assert doubtful.score == pytest.approx(score) and doubtful.level == level
    assert bool(doubtful.warnings()) == (level == "low" or doubtful.touches_border)


def test_axes_in_one_plane_are_as_far_from_right_angles_as_can_be():
    cosine, sine = np.cos(np.deg2rad(70)), np.sin(np.deg2rad(70))
    assert orthogonality_error(np.diag([2.0, 1, 5])) == pytest.approx(0, abs=1e-6)
    assert orthogonality_error(np.array([[1, 0, 0], [cosine, sine, 0], [0, 0, 3]])) == pytest.approx(20)
    # Each pair is apart by 60°, yet the sign of a ten-thousandth decides where the third axis points.
    plane = np.array([[1, 0, 0], [0.5, 0.75**0.5, 0], [-0.5, 0.75**0.5, 1e-4]])
    assert orthogonality_error(plane) > 89.9
    assert confidence(orthogonality_error_degrees=orthogonality_error(plane)).level == "low"


def test_concentration_is_one_for_one_axis_and_near_zero_for_any():
    one = torch.tensor([0.0, 0, 2, 0, 3, 0, 1, 0, 0]).view(9, 1, 1, 1).expand(9, 4, 4, 4)
    signs = torch.randint(2, (1, 4, 4, 4), generator=torch.Generator().manual_seed(0)) * 2 - 1
    one = torch.cat([one[:3] * signs, one[3:]])  # the sign of the pseudovector is free
    assert axis_concentration(one) == pytest.approx((1, 1, 1), abs=1e-6)
    any_axis = torch.randn(9, 12, 12, 12, generator=torch.Generator().manual_seed(1))
    assert max(axis_concentration(any_axis)) < 0.1
