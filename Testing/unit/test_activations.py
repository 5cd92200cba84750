"""The activation that this project computes itself is torch's."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from E3PoseLib.networks.unet.activations import PIECE, ExponentialLinear

ROUNDING = 2.0**-23
"""Of a float32 of size one."""


def apart(found: torch.Tensor, features: torch.Tensor) -> float:
    return float((found.double() - functional.elu(features.double())).abs().max())


def test_it_is_exact_wherever_a_float32_can_be():
    size = torch.cat([torch.logspace(-12, 4, 100_001), torch.tensor([17.3, 20.0, 88.0, 89.0, 104.0, 3e38])])
    features = torch.cat([-size, size, torch.zeros(1)])
    with torch.inference_mode():
        found = ExponentialLinear()(features.clone())
        assert apart(found, features) <= ROUNDING
        assert torch.equal(found[features >= 0], features[features >= 0])
        special = ExponentialLinear()(torch.tensor([-math.inf, math.inf, math.nan]))
    assert special[:2].tolist() == [-1, math.inf]
    assert special[2].isnan()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
def test_more_than_a_piece_in_any_memory_format_and_in_place(memory_format):
    torch.manual_seed(0)
    size = math.ceil((PIECE * torch.get_num_threads() * 2.5 / 6) ** (1 / 3))
    features = torch.randn(2, 3, size, size, size).contiguous(memory_format=memory_format)
    given = features.clone()
    with torch.inference_mode():
        found = ExponentialLinear()(given)
        assert found is given
        assert found.is_contiguous(memory_format=memory_format)
        assert apart(found, features) <= ROUNDING


def test_what_lies_between_features_is_left_alone():
    torch.manual_seed(0)
    everything = torch.randn(2, 3, 4, 4, 4)
    expected = everything.clone()
    expected[:, :, ::2] = functional.elu(expected[:, :, ::2])
    with torch.inference_mode():
        ExponentialLinear()(everything[:, :, ::2])
    torch.testing.assert_close(everything, expected, rtol=0, atol=ROUNDING)


def test_gradients_are_those_of_torch():
    features = torch.linspace(-5, 5, 101, requires_grad=True)
    (found,) = torch.autograd.grad(ExponentialLinear()(features * 1).sum(), features)
    (expected,) = torch.autograd.grad(functional.elu(features).sum(), features)
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)
