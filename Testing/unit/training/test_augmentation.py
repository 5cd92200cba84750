"""Every spatial augmentation keeps the rotation label exact; every artifact does what its formula says."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from monai.transforms import Compose
from scipy.ndimage import distance_transform_edt

from E3PoseLib.imaging.rotations import euler_to_matrix, geodesic_angle, orthonormalise
from E3PoseLib.method.crop import UPRIGHT_RADII
from E3PoseTraining.augmentation.artifacts import (
    RandCroppedFieldOfView,
    RandGhosting,
    RandSpinHistory,
    RandSurroundings,
    spin_history,
)
from E3PoseTraining.augmentation.distortion import RandEpiDistortion, RandShear, distortion_field, sheared_axes
from E3PoseTraining.augmentation.grid import affine_coordinates, centred_coordinates, object_points
from E3PoseTraining.augmentation.intensity import NormalisePercentiles, RandBiasField, RandGamma, RandNoise, RandShading
from E3PoseTraining.augmentation.motion import RandInterleavedMotion, interleaves
from E3PoseTraining.augmentation.placement import RandMaskError, RandPlacement, RandUprightHead, upright
from E3PoseTraining.augmentation.resolution import RandIsotropicResolution, RandThickSlices, coarsen
from E3PoseTraining.augmentation.sample import Sample, transform_axes

SIZE = 56
ARM = 13.0
MARKER_VALUES = (1.0, 2.0, 3.0)


def marked_head(axes: torch.Tensor, size: int = SIZE, spacing: float = 3.0) -> Sample:
    """An ellipsoidal object with one bright ball on each of its axes, so that the image itself tells the axes."""
    grid = centred_coordinates((size,) * 3, torch.device("cpu"))
    image = torch.zeros(size, size, size)
    for value, axis in zip(MARKER_VALUES, axes.float(), strict=True):
        distance = (grid - ARM * axis.view(3, 1, 1, 1)).norm(dim=0)
        image += value * torch.exp(-distance.square() / (2 * 1.5**2))
    in_head = torch.einsum("ij,jxyz->ixyz", axes.float(), grid)
    radii = torch.tensor([9.0, 12.0, 8.0]).view(3, 1, 1, 1)
    label = ((in_head / radii).square().sum(0) <= 1).to(torch.uint8)
    return Sample(image[None], label[None], axes, spacing)


def marker_positions(image: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Centroids ``[3, 3]`` of the markers, relative to the middle of the grid, searched around `start`."""
    shape = torch.tensor(image.shape[1:])
    grid = centred_coordinates(tuple(image.shape[1:]), image.device)
    positions = []
    for place in start:
        for _ in range(20):
            first = (place + (shape - 1) / 2 - 6).floor().long().clamp_min(0)
            box = tuple(slice(int(low), int(low) + 14) for low in first)
            near_by = grid[(slice(None), *box)]
            near = ((near_by - place.view(3, 1, 1, 1)).norm(dim=0) < 6) * image[0][box]
            place = (near_by * near).flatten(1).sum(1) / near.sum()
        positions.append(place)
    return torch.stack(positions).double()


def measured_axes(before: Sample, after: Sample, linear_sign: float = 1) -> torch.Tensor:
    """The proper rotation whose rows the markers of `after` tell; right is made a pseudovector by the sign."""
    centre = object_points(after.label, limit=10**9).mean(0)
    guess = after.axes.clone()
    guess[0] *= linear_sign
    distance = ARM * (after.label.sum() / before.label.sum()).item() ** (1 / 3)
    arms = marker_positions(after.image, centre + distance * guess.float()) - centre.double()
    rows = arms / arms.norm(dim=1, keepdim=True)
    rows[0] *= linear_sign
    return rows


@pytest.fixture
def head() -> Sample:
    return marked_head(euler_to_matrix(torch.tensor([37.0, -61.0, 122.0], dtype=torch.float64)))


