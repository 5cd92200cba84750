"""Rotations, on whichever backend is installed."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from E3PoseLib.imaging.rotations import (
    euler_to_matrix,
    geodesic_angle,
    matrix_to_euler,
    orthonormalise,
    random_rotations,
    rotation_6d_to_matrix,
)


@pytest.fixture
def rotations():
    return random_rotations(200, torch.Generator().manual_seed(1), torch.float64)


def test_random_rotations_are_proper_and_uniform(rotations):
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3, dtype=torch.float64).expand(200, 3, 3))
    assert torch.linalg.det(rotations).min() > 0.999999
    many = random_rotations(20000, torch.Generator().manual_seed(2))
    # Over SO(3) the mean matrix is 0, and the mean angle 90° + 360°/π²·… = 126.476°.
    assert many.mean(dim=0).abs().max() < 0.02
    angle = geodesic_angle(many, torch.eye(3)).mean()
    assert angle == pytest.approx(np.rad2deg(np.pi / 2 + 2 / np.pi), abs=0.7)


def test_euler_angles_are_scipys_xyz(rotations):
    angles = matrix_to_euler(rotations)
    expected = Rotation.from_matrix(rotations.numpy()).as_euler("xyz", degrees=True)
    np.testing.assert_allclose(angles.numpy(), expected, atol=1e-8)
    torch.testing.assert_close(euler_to_matrix(angles), rotations)


@pytest.mark.parametrize("pitch", [90.0, -90.0])
def test_euler_angles_at_the_pole_give_the_same_rotation(pitch):
    rotation = euler_to_matrix(torch.tensor([30.0, pitch, 50.0], dtype=torch.float64))
    assert geodesic_angle(euler_to_matrix(matrix_to_euler(rotation)), rotation) < 1e-4


def test_6d_round_trip_and_gram_schmidt(rotations):
    torch.testing.assert_close(rotation_6d_to_matrix(rotations[..., :2, :].flatten(-2)), rotations)
    skewed = torch.tensor([2.0, 0.0, 0.0, 5.0, 3.0, 0.0])
    torch.testing.assert_close(rotation_6d_to_matrix(skewed), torch.eye(3))


def test_orthonormalise_finds_the_nearest_rotation(rotations):
    noisy = rotations + 0.1 * torch.randn(200, 3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    nearest = orthonormalise(noisy)
    distance = (nearest - noisy).norm(dim=(1, 2))
    assert torch.linalg.det(nearest).min() > 0.999999
    for step in torch.randn(20, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64):
        other = nearest @ euler_to_matrix(step)
        assert ((other - noisy).norm(dim=(1, 2)) >= distance - 1e-12).all()


def test_orthonormalise_never_reflects():
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    assert torch.linalg.det(orthonormalise(mirror)) == pytest.approx(1)


@pytest.mark.parametrize("degrees", [1e-6, 0.01, 1.0, 90.0, 179.9, 180.0])
def test_geodesic_angle_is_exact_from_tiny_to_half_a_turn(rotations, degrees):
    turn = euler_to_matrix(torch.tensor([0.0, 0.0, degrees], dtype=torch.float64))
    angle = geodesic_angle(rotations, rotations @ turn)
    torch.testing.assert_close(angle, torch.full_like(angle, degrees), rtol=1e-7, atol=1e-7)
