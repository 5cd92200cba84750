"""What the networks that look closer make of their probabilities."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_model_with_upright_eyes

from E3PoseLib.imaging.geometry import rigid, transform_points
from E3PoseLib.imaging.masks import centre_of_mass, dice_overlap
from E3PoseLib.imaging.rotations import euler_to_matrix, geodesic_angle
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.close_ups import (
    HALF_TURN,
    TILTED_DEGREES,
    CloseUps,
    close_up,
    posterior_in_any_pose,
    upright_close_up,
    upright_posterior,
)
from E3PoseLib.method.crop import upright_cube
from E3PoseLib.method.head import Head, SeenAxes
from E3PoseLib.method.prepared import PreparedScan
from E3PoseLib.networks.inference import Inference
from E3PoseLib.networks.unet.unet import UNet

SPACING_MM = 3.0
SHAPE = (60, 56, 64)
MIDDLE = np.array([28.3, 30.1, 31.6])
RADII = np.array([12.0, 9.0, 10.0])
WHOLE = tuple(slice(0, n) for n in SHAPE)
GRID_TO_RAS = rigid(np.eye(3), [10.0, -20, 30]) @ np.diag([SPACING_MM] * 3 + [1.0])
TURN = euler_to_matrix(torch.tensor([25.0, -40, 70], dtype=torch.float64)).numpy()


def voxels(shape) -> np.ndarray:
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)


def found(brain: np.ndarray, field_of_view=WHOLE, agreement: float | None = 0.9) -> Head:
    """A head whose brain the networks before have found, in a scan of that grid."""
    array = np.zeros(SHAPE, np.float32)
    volume = Volume(array, GRID_TO_RAS)
    return Head(PreparedScan(volume, volume, WHOLE, array, GRID_TO_RAS, field_of_view), brain, agreement)


def head(points: np.ndarray) -> np.ndarray:
    """Distance from the middle of an ellipsoid that is turned, 1 at its border; `points` in voxels of the grid."""
    return np.linalg.norm((points - MIDDLE) @ TURN / RADII, axis=-1)


def posterior_of(distance: np.ndarray) -> torch.Tensor:
    """Probabilities of background, brain and eyes, as smooth as a network's."""
    brain = 0.96 / (1 + np.exp(12 * (distance - 1)))
    eyes = np.full_like(brain, 0.01)
    return torch.from_numpy(np.stack([1 - brain - eyes, brain, eyes])).float()


def test_a_brain_seen_upright_keeps_its_place_and_border_on_the_scans_grid():
    brain = head(voxels(SHAPE)) < 1
    before = np.roll(brain, (2, -1, 1), axis=(0, 1, 2))
    cube_to_grid = upright_cube(before, TURN, edge=40)
    seen = posterior_of(head(transform_points(cube_to_grid, voxels((40, 40, 40)))))
    after = upright_close_up(found(before), seen, cube_to_grid)
    # By the nearest voxel of the cube it is 0.968.
    assert dice_overlap(after.brain, brain) > 0.985
    np.testing.assert_allclose(centre_of_mass(after.brain), MIDDLE, atol=0.05)
    assert after.upright_agreement == pytest.approx(dice_overlap(after.brain, before)) and after.upright_agreement < 0.9
    np.testing.assert_allclose(
        transform_points(after.eye_map.voxel_to_ras, np.full(3, 19.5)),
        transform_points(GRID_TO_RAS, centre_of_mass(before)),
    )


def test_a_brain_that_is_seen_nowhere_or_beyond_the_scan_stays_as_it_was():
    before = head(voxels(SHAPE)) < 1
    cube_to_grid = upright_cube(before, TURN, edge=40)
    distance = head(transform_points(cube_to_grid, voxels((40, 40, 40))))
    beyond = (slice(0, 5), slice(0, 5), slice(0, 5))
    for posterior, field_of_view in ((posterior_of(distance + 5), WHOLE), (posterior_of(distance), beyond)):
        after = upright_close_up(found(before, field_of_view), posterior, cube_to_grid)
        assert np.array_equal(after.brain, before) and after.upright_agreement == 0


def test_a_lip_in_the_fluid_before_the_forehead_is_no_part_of_the_brain():
    before = head(voxels(SHAPE)) < 1
    cube_to_grid = upright_cube(before, TURN, edge=40)

    def with_lip(points: np.ndarray) -> np.ndarray:
        away = (points - MIDDLE) @ TURN / RADII
        distance = np.linalg.norm(away, axis=-1)
        angle = np.arccos((away[..., 1] / np.maximum(distance, 1e-6)).clip(-1, 1))
        lip = np.maximum(np.abs(distance - 1.3) / 0.09, angle / 0.7)
        bridge = np.maximum(np.abs(distance - 1.15) / 0.2, angle / 0.15)
        return np.minimum(distance, np.minimum(lip, bridge))

    seen = posterior_of(with_lip(transform_points(cube_to_grid, voxels((40, 40, 40)))))
    after = upright_close_up(found(before), seen, cube_to_grid)
    hanging = (with_lip(voxels(SHAPE)) < 1) & ~before
    assert hanging.sum() > 100
    assert (after.brain & hanging).sum() < 0.15 * hanging.sum()
    assert dice_overlap(after.brain, before) > 0.98


