"""Normalisation and gate in one step are the two layers, one after the other."""

import torch

from E3PoseLib.equivariant.gate import Gate
from E3PoseLib.equivariant.norm import InstanceNorm
from E3PoseLib.equivariant.norm_gate import normalise_and_gate


def test_same_numbers_and_gradients_as_the_two_layers():
    torch.manual_seed(0)
    gate = Gate("4x0e + 3x0o + 2x1e + 3x1o + 1x2e + 2x2o").double()
    norm = InstanceNorm(gate.irreps_in).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    features = (3 + 2 * torch.randn(2, gate.irreps_in.dim, 4, 5, 3, dtype=torch.float64)).requires_grad_()
    inputs = (features, norm.weight, norm.bias)
    expected, result = gate(norm(features)), normalise_and_gate(features, norm, gate)
    torch.testing.assert_close(result, expected, rtol=1e-7, atol=1e-7)
    upstream = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(result, inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
