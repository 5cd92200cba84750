"""Which precision the U-Net gets when it is left to the program."""

import time

import pytest
import torch
from phantoms import make_small_model

from E3PoseLib.method.localise import posterior_to_object
from E3PoseLib.networks.precision import fastest_precision


def to_mask(logits: torch.Tensor) -> torch.Tensor:
    return posterior_to_object(logits, (0.5, 0.5), 1)


def scan_of(values: torch.Tensor) -> torch.Tensor:
    return values.expand(1, 1, 8, 8, 8).contiguous()


@pytest.fixture
def network():
    """Finds what is brighter than half."""
    return make_small_model().segmentation_network


def delay(network, *, lower: bool) -> None:
    """Make one of both precisions the slower one, whatever this machine is good at."""
    network.register_forward_pre_hook(
        lambda module, inputs: time.sleep(0.1) if torch.is_autocast_enabled("cpu") is lower else None
    )


@pytest.mark.parametrize(("slow", "chosen"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_the_faster_precision_is_taken_where_it_finds_the_same(network, slow, chosen):
    delay(network, lower=slow == "bfloat16")
    batch = scan_of(torch.tensor([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]))
    with torch.inference_mode():
        assert fastest_precision(network, batch, to_mask) == chosen


def test_a_faster_precision_that_finds_something_else_is_not_taken(network):
    delay(network, lower=False)
    # Apart by less than sixteen bits can tell.
    batch = scan_of(torch.tensor([0.4999, 0.5001]).repeat(4))
    with torch.inference_mode():
        assert fastest_precision(network, batch, to_mask) == "float32"


def test_a_scan_without_a_brain_proves_nothing(network):
    delay(network, lower=False)
    with torch.inference_mode():
        assert fastest_precision(network, scan_of(torch.full((8,), 0.1)), to_mask) == "float32"
