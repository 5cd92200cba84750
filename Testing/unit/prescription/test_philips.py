"""Philips' angulation and off-centre against nibabel's reader of PAR/REC files."""

from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.parrec import PARRECHeader, parse_PAR_header
from scipy.spatial.transform import Rotation

from E3PoseLib.errors import PrescriptionError
from E3PoseLib.imaging.geometry import direction_cosines, transform_points
from E3PoseLib.prescription import (
    PLANES,
    SlicePlane,
    StackSettings,
    directions_from_angulation,
    least_turned,
    philips_numbers,
    plan_stack,
    point_from_off_centre,
)

PAR_FILES = Path(nib.__file__).parent / "tests" / "data"
CODES = {"transverse": 1, "sagittal": 2, "coronal": 3}


def header_of(stack) -> PARRECHeader:
    """A PAR header with the stack's Philips numbers."""
    numbers = philips_numbers(stack)
    with (PAR_FILES / "Phantom_EPI_3mm_tra_SENSE_6_1.PAR").open() as stream:
        info, images = parse_PAR_header(stream)
    info["angulation"], info["off_center"] = np.array(numbers.angulation), np.array(numbers.off_centre)
    info["max_slices"], info["max_dynamics"] = stack.n_slices, 1
    images = np.repeat(images[:1], stack.n_slices)
    images["slice number"] = np.arange(stack.n_slices) + 1
    images["slice orientation"] = CODES[numbers.orientation]
    images["recon resolution"], images["pixel spacing"] = stack.matrix, stack.pixel_sizes
    images["slice thickness"], images["slice gap"] = stack.thickness, stack.gap
    return PARRECHeader(info, images)


@pytest.mark.parametrize("plane", PLANES)
def test_nibabel_reads_the_stack_that_was_planned(head_and_mask, plane):
    pose, mask = head_and_mask
    settings = StackSettings((240, 200), (120, 80), gap=1)
    stack = plan_stack(plane, pose, mask.array, mask.voxel_to_ras, settings)
    np.testing.assert_allclose(header_of(stack).get_affine(), stack.voxel_to_ras, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "cor_20APtrans_15RLrot_SENSE_15_1",
        "cor_SENSE_8_1",
        "sag_15AP_SENSE_13_1",
        "sag_15FH_SENSE_12_1",
        "sag_15RL_SENSE_11_1",
        "tra_-30AP_10RL_20FH_SENSE_14_1",
        "tra_15RL_SENSE_10_1",
        "tra_SENSE_6_1",
    ],
)
def test_the_numbers_of_scans_of_phantoms_come_back(name):
    with (PAR_FILES / f"Phantom_EPI_3mm_{name}.PAR").open() as stream:
        header = PARRECHeader.from_fileobj(stream)
    affine = header.get_affine()
    row, column, _ = direction_cosines(affine).T
    middle = transform_points(affine, (np.array(header.get_data_shape()[:3]) - 1) / 2)
    numbers = philips_numbers(SlicePlane("axial", middle, row, column))
    assert numbers.orientation == header.get_slice_orientation()
    np.testing.assert_allclose(numbers.angulation, header.general_info["angulation"], atol=1e-4)
    np.testing.assert_allclose(numbers.off_centre, header.general_info["off_center"], atol=1e-4)
    np.testing.assert_allclose(point_from_off_centre(header.general_info["off_center"]), middle, atol=1e-4)
    for found, expected in zip(
        directions_from_angulation(numbers.orientation, numbers.angulation), direction_cosines(affine).T, strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_any_directions_there_and_back_also_where_two_axes_fall_together():
    turns = list(Rotation.random(200, rng=np.random.default_rng(0)).as_matrix())
    right_angled = [np.stack(directions_from_angulation("coronal", (ap, 25, 40))) for ap in (90, -90)]
    lattice = list(Rotation.create_group("O").as_matrix())
    for row, column, _ in (*turns, *right_angled, *lattice):
        numbers = philips_numbers(SlicePlane("axial", np.zeros(3), row, column))
        back = directions_from_angulation(numbers.orientation, numbers.angulation)
        np.testing.assert_allclose(back, [row, column, np.cross(row, column)], atol=1e-6)


def test_the_least_turned_slices_are_the_same_slices():
    for row, column, _ in Rotation.random(100, rng=np.random.default_rng(1)).as_matrix():
        plane = SlicePlane("axial", np.array([1.0, 2, 3]), row, column)
        turned = least_turned(plane)
        for name in ("row", "column", "normal"):
            assert abs(getattr(turned, name) @ getattr(plane, name)) == pytest.approx(1)
        angles = [
            philips_numbers(SlicePlane("axial", plane.centre, a * row, b * column)).angulation
            for a, b in product((1, -1), repeat=2)
        ]
        size = [Rotation.from_euler("ZXY", np.take(one, [2, 0, 1]), degrees=True).magnitude() for one in angles]
        own = Rotation.from_euler("ZXY", np.take(philips_numbers(turned).angulation, [2, 0, 1]), degrees=True)
        assert own.magnitude() == pytest.approx(min(size))


def test_what_is_no_angulation_is_refused():
    with pytest.raises(PrescriptionError, match="no orientation"):
        directions_from_angulation("oblique", (0, 0, 0))
    with pytest.raises(PrescriptionError, match="three finite angles"):
        directions_from_angulation("coronal", (0, np.nan, 0))
    with pytest.raises(PrescriptionError, match="three finite numbers"):
        point_from_off_centre((0, np.inf, 0))
