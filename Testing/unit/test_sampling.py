"""Arrays sampled on grids that stand askew in them."""

import numpy as np
import pytest
import torch

from E3PoseLib.imaging.geometry import transform_points
from E3PoseLib.imaging.rotations import random_rotations
from E3PoseLib.imaging.sampling import _by_gathering, _by_torch, sample_grids

SHAPE = (20, 14, 9)


def turned_grids(n: int, middle: tuple[float, float, float], step: float) -> np.ndarray:
    """Grids of `SHAPE` in any direction about one place of an array, ``[n, 4, 4]``."""
    grids = np.tile(np.eye(4), (n, 1, 1))
    grids[:, :3, :3] = random_rotations(n, torch.Generator().manual_seed(0), torch.float64).numpy() * step
    grids[:, :3, 3] = middle - grids[:, :3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return grids


def places_of(grid: np.ndarray) -> np.ndarray:
    """Where a grid's voxels lie in the array, ``[n, 3]``."""
    return transform_points(grid, np.stack(np.indices(SHAPE), axis=-1).reshape(-1, 3))


def test_a_slope_is_interpolated_without_error():
    grids = turned_grids(4, (19.0, 17.5, 21.25), 0.7)
    slope, voxels = np.array([2.0, -3.0, 5.0]), np.stack(np.indices((40, 36, 44)), axis=-1)
    found = sample_grids((voxels @ slope).astype(np.float32), grids, SHAPE)
    assert found.dtype == torch.float32 and found.shape == (4, *SHAPE)
    for grid, seen in zip(grids, found.numpy(), strict=True):
        np.testing.assert_allclose(seen.ravel(), places_of(grid) @ slope, atol=1e-4)


@pytest.mark.parametrize("nearest", [False, True])
def test_a_cpu_and_a_card_sample_alike(nearest):
    """Of an array that the grids leave on all sides."""
    content = torch.from_numpy(np.random.default_rng(0).random((34, 38, 32), np.float32))
    content[[0, -1]] = content[:, [0, -1]] = content[:, :, [0, -1]] = 0
    grids = turned_grids(5, (16.3, 18.1, 15.2), 0.6)
    linear, offset = grids[:, :3, :3], grids[:, :3, 3]
    expected = _by_torch(content, linear, offset, SHAPE, nearest)
    found = [_by_gathering(content, *place, SHAPE, nearest) for place in zip(linear, offset, strict=True)]
    # float32 holds a position to a hundred thousandth of a voxel, so hardly one lies nearest to another voxel.
    differences = (torch.stack(found) - expected).abs()
    assert differences.mean() < 1e-5
    assert differences.max() < 1e-4 or nearest


@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize("middle", [(5.0, 5.0, 5.0), (0.0, 9.0, 4.0), (-3.0, 14.0, 5.0), (100.0, -80.0, 5.0)])
def test_beyond_the_array_there_is_nothing(middle, nearest):
    grids = turned_grids(3, middle, 0.5)
    found = sample_grids(np.ones((10, 11, 12), bool), grids, SHAPE, nearest=nearest).numpy()
    for grid, seen in zip(grids, found, strict=True):
        places = places_of(grid)
        depth = np.minimum(places, np.array([9, 10, 11]) - places).min(axis=1)
        assert seen.ravel()[depth >= 1e-4] == pytest.approx(1, abs=1e-5)
        assert (seen.ravel()[depth < (-0.5001 if nearest else -1.0001)] == 0).all()
