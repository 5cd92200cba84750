"""Motion of a head in numbers: parameters, framewise displacement, rest; and a smooth line through noisy poses."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from E3PoseLib.imaging.geometry import pose_difference, rigid
from E3PoseLib.imaging.motion import framewise_displacement
from E3PoseLib.method.tracking.motion import motion_of, rest_periods
from E3PoseLib.method.tracking.smoothing import LEAST_FRAMES, smooth

NONE, REST = np.full((4, 4), np.nan), np.eye(4)


def pose(angles, shift, at=REST) -> np.ndarray:
    """A pose turned by angles x, y, z about the patient's axes through the head's centre, and shifted."""
    turned = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ at[:3, :3]
    return rigid(turned, at[:3, 3] + shift)


def test_parameters_are_those_of_the_motion_and_displacement_has_a_radius_of_30_mm():
    start = rigid(Rotation.from_euler("xyz", [100, -30, 60], degrees=True).as_matrix(), [10, -20, 30])
    poses = np.array([start, pose([0, 0, 6], [1, -2, 0.5], start), NONE, pose([3, 0, 0], [0, 0, 0], start)])
    motion = motion_of(poses, np.array([True, True, False, True]))
    assert motion.reference == 0
    np.testing.assert_allclose(motion.translations[[0, 1]], [[0, 0, 0], [1, -2, 0.5]], atol=1e-9)
    np.testing.assert_allclose(np.degrees(motion.rotations[[0, 1, 3]]), [[0, 0, 0], [0, 0, 6], [3, 0, 0]], atol=1e-9)
    assert motion.displacement[1] == pytest.approx(3.5 + 30 * np.radians(6))
    # Neither the first frame, nor one without a pose, nor the one behind it has a frame to be compared with.
    assert np.isnan(motion.displacement[[0, 2, 3]]).all() and np.isnan(motion.translations[2]).all()


def test_the_reference_is_the_first_pose_that_is_believed_and_any_where_none_is():
    poses = np.array([NONE, np.eye(4), pose([5, 0, 0], [0, 0, 0])])
    assert motion_of(poses, np.array([False, False, True])).reference == 2
    assert motion_of(poses, np.zeros(3, bool)).reference == 1
    with pytest.raises(ValueError, match="no frame"):
        motion_of(np.array([NONE]), np.array([True]))


def test_displacement_does_not_jump_where_an_angle_passes_half_a_turn():
    poses = np.array([pose([0, 0, angle], [0, 0, 0]) for angle in (176, 179, 182, 185)])
    np.testing.assert_allclose(framewise_displacement(poses)[1:], 30 * np.radians(3))


def test_a_head_rests_while_it_stays_near_for_ten_seconds():
    still = [pose([0.5, 0, 0], [0.3, 0, 0])] * 8
    poses = np.array([*still, *[pose([0, 20, 0], [0, 0, 9])] * 3, *[pose([0, 40, 0], [0, 0, 9])] * 6])
    believed = np.ones(17, bool)
    believed[4] = False
    assert rest_periods(poses, believed, np.arange(17) * 2.0) == [(0, 7), (11, 16)]
    assert rest_periods(poses, believed, np.arange(17) * 1.0) == []
    # What is not believed begins and ends no rest.
    believed[[0, 16]] = False
    assert rest_periods(poses, believed, np.arange(17) * 2.0) == [(1, 7)]


def noisy(truth, rng):
    return np.array([pose(rng.normal(0, 1.0, 3), rng.normal(0, 0.8, 3), one) for one in truth])


def off(poses, truth) -> np.ndarray:
    return np.array([pose_difference(one, other) for one, other in zip(poses, truth, strict=True)])


def test_smoothing_takes_noise_away_but_no_jump():
    rng = np.random.default_rng(0)
    times = np.arange(60) * 2.0
    # Through half a turn, where angles and quaternions change their signs.
    truth = np.array([pose([170 + t / 4, 10 * np.sin(t / 20), 0], [t / 10, 0, 5 * np.cos(t / 15)]) for t in times])
    truth[30:] = np.array([pose([0, 40, 0], [15, 0, 0], one) for one in truth[30:]])
    poses = noisy(truth, rng)
    believed = np.ones(60, bool)
    believed[[10, 45]] = False
    poses[10], poses[45] = NONE, pose([0, 0, 90], [0, 0, 0], poses[45])
    smoothed = smooth(poses, believed, times)
    before, after = off(poses[believed], truth[believed]), off(smoothed, truth)
    assert (np.median(after, axis=0) < 0.75 * np.median(before, axis=0)).all()
    # Frames that are not believed lie between their neighbours; the jump is where it was.
    assert (after[[10, 45]] < (3, 3)).all() and (after[[29, 30]] < (4, 4)).all()


def test_few_frames_stay_as_they_are_and_what_is_not_believed_at_an_end_has_no_pose():
    poses = noisy([np.eye(4)] * (LEAST_FRAMES - 1), np.random.default_rng(1))
    believed = np.ones(len(poses), bool)
    believed[-1] = False
    smoothed = smooth(poses, believed, np.arange(len(poses)) * 1.0)
    np.testing.assert_array_equal(smoothed[:-1], poses[:-1])
    assert np.isnan(smoothed[-1]).all()
    assert np.isnan(smooth(poses, np.zeros(len(poses), bool), np.arange(len(poses)) * 1.0)).all()


def test_a_head_that_does_not_move_at_all_stays_where_it_is():
    poses = np.array([pose([30, 20, 10], [1, 2, 3])] * 20)
    np.testing.assert_allclose(smooth(poses, np.ones(20, bool), np.arange(20) * 2.0), poses, atol=1e-9)
