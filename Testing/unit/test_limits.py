"""What a model may ask for: every network that can be trained, and no more weights than its file has."""

import inspect

import pytest
import torch

from E3PoseLib.models.limits import problem_of_e3cnn, problem_of_unet
from E3PoseLib.networks.equivariant.network import E3CNN
from E3PoseLib.networks.unet.unet import UNet


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_levels": 2, "multiplicity": [2, 8, 60], "n_convolutions": [8, 2, 1]},
        {"n_levels": 1, "multiplicity": [4, 48], "n_convolutions": [3, 1], "lmax": 1},
        {"n_levels": 1, "multiplicity": [2, 64], "n_convolutions": [4, 1], "lmax": 2},
        {"n_levels": 1, "multiplicity": [64, 2], "n_convolutions": [1, 8], "lmax": 3},
        {"n_levels": 0, "multiplicity": 32, "lmax": 6, "n_radial": 3},
        {},
        *({"n_levels": 1, "multiplicity": [12, 20], "n_convolutions": [2, 3], "lmax": lmax} for lmax in range(1, 7)),
    ],
)
def test_a_network_is_admitted_with_its_weights_and_refused_with_far_fewer(arguments):
    n_weights = sum(one.numel() for one in E3CNN(kernel_size=3, **arguments).parameters())
    assert problem_of_e3cnn(arguments, n_weights) == ""
    # All but what leads in and out, self-connections and biases is counted.
    assert "the file has" in problem_of_e3cnn(arguments, int(0.8 * n_weights) - 100_001)


def test_a_number_is_needed_for_every_block_and_a_harmonic_that_turns_with_the_head():
    assert problem_of_e3cnn({"n_levels": 1, "multiplicity": [2, 4, 8]}) == "multiplicity has 3 numbers for 2 blocks"
    assert problem_of_e3cnn({"n_levels": 1, "n_convolutions": []}) == "n_convolutions has 0 numbers for 2 blocks"
    assert problem_of_e3cnn({"lmax": 0}) == "lmax 0 is no whole number from 1 to 6"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_radial": 1}, "n_radial 1 is no whole number from 2 to 16"),
        ({"kernel_size": 1}, "kernel_size 1 is no whole number from 3 to 9"),
        ({"kernel_size": 4}, "kernel_size 4 is even"),
    ],
)
def test_a_kernel_that_no_network_can_have_is_refused(arguments, words):
    assert problem_of_e3cnn(arguments) == words
    with pytest.raises((ValueError, IndexError)):
        E3CNN(**{"kernel_size": 3, **arguments})


@pytest.mark.parametrize(("network_class", "problem_of"), [(UNet, problem_of_unet), (E3CNN, problem_of_e3cnn)])
def test_every_argument_is_known_and_no_other_and_a_tensor_is_none(network_class, problem_of):
    arguments = {name: one.default for name, one in inspect.signature(network_class).parameters.items()}
    assert problem_of(arguments) == ""
    for name in arguments:
        assert problem_of(arguments | {name: torch.tensor(1)}).startswith(f"{name} tensor(1) is ")
    assert problem_of(arguments | {"surprise": 1}) == "'surprise': no such argument"


@pytest.mark.parametrize("argument", ["smooth_pooling", "signed_odd_scalars"])
def test_a_switch_is_true_or_false(argument):
    assert problem_of_e3cnn({argument: True}) == problem_of_e3cnn({argument: False}) == ""
    assert problem_of_e3cnn({argument: 1}) == f"{argument} 1 is neither true nor false"
