"""The rotation of a head from its axes, its voxels' places and its eyes, on grids of any kind."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_small_model
from scipy.spatial.transform import Rotation

from E3PoseLib.imaging.geometry import rigid, transform_points
from E3PoseLib.imaging.rotations import geodesic_angle, orthonormalise, random_rotations
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.assemble import assemble
from E3PoseLib.method.estimate import PoseEstimate
from E3PoseLib.method.eyes import CANONICAL_PITCH_DEGREES, EYES_WEIGHT, rotation_from_eyes
from E3PoseLib.method.head import EyeMap, Head, SeenAxes
from E3PoseLib.method.prepared import PreparedScan
from E3PoseLib.method.views import PLACES_WEIGHT

SPACING_MM, EDGE = 3.0, 48
OBLIQUE = random_rotations(1, torch.Generator().manual_seed(3), torch.float64)[0].numpy()
TRUE = random_rotations(1, torch.Generator().manual_seed(7), torch.float64)[0].numpy()
HEADER = replace(make_small_model().header, spacing_mm=SPACING_MM)


def seen_in(directions: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Rows right (pseudovector), anterior, superior in the axes of a grid, of a head whose axes in RAS are columns."""
    axes = rotation.T @ directions
    axes[0] *= np.linalg.det(directions)
    return axes


def turned_by(degrees: float) -> np.ndarray:
    return TRUE @ Rotation.from_rotvec([degrees, 0, 0], degrees=True).as_matrix()


def head(directions: np.ndarray, by_axes: np.ndarray, by_places: np.ndarray | None, eyes: np.ndarray | None) -> Head:
    """A ball of a brain, and eyes by which it has a rotation, on a grid with these directions of its axes."""
    middle = np.full(3, (EDGE - 1) / 2)
    grid_to_ras = rigid(directions * SPACING_MM, [10.0, -20, 30])
    places = np.stack(np.meshgrid(*[np.arange(EDGE)] * 3, indexing="ij"), axis=-1)
    brain = np.linalg.norm(places - middle, axis=-1) < 11
    array = np.where(brain, 0.5, 0.1).astype(np.float32)
    whole = tuple(slice(0, EDGE) for _ in range(3))
    volume = Volume(array, grid_to_ras)
    scan = PreparedScan(volume, volume, whole, array, grid_to_ras, whole)
    eye_map = None
    if eyes is not None:
        pitch = np.deg2rad(CANONICAL_PITCH_DEGREES)
        forward = eyes @ [0, np.cos(pitch), -np.sin(pitch)]
        reach = 11 * SPACING_MM * 1.15
        spots = [
            transform_points(grid_to_ras, middle) + reach * (0.92 * forward + side * 0.38 * eyes[:, 0])
            for side in (-1, 1)
        ]
        in_grid = transform_points(np.linalg.inv(grid_to_ras), np.array(spots))
        probability = sum(np.exp(-((places - spot) ** 2).sum(axis=-1) / 8) for spot in in_grid)
        eye_map = EyeMap(probability.astype(np.float32), grid_to_ras)
    axes = SeenAxes(seen_in(directions, by_axes), 2.0, (0.95, 0.95, 0.95))
    turned = None if by_places is None else seen_in(directions, by_places).T
    return Head(scan, brain, 0.9, 0.95, eye_map, axes, turned)


def estimate_of(*parts) -> PoseEstimate:
    return assemble(head(*parts), HEADER, False, "cpu", "float32")


def rotation_of(*parts) -> np.ndarray:
    return estimate_of(*parts).canonical_to_ras[:3, :3]


def degrees_between(one: np.ndarray, other: np.ndarray) -> float:
    return float(geodesic_angle(torch.from_numpy(one), torch.from_numpy(other)))


@pytest.mark.parametrize("directions", [np.eye(3), OBLIQUE, OBLIQUE @ np.diag([1.0, -1, 1])], ids=str)
def test_places_and_eyes_turn_the_head_by_their_weights_in_any_grid(directions):
    assert degrees_between(rotation_of(directions, TRUE, None, None), TRUE) < 1e-3
    # Axes are off by 0, places by 24 degrees about the same axis: the mean is where vectors of these weights point.
    by_brain = np.rad2deg(np.angle(1 + PLACES_WEIGHT * np.exp(1j * np.deg2rad(24))))
    assert degrees_between(rotation_of(directions, TRUE, turned_by(24), None), turned_by(by_brain)) < 1e-3
    for by_places, off in ((turned_by(24), by_brain), (None, 0.0)):
        found = estimate_of(directions, TRUE, by_places, turned_by(-10))
        centre = found.canonical_to_ras[:3, 3]
        by_eyes = rotation_from_eyes(found.eyes.left - centre, found.eyes.right - centre)
        assert degrees_between(by_eyes, turned_by(-10)) < 4
        mean = orthonormalise(torch.from_numpy(turned_by(off) + EYES_WEIGHT * by_eyes)).numpy()
        assert degrees_between(found.canonical_to_ras[:3, :3], mean) < 1e-3
        assert found.confidence.eyes_disagreement_degrees == pytest.approx(degrees_between(turned_by(off), by_eyes))
