"""Motion columns of a series of poses."""

import numpy as np
from scipy.spatial.transform import Rotation

from E3PoseLib.imaging.motion import RADIUS_MM, motion_columns


def pose(angles_degrees, centre) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles_degrees, degrees=True).as_matrix()
    matrix[:3, 3] = centre
    return matrix


def test_motion_is_against_the_first_pose_that_is_believed():
    turn = pose([10, -20, 170], [0, 0, 0])
    first, second = pose([30, 40, 50], [5, 6, 7]), None
    second = turn @ first
    second[:3, 3] = first[:3, 3] + [1, -2, 3]
    columns = motion_columns(np.stack([pose([0, 0, 0], [90, 0, 0]), first, second]), np.array([False, True, True]))
    assert np.allclose([columns[f"trans_{axis}"][2] for axis in "xyz"], [1, -2, 3])
    assert np.allclose(np.rad2deg([columns[f"rot_{axis}"][2] for axis in "xyz"]), [10, -20, 170])
    assert np.allclose([columns[f"rot_{axis}"][1] for axis in "xyz"], 0, atol=1e-9)


def test_displacement_does_not_jump_where_an_angle_passes_half_a_turn():
    poses = np.stack([pose([0, 0, angle], [0, 0, 0]) for angle in (0, 178, 182)])
    displacement = motion_columns(poses, np.ones(3, bool))["framewise_displacement"]
    assert np.isnan(displacement[0])
    assert np.isclose(displacement[2], RADIUS_MM * np.deg2rad(4))


def test_where_there_is_no_pose_there_are_no_numbers():
    poses = np.stack([pose([0, 0, 0], [0, 0, 0]), np.full((4, 4), np.nan), pose([0, 0, 0], [3, 0, 0])])
    columns = motion_columns(poses, np.ones(3, bool))
    assert np.isnan(columns["trans_x"]).tolist() == [False, True, False]
    assert np.isnan(columns["framewise_displacement"]).all()
    assert all(np.isnan(values).all() for values in motion_columns(poses[1:2], np.ones(1, bool)).values())
