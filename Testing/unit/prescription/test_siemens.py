"""Siemens' orientation, position and in-plane rotation, as text and back."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from E3PoseLib.errors import PrescriptionError
from E3PoseLib.prescription import (
    PLANES,
    SlicePlane,
    in_plane_rotation,
    normal_from_text,
    orientation_text,
    phase_direction,
    point_from_text,
    position_text,
    siemens_numbers,
)


def degrees_apart(one, other) -> float:
    """Between two planes' normals, whatever their sense."""
    one, other = (np.asarray(vector) / np.linalg.norm(vector) for vector in (one, other))
    return float(np.rad2deg(np.arcsin(min(1.0, float(np.linalg.norm(np.cross(one, other)))))))


@pytest.mark.parametrize(
    ("normal", "text"),
    [
        ((-0.07818, 0.40361, 0.91158), "T > C -23.9 > S 4.5"),
        ((-0.10873, 0.06709, 0.99180), "T > S 6.3 > C -3.8"),
        (np.cross((0.924945, 0.129034, 0.35753), (0, 0.940616, -0.339472)), "T > S 23.6 > C -18.3"),
        (np.cross((-0.13108, 0.99137, 0), (-0.11106, -0.01468, -0.99371)), "S > C -7.5 > T 6.4"),
        ((0.1075, 1.1647, 2.7626), "T > C -22.9 > S -2.1"),
    ],
)
def test_the_worked_examples(normal, text):
    assert orientation_text(normal) == text
    assert orientation_text(-7 * np.asarray(normal)) == text
    assert degrees_apart(normal_from_text(text), normal) < 0.1


def test_text_to_normal_to_text_is_the_same_text_also_beside_ties():
    random = np.random.default_rng(0)
    anywhere = random.normal(size=(3000, 3))
    # Two, or all three, components of about the same size: rounding may change their order.
    nearly = random.choice([-1, 1], (1000, 3)) * (1 + random.normal(scale=0.003, size=(1000, 3)))
    nearly[:500, 0] *= 0.3
    nearly[250:500] = np.roll(nearly[250:500], 1, axis=1)
    changed = 0
    for normal in (*anywhere, *nearly):
        text = orientation_text(normal)
        back = normal_from_text(text)
        assert orientation_text(back) == text
        assert degrees_apart(back, normal) < 0.12
        changed += int(np.abs(back).argmax() != np.abs(normal).argmax())
    assert changed > 0  # ties were among them


@pytest.mark.parametrize(
    ("normal", "text"),
    [
        ((0, 0, 1), "T"),
        ((0, -3, 0), "C"),
        ((1, 0, 0), "S"),
        ((0.0005, 0.0003, 1), "T"),
        ((0.0005, 0.4, 0.9), "T > C -24.0"),
        ((0, 1, 1), "T > C -45.0"),
        ((0, -1, 1), "T > C 45.0"),
        ((1, 0, 1), "T > S -45.0"),
        ((1, 1, 0), "C > S -45.0"),
        ((1, -1, 0), "C > S 45.0"),
        ((0.1, 0.1, 1), "T > C -5.7 > S -5.7"),
        ((-0.1, 1, 0.1), "C > T -5.7 > S 5.7"),
    ],
)
def test_ties_and_angles_that_round_to_zero(normal, text):
    assert orientation_text(normal) == text
    noise = np.random.default_rng(1).normal(scale=1e-9, size=(20, 3))
    assert {orientation_text(np.asarray(normal) + one) for one in noise} == {text}


def test_the_space_diagonal_reads_back():
    text = orientation_text([1, 1, 1])
    assert orientation_text(normal_from_text(text)) == text
    assert degrees_apart(normal_from_text(text), [1, 1, 1]) < 0.12


@pytest.mark.parametrize("normal", [(0, 0, 0), (np.nan, 0, 1), (np.inf, 0, 1), (1, 0), (1e-20, 0, 0)])
def test_what_is_no_direction_is_refused(normal):
    with pytest.raises(PrescriptionError, match="three finite numbers"):
        orientation_text(normal)


@pytest.mark.parametrize(
    "text", ["T>C-23.9>S4.5", "t > c -23.9 > s 4.5", "Tra>Cor(-23.9)>Sag(4.5)", " Transversal > C \u221223.9 > S 4.5 "]
)
def test_other_ways_to_write_an_orientation_are_read(text):
    np.testing.assert_array_equal(normal_from_text(text), normal_from_text("T > C -23.9 > S 4.5"))


