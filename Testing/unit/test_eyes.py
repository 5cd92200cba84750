"""The eyes among other bright spots, and the rotation that they define."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from E3PoseLib.imaging.cropping import cut, put_back
from E3PoseLib.imaging.geometry import rigid, transform_points
from E3PoseLib.imaging.rotations import euler_to_matrix, geodesic_angle, random_rotations
from E3PoseLib.method.crop import cube_around
from E3PoseLib.method.eyes import CANONICAL_PITCH_DEGREES, Eyes, average_with_eyes, find_eyes, rotation_from_eyes

CENTRE = np.array([12.0, -30.0, 55.0])
BRAIN_ML = 200.0
REACH_MM = 42.0
HALF_DISTANCE_MM = 16.0
SHAPE = (44, 46, 48)


def eyes_of(rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right eye from the brain's centre, mm, of a head with that rotation."""
    pitch = np.deg2rad(CANONICAL_PITCH_DEGREES)
    forward = np.sqrt(REACH_MM**2 - HALF_DISTANCE_MM**2) * np.array([0, np.cos(pitch), -np.sin(pitch)])
    across = np.array([HALF_DISTANCE_MM, 0, 0])
    return rotation @ (forward - across), rotation @ (forward + across)


def oblique_grid(seed: int) -> np.ndarray:
    """``grid_to_ras`` of voxels of 3 mm with the brain's centre in the middle."""
    turn = random_rotations(1, torch.Generator().manual_seed(seed), torch.float64)[0].numpy()
    middle = (np.array(SHAPE) - 1) / 2
    return rigid(turn, CENTRE) @ np.diag([3.0, 3.0, 3.0, 1.0]) @ rigid(np.eye(3), -middle)


