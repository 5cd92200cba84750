"""Normalisation and gate in one step are e3nn's two layers, one after the other."""

import pytest
import torch
from e3nn import o3
from e3nn.nn import BatchNorm
from e3nn.nn import Gate as PlainGate
from plain_e3nn import positions
from torch.utils._python_dispatch import TorchDispatchMode

from E3PoseLib.networks.equivariant.gate import Gate
from E3PoseLib.networks.equivariant.network import E3CNN
from E3PoseLib.networks.equivariant.norm import InstanceNorm
from E3PoseLib.networks.equivariant.norm_gate import normalise_and_gate
from E3PoseLib.networks.equivariant.reach import only, reached

OUT = o3.Irreps("4x0e + 3x0o + 2x1e + 3x1o + 1x2e + 2x2o")
REACH = {
    "all irreps": frozenset(irrep for _, irrep in OUT),
    "behind one convolution": reached({o3.Irrep("0e")}, OUT, 4),
    "behind two": reached(reached({o3.Irrep("0e")}, OUT, 4), OUT, 4),
}


@pytest.mark.parametrize("carried", REACH.values(), ids=REACH)
def test_same_numbers_and_gradients_as_e3nn(carried):
    torch.manual_seed(0)
    gate = Gate(OUT, carried)
    norm = InstanceNorm(gate.irreps_in, carried).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    gated = OUT[2:]
    plain_gate = PlainGate(
        OUT[:2], [torch.relu, torch.tanh], f"{gated.num_irreps}x0e", [torch.sigmoid], o3.Irreps(gated)
    ).double()
    plain_norm = BatchNorm(gate.irreps_in, instance=True).double()
    plain_norm.load_state_dict(norm.state_dict(), strict=False)

    kept = positions(gate.irreps_in, only(gate.irreps_in, carried))
    features = (3 + 2 * torch.randn(2, len(kept), 4, 5, 3, dtype=torch.float64)).requires_grad_()
    everything = torch.zeros(2, gate.irreps_in.dim, 4, 5, 3, dtype=torch.float64).index_copy(1, kept, features)
    expected = plain_gate(plain_norm(everything.movedim(1, -1))).movedim(-1, 1)
    silent = torch.ones(OUT.dim, dtype=bool).index_fill(0, positions(OUT, only(OUT, carried)), False)
    assert expected[:, silent].abs().sum() == 0
    expected = expected[:, ~silent]
    result = normalise_and_gate(features, norm, gate)
    torch.testing.assert_close(result, expected, rtol=1e-7, atol=1e-7)
    upstream = torch.randn_like(expected)
    found = torch.autograd.grad(result, (features, norm.weight, norm.bias), upstream)
    wanted = torch.autograd.grad(expected, (features, plain_norm.weight, plain_norm.bias), upstream)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_what_is_reached():
    assert str(only(OUT, REACH["behind one convolution"])) == "4x0e+3x1o+1x2e"
    assert str(only(OUT, REACH["behind two"])) == "4x0e+2x1e+3x1o+1x2e+2x2o"
    assert reached(REACH["behind two"], OUT, 4) == REACH["all irreps"]


class Operations(TorchDispatchMode):
    """Remembers which of torch's operations were called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        self.names.add(str(operation))
        return operation(*arguments, **(keywords or {}))


@pytest.mark.parametrize("smooth_pooling", [False, True])
def test_no_pass_of_the_rotation_network_waits_for_the_processor(smooth_pooling):
    """On a GPU a number that comes from the processor, or goes there, stops all that was started ahead."""
    network = E3CNN(2, 3, multiplicity=(1, 2, 4), smooth_pooling=smooth_pooling)
    crop = torch.rand(1, 1, 12, 12, 12)
    network.axes_field(crop).sum().backward()  # which makes what is kept
    with Operations() as operations:
        network.axes_field(crop).sum().backward()
    assert "aten.convolution_backward.default" in operations.names
    assert not operations.names & {
        "aten.lift_fresh.default",
        "aten._local_scalar_dense.default",
        "aten.nonzero.default",
    }
