"""A training step of the E(3)-CNN against one that evaluates e3nn's tensor product for its kernels at each step.

Both networks hold the same weights and compute the same function, which is checked first; they differ in how a
convolution gets its kernel: from the precomputed basis by a matrix product, or from e3nn's
``FullyConnectedTensorProduct.right`` on the harmonics of the lattice, with e3nn's ``Linear`` beside it, as the
method's own program does.

    python Testing/benchmarks/training_step.py --image_size 16 32 64

On a machine that others use too, `--clock cpu` with `OMP_NUM_THREADS=1` counts the process's own seconds on one core.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable

import torch
from e3nn import o3
from plain_e3nn import positions
from torch import Tensor, nn
from torch.nn.functional import conv3d

from E3PoseLib.networks.equivariant.basis import lattice, radial_functions
from E3PoseLib.networks.equivariant.convolution import SteerableConvolution
from E3PoseLib.networks.equivariant.network import E3CNN
from E3PoseTraining.training.axes import AxesLoss


class PerStepConvolution(nn.Module):
    """The same convolution, its kernel evaluated by e3nn at every call, all irreps carried as e3nn does.

    Args:
        convolution: gives the weights.
        lmax: highest order of the spherical harmonics.
    """

    def __init__(self, convolution: SteerableConvolution, lmax: int) -> None:
        super().__init__()
        harmonics = o3.Irreps.spherical_harmonics(lmax)
        self.kernel_size = convolution.kernel_size
        self.weight = copy.deepcopy(convolution.weight)
        self.linear = o3.Linear(convolution.irreps_in, convolution.irreps_out)
        self.linear.weight.data.copy_(convolution.sc.weight.data)
        self.product = o3.FullyConnectedTensorProduct(
            convolution.irreps_in, harmonics, convolution.irreps_out, shared_weights=False, compile_right=True
        )
        offsets = lattice(self.kernel_size).double().flatten(0, 2)
        values = o3.spherical_harmonics(harmonics, offsets, normalize=True, normalization="component")
        radial = radial_functions(offsets.norm(dim=-1), self.kernel_size / 2, len(self.weight))
        self.register_buffer("harmonics", values.float())
        self.register_buffer("radial", radial.float())
        self.register_buffer("channels_in", positions(convolution.irreps_in, convolution.carried_in))
        self.register_buffer("channels_out", positions(convolution.irreps_out, convolution.carried_out))

    def forward(self, features: Tensor) -> Tensor:
        shape = (len(features), self.product.irreps_in1.dim, *features.shape[2:])
        features = features.new_zeros(shape).index_copy(1, self.channels_in, features)
        weights = self.radial @ self.weight / self.kernel_size**3
        kernel = self.product.right(self.harmonics, weights)
        kernel = kernel.permute(2, 1, 0).unflatten(2, (self.kernel_size,) * 3)
        point_wise = self.linear(features.movedim(1, -1)).movedim(-1, 1)
        convolved = point_wise + conv3d(features, kernel, padding=self.kernel_size // 2)
        return convolved.index_select(1, self.channels_out)


def with_kernels_each_step(network: E3CNN, lmax: int) -> E3CNN:
    """A copy of the network in which every convolution is a `PerStepConvolution`."""
    copied = copy.deepcopy(network)
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, SteerableConvolution):
                setattr(module, name, PerStepConvolution(child, lmax))
    return copied


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def seconds_a_step(network: E3CNN, volume: Tensor, axes: Tensor, repeats: int, clock: Callable[[], float]) -> float:
    """The fastest of some training steps: forward, loss, backward, optimiser."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.99)
    loss, fastest = AxesLoss(), float("inf")
    for _ in range(repeats):
        started = clock()
        optimizer.zero_grad()
        loss(network.axes_field(volume), axes).backward()
        optimizer.step()
        fastest = min(fastest, clock() - started)
    return fastest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image_size", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--n_levels", type=int, default=4)
    parser.add_argument("--multiplicity", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    torch.manual_seed(0)
    lmax = 4
    network = E3CNN(options.n_levels, multiplicity=options.multiplicity, lmax=lmax)
    per_step = with_kernels_each_step(network, lmax)
    axes = torch.eye(3)[None]
    print("edge   precomputed basis   e3nn each step   ratio")
    for number, edge in enumerate(options.image_size):
        volume = torch.rand(1, 1, edge, edge, edge)
        if number == 0:
            with torch.no_grad():
                difference = (network.axes_field(volume) - per_step.axes_field(volume)).abs().max()
                scale = network.axes_field(volume).abs().max()
            assert difference < 1e-3 * scale, f"the two networks differ by {difference / scale:.1e}"
        ours = seconds_a_step(network, volume, axes, options.repeats, CLOCKS[options.clock])
        theirs = seconds_a_step(per_step, volume, axes, options.repeats, CLOCKS[options.clock])
        print(f"{edge:4d}   {ours:15.2f} s   {theirs:12.2f} s   {theirs / ours:5.2f}", flush=True)


if __name__ == "__main__":
    main()
