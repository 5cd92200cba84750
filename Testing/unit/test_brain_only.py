"""Skull-stripped scans: what is taken for one, and the surroundings that it gets."""

import numpy as np
import pytest
from phantoms import make_head
from scipy import ndimage

from E3PoseLib.imaging.brain_only import SURROUNDINGS_MM, flatten_background, is_brain_only, is_cut, with_surroundings
from E3PoseLib.imaging.geometry import transform_points
from E3PoseLib.imaging.masks import dice_overlap

SPACING_MM = 3.0
VOXEL_ML = SPACING_MM**3 / 1000


def brain(shape=(50, 50, 40), radii=(15.0, 12.0, 11.0), middle=(24.0, 21.0, 20.0)) -> np.ndarray:
    """An ellipsoid of 224 ml with folds, in a void."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    inside = np.linalg.norm((index - middle) / radii, axis=-1) < 1
    return np.where(inside, 100 + 30 * np.sin(index.sum(axis=-1) / 2), 0).astype(np.float32)


def ball(middle: float) -> np.ndarray:
    return brain(middle=(middle, middle, 20), radii=(11, 11, 11))


def test_a_brain_in_any_constant_background_is_one_at_any_resolution():
    for background in (0, -20, 7):
        scan = np.where(brain() > 0, brain(), background)
        assert is_brain_only(scan, VOXEL_ML)
    assert is_brain_only(ndimage.zoom(brain(), 2, order=0), VOXEL_ML / 8)
    assert is_brain_only(brain()[9:40, 9:34, 9:32], VOXEL_ML)  # cropped to its box


@pytest.mark.parametrize(
    ("scan", "voxel_ml"),
    [
        (brain(), VOXEL_ML / 64),  # 3.5 ml
        (brain(), VOXEL_ML * 8),  # 1.8 l: a masked uterus
        (brain() + 5 * np.random.default_rng(0).random(brain().shape), VOXEL_ML),  # air
        (brain()[14:34, 14:29, 14:27], VOXEL_ML),  # a scan cropped into the head
        (
            np.maximum(brain(middle=(12, 12, 20), radii=(11, 11, 11)), brain(middle=(37, 31, 20), radii=(11, 11, 11))),
            VOXEL_ML,
        ),
        (np.pad(np.ones((20, 20, 20)), 10), VOXEL_ML),  # a block of a scan in zeros
    ],
)
def test_what_is_no_brain_alone_is_none(scan, voxel_ml):
    assert not is_brain_only(scan, voxel_ml)


@pytest.mark.parametrize("background", [0, -20, 7, 90])
@pytest.mark.parametrize("way", ["spline", "convolution", "noise"])
def test_a_background_that_looks_even_is_made_even(background, way):
    """At 90 it lies amid the brain's intensities, 70 to 130. Far from the brain convolution leaves it as it was."""
    index = np.stack(np.meshgrid(*map(np.arange, brain().shape), indexing="ij"), axis=-1)
    even = np.where(brain() > 0, np.where(index.sum(axis=-1) % 7, brain(), 72), background).astype(np.float32)
    there = brain() > 0
    if way == "spline":
        uneven = ndimage.shift(even, (0.3, 0.2, 0.4), order=3, mode="nearest")
        there = ndimage.shift(there.astype(np.float32), (0.3, 0.2, 0.4), order=1) > 0.05  # what the edge is spread over
    elif way == "convolution":
        uneven, edges = even, there.astype(np.float32)
        for axis in range(3):
            uneven = ndimage.correlate1d(uneven, [-1 / 16, 9 / 16, 9 / 16, -1 / 16], axis, mode="nearest")
            edges = ndimage.correlate1d(edges, [0, 1 / 2, 1 / 2, 0], axis, mode="nearest")
        there = edges > 0.05
    else:
        uneven = even + np.random.default_rng(0).normal(0, 0.1, even.shape).astype(np.float32)
    assert not is_brain_only(uneven, VOXEL_ML)
    flat = uneven.copy()
    flatten_background(flat, VOXEL_ML)
    assert is_brain_only(flat, VOXEL_ML)
    inside = ndimage.binary_erosion(there, iterations=2)
    np.testing.assert_array_equal(flat[inside], uneven[inside])
    assert dice_overlap(flat > flat.min(), there) > 0.95


