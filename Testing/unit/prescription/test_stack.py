"""Planned stacks: they cover the brain, in the head's planes, however the scan is stored."""

import re
import sys
from subprocess import run

import numpy as np
import pytest
from brains import brain
from storages import orientations, stored

from E3PoseLib.errors import PrescriptionError, TransformError
from E3PoseLib.imaging.geometry import transform_points
from E3PoseLib.prescription import PLANES, SlicePlane, StackSettings, plan_stack, planes_in_numbers, stack_numbers
from E3PoseLib.prescription.report import prescription_text

RIGHT, ANTERIOR, SUPERIOR = np.eye(3)


def planned(head_and_mask, plane: str, **settings):
    pose, mask = head_and_mask
    return plan_stack(plane, pose, mask.array, mask.voxel_to_ras, StackSettings(**settings))


def voxel_corners(mask) -> np.ndarray:
    """Corners of every voxel of the mask, ``[N, 3]``, RAS mm."""
    corners = np.argwhere(mask.array)[:, None] + np.array(list(np.ndindex(2, 2, 2))) - 0.5
    return transform_points(mask.voxel_to_ras, corners.reshape(-1, 3))


def test_images_stand_as_radiologists_look_at_them():
    of_planes = {name: SlicePlane(name, np.zeros(3), *map(np.array, PLANES[name])) for name in PLANES}
    axes = {name: [plane.row, plane.column, plane.normal] for name, plane in of_planes.items()}
    np.testing.assert_array_equal(axes["axial"], [-RIGHT, -ANTERIOR, SUPERIOR])
    np.testing.assert_array_equal(axes["coronal"], [-RIGHT, -SUPERIOR, -ANTERIOR])
    np.testing.assert_array_equal(axes["sagittal"], [-ANTERIOR, -SUPERIOR, RIGHT])


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("margin", [0, 12])
def test_every_voxel_of_the_brain_and_its_margin_lie_in_a_slice(head_and_mask, plane, margin):
    stack = planned(head_and_mask, plane, margin=margin, field_of_view=(160, 150))
    points = voxel_corners(head_and_mask[1])
    from_centre = points - stack.centre
    # In some slice, and within its field of view, with room for the margin.
    depth = from_centre @ stack.normal
    assert np.abs(depth).max() <= stack.length / 2 - margin + 1e-5
    offsets = (stack.slice_centres - stack.centre) @ stack.normal
    assert np.abs(depth[:, None] - offsets).min(axis=1).max() <= stack.thickness / 2 + 1e-5
    assert np.abs(from_centre @ stack.row).max() <= 80 - margin
    assert np.abs(from_centre @ stack.column).max() <= 75 - margin
    # One slice less would be too few.
    assert np.ptp(depth) + 2 * margin > stack.length - stack.spacing


@pytest.mark.parametrize("end", [SUPERIOR, -SUPERIOR, ANTERIOR])
def test_of_a_brain_that_the_scan_cuts_the_whole_is_covered(head_and_mask, end):
    """The pose has the middle of the whole; the mask lacks what lies beyond the end."""
    pose, mask = head_and_mask
    points = voxel_corners(mask)
    places = transform_points(np.linalg.inv(pose) @ mask.voxel_to_ras, np.argwhere(mask.array > 0))
    seen = mask.array.copy()
    seen[tuple(np.argwhere(mask.array > 0)[places @ end > 12].T)] = 0
    assert 0.1 < 1 - seen.astype(bool).sum() / mask.array.astype(bool).sum() < 0.5
    outside = {}
    for is_cut in (False, True):
        planes = [plan_stack(plane, pose, seen, mask.voxel_to_ras, StackSettings(), is_cut) for plane in PLANES]
        depths = [np.abs((points - stack.centre) @ stack.normal) - stack.length / 2 for stack in planes]
        outside[is_cut] = max(depth.max() for depth in depths)
    assert outside[True] <= 0 < outside[False]


@pytest.mark.parametrize("gap", [1.5, -1.0])
def test_with_gaps_or_overlap_the_ends_are_covered_too(head_and_mask, gap):
    stack = planned(head_and_mask, "coronal", gap=gap, margin=5)
    depth = np.abs((voxel_corners(head_and_mask[1]) - stack.centre) @ stack.normal).max()
    first, second, *_, last = stack.slice_centres
    assert np.linalg.norm(second - first) == pytest.approx(3 + gap)
    assert np.linalg.norm(last - first) + stack.thickness == pytest.approx(stack.length)
    assert stack.length - stack.spacing < 2 * depth + 10 <= stack.length + 1e-4


