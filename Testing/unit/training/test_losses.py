"""The losses vanish at the truth, ignore what is free, and add up over processes."""

import math

import pytest
import torch

from E3PoseLib.imaging.rotations import random_rotations
from E3PoseTraining.training.axes import AxesLoss
from E3PoseTraining.training.modules import SegmentationLoss
from E3PoseTraining.training.places import PlacesLoss, from_middle, true_places


@pytest.fixture
def axes() -> torch.Tensor:
    return random_rotations(4, torch.Generator().manual_seed(0), torch.float64)


def field_of(axes: torch.Tensor) -> torch.Tensor:
    return axes.reshape(-1, 9, 1, 1, 1).expand(-1, 9, 2, 3, 2)


def test_axes_loss_vanishes_at_the_truth_at_any_length_and_either_sign_of_the_pseudovector(axes):
    loss = AxesLoss()
    assert loss(field_of(axes) * 7.5, axes) == pytest.approx(0, abs=1e-5)
    flipped = axes.clone()
    flipped[:, 0] *= -1
    assert loss(field_of(flipped), axes) == pytest.approx(0, abs=1e-5)
    flipped[:, 1] *= -1
    assert loss(field_of(flipped), axes) > 0.3


def test_axes_loss_of_a_known_error():
    upright = torch.eye(3, dtype=torch.float64)[None]
    # x perpendicular to the truth: 0.5 · 1; y along x: 2 of the 6 components of y and z are wrong by 1.
    expected = 0.5 + 2 / 6
    assert AxesLoss()(field_of(upright[:, [1, 0, 2]]), upright) == pytest.approx(expected, abs=1e-6)


def test_axes_loss_has_a_finite_gradient_at_the_truth(axes):
    field = field_of(axes).clone().requires_grad_()
    AxesLoss()(field, axes).backward()
    assert field.grad.isfinite().all()


def test_segmentation_loss_prefers_the_truth_and_weighs_classes():
    label = torch.zeros(2, 1, 4, 4, 4, dtype=torch.uint8)
    label[:, :, 1:3] = 1
    truth = torch.nn.functional.one_hot(label[:, 0].long(), 3).movedim(-1, 1).float()
    loss = SegmentationLoss([1, 8, 2], 0.5)
    assert loss(20 * truth, label) < 0.5 * 2 / 11 + 1e-3  # the class that is nowhere costs its Dice share
    missed, invented = truth.clone(), truth.clone()
    missed[:, :, 1], invented[:, :, 0] = (
        torch.tensor([1.0, 0, 0]).view(3, 1, 1),
        torch.tensor([0, 1.0, 0]).view(3, 1, 1),
    )
    assert loss(20 * missed, label) > loss(20 * invented, label)


def test_losses_of_two_halves_average_to_that_of_the_batch(axes):
    generator = torch.Generator().manual_seed(1)
    field = torch.randn(4, 9, 2, 3, 2, generator=generator, dtype=torch.float64)
    logits = torch.randn(4, 3, 4, 4, 4, generator=generator)
    label = torch.randint(0, 3, (4, 1, 4, 4, 4), generator=generator)
    for loss, prediction, truth in ((AxesLoss(), field, axes), (SegmentationLoss([1, 8, 2], 0.5), logits, label)):
        halves = [loss(prediction[half], truth[half]) for half in (slice(0, 2), slice(2, 4))]
        assert loss(prediction, truth).item() == pytest.approx(sum(halves).item() / 2, rel=1e-6)


def test_places_loss_is_the_distance_from_the_truth_in_the_brain_alone(axes):
    where = from_middle(torch.zeros(4, 1, 20, 20, 20))
    brains = (where.norm(dim=0) < 7).float().expand(4, 1, 20, 20, 20)
    places, loss = true_places(brains, axes), PlacesLoss()
    assert loss(places, brains, axes) == 0
    elsewhere = torch.where(brains > 0, places, places + 5)
    assert loss(elsewhere, brains, axes) == 0
    assert loss(places + torch.tensor([0.3, 0, -0.6]).view(3, 1, 1, 1), brains, axes) == pytest.approx(0.3, abs=1e-5)
    # Turned about z by an angle a, voxels of a ball are off by sin(a / 2) / 2 in the mean of all three axes.
    turned = places.clone()
    turned[:, 0], turned[:, 1] = 0.8 * places[:, 0] - 0.6 * places[:, 1], 0.6 * places[:, 0] + 0.8 * places[:, 1]
    assert loss(turned, brains, axes) == pytest.approx(math.sin(math.atan2(0.6, 0.8) / 2) / 2, rel=0.02)