def angles_between(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.rad2deg(torch.acos((a * b).sum(1).clamp(-1, 1)))


@pytest.mark.parametrize("seed", range(6))
def test_turned_scaled_and_shifted_image_shows_the_axes_of_its_label(head, seed):
    place = RandPlacement(72, rotation=180, translation=9, scaling=(0.9, 1.3))
    place.set_random_state(seed)
    after = place(head)

    assert torch.linalg.det(after.axes) == pytest.approx(1, abs=1e-9)
    assert angles_between(measured_axes(head, after), after.axes).max() < 0.5


def test_mirrored_image_keeps_vectors_and_turns_the_pseudovector(head):
    place = RandPlacement(72, rotation=180, flipping=True)
    signs = set()
    for seed in range(8):
        place.set_random_state(seed)
        after = place(head)
        # In a mirrored image the true right side lies against the pseudovector.
        markers = {sign: measured_axes(head, after, sign) for sign in (1, -1)}
        errors = {sign: angles_between(rows, after.axes).max().item() for sign, rows in markers.items()}
        best = min(errors, key=errors.get)
        signs.add(best)
        assert errors[best] < 0.5
        assert torch.linalg.det(after.axes) == pytest.approx(1, abs=1e-9)
    assert signs == {1, -1}


@pytest.mark.parametrize("rows", [1, 3])
def test_affine_coordinates_are_those_of_every_voxel(rows):
    generator = torch.Generator().manual_seed(0)
    linear = torch.randn(rows, 3, generator=generator, dtype=torch.float64)
    origin = torch.randn(rows, generator=generator)
    shape = (7, 4, 9)
    expected = torch.einsum("nj,jxyz->nxyz", linear.float(), centred_coordinates(shape, torch.device("cpu")))
    torch.testing.assert_close(affine_coordinates(shape, linear, origin), expected + origin.view(-1, 1, 1, 1))


def test_transform_axes_follows_the_law_of_pseudovectors():
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))
    upright = torch.eye(3, dtype=torch.float64)
    # Mirrored along the right axis: the vectors do not move and the pseudovector keeps its sign.
    assert torch.equal(transform_axes(mirror, upright), upright)
    along_anterior = torch.diag(torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64))
    expected = torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64))
    assert torch.equal(transform_axes(along_anterior, upright), expected)


def test_object_stays_in_view_and_centred_however_it_is_turned(head):
    off_centre = dataclasses.replace(
        head, image=head.image.roll((8, -7, 5), (1, 2, 3)), label=head.label.roll((8, -7, 5), (1, 2, 3))
    )
    place = RandPlacement(None, rotation=180, centre_on_object=True)
    for seed in range(4):
        place.set_random_state(seed)
        after = place(off_centre)
        assert after.label.sum() == pytest.approx(head.label.sum().item(), rel=0.03)
        assert object_points(after.label).mean(0).norm() < 0.7


UPRIGHT_EDGE = 40
BRAIN_RADIUS = (9 * 12 * 8) ** (1 / 3)
UPRIGHT_ARM = ARM / BRAIN_RADIUS * UPRIGHT_EDGE / UPRIGHT_RADII


def test_a_head_stands_upright_at_the_size_of_its_brain(head):
    """Its markers lie on the axes of the cube, as far out as its brain's radius tells, wherever it was before."""
    moved = dataclasses.replace(
        head, image=head.image.roll((8, -7, 5), (1, 2, 3)), label=head.label.roll((8, -7, 5), (1, 2, 3))
    )
    for sample in (head, moved):
        seen = upright(sample, UPRIGHT_EDGE)
        assert seen.shape == (UPRIGHT_EDGE,) * 3 and seen.is_upright
        assert torch.equal(seen.axes, torch.eye(3, dtype=torch.float64))
        markers = marker_positions(seen.image, UPRIGHT_ARM * torch.eye(3))
        torch.testing.assert_close(markers, UPRIGHT_ARM * torch.eye(3, dtype=torch.float64), atol=0.3, rtol=0)
        assert object_points(seen.label, limit=10**9).mean(0).norm() < 0.3
        assert seen.label.sum() * 3 / (4 * math.pi) == pytest.approx((UPRIGHT_EDGE / UPRIGHT_RADII) ** 3, rel=0.03)


