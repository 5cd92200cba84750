"""Grids: what is where before is there after."""

import numpy as np
import pytest
import torch
from phantoms import make_head

from E3PoseLib.imaging.cropping import crop_or_pad, shown_box
from E3PoseLib.imaging.geometry import has_orthogonal_axes, rigid, transform_points
from E3PoseLib.imaging.intensities import darken_fill, rescale
from E3PoseLib.imaging.resampling import nearest_on_grid, resample_isotropic, reslice, straighten
from E3PoseLib.imaging.rotations import euler_to_matrix
from E3PoseLib.imaging.volume import Volume


def ramp(shape, voxel_to_ras, gradient=(1.0, 2.0, -3.0)):
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return (transform_points(voxel_to_ras, index) @ gradient).astype(np.float32)


def test_a_linear_image_stays_itself_on_the_finer_grid():
    affine = rigid(np.eye(3), [5.0, -7, 11]) @ np.diag([3.0, 4.5, 2.0, 1])
    array, grid = resample_isotropic(ramp((12, 14, 20), affine), affine, 3.0)
    assert array.shape == (12, 21, 14)
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(array[inner], ramp(array.shape, grid)[inner], atol=1e-3)


def test_the_corner_of_the_volume_stays_where_it_is():
    affine = np.diag([3.0, 4.5, 2.0, 1])
    _, grid = resample_isotropic(np.zeros((12, 14, 20), np.float32), affine, 3.0)
    np.testing.assert_allclose(transform_points(grid, [-0.5] * 3), transform_points(affine, [-0.5] * 3))


def test_samples_beyond_the_volume_are_zero_and_its_border_holds():
    # 10 voxels of 2 mm on 3 mm: the sixth sample lies half within, the seventh and last wholly beyond 20 mm.
    array, _ = resample_isotropic(np.ones((10, 10, 11), np.float32), np.diag([2.0, 2, 2, 1]), 3.0)
    assert array.shape == (7, 7, 8)
    assert array[:6, 0, 0].tolist() == [1] * 6 and array[6, 0, 0] == 1
    array, _ = resample_isotropic(np.ones((8, 8, 8), np.float32), np.diag([2.0, 2, 2, 1]), 3.5)
    assert array.shape == (5, 5, 5)
    assert array[:, 0, 0].tolist() == [1, 1, 1, 1, 1]


def test_the_rounding_of_a_header_adds_no_sample():
    array = np.zeros((110, 10, 10), np.float32)
    affine = np.diag([3.0000002, 3, 3, 1])
    assert resample_isotropic(array, affine, 3.0)[0].shape == (110, 10, 10)
    assert resample_isotropic(array, affine, 3.0, tolerance=0)[0].shape == (111, 10, 10)


@pytest.mark.parametrize("shape", [(10, 15, 21), (16, 16, 16), (30, 7, 17)])
def test_crop_and_pad_keep_places(shape):
    affine = rigid(np.eye(3), [5.0, -7, 11]) @ np.diag([3.0, 3, 3, 1])
    array = ramp(shape, affine) + 1e4
    cube, grid = crop_or_pad(array, affine, 16)
    assert cube.shape == (16, 16, 16)
    inside = cube != 0
    np.testing.assert_allclose(cube[inside], (ramp((16,) * 3, grid) + 1e4)[inside], rtol=1e-6)
    assert inside.sum() == np.prod(np.minimum(shape, 16))


def test_labels_come_back_to_the_grid_they_came_from():
    scan = make_head(shape=(20, 31, 44), spacing=(3.0, 2.0, 4.5))
    array, grid = resample_isotropic(scan.intensities(), scan.voxel_to_ras, 3.0)
    cube, grid = crop_or_pad(array, grid, 64)
    back = nearest_on_grid((cube > 500).astype(np.uint8), grid, scan.shape, scan.voxel_to_ras)
    truth = scan.array > 500
    overlap = 2 * (back & truth).sum() / (back.sum() + truth.sum())
    assert back.shape == scan.shape and overlap > 0.93