def test_what_hangs_on_a_brain_by_a_bridge_is_cut_off():
    """Fat beside the head, which the closer look takes for brain and the first does not."""
    cube = tuple(slice(6, 54) for _ in range(3))
    first = head(voxels(SHAPE)) < 1
    points = voxels((48, 48, 48)) + 6
    fat = np.linalg.norm(points - MIDDLE - np.array([0, 0, 19]), axis=-1) / 6
    bridge = np.maximum(np.linalg.norm((points - MIDDLE)[..., :2], axis=-1) / 2, np.abs(points[..., 2] - 44) / 8)
    closer = posterior_of(np.minimum(np.minimum(head(points), fat), bridge))
    after = close_up(found(first, agreement=None), closer, cube, SPACING_MM)
    together = (closer[1] > 0.5).numpy()
    assert np.linalg.norm(centre_of_mass(together) + 6 - MIDDLE) > 2
    assert np.linalg.norm(centre_of_mass(after.brain) - MIDDLE) < 1
    assert after.brain_agreement == pytest.approx(dice_overlap(first[cube], together), abs=0.01)
    np.testing.assert_allclose(after.eye_map.voxel_to_ras[:3, 3], transform_points(GRID_TO_RAS, np.full(3, 6.0)))


def test_a_head_turned_by_half_a_turn_gets_turned_probabilities():
    torch.manual_seed(0)
    network = UNet(2, 4).eval()
    batch = torch.rand(1, 1, 8, 8, 8)
    with torch.no_grad():
        posterior = posterior_in_any_pose(network, batch)
        turned = posterior_in_any_pose(network, batch.flip(HALF_TURN))
    assert torch.allclose(posterior.sum(1), torch.ones(1, 8, 8, 8), atol=1e-5)
    assert torch.allclose(turned.flip(HALF_TURN), posterior, atol=1e-5)


@pytest.mark.parametrize("n_outputs", [3, 6])
def test_the_mirror_image_of_an_upright_head_has_left_and_right_exchanged(n_outputs):
    torch.manual_seed(0)
    network = UNet(2, 4, n_classes=n_outputs).eval()
    batch = torch.rand(1, 1, 8, 8, 8)
    with torch.no_grad():
        told = upright_posterior(network, batch)
        mirrored = upright_posterior(network, batch.flip(2)).flip(2)
    assert told.shape == (1, n_outputs, 8, 8, 8)
    assert torch.allclose(told[:, :3].sum(1), torch.ones(1, 8, 8, 8), atol=1e-5)
    signs = torch.tensor([1.0, 1, 1, -1, 1, 1])[:n_outputs, None, None, None]
    torch.testing.assert_close(mirrored, signs * told)


def test_a_head_that_is_not_quite_upright_is_turned_back_by_its_voxels_places():
    brain = head(voxels(SHAPE)) < 1
    off = euler_to_matrix(torch.tensor([20.0, -15, 10], dtype=torch.float64)).numpy()
    cube_to_grid = upright_cube(brain, TURN @ off, edge=40)
    points = transform_points(cube_to_grid, voxels((40, 40, 40)))
    places = np.moveaxis((points - MIDDLE) @ TURN, -1, 0) / 10.3
    # Beside the brain it says nothing that counts.
    places[:, head(points) > 1.3] = 9.0
    seen = torch.cat([posterior_of(head(points)), torch.from_numpy(places).float()])
    after = upright_close_up(found(brain), seen, cube_to_grid)
    assert geodesic_angle(torch.from_numpy(after.turned), torch.from_numpy(TURN)) < 0.01
    assert upright_close_up(found(brain), seen[:3], cube_to_grid).turned is None
    # Of an organ of a few voxels, whose places mean nothing, none is told.
    few = torch.where(seen[1:2] > seen[1].flatten().sort().values[-50], seen, torch.zeros_like(seen))
    few[0] = 1 - few[1] - few[2]
    assert upright_close_up(found(brain), few, cube_to_grid).turned is None
    nowhere = torch.cat([posterior_of(head(points) + 5), seen[3:]])
    assert upright_close_up(found(brain), nowhere, cube_to_grid).turned is None


