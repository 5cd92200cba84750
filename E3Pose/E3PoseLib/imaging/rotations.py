"""Rotations as tensors: Euler angles, the 6-D form, the nearest rotation, angles between two, random rotations.

Conversions come from ``pytorch3d.transforms`` where it is installed, else from ``roma``. All functions take and give
tensors with any leading dimensions (`trimmed_rotation` with one), keep their dtype and device, and are differentiable.
"""

from __future__ import annotations

import math

import torch

from ..compiler import compiler_left_out

try:
    from pytorch3d import transforms as _backend

    BACKEND = "pytorch3d"
except ImportError:
    with compiler_left_out():
        import roma as _backend

    BACKEND = "roma"

KEPT = 0.7
"""Of the points of `trimmed_rotation`, by weight, those that fit the last rotation best and decide the next."""

ROUNDS = 5


def euler_to_matrix(angles: torch.Tensor) -> torch.Tensor:
    """Rotations from Euler angles in the "xyz" order: about the fixed axes x, then y, then z (R = Rz·Ry·Rx).

    Parameters
    ----------
    angles : torch.Tensor
        Shape ``[..., 3]``, degrees about x, y, z.

    Returns
    -------
    torch.Tensor
        Shape ``[..., 3, 3]``.

    >>> euler_to_matrix(torch.tensor([0.0, 0.0, 90.0])).round().int().tolist()
    [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    """
    if BACKEND == "pytorch3d":
        return _backend.euler_angles_to_matrix(torch.deg2rad(angles).flip(-1), "ZYX")
    return _backend.euler_to_rotmat("xyz", angles, degrees=True)


def matrix_to_euler(matrix: torch.Tensor) -> torch.Tensor:
    """Euler angles "xyz" in degrees, the inverse of `euler_to_matrix`; y lies in [-90, 90].

    Parameters
    ----------
    matrix : torch.Tensor
        Shape ``[..., 3, 3]``, rotations.

    Returns
    -------
    torch.Tensor
        Shape ``[..., 3]``. At y = ±90° the split between x and z is arbitrary, the rotation they give is right.
    """
    if BACKEND == "pytorch3d":
        return torch.rad2deg(_backend.matrix_to_euler_angles(matrix, "ZYX").flip(-1))
    angles = _backend.rotmat_to_euler("xyz", matrix, degrees=True)
    # roma before 1.8 returns the three angles apart.
    return angles if isinstance(angles, torch.Tensor) else torch.stack(angles, dim=-1)


def rotation_6d_to_matrix(rotation_6d: torch.Tensor) -> torch.Tensor:
    """Rotation ``[..., 3, 3]`` whose first two rows are ``[..., 6]`` after Gram-Schmidt (Zhou et al., CVPR 2019)."""
    if BACKEND == "pytorch3d":
        return _backend.rotation_6d_to_matrix(rotation_6d)
    return _backend.special_gramschmidt(rotation_6d.unflatten(-1, (2, 3)).mT).mT


def orthonormalise(matrix: torch.Tensor) -> torch.Tensor:
    """The rotation nearest to a matrix in the Frobenius norm: U·diag(1, 1, det UVᵀ)·Vᵀ of its SVD.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape ``[..., 3, 3]``.

    Returns
    -------
    torch.Tensor
        Shape ``[..., 3, 3]``, determinant +1.
    """
    u, _, vh = torch.linalg.svd(matrix)
    sign = torch.linalg.det(u @ vh)
    return torch.cat([u[..., :2], u[..., 2:] * sign[..., None, None]], dim=-1) @ vh


def geodesic_angle(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Angle in degrees, [0, 180], of the rotation from a to b; accurate for small angles too.

    Parameters
    ----------
    a, b : torch.Tensor
        Shapes that broadcast to ``[..., 3, 3]``.

    Returns
    -------
    torch.Tensor
        Shape ``[...]``.
    """
    relative = a.mT @ b
    if BACKEND == "pytorch3d":
        radians = _backend.matrix_to_axis_angle(relative).norm(dim=-1)
        return torch.rad2deg(torch.minimum(radians, 2 * math.pi - radians))
    return torch.rad2deg(_backend.rotmat_to_rotvec(relative).norm(dim=-1))


def random_rotations(
    n: int, generator: torch.Generator | None = None, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Rotations ``[n, 3, 3]``, uniform over SO(3): unit quaternions from normal variables."""
    quaternions = torch.nn.functional.normalize(torch.randn(n, 4, generator=generator, dtype=dtype), dim=-1)
    if BACKEND == "pytorch3d":
        return _backend.quaternion_to_matrix(quaternions)
    return _backend.unitquat_to_rotmat(quaternions)


def trimmed_rotation(points: torch.Tensor, places: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Rotation of the rotation, shift and scale that carry points to places, by trimmed least squares.

    In closed form (Umeyama, IEEE TPAMI 13(4), 1991), and again by those points that fit best.

    Parameters
    ----------
    points, places : torch.Tensor
        Shape ``[B, N, 3]``, not in one line.
    weights : torch.Tensor
        Shape ``[B, N]``, not negative, their sum positive.

    Returns
    -------
    torch.Tensor
        Shape ``[B, 3, 3]``, determinant +1.
    """
    kept = weights
    for remaining in reversed(range(ROUNDS)):
        share = (kept / kept.sum(1, keepdim=True))[..., None]
        middle, middle_place = (share * points).sum(1, keepdim=True), (share * places).sum(1, keepdim=True)
        from_middle, place = points - middle, places - middle_place
        covariance = (share * place).mT @ from_middle
        rotation = orthonormalise(covariance)
        if remaining:
            spread = (share * from_middle.square()).sum((1, 2))
            scale = (rotation * covariance).sum((1, 2)) / spread
            # Their squares have the same order; torch's norm of three numbers takes a hundred times as long on a CPU.
            residuals = (scale[:, None, None] * from_middle @ rotation.mT - place).square().sum(2)
            ascending, order = residuals.sort(dim=1)
            enough = KEPT * weights.sum(1, keepdim=True)
            last = (weights.gather(1, order).cumsum(1) < enough).sum(1, keepdim=True).clamp(max=points.shape[1] - 1)
            kept = weights * (residuals <= ascending.gather(1, last))
    return rotation