def test_an_upright_head_is_off_by_no_more_than_was_asked_for(head):
    place = RandUprightHead(UPRIGHT_EDGE, rotation=12, translation=6, scaling=(0.9, 1.1), flipping=True)
    millimetre = UPRIGHT_EDGE / (BRAIN_RADIUS * UPRIGHT_RADII * head.spacing)
    sides, turned, sizes = set(), [], []
    for seed in range(8):
        place.set_random_state(seed)
        after = place(head)
        centre = object_points(after.label, limit=10**9).mean(0)
        assert centre.abs().max() < 1.1 * (6 * math.sqrt(3) * millimetre + 0.3)
        left_half, right_half = after.image[0, : UPRIGHT_EDGE // 2], after.image[0, UPRIGHT_EDGE // 2 :]
        # Away from the middle, where the two other markers are: of a mirrored head right is left.
        side = 1.0 if right_half[8:].sum() > left_half[:-8].sum() else -1.0
        arms = marker_positions(after.image, centre + UPRIGHT_ARM * torch.diag(torch.tensor([side, 1, 1])))
        arms = (arms - centre.double()) * torch.tensor([[side], [1], [1]])
        sides.add(side)
        sizes.append(arms.norm(dim=1).mean().item() / UPRIGHT_ARM)
        turned.append(geodesic_angle(orthonormalise(arms), torch.eye(3, dtype=torch.float64)).item())
        assert geodesic_angle(orthonormalise(arms), after.axes) < 1.5
    assert sides == {1.0, -1.0}
    assert 0.88 < min(sizes) < 0.98 and 1.02 < max(sizes) < 1.12
    assert 4 < max(turned) < 12 * math.sqrt(3) + 1


def test_interleaves_move_by_opposite_halves_about_the_true_pose(head):
    motion = RandInterleavedMotion(1.0, max_rotation=16, max_translation=8)
    motion.set_random_state(5)
    generator = np.random.RandomState(0)
    seen = 0.0
    for _ in range(4):
        motion.set_random_state(int(generator.randint(2**31)))
        after = motion(head)
        assert torch.equal(after.axes, head.axes)
        slice_axis = int(np.argmax([_parity_difference(after.image, axis) for axis in range(3)]))
        rotations, centres = [], []
        for parity in (0, 1):
            # The slices of one interleave, the other filled in between them, are one rigidly moved head.
            arms = marker_positions(_one_interleave(after.image, slice_axis, parity), ARM * head.axes.float())
            u, _, vt = torch.linalg.svd((arms - arms.mean(0)).T @ (head.axes - head.axes.mean(0)))
            rotations.append(u @ torch.diag(torch.tensor([1, 1, torch.linalg.det(u @ vt).item()]).double()) @ vt)
            centres.append(arms.mean(0) - ARM * rotations[-1] @ head.axes.mean(0))
        relative = geodesic_angle(rotations[0], rotations[1])
        seen = max(seen, relative.item())
        u, _, vt = torch.linalg.svd(rotations[0] + rotations[1])
        assert geodesic_angle(u @ vt, torch.eye(3).double()) < 0.6
        assert ((centres[0] + centres[1]) / 2).norm() < 0.25
    assert seen > 3


def test_every_nth_slice_moves_alike_and_all_about_where_it_was(head):
    """Where points of the middle come from, by pass: the mean of the passes is the point itself."""
    motion = RandInterleavedMotion(1.0, max_rotation=16, max_translation=8, max_passes=6)
    motion.set_random_state(3)
    counts = set()
    for _ in range(12):
        passes = int(motion.R.randint(2, 7))
        rotations, shifts = (motion._about_nothing(passes) * size for size in (0.1, 1.0))
        assert rotations.sum(0).norm() < 1e-5
        counts.add(passes)
        source = interleaves(head, 0, rotations, shifts)
        first = -(SIZE - 1) / 2 + 20  # points of one pass after the other, that differ in their slice alone
        points = torch.stack([torch.tensor([first + n, 4.0, -3.0]) for n in range(2 * passes)], dim=1)
        moved = source(points) - points
        # The same pass moves neighbours alike but for their distance, which turns by a tenth at most.
        assert (moved[:, :passes] - moved[:, passes:]).norm(dim=0).max() < 0.12 * passes
        assert moved[:, :passes].mean(1).norm() < 0.35
        assert moved.norm(dim=0).max() > 0.5
    assert counts == {2, 3, 4, 5, 6}
    # Through the transform itself the labels' middle stays.
    centres = []
    for seed in range(8):
        after = motion.set_random_state(seed)(head)
        assert torch.equal(after.axes, head.axes)
        centres.append(object_points(after.label, limit=10**9).mean(0))
    assert torch.stack(centres).norm(dim=1).max() < 0.6


def _parity_difference(image: torch.Tensor, axis: int) -> float:
    difference = image[0].diff(n=2, dim=axis)
    return difference.abs().mean().item()


def _one_interleave(image: torch.Tensor, axis: int, parity: int) -> torch.Tensor:
    moved = image[0].movedim(axis, 0)
    slices = moved[parity::2]
    full = torch.nn.functional.interpolate(
        slices.movedim(0, -1)[None, None],
        size=(*slices.shape[1:], 2 * len(slices) - 1),
        mode="trilinear",
        align_corners=True,
    )[0, 0].movedim(-1, 0)
    padded = torch.zeros_like(moved)
    padded[parity : parity + len(full)] = full
    return padded.movedim(0, axis)[None]


@pytest.mark.parametrize("phase_axis", range(3))
def test_distortion_leaves_the_best_rigid_alignment_at_the_identity(head, phase_axis):
    points = object_points(head.label)
    generator = torch.Generator().manual_seed(phase_axis)
    waves = 0.25 * torch.nn.functional.normalize(torch.randn(4, 3, generator=generator), dim=1)
    field = distortion_field(points, phase_axis, waves, torch.rand(4, generator=generator), size=0.4)

    distorted = points.clone()
    for _ in range(60):  # where the content now lies: q + u(q) = p
        distorted[:, phase_axis] = points[:, phase_axis] - field(distorted.T)
    u, _, vt = torch.linalg.svd((distorted - distorted.mean(0)).double().T @ (points - points.mean(0)).double())
    rotation = u @ torch.diag(torch.tensor([1.0, 1.0, torch.linalg.det(u @ vt)]).double()) @ vt

    assert (distorted - points).square().sum(1).mean().sqrt() == pytest.approx(0.4, abs=0.01)
    assert (distorted - points).mean(0).norm() < 1e-3
    assert geodesic_angle(rotation, torch.eye(3).double()) < 0.01


def test_distorted_scan_keeps_axes_and_total_signal(head):
    distort = RandEpiDistortion(1.0, max_displacement=6)
    distort.set_random_state(1)
    after = distort(head)
    assert (after.image - head.image).abs().max() > 0.2
    assert torch.equal(after.axes, head.axes)
    # Displacement only moves signal from place to place: the Jacobian keeps its sum.
    assert after.image.sum() == pytest.approx(head.image.sum().item(), rel=0.01)


def test_sheared_axes_are_those_of_the_moved_landmarks(head):
    linear = torch.tensor([[1.0, 0.15, -0.1], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    right, anterior, superior = head.axes
    pitch = math.radians(20)
    forward = linear @ (math.cos(pitch) * anterior - math.sin(pitch) * superior)
    rows = sheared_axes(linear, head.axes)
    torch.testing.assert_close(rows @ rows.T, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(rows) > 0
    # The line from the brain's centre to between the eyes still lies 20 degrees below anterior, the eyes level with it.
    torch.testing.assert_close(
        rows @ forward / forward.norm(), torch.tensor([0.0, math.cos(pitch), -math.sin(pitch)]).double()
    )
    in_eye_plane = rows @ (linear @ right)
    assert abs(in_eye_plane[1] * math.sin(pitch) + in_eye_plane[2] * math.cos(pitch)) < 1e-12
    turn = euler_to_matrix(torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64))
    torch.testing.assert_close(sheared_axes(turn, head.axes), transform_axes(turn, head.axes))


def test_shear_moves_the_markers_along_one_axis_as_the_label_says(head):
    shear = RandShear(1.0)
    before = marker_positions(head.image, ARM * head.axes.float())
    largest = 0.0
    for seed in range(12):
        shear.set_random_state(seed)
        after = shear(head)
        moved = marker_positions(after.image, before.float())
        (phase_axis,) = {int(row.abs().argmax()) for row in moved - before if row.abs().max() > 0.3} or {0}
        others = [axis for axis in range(3) if axis != phase_axis]
        assert (moved - before)[:, others].abs().max() < 0.15
        linear = torch.linalg.solve(before, moved).T
        torch.testing.assert_close(after.axes, sheared_axes(linear, head.axes), atol=0.02, rtol=0)
        largest = max(largest, (moved - before).abs().max().item())
    assert 0.1 * ARM < largest < 0.5 * ARM


def test_spin_history_is_one_minus_alpha_gaussian():
    image = torch.ones(1, 21, 21, 21)
    dark = spin_history(image, torch.tensor([0.0, 1.0, 0.0]), 2.0, sigma=3.0, alpha=0.8)
    assert dark[0, 5, 12, 7] == pytest.approx(0.2)
    assert dark[0, 5, 15, 7] == pytest.approx(1 - 0.8 * math.exp(-0.5), abs=1e-6)
    assert dark[0, 5, 12, 7] == dark[0, 20, 12, 0]


def test_spin_history_meets_the_object_and_prefers_its_edge():
    grid = centred_coordinates((24,) * 3, torch.device("cpu"))
    ball = (grid.norm(dim=0) <= 8).to(torch.uint8)[None]
    artifact = RandSpinHistory(sigma=(6, 6), alpha=(1, 1), prob=1)
    offsets = []
    for seed in range(300):
        artifact.set_random_state(seed)
        # Signal 1 − exp(−d²/2σ²) tells each voxel's distance from the plane, hence the plane's from the centre.
        image = artifact(Sample(torch.ones(1, 24, 24, 24), ball, None, 3.0)).image[0]
        offsets.append(2.0 * (-2 * (1 - image[11:13, 11:13, 11:13].mean()).log()).clamp_min(0).sqrt().item())
    assert max(offsets) < 8.6
    outer = np.mean([offset > 4 for offset in offsets])
    assert outer > 0.6  # half the planes would lie there if the place were uniform, two thirds by the arcsine law


def test_ghost_lies_half_a_field_of_view_away():
    image = torch.zeros(1, 32, 32, 32)
    image[0, 10, 12, 14] = 1
    ghosting = RandGhosting(1.0, max_strength=0.5, max_phase=0)
    ghosting.set_random_state(0)
    ghosted = ghosting(Sample(image, image.to(torch.uint8), None, 3.0)).image[0]
    copies = ghosted[ghosted > 1e-4]
    assert len(copies) == 2
    # Lines scaled by e give the object (1 + e)/2 and the ghost (1 − e)/2: together they keep the signal.
    assert copies.sum() == pytest.approx(1, abs=1e-5)
    first, second = (ghosted > 1e-4).nonzero()
    assert sorted((first - second).abs().tolist()) == [0, 0, 16]


def test_cropped_field_of_view_is_zero_in_image_and_label_and_leaves_half_the_object(head):
    full = dataclasses.replace(head, image=head.image + 1)
    crop = RandCroppedFieldOfView(1.0)
    smallest = 1.0
    for seed in range(30):
        crop.set_random_state(seed)
        after = crop(full)
        assert torch.equal(after.label > 0, (head.label > 0) & (after.image > 0))
        smallest = min(smallest, (after.label.sum() / head.label.sum()).item())
    assert 0.4 < smallest < 0.7


def test_cropped_field_of_view_is_also_a_slab_around_the_object(head):
    full = dataclasses.replace(head, image=head.image + 1)
    crop = RandCroppedFieldOfView(1.0)
    slabs = 0
    for seed in range(30):
        crop.set_random_state(seed)
        after = crop(full).image[0] > 0
        for axis in range(3):
            seen = after.any(dim=[other for other in range(3) if other != axis])
            slabs += bool(not seen[0] and not seen[-1])
    assert 8 < slabs < 25


def test_surroundings_change_beyond_a_distance_that_varies_and_never_nearer(head):
    label = head.label.clone()
    label[0, 4:6, 4:6, 4:6] = 2  # far from the brain, as an eye may be from a small one
    image = torch.rand((1, *[SIZE] * 3), generator=torch.Generator().manual_seed(0))
    scene = dataclasses.replace(head, image=image, label=label)
    # Turned about, no second head comes into the picture.
    turned = [
        torch.where(label.flip(axes) > 0, scene.image, scene.image.flip(axes))[0] for axes in ((1, 2), (1, 3), (2, 3))
    ]
    away = torch.from_numpy(distance_transform_edt((label[0] == 0).numpy())) * head.spacing
    surroundings = RandSurroundings(1.0, distance=(10, 20), max_variation=6)
    nearest, kinds = [], set()
    for seed in range(24):
        surroundings.set_random_state(seed)
        after = surroundings(scene)
        assert torch.equal(after.label, label) and after.axes is head.axes
        changed = after.image[0] != scene.image[0]
        assert away[changed].min() > 10 - 6 and changed[away > 20 + 6].float().mean() > 0.9
        nearest.append(float(away[changed].min()))
        new = after.image[0][changed]
        if (new == new[0]).all():
            kinds.add("nothing" if new[0] == 0 else "grey")
        else:
            assert any(torch.equal(new, image[changed]) for image in turned)
            kinds.add("turned about")
    assert kinds == {"nothing", "grey", "turned about"}
    assert min(nearest) < 10 < max(nearest)


def test_mask_errors_move_the_first_look_alone_and_no_further_than_asked(head):
    error = RandMaskError(1.0, max_shift=6, max_stretch=0.2)
    points = object_points(head.label, limit=10**9)
    shifts, stretches = [], []
    for seed in range(40):
        error.set_random_state(seed)
        after = error(head)
        assert after.image is head.image and after.label is head.label and after.axes is head.axes
        moved = object_points(after.first_look, limit=10**9)
        shifts.append((moved.mean(0) - points.mean(0)) * head.spacing)
        stretches.append((moved.amax(0) - moved.amin(0) + 1) / (points.amax(0) - points.amin(0) + 1))
    shifts, stretches = torch.stack(shifts), torch.stack(stretches)
    assert 4 < shifts.abs().max() < 6 + 0.5 * head.spacing
    assert 0.75 < stretches.min() < 0.9 and 1.1 < stretches.max() < 1.25


def test_bias_field_is_the_exponential_of_a_cubic(head):
    flat = dataclasses.replace(head, image=torch.ones_like(head.image))
    bias = RandBiasField(0.5)
    bias.set_random_state(2)
    log_field = bias(flat).image[0].double().log()
    assert log_field.abs().max() > 0.1
    for axis in range(3):
        assert log_field.diff(n=4, dim=axis).abs().max() < 1e-5


def test_shading_falls_smoothly_to_the_share_drawn(head):
    flat = dataclasses.replace(head, image=torch.ones_like(head.image))
    shading, darkest = RandShading(1.0, (0.1, 0.6)), []
    for seed in range(20):
        field = shading.set_random_state(seed)(flat).image[0].log()
        assert field.max().item() == pytest.approx(0, abs=1e-6)
        darkest.append(field.min().exp().item())
        assert max(field.diff(dim=axis).abs().max().item() for axis in range(3)) < 0.25
    assert 0.1 <= min(darkest) < 0.2 and 0.4 < max(darkest) <= 0.6


def test_noise_has_at_most_the_asked_standard_deviation(head):
    noise = RandNoise(0.03)
    deviations = []
    for seed in range(20):
        noise.set_random_state(seed)
        deviations.append((noise(head).image - head.image).std().item())
    assert 0.02 < max(deviations) <= 0.031
    assert min(deviations) < 0.01


def test_gamma_keeps_the_range_and_takes_the_power(head):
    gamma = RandGamma((-0.8, -0.8))
    after = gamma(head).image
    unit = (head.image - head.image.min()) / (head.image.max() - head.image.min())
    expected = unit ** math.exp(-0.8) * (head.image.max() - head.image.min()) + head.image.min()
    assert torch.allclose(after, expected, atol=1e-4)


def test_percentiles_become_zero_and_one():
    image = torch.linspace(-5, 17, 20**3).view(1, 20, 20, 20)
    after = NormalisePercentiles(0.005)(Sample(image, image.to(torch.uint8), None, 3.0)).image.flatten()
    assert after.min() == 0 and after.max() == 1
    assert (after == 0).float().mean() == pytest.approx(0.005, abs=5e-4)


def test_thick_slices_blur_one_axis_only():
    ramp = torch.arange(24.0).view(1, 24, 1, 1).expand(1, 24, 24, 24)
    wave = torch.where(torch.arange(24) % 2 == 0, 1.0, -1.0)
    along_x, along_y = wave.view(1, 24, 1, 1) + 0 * ramp, wave.view(1, 1, 24, 1) + 0 * ramp
    assert coarsen(along_x, [0.5, 1, 1])[0, 4:-4].abs().max() < 0.01
    assert torch.allclose(coarsen(along_y, [0.5, 1, 1]), along_y, atol=1e-5)
    inner = coarsen(ramp, [0.5, 1, 1])[0, 5:-5]
    assert torch.allclose(inner, ramp[0, 5:-5], atol=1e-4)  # neither displaced nor scaled


@pytest.mark.parametrize("transform", [RandIsotropicResolution(8), RandThickSlices(1.0)])
def test_resolution_loss_keeps_the_signal_and_loses_detail(head, transform):
    transform.set_random_state(1)
    grid = centred_coordinates((SIZE,) * 3, torch.device("cpu"))
    blob = torch.exp(-grid.square().sum(0) / (2 * 6**2))[None]
    after = transform(dataclasses.replace(head, image=blob)).image
    assert after.shape == blob.shape
    assert after.sum() == pytest.approx(blob.sum().item(), rel=0.01)
    assert after.max() < 0.99


def test_one_seed_decides_a_whole_augmentation(head):
    augmentation = Compose(
        [
            RandPlacement(40, 90, 9, (0.8, 1.2), True),
            RandInterleavedMotion(0.5),
            RandEpiDistortion(0.5),
            RandBiasField(0.5),
            RandNoise(0.03),
            RandGhosting(0.5),
            RandGamma((-0.8, 0)),
            RandSpinHistory((2, 3), (1, 1)),
        ]
    )
    first, second, other = (augmentation.set_random_state(seed=seed)(head) for seed in (7, 7, 8))
    assert torch.equal(first.image, second.image) and torch.equal(first.axes, second.axes)
    assert not torch.equal(first.image, other.image)