def test_of_a_brain_without_skull_the_rotation_alone_is_told():
    brain = head(voxels(SHAPE)) < 1
    off = euler_to_matrix(torch.tensor([0.0, 12, -8], dtype=torch.float64)).numpy()
    cube_to_grid = upright_cube(brain, TURN @ off, edge=40)
    points = transform_points(cube_to_grid, voxels((40, 40, 40)))
    places = torch.from_numpy(np.moveaxis((points - MIDDLE) @ TURN, -1, 0) / 10.3).float()
    # It sees the brain smaller than the mask, which is the scan itself, and eyes where none can be.
    seen = torch.cat([posterior_of(head(points) + 0.1), places])
    with_skull = found(brain)
    alone = replace(with_skull, scan=replace(with_skull.scan, brain=brain), brain_agreement=None)
    after = upright_close_up(alone, seen, cube_to_grid)
    assert geodesic_angle(torch.from_numpy(after.turned), torch.from_numpy(TURN)) < 0.01
    assert after.brain is brain and after.eye_map is None and after.upright_agreement is None
    other = upright_close_up(with_skull, seen, cube_to_grid)
    assert other.brain.sum() < brain.sum() and other.eye_map is not None and other.upright_agreement > 0.8


class AlwaysNodding(torch.nn.Module):
    """An upright network that tells of all that it is shown that the head nods by so much from upright.

    The bright ones it sees so for the first time only, and nothing in them from then on.
    """

    def __init__(self, degrees: float) -> None:
        super().__init__()
        self.nod = euler_to_matrix(torch.tensor([degrees, 0, 0])).float()
        self.n_shown = 0
        self.is_bright_lost = False

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.n_shown += len(batch)
        points = torch.from_numpy(voxels(batch.shape[2:])).float() - (batch.shape[-1] - 1) / 2
        brain = 10 - points.norm(dim=-1)
        classes = torch.stack([-brain, brain, torch.full_like(brain, -20)])
        told = torch.cat([classes, (points @ self.nod).movedim(-1, 0) / 10])[None].repeat(len(batch), 1, 1, 1, 1)
        if self.is_bright_lost:
            told[batch.amax(dim=(1, 2, 3, 4)) > 0, 1] = -20
        return told


@pytest.mark.parametrize("degrees", [TILTED_DEGREES - 0.5, TILTED_DEGREES + 0.5, 30.0])
def test_a_head_that_stood_tilted_is_shown_once_more_by_what_was_told(degrees):
    model = make_model_with_upright_eyes()
    model.upright_network = AlwaysNodding(degrees)
    tilted = replace(found(head(voxels(SHAPE)) < 1), axes=SeenAxes(TURN.T, 0.0, (0.9, 0.9, 0.9)))
    without_skull = replace(tilted, scan=replace(tilted.scan, brain=tilted.brain))
    heads = [replace(tilted, axes=None), tilted, without_skull]
    other, *both = CloseUps(model, Inference(torch.device("cpu"))).upright(heads)
    # Each look is at the head and at its mirror image; nobody knows yet how the other one stands.
    n_looks = 2 if degrees > TILTED_DEGREES else 1
    assert model.upright_network.n_shown == 2 * 2 * n_looks and other.turned is None
    # It nods again when it is shown as it was told to stand: what counts is what was seen last.
    for seen in both:
        turned = geodesic_angle(torch.from_numpy(seen.turned), torch.from_numpy(TURN))
        assert turned == pytest.approx(n_looks * degrees, abs=0.1)


def test_a_head_that_is_not_seen_any_more_stays_as_it_was_seen_first():
    model = make_model_with_upright_eyes()
    network = model.upright_network = AlwaysNodding(20.0)
    dark = replace(found(head(voxels(SHAPE)) < 1), axes=SeenAxes(TURN.T, 0.0, (0.9, 0.9, 0.9)))
    noise = np.random.default_rng(0).random(SHAPE, np.float32)
    bright = replace(dark, scan=replace(dark.scan, array=noise))
    close_ups = CloseUps(model, Inference(torch.device("cpu")))
    look, looks = close_ups._seen_upright, []

    def look_and_lose(heads, rotations):
        looks.append(sorted(rotations))
        seen = look(heads, rotations)
        network.is_bright_lost = True
        return seen

    close_ups._seen_upright = look_and_lose
    once, twice = close_ups.upright([bright, dark])
    assert looks == [[0, 1], [0, 1]]
    for seen, degrees in ((once, 20), (twice, 40)):
        turned = geodesic_angle(torch.from_numpy(seen.turned), torch.from_numpy(TURN))
        assert turned == pytest.approx(degrees, abs=0.1)
