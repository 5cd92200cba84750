"""Several views of one head: what each shows, and how they are put together again."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from E3PoseLib.imaging.geometry import transform_points
from E3PoseLib.imaging.intensities import rescale
from E3PoseLib.imaging.rotations import geodesic_angle, random_rotations
from E3PoseLib.imaging.sampling import sample_grids
from E3PoseLib.method.crop import UPRIGHT_RADII, crop_views, upright_cube
from E3PoseLib.method.views import PLACES_WEIGHT, as_of_more_views, average_with_places, combine_views


def blobs(places: np.ndarray, edge: int = 60) -> np.ndarray:
    """Gaussian blobs of 3 voxels, as bright as their place in the list, counted from 1."""
    position = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), axis=-1)
    return sum(
        (n + 1) * np.exp(-((position - place) ** 2).sum(axis=-1) / (2 * 3.0**2)) for n, place in enumerate(places)
    ).astype(np.float32)


def test_a_view_shows_the_brain_turned_about_its_middle_at_a_fixed_size():
    rotations = random_rotations(5, torch.Generator().manual_seed(1), torch.float64).numpy()
    middle, offset = np.array([29.0, 31.0, 28.0]), np.array([6.0, -4.0, 8.0])
    mask = np.zeros((60, 60, 60), bool)
    mask[19:40, 21:42, 18:39] = True  # 20 voxels between the centres of the first and last: a cube of 40 at 0.5
    views = crop_views(mask, blobs(np.array([middle + offset])), 20, 0.5, rotations)
    assert views.shape == (5, 20, 20, 20) and views.dtype == np.float32
    assert views.min() == 0 and views.max() == 1
    index = np.stack(np.meshgrid(*[np.arange(20)] * 3, indexing="ij"), axis=-1)
    for view, rotation in zip(views, rotations, strict=True):
        bright = view**2
        seen = (index * bright[..., None]).sum(axis=(0, 1, 2)) / bright.sum()
        np.testing.assert_allclose((seen - 9.5) * 2, rotation.T @ offset, atol=0.1)


def test_a_head_is_cut_out_upright_at_the_size_of_its_brain():
    rotation = random_rotations(1, torch.Generator().manual_seed(4), torch.float64)[0].numpy()
    index = np.stack(np.meshgrid(*[np.arange(60)] * 3, indexing="ij"), axis=-1)
    middle, radius = np.array([29.0, 31.0, 28.0]), 14.0
    mask = np.linalg.norm(index - middle, axis=-1) < radius
    cube_to_grid = upright_cube(mask, rotation, 36)
    step = radius * UPRIGHT_RADII / 36
    np.testing.assert_allclose(cube_to_grid[:3, :3], rotation * step, atol=0.02)
    np.testing.assert_allclose(transform_points(cube_to_grid, np.full(3, 17.5)), middle, atol=1e-9)
    # A blob ten voxels in front of the brain's centre is straight ahead.
    shape = (36, 36, 36)
    blob = blobs(np.array([middle + 10 * rotation[:, 1]]))
    seen = sample_grids(blob, cube_to_grid[None], shape)[0].numpy() ** 2
    place = np.stack(np.meshgrid(*[np.arange(36)] * 3, indexing="ij"), axis=-1)
    found = (place * seen[..., None]).sum(axis=(0, 1, 2)) / seen.sum()
    np.testing.assert_allclose(found - 17.5, [0, 10 / step, 0], atol=0.1)
    inside = sample_grids(mask, cube_to_grid[None], shape, nearest=True)
    assert set(inside.unique().tolist()) == {0, 1}
    assert float(inside.sum()) * step**3 == pytest.approx(mask.sum(), rel=0.03)
    beyond = upright_cube(np.roll(mask, -25, 0), rotation, 36)
    assert (sample_grids(np.ones(mask.shape, np.float32), beyond[None], shape) == 0).any()


def test_a_view_is_zero_where_it_leaves_the_scan():
    mask = np.zeros((16, 60, 60), bool)
    mask[2:14, 20:40, 20:40] = True
    view = crop_views(mask, np.ones(mask.shape, np.float32), 20, 0.5, np.eye(3)[None])[0]
    covered = view[:, 10, 10]
    assert covered.max() == 1 and not covered[:4].any() and not covered[-4:].any()
    # The extents 11, 19, 19 make a cube of 32.7, of which the scan covers 16.
    assert covered.sum() == pytest.approx(16 / 32.67 * 20, abs=1)


def test_views_of_one_rotation_agree_whatever_the_sign_of_the_pseudovector():
    rotations = random_rotations(9, torch.Generator().manual_seed(2), torch.float64).numpy()
    head, views = rotations[0], rotations[1:]
    seen = head.T @ views  # rows: the head's axes, in each view's axes
    seen[::2, 0] *= -1
    seen *= np.linspace(0.2, 3, 24).reshape(8, 3, 1)
    axes, disagreement = combine_views(seen, views)
    np.testing.assert_allclose(axes, head.T, atol=1e-12)
    assert disagreement < 1e-5


def test_disagreement_is_the_mean_angle_to_the_rotation_of_all():
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    angle = np.deg2rad(10)
    small = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    head = turn.numpy()
    seen = np.stack([(small @ head).T, (small.T @ head).T])
    axes, disagreement = combine_views(seen, np.stack([np.eye(3)] * 2))
    assert disagreement == pytest.approx(10, abs=1e-6)
    unit = torch.from_numpy(axes / np.linalg.norm(axes, axis=1, keepdims=True)).mT
    assert float(geodesic_angle(unit, turn)) < 1e-5


def test_views_that_are_turned_about_do_not_pull_at_the_others():
    views = random_rotations(8, torch.Generator().manual_seed(4), torch.float64).numpy()
    head = random_rotations(1, torch.Generator().manual_seed(5), torch.float64)[0].numpy()
    seen = head.T @ views
    seen[5:] = (head @ np.diag([-1.0, -1, 1])).T @ views[5:]  # three of eight look backwards
    axes, disagreement = combine_views(seen, views)
    np.testing.assert_allclose(axes, head.T, atol=1e-12)
    assert disagreement == pytest.approx(3 / 8 * 180)


def test_half_of_the_views_tell_the_disagreement_that_all_would_have():
    generator = torch.Generator().manual_seed(6)
    views = random_rotations(8, generator, torch.float64).numpy()
    head = random_rotations(1, generator, torch.float64)[0].numpy()
    rng = np.random.default_rng(6)
    told = []
    for _ in range(400):
        errors = Rotation.from_rotvec(rng.normal(0, np.deg2rad(4), (8, 3))).as_matrix()
        seen = (errors @ head).transpose(0, 2, 1) @ views
        told.append([combine_views(seen, views)[1], combine_views(seen[:4], views[:4])[1]])
    of_all, of_half = np.mean(told, axis=0)
    assert of_half / of_all == pytest.approx(np.sqrt(6 / 7), abs=0.02)
    assert of_half * as_of_more_views(4, 8) == pytest.approx(of_all, rel=0.02)
    assert as_of_more_views(1, 8) == as_of_more_views(8, 8) == as_of_more_views(1, 1) == 1


def test_clipping_keeps_a_few_bright_voxels_from_setting_the_contrast():
    array = np.random.default_rng(0).uniform(0, 100, (20, 20, 20)).astype(np.float32)
    array[0, 0, :10] = 1e6
    assert np.median(rescale(array)) < 1e-3
    clipped = rescale(array, 0.005)
    assert clipped.dtype == np.float32 and np.median(clipped) == pytest.approx(0.5, abs=0.02)
    assert (clipped.min(), clipped.max()) == (0, 1)
    # Nearly everything is background: what little there is stays.
    sparse = np.zeros((20, 20, 20), np.float32)
    sparse[10, 10, 10:13] = 5
    assert rescale(sparse, 0.005).sum() == 3


def test_places_weigh_four_times_in_the_rotation_by_the_brain():
    by_axes = random_rotations(1, torch.Generator().manual_seed(5), torch.float64)[0].numpy()
    by_places = by_axes @ Rotation.from_rotvec([0, 24, 0], degrees=True).as_matrix()
    rotation = average_with_places(by_axes, by_places)
    # About one axis the chordal mean of weights 1 and w lies where a vector of them points.
    angle = np.rad2deg(np.angle(1 + PLACES_WEIGHT * np.exp(1j * np.deg2rad(24))))
    expected = by_axes @ Rotation.from_rotvec([0, angle, 0], degrees=True).as_matrix()
    np.testing.assert_allclose(rotation, expected, atol=1e-9)
    assert 19 < angle < 20