def test_a_brain_that_is_mostly_darker_than_its_background_keeps_its_dark_parts():
    """They are no deeper than the swings of a spline, but much more."""
    index = np.stack(np.meshgrid(*map(np.arange, brain().shape), indexing="ij"), axis=-1)
    there = brain() > 0
    blocks = (index // 6).sum(axis=-1) % 3
    scan = np.where(there, np.where(blocks == 0, 200, 60), 95) + np.random.default_rng(0).normal(0, 0.1, there.shape)
    flat = scan.astype(np.float32)
    flatten_background(flat, VOXEL_ML)
    assert dice_overlap(flat > flat.min(), there) > 0.95
    np.testing.assert_array_equal(flat[there], scan[there].astype(np.float32))


@pytest.mark.parametrize("noise", [0.0, 1.0, 5.0])
def test_a_whole_scan_keeps_its_background(noise):
    """In air, in fluid with its noise, and with a brain that nothing was changed about."""
    scan = np.abs(brain() + np.random.default_rng(0).normal(0, noise, brain().shape)).astype(np.float32)
    for whole in (scan, np.where(brain() > 0, scan, scan + 200).astype(np.float32)):
        kept = whole.copy()
        flatten_background(kept, VOXEL_ML)
        np.testing.assert_array_equal(kept, whole)


@pytest.mark.parametrize("power", [1, 2])
def test_what_fades_away_is_no_brain_alone(power):
    """As a whole scan does whose tissue is dim beside something very bright."""
    fading = make_head().array.astype(np.float32) ** power
    kept = fading.copy()
    flatten_background(kept, 0.064)
    np.testing.assert_array_equal(kept, fading)


def test_it_stands_in_dim_noise_in_its_place():
    before = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    before[:3, 3] = 5, -7, 9
    array, after, mask = with_surroundings(brain(), before, SPACING_MM)
    again, _, _ = with_surroundings(brain(), before, SPACING_MM)
    np.testing.assert_array_equal(array, again)
    margin = round(SURROUNDINGS_MM / SPACING_MM)
    assert array.shape == tuple(n + 2 * margin for n in brain().shape)
    here = tuple(slice(margin, -margin) for _ in range(3))
    np.testing.assert_allclose(transform_points(after, np.full(3, float(margin))), before[:3, 3])
    assert dice_overlap(mask[here], brain() > 0) > 0.99 and np.count_nonzero(mask) == np.count_nonzero(mask[here])
    assert np.corrcoef(array[here][mask[here]], brain()[mask[here]])[0, 1] > 0.95
    around = array[~mask]
    assert 0.09 < around.mean() < 0.12 and 0.02 < around.std() < 0.04 and around.min() >= 0


def test_what_hangs_on_it_or_lies_beside_it_is_no_part_of_it():
    scan = brain()
    scan[22:26, 33:40, 18:22] = 90  # a block 21 mm long on the surface
    scan[2:6, 2:8, 2:8] = 90
    assert is_brain_only(scan, VOXEL_ML)
    array, _, mask = with_surroundings(scan, np.eye(4), SPACING_MM)
    margin = round(SURROUNDINGS_MM / SPACING_MM)
    assert dice_overlap(mask[margin:-margin, margin:-margin, margin:-margin], brain() > 0) > 0.97
    assert array[margin + 2 : margin + 6, margin + 2 : margin + 8, margin + 2 : margin + 8].mean() < 0.2


def test_a_brain_that_ends_flat_is_cut():
    whole = brain() > 0
    assert not is_cut(whole) and not is_cut(whole[9:40, 9:34, 9:32])
    for axis, end in ((0, 30), (1, 26), (2, 24)):
        assert is_cut(whole.take(range(end), axis))
        assert is_cut(np.flip(np.flip(whole, axis).take(range(end), axis), axis))
