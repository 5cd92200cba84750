"""The U-Nets by the name of their method: cubes ``[B, 1, D, H, W]`` in [0, 1] to logits of the brain's mask."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from E3PoseLib.compiler import compiler_left_out
from E3PoseLib.networks.equivariant.convolution import SteerableConvolution
from E3PoseLib.networks.equivariant.network import EquivariantBlock
from E3PoseLib.networks.equivariant.pooling import SmoothPool
from E3PoseLib.networks.unet.unet import UNet, double

with compiler_left_out():
    from e3nn import o3

STRIDE = 4
"""Each edge of a cube is a multiple of this: there are two halvings."""


def natural_irreps(m: int) -> o3.Irreps:
    """Scalars, vectors and tensors of the parity of their order, which is what a scan and harmonics make at first."""
    return o3.Irreps(f"{4 * m}x0e + 0x0o + {2 * m}x1o + {m}x2e")


class EquivariantUNet(nn.Module):
    """After e3nn-UNet (Diaz, Geiger and McKinley, 2024): steerable convolutions, instance normalisation, gates, skips.

    A cube that is turned or mirrored gives the mask turned or mirrored: exactly for the 48 symmetries of a cube, and
    as well as the grid allows for all others.

    Of theirs: two halvings, multiplicities that double at each, orders up to 2, five radial functions. Other than
    theirs: the grid is halved by smoothing instead of the largest norm, irreps are of natural parity alone.

    Parameters
    ----------
    multiplicity : int
        m of `natural_irreps` in the first block.
    kernel_size : int
        Odd number of taps along an edge.
    n_outputs : int
        Scalar fields that come out.
    finest : bool
        Whether they are on the grid of the cubes; else on one half as fine.
    """

    equivariant = True

    def __init__(self, multiplicity: int = 1, kernel_size: int = 5, n_outputs: int = 1, finest: bool = True) -> None:
        super().__init__()
        sizes = {"kernel_size": kernel_size, "n_radial": 5, "lmax": 2}
        levels = [natural_irreps(multiplicity * 2**level) for level in range(3)]
        carried = {irrep for _, irrep in levels[0]} - {o3.Irrep("0o")}

        def block(irreps_in: o3.Irreps, irreps_out: o3.Irreps) -> EquivariantBlock:
            given = {irrep for _, irrep in irreps_in} & carried
            # The finest grid takes most of the time.
            repeats = 1 if irreps_out == levels[0] else 2
            return EquivariantBlock(irreps_in, irreps_out, n_convolutions=repeats, carried=given, **sizes)

        self.down = nn.ModuleList(block(a, b) for a, b in pairwise([o3.Irreps("1x0e"), *levels]))
        self.pool = SmoothPool()
        last = 0 if finest else 1
        ways_up = pairwise(reversed(levels[last:]))
        self.up = nn.ModuleList(block(fine + coarse, fine) for coarse, fine in ways_up)
        self.head = SteerableConvolution(levels[last], f"{n_outputs}x0e", carried=carried, **sizes)

    def forward(self, cubes: Tensor) -> Tensor:
        """Scalar fields: of one, as it is for localisers, the logits of the mask."""
        features, skips = cubes, []
        for level, block in enumerate(self.down):
            features = block(self.pool(features) if level else features)
            skips.append(features)
        skips.pop()
        for block in self.up:
            features = block(torch.cat([skips.pop(), double(features)], dim=1))
        return self.head(features)


class PlainUNet(nn.Module):
    """What the other is judged beside: the project's U-Net with as many resolutions.

    Parameters
    ----------
    n_features : int
        Of the first level, doubled at each halving.
    """

    equivariant = False

    def __init__(self, n_features: int = 8) -> None:
        super().__init__()
        self.unet = UNet(n_levels=3, n_features=n_features, n_classes=1)
        # A step on a CPU takes half the time so, that of inference too.
        self.unet.to(memory_format=torch.channels_last_3d)

    def forward(self, cubes: Tensor) -> Tensor:
        """Logits of the mask, of the shape of the cubes."""
        return self.unet(cubes.contiguous(memory_format=torch.channels_last_3d))


LOCALISERS: dict[str, type[EquivariantUNet] | type[PlainUNet]] = {
    "e3nn-unet": EquivariantUNet,
    "plain-unet": PlainUNet,
}