@pytest.mark.parametrize(
    "text", ["", "X", "T > C", "T > T 4.0", "T > C 1.0 > C 2.0", "T > C 95.0", "T > C 1.0 > S 2.0 > S 3.0", "T C 3"]
)
def test_what_is_no_orientation_is_refused(text):
    with pytest.raises(PrescriptionError, match="orientation"):
        normal_from_text(text)


@pytest.mark.parametrize(
    ("point", "text"),
    [
        ((12.3, -4.5, 20.1), "L12.3 A4.5 H20.1"),
        ((-100.06, 4.5, -0.3), "R100.1 P4.5 F0.3"),
        ((0, 0, 0), "L0.0 P0.0 H0.0"),
        ((-0.04, -0.04, -0.04), "L0.0 P0.0 H0.0"),
    ],
)
def test_positions_there_and_back(point, text):
    assert position_text(point) == text
    np.testing.assert_allclose(point_from_text(text), point, atol=0.0501)
    assert position_text(point_from_text(text)) == text


def test_what_is_no_position_is_refused():
    with pytest.raises(PrescriptionError, match="position"):
        position_text([1, 2, np.nan])
    for text in ("", "L1 A2", "A1 L2 H3", "L1 P2 X3", "L-1 P2 H3"):
        with pytest.raises(PrescriptionError, match="position"):
            point_from_text(text)


@pytest.mark.parametrize(
    ("normal", "direction"),
    [((0, 0, 1), (0, 1, 0)), ((0, 1, 0), (1, 0, 0)), ((1, 0, 0), (0, 1, 0))],
    ids=["transverse: posterior", "coronal: left", "sagittal: posterior"],
)
def test_rotation_zero_of_the_three_main_planes(normal, direction):
    np.testing.assert_allclose(phase_direction(normal, 0), direction, atol=1e-12)
    assert in_plane_rotation(normal, direction) == 0
    assert in_plane_rotation(normal, np.cross(normal, direction)) == 90
    assert in_plane_rotation(normal, -np.cross(normal, direction)) == 90  # never -90


def test_the_sense_of_the_rotation():
    # On a transverse slice a positive angle turns the phase direction from posterior towards the left.
    np.testing.assert_allclose(phase_direction((0, 0, 1), 30), [0.5, np.sqrt(0.75), 0], atol=1e-12)
    assert in_plane_rotation((0, 0, 1), (0.5, np.sqrt(0.75), 0)) == 30
    assert in_plane_rotation((0, 0, -1), (0.5, np.sqrt(0.75), 0)) == 30  # the sense of the normal is none of the text


def test_any_rotation_there_and_back():
    for matrix in Rotation.random(500, rng=np.random.default_rng(2)).as_matrix():
        normal, phase, _ = matrix
        angle = in_plane_rotation(normal, phase)
        assert -90 < angle <= 90 and angle == round(angle, 1)
        assert degrees_apart(phase_direction(normal, angle), phase) < 0.051
        assert abs(phase_direction(normal, angle) @ normal) < 1e-12


def test_a_phase_direction_out_of_the_plane_is_refused():
    with pytest.raises(PrescriptionError, match="in the slices' plane"):
        in_plane_rotation((0, 0, 1), (0, 1, 0.1))


def test_a_head_that_lies_as_the_mother_does_has_plain_numbers():
    along = {name: [np.array(direction, float) for direction in PLANES[name]] for name in PLANES}
    numbers = {name: siemens_numbers(SlicePlane(name, np.array([10.0, 20, 30]), *along[name])) for name in PLANES}
    assert {name: one.orientation for name, one in numbers.items()} == {"axial": "T", "coronal": "C", "sagittal": "S"}
    assert {one.position for one in numbers.values()} == {"R10.0 A20.0 H30.0"}
    # Phase is encoded A >> P, R >> L and A >> P without rotation.
    assert [numbers["axial"].phase_along_column, numbers["axial"].phase_along_row] == [0, 90]
    assert [numbers["coronal"].phase_along_column, numbers["coronal"].phase_along_row] == [90, 0]
    assert [numbers["sagittal"].phase_along_column, numbers["sagittal"].phase_along_row] == [90, 0]
