"""A scan on the model's grid: its margins are left off, and its halves come to the grid of the whole."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import make_head, make_small_model

from E3PoseLib.imaging.geometry import rigid, transform_points
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.doubt.interleave import every_other_slice
from E3PoseLib.method.prepared import CONTINUED_MM, prepare

HEADER = replace(make_small_model().header, segmentation_edge=None)


def test_margins_of_zeros_change_nothing_but_for_the_official_program():
    head = make_head()
    expected = prepare(head, HEADER, 4)
    margins = ((7, 0), (0, 12), (3, 5))
    first = [before for before, _ in margins]
    padded = Volume(np.pad(head.array, margins), head.voxel_to_ras @ rigid(np.eye(3), np.negative(first)))
    found = prepare(padded, HEADER, 4)
    np.testing.assert_array_equal(found.array, expected.array)
    np.testing.assert_allclose(found.grid_to_ras, expected.grid_to_ras)
    official = prepare(padded, HEADER, 4, as_official=True)
    assert np.prod(official.array.shape) > np.prod(expected.array.shape)
    assert official.shown == tuple(slice(0, size) for size in padded.shape)


@pytest.mark.parametrize("power", [0.5, 2])
def test_a_brightened_scan_is_the_square_root_and_a_darkened_one_the_square_of_what_it_was_above_its_least(power):
    head = make_head()
    head = replace(head, array=head.array.astype(np.float32) - 300)
    settings = replace(HEADER, spacing_mm=float(head.spacing[0]), clip_fraction=0.0)
    plain = prepare(head, settings, 4)
    changed = plain.brightened() if power < 1 else plain.darkened()
    # From its voxels anew, as every other slice of it is, it comes to the same.
    anew = prepare(changed.oriented, settings, 4)
    for array in (changed.array, anew.array):
        np.testing.assert_allclose(array, plain.array**power, atol=1e-6)
    np.testing.assert_array_equal(changed.grid_to_ras, plain.grid_to_ras)


def test_a_continued_scan_shows_the_same_where_it_was_and_its_outermost_voxels_beyond():
    scan = prepare(make_head(shape=(50, 44, 36)), HEADER, 4)
    continued = scan.continued(8)
    shown = scan.array[scan.field_of_view]
    np.testing.assert_array_equal(continued.array[continued.field_of_view], shown)
    first, last = ([getattr(edges, end) for edges in continued.field_of_view] for end in ("start", "stop"))
    n = round(CONTINUED_MM / HEADER.spacing_mm)
    assert all(edge % 8 == 0 for edge in continued.array.shape)
    assert min(first) >= n and (np.array(continued.array.shape) - last >= n).all()
    np.testing.assert_array_equal(
        continued.array[first[0] - n : first[0], first[1] : last[1], first[2] : last[2]],
        np.broadcast_to(shown[:1], (n, *shown.shape[1:])),
    )
    np.testing.assert_array_equal(continued.array[last[0] + n - 1, last[1] + n - 1, last[2] + n - 1], shown[-1, -1, -1])
    # The first voxel of what is shown is in the same place.
    for one, edges in ((scan, scan.field_of_view), (continued, continued.field_of_view)):
        corner = transform_points(one.grid_to_ras, np.array([part.start for part in edges], float))
        np.testing.assert_allclose(corner, transform_points(scan.grid_to_ras, [e.start for e in scan.field_of_view]))
    assert not continued.shown_part(continued.array)[: first[0]].any()
    np.testing.assert_array_equal(continued.shown_part(continued.array)[continued.field_of_view], shown)


def test_a_half_of_the_slices_lies_on_the_grid_of_the_whole():
    head = make_head()
    array = head.closest_canonical().array.copy()
    array[:3] = 0
    whole = prepare(replace(head.closest_canonical(), array=array), HEADER, 4)
    assert whole.shown[0].start == 3
    # The third slice is between an empty one and one that is not: in this half it shows something.
    half = replace(whole.oriented, array=every_other_slice(whole.oriented.array, 0, 1))
    assert half.array[2].any() and prepare(half, HEADER, 4).shown[0].start == 2
    found = prepare(half, HEADER, 4, like=whole)
    assert found.shown == whole.shown and found.array.shape == whole.array.shape
    np.testing.assert_array_equal(found.grid_to_ras, whole.grid_to_ras)


def test_a_half_of_the_slices_of_a_brain_without_skull_lies_on_the_grid_of_the_whole_too():
    head = make_head(shape=(50, 44, 36)).closest_canonical()
    middle = np.moveaxis(np.indices(head.shape), 0, -1) - (np.array(head.shape) - 1) / 2
    ball = np.linalg.norm(middle * head.spacing, axis=-1) < 40
    brain = replace(head, array=np.where(ball, head.array.astype(np.float32) + 100, 0))
    whole = prepare(brain, HEADER, 4)
    assert whole.brain is not None
    # In the other half there is something about the brain: it alone would be taken for a scan with a skull.
    other = np.random.default_rng(0).uniform(0, 50, whole.oriented.array.shape).astype(np.float32)
    half = replace(whole.oriented, array=every_other_slice(whole.oriented.array + other, 0, 1))
    assert prepare(half, HEADER, 4).brain is None
    found = prepare(half, HEADER, 4, like=whole)
    assert found.brain is not None and found.array.shape == found.brain.shape == whole.array.shape
    np.testing.assert_array_equal(found.grid_to_ras, whole.grid_to_ras)
    # And a scan with a skull has halves with one.
    with_skull = prepare(head, HEADER, 4)
    assert prepare(brain, HEADER, 4, like=with_skull).brain is None
