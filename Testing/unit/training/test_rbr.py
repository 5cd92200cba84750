"""Registration by regression: places in the head, rotations from them, the brain beside each crop."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from E3PoseLib.imaging import rotations as rotations_module
from E3PoseLib.imaging.rotations import geodesic_angle, random_rotations, trimmed_rotation
from E3PoseTraining.augmentation.inputs import HeadCrop
from E3PoseTraining.augmentation.sample import Sample
from E3PoseTraining.regression.networks import EDGE, Heads
from E3PoseTraining.regression.places import RegistrationByRegression
from E3PoseTraining.training.places import true_places

RADIUS, MIDDLE = 6.0, (13.0, 11.0, 12.0)


def balls(n):
    """``[n, 1, 24, 24, 24]``, one in a ball."""
    place = torch.stack(torch.meshgrid(*[torch.arange(EDGE, dtype=torch.float32)] * 3, indexing="ij"), dim=-1)
    ball = (place - torch.tensor(MIDDLE)).norm(dim=-1) <= RADIUS
    return ball.float().expand(n, 1, -1, -1, -1)


def rotations(n, seed=0):
    return random_rotations(n, torch.Generator().manual_seed(seed))


def test_the_place_of_a_voxel_is_that_in_the_heads_frame_in_radii():
    axes = rotations(3)
    found = true_places(balls(3), axes)
    for case in range(3):
        assert found[case, :, 13, 11, 12].norm() < 1e-5
        for row in range(3):
            # One voxel further along an axis of the grid is what that axis is in the head's frame.
            step = found[case, :, 14, 11, 12] if row == 0 else found[case, :, 13, 11 + (row == 1), 12 + (row == 2)]
            torch.testing.assert_close(step, axes[case, :, row] / RADIUS, atol=0.003, rtol=0)


def test_rotation_is_exact_with_scale_and_shift_and_withstands_a_quarter_of_wrong_places(monkeypatch):
    generator = torch.Generator().manual_seed(1)
    points, axes = torch.randn(4, 400, 3, generator=generator), rotations(4)
    target = 0.15 * points @ axes.mT + torch.tensor([0.3, -0.2, 0.1])
    weights = torch.rand(4, 400, generator=generator) + 0.5
    assert geodesic_angle(trimmed_rotation(points, target, weights), axes).max() < 0.01
    target[:, :100] = (
        target[:, :100] * torch.tensor([-1.0, -1, 1]) + 0.5
    )  # such as a half of the head taken for another
    assert geodesic_angle(trimmed_rotation(points, target, weights), axes).max() < 0.01
    # Points without weight say nothing, wherever they are.
    weights[:, :300], target[:, :300] = 0, 7.0
    assert geodesic_angle(trimmed_rotation(points, target, weights), axes).max() < 0.01
    monkeypatch.setattr(rotations_module, "ROUNDS", 1)
    weights[:, :100] = 1
    assert geodesic_angle(trimmed_rotation(points, target, weights), axes).min() > 0.5


def test_the_loss_is_the_error_of_places_in_the_brain_and_a_tenth_of_that_of_the_mask():
    network = RegistrationByRegression()
    heads = Heads(torch.zeros(2, 1, EDGE, EDGE, EDGE), rotations(2), balls(2))
    truth, sure = true_places(heads.brains, heads.axes), 40 * (heads.brains - 0.5)
    network.forward = lambda crops: (truth, sure)
    assert float(network.loss(heads, 0)) < 1e-4
    # Off by 0.1, 0.2 and 0.6 in the brain, 0.3 in the mean, and by much outside, where it does not count.
    off = torch.tensor([0.1, -0.2, 0.6]).view(3, 1, 1, 1)
    network.forward = lambda crops: (truth + off + 9 * (1 - heads.brains), sure)
    assert float(network.loss(heads, 0)) == pytest.approx(0.3, abs=1e-3)
    # A mask that is everywhere a half: cross-entropy ln 2, Dice loss 1 - 2·(v/2)/(v + n/2).
    network.forward = lambda crops: (truth, torch.zeros_like(sure))
    share = float(heads.brains.mean())
    expected = 0.1 * (0.25 * math.log(2) + 0.75 * (1 - share / (share + 0.5)))
    assert float(network.loss(heads, 0)) == pytest.approx(expected, rel=1e-3)


def test_a_crop_comes_with_the_brain_as_it_is_and_is_cut_by_where_it_seems_to_be():
    texture = gaussian_filter(np.random.default_rng(0).random((50, 50, 50)), 2)
    brain = np.zeros((1, 50, 50, 50), np.uint8)
    brain[:, 15:35, 15:35, 15:35] = 1
    image = torch.from_numpy(texture / texture.max()).float()[None]
    sample = Sample(image, torch.from_numpy(brain), torch.eye(3, dtype=torch.float64), 3.0)
    crop = HeadCrop(EDGE, 1, cube=True)
    # The cube's edge is 19 / 0.6 voxels and the brain's 20, in the middle; in the cube's 24 voxels.
    label = crop(sample).label
    assert label.shape == (1, EDGE, EDGE, EDGE) and label.dtype == torch.uint8
    along = label[0, :, 12, 12].nonzero()[:, 0]
    assert (int(along.min()), int(along.max())) == (4, 19)
    # A first look that is off by four voxels, three of the crop's: the brain lies that much to the other side.
    moved = torch.from_numpy(np.roll(brain, 4, axis=1))
    erred = crop(dataclasses.replace(sample, first_look=moved))
    assert erred.first_look is None
    along = erred.label[0, :, 12, 12].nonzero()[:, 0]
    assert (int(along.min()), int(along.max())) == (1, 16)
    torch.testing.assert_close(erred.image, crop(dataclasses.replace(sample, label=moved)).image)


def test_a_unet_of_the_papers_sizes_sees_the_same_crops():
    network = RegistrationByRegression(n_levels=5, n_features=4).eval()
    with torch.no_grad():
        where, logits = network(torch.rand(1, 1, EDGE, EDGE, EDGE))
    assert where.shape == (1, 3, EDGE, EDGE, EDGE) and logits.shape == (1, 1, EDGE, EDGE, EDGE)
    for sizes in ((5, 4), (4, 8)):
        assert sum(weight.numel() for weight in RegistrationByRegression(*sizes).parameters()) < 500_000


def test_it_learns_the_rotations_of_a_head_it_is_shown():
    axes, brains = rotations(6, seed=3), torch.nn.functional.max_pool3d(balls(6), 2)
    right, anterior, superior = true_places(brains, axes).unbind(1)
    # Brighter in front, with a bright top, and dark below on the right.
    shade = 0.4 + 0.2 * anterior + 0.3 * (superior > 0.4) - 0.2 * (right > 0.5) * (superior < 0)
    heads = Heads(shade[:, None] * brains, axes, brains)
    torch.manual_seed(0)
    network = RegistrationByRegression(n_levels=3, n_features=8).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for step in range(120):
        optimizer.zero_grad()
        network.loss(heads, step / 120).backward()
        optimizer.step()
    with torch.no_grad():
        degrees = geodesic_angle(network.rotation(heads.crops).double(), axes.double())
        _, logits = network(heads.crops)
    assert degrees.max() < 15
    found = logits > 0
    assert 2 * (found * brains).sum() / (found.sum() + brains.sum()) > 0.6