def spots(places: list[tuple[np.ndarray, float]], grid_to_ras: np.ndarray) -> np.ndarray:
    """Probabilities with a ball of some 5 mm at each place (RAS mm), as likely as it says."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    ras = transform_points(grid_to_ras, index)
    return np.max(
        [height * np.exp(-np.square(ras - place).sum(-1) / (2 * 4.5**2)) for place, height in places], axis=0
    ).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_the_rotation_that_placed_the_eyes_is_found_again(seed):
    rotation = random_rotations(1, torch.Generator().manual_seed(seed), torch.float64)[0].numpy()
    left, right = eyes_of(rotation)
    np.testing.assert_allclose(rotation_from_eyes(left, right), rotation, atol=1e-12)
    # A mirror image swaps left and right, and mirrors the vectors y and z but keeps the pseudovector x.
    mirror = np.diag([1.0, 1.0, -1.0])
    mirrored = rotation_from_eyes(mirror @ right, mirror @ left)
    np.testing.assert_allclose(mirrored, mirror @ rotation * [-1, 1, 1], atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_eyes_are_told_from_brighter_spots(seed):
    rotation = random_rotations(1, torch.Generator().manual_seed(seed), torch.float64)[0].numpy()
    elsewhere = rotation @ euler_to_matrix(torch.tensor([70.0, 0.0, 20.0], dtype=torch.float64)).numpy()
    places = [(CENTRE + eye, 0.85) for eye in eyes_of(rotation)]
    places += [(CENTRE + eye, 1.0) for eye in eyes_of(elsewhere)]  # a pair on another side of the head
    places += [(CENTRE + rotation @ [0, -45, 0], 1.0), (CENTRE + rotation @ [3, 5, 0], 1.0)]
    grid_to_ras = oblique_grid(seed + 100)
    guess = rotation @ euler_to_matrix(torch.tensor([-12.0, 8.0, 5.0], dtype=torch.float64)).numpy()
    eyes = find_eyes(spots(places, grid_to_ras), grid_to_ras, CENTRE, BRAIN_ML, guess)
    for found, true in zip((eyes.left, eyes.right), eyes_of(rotation), strict=True):
        assert np.linalg.norm(found - CENTRE - true) < 1.5  # half a voxel
    found = torch.from_numpy(rotation_from_eyes(eyes.left - CENTRE, eyes.right - CENTRE))
    assert geodesic_angle(found, torch.from_numpy(rotation)) < 2
    assert 0.45 < eyes.probability < 0.6
    dim = [(place, probability / 2) for place, probability in places]
    assert find_eyes(spots(dim, grid_to_ras), grid_to_ras, CENTRE, BRAIN_ML, guess) is None


def test_what_cannot_be_a_pair_of_eyes_is_none():
    rotation, grid_to_ras = np.eye(3), oblique_grid(0)
    left, right = eyes_of(rotation)
    for places in (
        [(CENTRE + left, 0.9)],
        [(CENTRE + left, 0.9), (CENTRE + 2 * right, 0.9)],  # one of them twice as far
        [(CENTRE + left, 0.02), (CENTRE + right, 0.02)],  # hardly likely
        [(CENTRE + 0.2 * left, 0.9), (CENTRE + 0.2 * right, 0.9)],  # within the brain
    ):
        assert find_eyes(spots(places, grid_to_ras), grid_to_ras, CENTRE, BRAIN_ML, rotation) is None
    assert find_eyes(np.zeros(SHAPE, np.float32), grid_to_ras, CENTRE, BRAIN_ML, rotation) is None


def test_a_cube_may_reach_beyond_the_grid():
    array = np.arange(1, 1 + 6 * 7 * 8).reshape(6, 7, 8)
    mask = np.zeros(array.shape, bool)
    mask[4:6, 2:5, 0:2] = True
    cube = cube_around(mask, 6)
    assert cube == (slice(2, 8), slice(0, 6), slice(-2, 4))
    content = cut(array, cube)
    np.testing.assert_array_equal(content[:4, :, 2:], array[2:6, 0:6, 0:4])
    assert content[4:].sum() == content[:, :, :2].sum() == 0
    back = put_back(content, cube, array.shape)
    np.testing.assert_array_equal(back[2:6, 0:6, 0:4], array[2:6, 0:6, 0:4])
    assert back.sum() == content.sum()


def test_the_grid_may_be_stored_otherwise():
    """The same spots on a mirrored grid are the same eyes."""
    grid_to_ras = oblique_grid(1)
    probability = spots([(CENTRE + eye, 0.8) for eye in eyes_of(np.eye(3))], grid_to_ras)
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip[0, 3] = SHAPE[0] - 1
    eyes, mirrored = (
        find_eyes(array, matrix, CENTRE, BRAIN_ML, np.eye(3))
        for array, matrix in ((probability, grid_to_ras), (probability[::-1], grid_to_ras @ flip))
    )
    np.testing.assert_allclose(mirrored.left, eyes.left, atol=1e-4)
    np.testing.assert_allclose(mirrored.right, eyes.right, atol=1e-4)
    assert eyes.left[0] < CENTRE[0] < eyes.right[0]


def test_eyes_and_network_are_averaged_where_they_show_one_face():
    true = random_rotations(1, torch.Generator().manual_seed(9), torch.float64)[0].numpy()
    eyes = Eyes(*(CENTRE + eye for eye in eyes_of(true)), probability=0.7)
    for angle in (9.0, 11.0, 14.0, 16.0, 34.0, 36.0, 170.0):
        turn = euler_to_matrix(torch.tensor([angle, 0.0, 0.0], dtype=torch.float64)).numpy()
        rotation, disagreement, agree = average_with_eyes(true @ turn, eyes, CENTRE)
        assert disagreement == pytest.approx(angle, abs=1e-6)
        assert agree == (angle < 15)
        for probability, most in ((0.6, 10), (0.5, 0)):
            less_clear = average_with_eyes(true @ turn, replace(eyes, probability=probability), CENTRE)
            assert np.array_equal(less_clear[0], rotation) and less_clear[2] == (angle < most)
        # The mean by chordal distance of turns about one axis: that of their points on the circle.
        a = np.deg2rad(angle)
        expected = np.rad2deg(np.arctan2(np.sin(a), np.cos(a) + 8)) if angle < 35 else angle
        assert geodesic_angle(torch.from_numpy(rotation), torch.from_numpy(true)) == pytest.approx(expected, abs=1e-3)
