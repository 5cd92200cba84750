"""Every way to evaluate a steerable convolution gives what the dense convolution gives, gradients included."""

import pytest
import torch
from torch.nn.functional import conv3d

from E3PoseLib.networks.equivariant import factorised
from E3PoseLib.networks.equivariant.convolution import SteerableConvolution
from E3PoseLib.networks.equivariant.ways import WINDOWS

LAYERS = {
    "all irreps": ("4x0e + 3x0o + 2x1e + 3x1o + 2x2e + 1x2o", "5x0e + 2x0o + 3x1o + 2x1e + 2x2e + 1x2o"),
    "scalars in": ("1x0e", "3x0e + 2x1o"),
    "an output without paths": ("1x0e", "2x0o + 2x1o"),
    "axes out": ("2x0e + 2x0o + 2x1e + 2x1o", "1x1e + 2x1o"),
}


def relative(result: torch.Tensor, expected: torch.Tensor) -> float:
    return float(((result - expected).abs().max() / expected.abs().max().clamp_min(1e-20)).detach())


def compare(way, layer: SteerableConvolution, shape: tuple[int, ...]) -> None:
    """Output and gradients of input and weights of `way`, against the dense convolution."""
    features = torch.randn(*shape, requires_grad=True)
    expected = conv3d(features, layer.kernel(), padding=layer.kernel_size // 2)
    upstream = torch.randn_like(expected)
    inputs = (features, layer.weight, layer.sc.weight)
    gradients = torch.autograd.grad(expected, inputs, upstream, allow_unused=True)
    result = way(features)
    assert result.shape == expected.shape
    assert relative(result, expected) < 1e-5
    found = torch.autograd.grad(result, inputs, upstream, allow_unused=True)
    for ours, theirs in zip(found, gradients, strict=True):
        if theirs is not None and theirs.numel():
            assert relative(ours, theirs) < 1e-5


# Of five radial functions the first sees the centre tap alone, and in a kernel of 3³ taps the second sees none; of two
# both see others too.
@pytest.mark.parametrize("n_radial", [2, 5])
@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("irreps", LAYERS.values(), ids=LAYERS)
def test_weights_behind_the_basis(irreps, kernel_size, n_radial):
    torch.manual_seed(0)
    layer = SteerableConvolution(*irreps, kernel_size=kernel_size, n_radial=n_radial)
    compare(lambda x: layer.evaluate(WINDOWS, layer.prepare(WINDOWS), x), layer, (2, layer.irreps_in.dim, 4, 3, 5))


@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("valid", [4, 5, 8])
@pytest.mark.parametrize("irreps", LAYERS.values(), ids=LAYERS)
def test_fourier_domain(irreps, valid, kernel_size):
    torch.manual_seed(0)
    layer = SteerableConvolution(*irreps, kernel_size=kernel_size)
    compare(lambda x: layer.evaluate(valid, layer.prepare(valid), x), layer, (2, layer.irreps_in.dim, 9, 8, 11))


@pytest.mark.parametrize(("way", "at_once"), [(WINDOWS, 1), (WINDOWS, 20_000), (4, 0), (8, 0)])
def test_frozen_in_slices(way, at_once, monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(factorised, "FEATURES_AT_ONCE", at_once // torch.get_num_threads())
    layer = SteerableConvolution(*LAYERS["all irreps"])
    features = torch.randn(2, layer.irreps_in.dim, 9, 8, 11)
    with torch.inference_mode():
        expected = conv3d(features, layer.kernel(), padding=2)
        assert relative(layer.evaluate(way, layer.prepare(way), features), expected) < 1e-5
