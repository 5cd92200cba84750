"""The rotation network as one would first write it with e3nn: the yardstick for speed, and an oracle for tests.

Each convolution evaluates e3nn's tensor product on the lattice at every call; features travel channels last through
e3nn's own normalisation and gate.
"""

from __future__ import annotations

import torch
from e3nn import o3
from e3nn.nn import BatchNorm, Gate
from torch import nn
from torch.nn import functional

from E3PoseLib.networks.equivariant.basis import lattice, radial_functions
from E3PoseLib.networks.equivariant.network import E3CNN, pool_axes
from E3PoseLib.networks.equivariant.pooling import NormMaxPool


def positions(irreps: o3.Irreps, carried: o3.Irreps) -> torch.Tensor:
    """Where the channels of the carried irreps stand among all."""
    kept = [part for (_, irrep), part in zip(irreps, irreps.slices(), strict=True) if irrep in carried]
    return torch.cat([torch.arange(part.start, part.stop) for part in kept])


class PlainConvolution(nn.Module):
    """`SteerableConvolution`, straight from its definition."""

    def __init__(self, irreps_in: o3.Irreps, irreps_out: o3.Irreps, kernel_size: int, n_radial: int, lmax: int) -> None:
        super().__init__()
        harmonics = o3.Irreps.spherical_harmonics(lmax)
        self.sc = o3.Linear(irreps_in, irreps_out)
        self.tp = o3.FullyConnectedTensorProduct(
            irreps_in, harmonics, irreps_out, shared_weights=False, compile_right=True
        )
        self.weight = nn.Parameter(torch.randn(n_radial, self.tp.weight_numel))
        offsets = lattice(kernel_size)
        self.register_buffer("emb", radial_functions(offsets.norm(dim=-1), kernel_size / 2, n_radial))
        self.register_buffer("sh", o3.spherical_harmonics(harmonics, offsets, True, "component"))
        self.padding = kernel_size // 2

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        point_wise = self.sc(features.movedim(1, -1)).movedim(-1, 1)
        weight = self.emb @ self.weight / self.emb[..., 0].numel()
        kernel = torch.einsum("xyzio->oixyz", self.tp.right(self.sh, weight))
        return point_wise + functional.conv3d(features, kernel, padding=self.padding)


class PlainBlock(nn.Module):
    """`EquivariantBlock` from e3nn's parts."""

    def __init__(self, irreps_in: o3.Irreps, irreps_out: o3.Irreps, **sizes: int) -> None:
        super().__init__()
        even, odd, *gated = o3.Irreps(irreps_out)
        gated = o3.Irreps(gated)
        for index in (1, 2):
            gate = Gate(
                o3.Irreps([even, odd]), [torch.relu, torch.tanh], f"{gated.num_irreps}x0e", [torch.sigmoid], gated
            )
            setattr(self, f"gate{index}", gate)
            setattr(self, f"conv{index}", PlainConvolution(irreps_in, gate.irreps_in.simplify(), **sizes))
            setattr(self, f"batchnorm{index}", BatchNorm(gate.irreps_in, instance=True))
            irreps_in = o3.Irreps(irreps_out)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        for index in (1, 2):
            features = getattr(self, f"conv{index}")(features).movedim(1, -1)
            features = getattr(self, f"gate{index}")(getattr(self, f"batchnorm{index}")(features)).movedim(-1, 1)
        return features


class PlainE3CNN(nn.Module):
    """A network with the same parameters, under the same names, and the same answer as an `E3CNN`."""

    def __init__(self, network: E3CNN) -> None:
        super().__init__()
        # The network's own pools hold only what it carries.
        hidden = [block.gate1.irreps_out for block in network.blocks[:-1]]
        self.pools = nn.ModuleList(
            NormMaxPool(irreps, signed_odd_scalars=pool.signed_odd_scalars)
            for irreps, pool in zip(hidden, network.pools, strict=True)
        )
        sizes = {
            "kernel_size": network.head.kernel_size,
            "n_radial": network.head.weight.shape[0],
            "lmax": network.head.lmax,
        }
        self.blocks = nn.ModuleList(
            PlainBlock(block.conv1.irreps_in, block.gate2.irreps_out, **sizes) for block in network.blocks
        )
        self.head = PlainConvolution(network.head.irreps_in, network.head.irreps_out, **sizes)
        missing, unexpected = self.load_state_dict(network.state_dict(), strict=False)
        learned = {name for name, _ in self.named_parameters() if "weight" in name or name.endswith("batchnorm")}
        assert not unexpected and not {name for name in missing if name in learned and ".tp." not in name}

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        features = self.blocks[0](volume)
        for pool, block in zip(self.pools, self.blocks[1:], strict=True):
            features = block(pool(features))
        return pool_axes(self.head(features))
