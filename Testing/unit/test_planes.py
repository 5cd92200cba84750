"""A U-Net's blocks six planes at a time give what they give at once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from E3PoseLib.networks.unet import unet
from E3PoseLib.networks.unet.activations import ACTIVATIONS
from E3PoseLib.networks.unet.padding import PaddedScans
from E3PoseLib.networks.unet.planes import block_by_planes
from E3PoseLib.networks.unet.unet import UNet, double

CLOSE = 1e-5
"""Share of the largest number: some hundred times float32's last bit, as the sums of products weigh up to 67."""


def with_statistics(network: nn.Module) -> nn.Module:
    """Batch normalisations that have seen something."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            for values in (module.weight.data, module.bias.data, module.running_mean):
                values.normal_()
            module.running_var.uniform_(0.5, 2)
    return network.eval()


def block(n_in: int, n_out: int, activation: str = "elu") -> nn.Sequential:
    layers = [nn.Conv3d(n_in, n_out, 3, padding=1), ACTIVATIONS[activation]()]
    layers += [nn.Conv3d(n_out, n_out, 3, padding=1), ACTIVATIONS[activation](), nn.BatchNorm3d(n_out)]
    return with_statistics(nn.Sequential(*layers))


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < CLOSE * expected.abs().max()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(1, 5, 4), (2, 3, 3), (4, 6, 5), (7, 4, 9), (13, 8, 3), (16, 1, 2)])
def test_a_block_of_any_size(shape, activation):
    torch.manual_seed(0)
    layers, features = block(3, 5, activation), torch.randn(2, 3, *shape)
    with torch.inference_mode():
        found = block_by_planes(layers, features)
        assert found.is_contiguous(memory_format=torch.channels_last_3d)
        assert_close(found, layers.double()(features.double()))


@pytest.mark.parametrize(
    "box", [None, (slice(0, 12), slice(1, 10), slice(3, 8)), (slice(3, 4), slice(0, 5), slice(5, 6))]
)
def test_coarse_features_are_doubled_and_a_box_of_them_taken(box):
    torch.manual_seed(0)
    coarse = torch.randn(2, 4, 6, 5, 4)
    doubled = double(coarse.double())[(..., *(box or ()))]
    layers, features = block(7, 2), torch.randn(2, 3, *doubled.shape[2:])
    with torch.inference_mode():
        found = block_by_planes(layers, features, coarse, box)
        assert_close(found, layers.double()(torch.cat([features.double(), doubled], dim=1)))


@pytest.mark.parametrize("depth", range(5, 19))
@pytest.mark.parametrize(("rows", "columns"), [((2, 5), (2, 7)), ((0, 7), (2, 7)), ((2, 5), (1, 4))])
def test_what_is_wanted_is_what_the_whole_grid_gives(depth, rows, columns):
    torch.manual_seed(0)
    layers, features, coarse = block(7, 2), torch.randn(1, 3, depth, 7, 9), torch.randn(1, 4, depth, 6, 6)
    box = (slice(3, depth + 3), slice(4, 11), slice(1, 10))
    together = torch.cat([features, double(coarse)[(..., *box)]], dim=1).double()
    with torch.inference_mode():
        for planes in ((2, depth - 2), (0, depth - 2), (3, depth - 1)):
            wanted = tuple(slice(*edges) for edges in (planes, rows, columns))
            found = block_by_planes(layers.float(), features, coarse, box, wanted)
            assert_close(found, layers.double()(together)[(..., *wanted)])


@pytest.mark.parametrize("input_stride", [1, 2])
def test_a_network_says_the_same_by_planes_of_a_grid_and_of_a_box_in_it(input_stride, monkeypatch):
    torch.manual_seed(0)
    network = with_statistics(UNet(3, 4, input_stride=input_stride))
    box = (slice(21, 40), slice(0, 11), slice(37, 48))
    batch = torch.zeros(2, 1, 48, 48, 48)
    batch[(..., *box)] = torch.rand_like(batch[(..., *box)])
    expected = network.double()(batch.double())
    network.float()
    by_planes = []
    monkeypatch.setattr(unet, "WORTH_PLANES", 0)
    monkeypatch.setattr(unet, "block_by_planes", lambda *args: by_planes.append(args) or block_by_planes(*args))
    with torch.inference_mode():
        assert_close(network(batch), expected)
        assert len(by_planes) == 5
        assert_close(PaddedScans(network, batch, box).logits(box), expected[(..., *box)])


@pytest.mark.parametrize("why_not", ["small", "training", "gradients", "bfloat16", "float64"])
def test_planes_are_for_large_blocks_that_are_evaluated_in_float32(why_not, monkeypatch):
    network, batch = UNet(2, 2), torch.randn(1, 1, 8, 8, 8)
    network.train(why_not == "training")
    if why_not == "float64":
        network, batch = network.double(), batch.double()
    if why_not != "small":
        monkeypatch.setattr(unet, "WORTH_PLANES", 0)
    monkeypatch.setattr(unet, "block_by_planes", lambda *args: pytest.fail("taken by planes"))
    with torch.set_grad_enabled(why_not == "gradients"), torch.autocast("cpu", enabled=why_not == "bfloat16"):
        assert network(batch).shape == (1, 3, 8, 8, 8)