def test_a_sheared_grid_is_straightened_where_the_scan_lies_and_labels_find_back():
    affine = rigid(euler_to_matrix(torch.tensor([20.0, -30, 50], dtype=torch.float64)).numpy(), [5, -7, 9]) @ np.array(
        [[2, 0.4, 0, 0], [0, 3, -0.3, 0], [0, 0, 2.5, 0], [0, 0, 0, 1]]
    )
    index = np.stack(np.meshgrid(*map(np.arange, (40, 30, 36)), indexing="ij"), axis=-1)
    world = transform_points(affine, index)
    centre = transform_points(affine, [19, 14, 17])

    def ball(points):
        return np.exp(-((points - centre) ** 2).sum(axis=-1) / (2 * 18.0**2))

    scan = Volume(ball(world).astype(np.float32), affine)
    assert not scan.has_orthogonal_axes and "not at right angles" in scan.warnings()[0]
    straight = straighten(scan)
    assert has_orthogonal_axes(straight.voxel_to_ras, 1e-9)
    np.testing.assert_allclose(straight.spacing, scan.spacing)
    grid = np.stack(np.meshgrid(*map(np.arange, straight.shape), indexing="ij"), axis=-1)
    inside = straight.array > 0.2
    expected = ball(transform_points(straight.voxel_to_ras, grid))
    assert inside.sum() == pytest.approx((expected > 0.2).sum(), rel=0.02)
    np.testing.assert_allclose(straight.array[inside], expected[inside], atol=0.02)
    mask = (straight.array > 0.5).astype(np.uint8)
    back = nearest_on_grid(mask, straight.voxel_to_ras, scan.shape, scan.voxel_to_ras)
    found = transform_points(affine, np.argwhere(back).mean(axis=0))
    assert np.linalg.norm(found - centre) < 0.3
    assert back.sum() == pytest.approx((scan.array > 0.5).sum(), rel=0.03)


def test_reslicing_by_a_pose_shows_the_world_from_the_head():
    affine = rigid(np.eye(3), [-60.0, -60, -60]) @ np.diag([3.0, 3, 3, 1])
    scan = Volume(ramp((41, 41, 41), affine), affine)
    quarter_turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    pose = rigid(quarter_turn, [4.0, 5, 6])
    resliced = reslice(scan, pose, spacing=2.0, edge=40.0)
    expected = ramp(resliced.shape, pose @ resliced.voxel_to_ras)
    np.testing.assert_allclose(resliced.array, expected, atol=1e-3)
    np.testing.assert_allclose(resliced.spacing, [2, 2, 2])
    with pytest.raises(ValueError, match="spacing"):
        reslice(scan, pose, spacing=0)


def test_rescaling_a_constant_gives_zero():
    assert not rescale(np.full((3, 3, 3), 5.0)).any()


def test_margins_of_nothing_are_left_off_and_fill_is_dark():
    generator = np.random.default_rng(3)
    inner = generator.uniform(1, 2, (9, 8, 7)).astype(np.float32)
    padded = np.pad(inner, [(5, 2), (0, 30), (1, 1)])
    assert shown_box(padded) == (slice(5, 14), slice(0, 8), slice(1, 8))
    thin = np.zeros((6, 6, 6), np.float32)
    thin[5, 2, 3] = 1
    assert shown_box(thin) == (slice(4, 6), slice(2, 4), slice(3, 5))
    # A fill of 0 where interpolation has undershot it; but bright corners are no fill.
    shown = padded.copy()
    shown[7, 4, 4] = -0.2
    darken_fill(shown)
    assert (shown[padded == 0] == np.float32(-0.2)).all() and (shown[padded > 1.5] > 1.5).sum() >= 1
    hole = np.ones((9, 9, 9), np.float32)
    hole[3:6, 3:6, 3:6] = 0
    darken_fill(hole)
    assert hole.sum() == 9**3 - 3**3  # what is brightest is no fill
    bright = padded.copy()
    bright[:, :, [0, -1]] = 9
    before = bright.copy()
    darken_fill(bright)
    np.testing.assert_array_equal(bright, before)
