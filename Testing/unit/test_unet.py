"""A U-Net's convolutions."""

import pytest
import torch
from torch.nn.functional import conv3d

from E3PoseLib.networks.unet import unet


@pytest.mark.parametrize("width", [7, 8])
@pytest.mark.parametrize(("n_in", "n_out"), [(1, 8), (24, 8), (5, 3), (8, 16)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
def test_few_features_by_pairs_are_those_one_by_one(n_in, n_out, width, memory_format, monkeypatch):
    monkeypatch.setattr(unet, "HALF_A_REGISTER", 8)  # whatever this processor's registers hold
    torch.manual_seed(0)
    layer = unet._Convolution(n_in, n_out, 3).to(memory_format=memory_format)
    features = torch.randn(2, n_in, 5, 6, width).contiguous(memory_format=memory_format)
    expected = conv3d(features.double(), layer.weight.double(), layer.bias.double(), padding=1)
    with torch.inference_mode():
        found = layer(features)
    by_pairs = n_out <= 8 and width == 8
    assert found.is_contiguous(memory_format=torch.channels_last_3d if by_pairs else memory_format)
    assert (found - expected).abs().max() < 1e-6 * expected.abs().max()


def test_pairs_are_worth_it_where_registers_would_be_half_empty(monkeypatch):
    shapes, convolve = [], torch.mkldnn_convolution

    def spy(features, weight, *settings):
        shapes.append(tuple(weight.shape))
        return convolve(features, weight, *settings)

    monkeypatch.setattr(torch, "mkldnn_convolution", spy)
    monkeypatch.setattr(unet, "HALF_A_REGISTER", 8)
    with torch.inference_mode():
        for n_out, kernel_size, width in ((8, 3, 4), (8, 3, 5), (9, 3, 4), (3, 1, 4)):
            unet._Convolution(2, n_out, kernel_size)(torch.randn(1, 2, 4, 4, width))
    assert shapes == [(16, 2, 3, 3, 4), (8, 2, 3, 3, 3), (9, 2, 3, 3, 3), (3, 2, 1, 1, 1)]
