"""The rotation network: an E(3)-equivariant CNN whose answer turns with the head."""

from __future__ import annotations

from collections.abc import Sequence, Set

import torch
from e3nn import o3
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from .convolution import SteerableConvolution
from .gate import Gate, gate_input
from .norm import InstanceNorm
from .norm_gate import normalise_and_gate
from .pooling import NormMaxPool, SmoothPool
from .reach import only


class EquivariantBlock(nn.Module):
    """Several times: steerable convolution, instance normalisation, gate.

    Parameters
    ----------
    irreps_in, irreps_out : e3nn.o3.Irreps or str
    kernel_size : int
    n_radial : int
    lmax : int
    n_convolutions : int
    carried : set of e3nn.o3.Irrep
        Those of `irreps_in` that the features hold, the others being zero (see `reach`).
    convolution : type of SteerableConvolution

    Attributes
    ----------
    carried : set of e3nn.o3.Irrep
        The same of the output.
    """

    def __init__(
        self,
        irreps_in: o3.Irreps | str,
        irreps_out: o3.Irreps | str,
        kernel_size: int,
        n_radial: int,
        lmax: int,
        n_convolutions: int,
        carried: Set[o3.Irrep],
        convolution: type[SteerableConvolution] = SteerableConvolution,
    ) -> None:
        super().__init__()
        self.n_convolutions = n_convolutions
        for n in range(1, n_convolutions + 1):
            layout = gate_input(irreps_out)
            layer = convolution(
                irreps_in, layout, kernel_size=kernel_size, n_radial=n_radial, lmax=lmax, carried=carried
            )
            carried = {irrep for _, irrep in layer.carried_out}
            # The official weights' names.
            self.add_module(f"gate{n}", Gate(irreps_out, carried))
            self.add_module(f"conv{n}", layer)
            self.add_module(f"batchnorm{n}", InstanceNorm(layout, carried))
            irreps_in = irreps_out
        self.carried = carried

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map what is carried of `irreps_in`, ``[B, C, D, H, W]``, to what is of `irreps_out`."""
        for n in range(1, self.n_convolutions + 1):
            convolved = self.get_submodule(f"conv{n}")(features)
            features = normalise_and_gate(
                convolved, self.get_submodule(f"batchnorm{n}"), self.get_submodule(f"gate{n}")
            )
        return features


class E3CNN(nn.Module):
    """From a volume around the head to the head's axes: one pseudovector (x, right) and two vectors (y, z).

    Parameters
    ----------
    n_levels : int
        How often the grid is halved; there is one more block than that.
    kernel_size : int
        Odd number of taps along an edge.
    multiplicity : int or sequence of int
        m of the first block, doubled from block to block; or m of each block.
    n_convolutions : int or sequence of int
        Convolutions of every block, or of each.
    n_radial : int
        Radial functions of every kernel.
    lmax : int
        Highest order of the kernels' spherical harmonics.
    smooth_pooling : bool
        Halve the grid by `SmoothPool` instead of `NormMaxPool`.
    signed_odd_scalars : bool
        Pool as the official networks do, see `NormMaxPool`: equivariant under rotations, not under reflections.

    Attributes
    ----------
    checkpointing : bool
        Keep only the input of each block for the backward pass, which computes the rest anew (Chen et al., *Training
        deep nets with sublinear memory cost*, 2016): less memory, more time, the same gradients. False at first.
    exact_pooling : bool
        Once frozen, compute all that comes before the last `NormMaxPool` in float64. True at first. Of half a million
        choices of the longest vector some one or two hang on the last bits of a float32, and a single one can turn the
        axes by a degree.

    Raises
    ------
    ValueError
        If there is not one multiplicity and one number of convolutions, at least 1, for each block.
    """

    irreps_axes = o3.Irreps("1x1e + 2x1o")
    """Of what comes out; a subclass may have others, as it may have another `convolution`."""
    convolution = SteerableConvolution

    @staticmethod
    def hidden_irreps(m: int) -> o3.Irreps:
        """What a block of multiplicity m gives."""
        return o3.Irreps(f"{4 * m}x0e + {4 * m}x0o + {2 * m}x1e + {2 * m}x1o + {m}x2e + {m}x2o")

    def __init__(
        self,
        n_levels: int = 4,
        kernel_size: int = 5,
        *,
        multiplicity: int | Sequence[int] = 2,
        n_convolutions: int | Sequence[int] = 2,
        n_radial: int = 5,
        lmax: int = 4,
        smooth_pooling: bool = False,
        signed_odd_scalars: bool = False,
    ) -> None:
        super().__init__()
        self.n_levels = n_levels
        self.checkpointing = False
        self.exact_pooling = True
        sizes = {"kernel_size": kernel_size, "n_radial": n_radial, "lmax": lmax}
        irreps, carried = o3.Irreps("1x0e"), {o3.Irrep("0e")}
        self.blocks = nn.ModuleList()
        self.pools = nn.ModuleList()
        multiplicities = multiplicity
        if isinstance(multiplicity, int):
            multiplicities = [multiplicity * 2**level for level in range(n_levels + 1)]
        repeats = [n_convolutions] * (n_levels + 1) if isinstance(n_convolutions, int) else n_convolutions
        for name, values in (("multiplicity", multiplicities), ("n_convolutions", repeats)):
            if len(values) != n_levels + 1 or min(values) < 1:
                raise ValueError(f"{name}: {n_levels + 1} blocks need as many numbers of at least 1, got {values}")
        for level, (m, repeat) in enumerate(zip(multiplicities, repeats, strict=True)):
            hidden = self.hidden_irreps(m)
            self.blocks.append(
                EquivariantBlock(
                    irreps, hidden, n_convolutions=repeat, carried=carried, convolution=self.convolution, **sizes
                )
            )
            irreps, carried = hidden, self.blocks[-1].carried
            if level < n_levels:
                pooled = only(irreps, carried)
                self.pools.append(
                    SmoothPool() if smooth_pooling else NormMaxPool(pooled, signed_odd_scalars=signed_odd_scalars)
                )
        self.head = self.convolution(irreps, self.irreps_axes, carried=carried, **sizes)

    def freeze(self) -> None:
        """Keep all kernels once built; call when the weights will not change any more."""
        for layer in self.modules():
            if isinstance(layer, SteerableConvolution):
                layer.freeze()

    def axes_field(self, volume: torch.Tensor) -> torch.Tensor:
        """The axes as seen from every voxel of the last grid.

        Parameters
        ----------
        volume : torch.Tensor
            Shape ``[B, 1, D, H, W]``, intensities in [0, 1].

        Returns
        -------
        torch.Tensor
            Shape ``[B, 9, d, h, w]``: x, y, z, each in voxel axes (i, j, k).
        """
        features = volume.double() if self._pools_in_float64() else volume
        for level, block in enumerate(self.blocks):
            if level:
                features = self.pools[level - 1](features)
            if level == self.n_levels:
                features = features.to(volume.dtype)
            features = checkpoint(block, features, use_reentrant=False) if self.checkpointing else block(features)
        return self.head(features)

    def _pools_in_float64(self) -> bool:
        """Whether the blocks before the last pooling compute in float64, see `exact_pooling`."""
        frozen = self.head.kept is not None
        return self.exact_pooling and frozen and any(isinstance(pool, NormMaxPool) for pool in self.pools)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Map ``[B, 1, D, H, W]`` to the nine raw numbers ``[B, 9]`` of `pool_axes`."""
        return pool_axes(self.axes_field(volume))


def pool_axes(field: torch.Tensor) -> torch.Tensor:
    """One set of axes for the volume from those of its voxels.

    Parameters
    ----------
    field : torch.Tensor
        Shape ``[B, 9, d, h, w]``.

    Returns
    -------
    torch.Tensor
        Shape ``[B, 9]``: the pseudovector x of largest norm, then the means of the unit vectors y and z.
    """
    pseudovectors, vectors = field.flatten(2).split([3, 6], dim=1)
    largest = pseudovectors.norm(dim=1, keepdim=True).argmax(dim=2, keepdim=True)
    x = pseudovectors.gather(2, largest.expand(-1, 3, -1))[..., 0]
    yz = functional.normalize(vectors.unflatten(1, (2, 3)), dim=2).mean(dim=3)
    return torch.cat([x, yz.flatten(1)], dim=1)