def test_the_voxels_of_a_stack_fill_its_box(head_and_mask):
    stack = planned(head_and_mask, "sagittal", field_of_view=(220, 180), matrix=(110, 60))
    shape = (*stack.matrix, stack.n_slices)
    corners = np.array(list(np.ndindex(2, 2, 2)))
    np.testing.assert_allclose(
        transform_points(stack.voxel_to_ras, corners * shape - 0.5),
        transform_points(stack.box_to_ras, 2 * corners - 1),
        atol=1e-9,
    )
    np.testing.assert_allclose(np.linalg.norm(stack.voxel_to_ras[:3, :3], axis=0), [2, 3, 3], atol=1e-12)
    assert np.linalg.det(stack.voxel_to_ras[:3, :3]) > 0


def test_all_storages_of_a_scan_give_one_prescription():
    pose, mask = brain(0)
    prescriptions = set()
    for orientation in orientations():
        other = stored(mask, orientation)
        stacks = [plan_stack(plane, pose, other.array, other.voxel_to_ras) for plane in PLANES]
        numbers = [stack_numbers(stack) for stack in stacks]
        prescriptions.add(repr((numbers, planes_in_numbers(pose, other.array, other.voxel_to_ras))))
        prescriptions.add(prescription_text("scan", stacks, "high", []))
    assert len(prescriptions) == 2  # one set of numbers, one text


def test_too_few_slices_are_refused_with_the_number_that_is_enough(head_and_mask):
    enough = planned(head_and_mask, "axial").n_slices
    with pytest.raises(PrescriptionError, match=rf"axial: {enough} slices .* needed .* and {enough - 1} are allowed"):
        planned(head_and_mask, "axial", max_slices=enough - 1)
    assert planned(head_and_mask, "axial", max_slices=enough).n_slices == enough


def test_a_small_field_of_view_is_refused_with_the_size_that_is_enough(head_and_mask):
    with pytest.raises(PrescriptionError, match="does not cover the brain") as raised:
        planned(head_and_mask, "axial", field_of_view=(60, 200))
    along_row, along_column = map(int, re.search(r"at least (\d+) × (\d+) mm", str(raised.value)).groups())
    planned(head_and_mask, "axial", field_of_view=(along_row, along_column))
    with pytest.raises(PrescriptionError):
        planned(head_and_mask, "axial", field_of_view=(along_row - 1, along_column))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"thickness": 0}, "slice thickness"),
        ({"thickness": float("nan")}, "slice thickness"),
        ({"gap": -3}, "gap"),
        ({"gap": float("nan")}, "gap"),
        ({"margin": -1}, "margin"),
        ({"field_of_view": (256, float("inf"))}, "field of view along a column"),
        ({"matrix": (0, 256)}, "matrix"),
        ({"max_slices": 0}, "slices"),
    ],
)
def test_impossible_settings_are_refused(settings, word):
    with pytest.raises(PrescriptionError, match=word):
        StackSettings(**settings)


def test_what_cannot_be_planned_is_refused(head_and_mask):
    pose, mask = head_and_mask
    empty = np.zeros_like(mask.array)
    with pytest.raises(PrescriptionError, match="no plane of the head"):
        plan_stack("oblique", pose, mask.array, mask.voxel_to_ras)
    with pytest.raises(PrescriptionError, match="mask is empty"):
        plan_stack("axial", pose, empty, mask.voxel_to_ras)
    assert planes_in_numbers(pose, empty, mask.voxel_to_ras) is None
    with pytest.raises(TransformError, match="reflection"):
        plan_stack("axial", pose @ np.diag([-1, 1, 1, 1]), mask.array, mask.voxel_to_ras)
    with pytest.raises(PrescriptionError, match="right angles"):
        SlicePlane("axial", np.zeros(3), RIGHT, RIGHT + ANTERIOR)
    with pytest.raises(PrescriptionError, match="three finite numbers"):
        SlicePlane("axial", np.array([0, np.nan, 0]), RIGHT, ANTERIOR)


def test_doubts_come_before_any_number(head_and_mask):
    stacks = [planned(head_and_mask, "axial")]
    low = prescription_text("scan", stacks, "low", ["no eyes were found"]).splitlines()
    assert low[0].startswith("WARNING: THE POSE IS DOUBTFUL") and low[2] == "  - no eyes were found"
    moderate = prescription_text("scan", stacks, "moderate", []).splitlines()
    assert moderate[0].startswith("WARNING: the confidence of the pose is moderate")
    assert prescription_text("scan", stacks, "high", []).splitlines()[0].startswith("Slices along the planes")
    # What is doubtful about the file no confidence of the pose makes good.
    of_file = prescription_text("scan", stacks, "high", [], ["left and right may be swapped"]).splitlines()
    assert of_file[0].startswith("WARNING: the file leaves open") and of_file[1] == "  - left and right may be swapped"


def test_the_package_needs_numpy_alone():
    loaded = "import sys, E3PoseLib.prescription as p; [getattr(p, name) for name in p.__all__]; print(*sys.modules)"
    modules = set(run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split())
    assert "E3PoseLib.prescription.report" in modules
    assert not modules & {"torch", "scipy", "nibabel", "matplotlib"}
