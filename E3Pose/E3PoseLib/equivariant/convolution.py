"""Convolution that commutes with rotations and reflections."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import torch
from e3nn import o3
from torch import nn
from torch.nn import functional

from .basis import coupled_basis

FACTORISED_VOXELS = 8**3
"""Up to this many voxels the weights are applied behind the basis, beyond it a dense kernel is convolved."""


@dataclass(frozen=True)
class _Pair:
    """Where one block of input irreps meets one block of output irreps."""

    inputs: slice
    outputs: slice
    mul_in: int
    mul_out: int
    weights: tuple[slice, ...]
    path_weight: float
    self_weights: slice | None
    self_path_weight: float
    basis: str

    @property
    def dim_in(self) -> int:
        return (self.inputs.stop - self.inputs.start) // self.mul_in

    @property
    def dim_out(self) -> int:
        return (self.outputs.stop - self.outputs.start) // self.mul_out


class SelfConnection(nn.Module):
    """Weights of the point-wise part: every irrep of the output from the equal irreps of the input, voxel by voxel.

    Parameters
    ----------
    irreps_in, irreps_out : e3nn.o3.Irreps

    Attributes
    ----------
    weight : torch.nn.Parameter
        Shape ``[weight_numel]``, the blocks ``[mul_in, mul_out]`` one after the other, in the order of e3nn's `Linear`.
    """

    def __init__(self, irreps_in: o3.Irreps, irreps_out: o3.Irreps) -> None:
        super().__init__()
        self.blocks = [
            (a, b)
            for a, (_, irrep_in) in enumerate(irreps_in)
            for b, (_, irrep_out) in enumerate(irreps_out)
            if irrep_in == irrep_out
        ]
        self.weight = nn.Parameter(torch.randn(sum(irreps_in[a].mul * irreps_out[b].mul for a, b in self.blocks)))


class SteerableConvolution(nn.Module):
    r"""A self-connection plus a steerable cross-correlation, evaluated as one ordinary convolution.

    The kernel is :math:`K = W_0\,\delta + \sum_p W_p B_p / n_{taps}`: learned matrices over multiplicities times the
    fixed basis of `coupled_basis`, normalised as e3nn's ``FullyConnectedTensorProduct`` does ("component", "element").
    While the layer trains, the kernel is rebuilt at each call, one matrix product for every pair of irreps; `freeze`
    keeps it. On small grids no kernel is built at all, see `FACTORISED_VOXELS`.

    Parameters
    ----------
    irreps_in, irreps_out : e3nn.o3.Irreps or str
    kernel_size : int
        Odd number of taps along an edge.
    n_radial : int
        Number of radial functions.
    lmax : int
        Highest order of the spherical harmonics.

    Attributes
    ----------
    weight : torch.nn.Parameter
        Shape ``[n_radial, weight_numel]``, in the order of the tensor product's paths.
    sc : SelfConnection
    """

    def __init__(
        self,
        irreps_in: o3.Irreps | str,
        irreps_out: o3.Irreps | str,
        *,
        kernel_size: int = 5,
        n_radial: int = 5,
        lmax: int = 4,
    ) -> None:
        super().__init__()
        self.irreps_in = o3.Irreps(irreps_in)
        self.irreps_out = o3.Irreps(irreps_out)
        self.kernel_size = kernel_size
        self.lmax = lmax
        self.sc = SelfConnection(self.irreps_in, self.irreps_out)
        product = o3.FullyConnectedTensorProduct(
            self.irreps_in,
            o3.Irreps.spherical_harmonics(lmax),
            self.irreps_out,
            shared_weights=False,
            compile_left_right=False,
            compile_right=False,
        )
        self.weight = nn.Parameter(torch.randn(n_radial, product.weight_numel))
        self._pairs = self._lay_out(product, n_radial, lmax)
        self.register_buffer("_kernel", None, persistent=False)
        self._frozen = False

    def _lay_out(self, product: o3.FullyConnectedTensorProduct, n_radial: int, lmax: int) -> list[_Pair]:
        """Find, for each pair of irreps, its weights, its normalisation and its basis, which becomes a buffer."""
        paths: dict[tuple[int, int], list[slice]] = {}
        path_weights: dict[tuple[int, int], float] = {}
        start = 0
        for instruction in product.instructions:
            pair = (instruction.i_in1, instruction.i_out)
            stop = start + instruction.path_shape[0] * instruction.path_shape[1] * instruction.path_shape[2]
            paths.setdefault(pair, []).append(slice(start, stop))
            path_weights[pair] = instruction.path_weight
            start = stop

        self_weights: dict[tuple[int, int], slice] = {}
        fan_in = [0] * len(self.irreps_out)
        start = 0
        for a, b in self.sc.blocks:
            stop = start + self.irreps_in[a].mul * self.irreps_out[b].mul
            self_weights[a, b] = slice(start, stop)
            fan_in[b] += self.irreps_in[a].mul
            start = stop

        pairs = []
        for (a, b), weights in sorted(paths.items()):
            (mul_in, irrep_in), (mul_out, irrep_out) = self.irreps_in[a], self.irreps_out[b]
            name = f"basis_{irrep_in}_{irrep_out}"
            basis = coupled_basis(irrep_in, irrep_out, lmax, self.kernel_size, n_radial)
            self.register_buffer(name, basis.flatten(0, 1).permute(0, 3, 2, 1).float(), persistent=False)
            pairs.append(
                _Pair(
                    inputs=self.irreps_in.slices()[a],
                    outputs=self.irreps_out.slices()[b],
                    mul_in=mul_in,
                    mul_out=mul_out,
                    weights=tuple(weights),
                    path_weight=path_weights[a, b] / self.kernel_size**3,
                    self_weights=self_weights.get((a, b)),
                    self_path_weight=fan_in[b] ** -0.5 if fan_in[b] else 0.0,
                    basis=name,
                )
            )
        return pairs

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.irreps_in} -> {self.irreps_out}, {self.kernel_size}³ taps)"

    def kernel(self) -> torch.Tensor:
        """Build the dense kernel from the weights.

        Returns
        -------
        torch.Tensor
            Shape ``[irreps_out.dim, irreps_in.dim, k, k, k]``, for cross-correlation; differentiable.
        """
        blocks: dict[tuple[int, int], torch.Tensor] = {}
        for pair in self._pairs:
            blocks[pair.outputs.start, pair.inputs.start] = self._block(pair)
        rows = []
        for (mul_out, irrep_out), outputs in zip(self.irreps_out, self.irreps_out.slices(), strict=True):
            row = []
            for (mul_in, irrep_in), inputs in zip(self.irreps_in, self.irreps_in.slices(), strict=True):
                block = blocks.get((outputs.start, inputs.start))
                if block is None:
                    shape = (mul_out * irrep_out.dim, mul_in * irrep_in.dim, self.kernel_size**3)
                    block = self.weight.new_zeros(shape)
                row.append(block)
            rows.append(torch.cat(row, dim=1))
        return torch.cat(rows).unflatten(2, (self.kernel_size,) * 3)

    def _learned(self, pair: _Pair) -> torch.Tensor:
        """Normalised weights of a pair: ``[mul_out, mul_in, paths · n_radial]``."""
        stacked = torch.stack([self.weight[:, part] for part in pair.weights]) * pair.path_weight
        return stacked.reshape(-1, pair.mul_in, pair.mul_out).permute(2, 1, 0)

    def _self_learned(self, pair: _Pair) -> torch.Tensor:
        """Normalised weights of a pair's self-connection: ``[mul_out, mul_in]``."""
        return self.sc.weight[pair.self_weights].reshape(pair.mul_in, pair.mul_out).T * pair.self_path_weight

    def _block(self, pair: _Pair) -> torch.Tensor:
        """Kernel from one block of irreps to another: ``[mul_out · dim_out, mul_in · dim_in, taps]``."""
        block = self._learned(pair).flatten(0, 1) @ getattr(self, pair.basis).flatten(1)
        block = block.reshape(pair.mul_out, pair.mul_in, pair.dim_out, pair.dim_in, -1)
        block = block.permute(0, 2, 1, 3, 4).reshape(pair.mul_out * pair.dim_out, pair.mul_in * pair.dim_in, -1)
        if pair.self_weights is None:
            return block
        # The same number for every component of an irrep: a Kronecker product with the identity.
        identity = torch.eye(pair.dim_in, device=block.device, dtype=block.dtype)
        point_wise = (self._self_learned(pair)[:, None, :, None] * identity[:, None, :]).reshape(block.shape[:2])
        return block + functional.pad(point_wise[..., None], [block.shape[-1] // 2] * 2)

    def freeze(self) -> None:
        """Keep the kernel, once it is first built; call when the weights will not change any more."""
        self._frozen, self._kernel = True, None

    def train(self, mode: bool = True) -> SteerableConvolution:
        """Switch to training, which forgets a frozen kernel, or to evaluation."""
        if mode:
            self._frozen, self._kernel = False, None
        return super().train(mode)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[B, irreps_in.dim, D, H, W]`` to ``[B, irreps_out.dim, D, H, W]``."""
        if features[0, 0].numel() <= FACTORISED_VOXELS:
            return self._factorised(features)
        if self._frozen and self._kernel is None:
            # Not an inference tensor even if built in inference mode, so that it may be used outside of it.
            with torch.inference_mode(False), torch.no_grad():
                self._kernel = self.kernel()
        kernel = self._kernel if self._frozen else self.kernel()
        return functional.conv3d(features, kernel, padding=self.kernel_size // 2)

    def _factorised(self, features: torch.Tensor) -> torch.Tensor:
        """The same map without the dense kernel: first the fixed basis on each voxel's surroundings, then the weights.

        The late levels have many channels on few voxels; there the kernel would be larger than everything it is applied
        to, and most of the time would go into building it.
        """
        batch, grid = len(features), features.shape[2:]
        windows = functional.pad(features, [self.kernel_size // 2] * 6)
        for axis in (2, 3, 4):
            windows = windows.unfold(axis, self.kernel_size, 1)
        outputs = [features.new_zeros(batch, mul, irrep.dim, grid.numel()) for mul, irrep in self.irreps_out]
        position = {part.start: index for index, part in enumerate(self.irreps_out.slices())}
        for inputs, pairs in groupby(self._pairs, key=lambda pair: pair.inputs):
            pairs = list(pairs)
            field = features[:, inputs].reshape(batch, pairs[0].mul_in, pairs[0].dim_in, -1)
            # [B, mul_in, voxels, dim_in · taps]
            neighbours = windows[:, inputs].reshape(*field.shape, -1).transpose(2, 3).flatten(3)
            bases = [getattr(self, pair.basis) for pair in pairs]
            matrix = torch.cat([basis.flatten(0, 1).flatten(1) for basis in bases])
            projected = (neighbours @ matrix.T).split([basis.shape[0] * basis.shape[1] for basis in bases], dim=3)
            for pair, basis, part in zip(pairs, bases, projected, strict=True):
                index = position[pair.outputs.start]
                part = part.unflatten(3, basis.shape[:2])
                outputs[index] = outputs[index] + torch.einsum("oip,binpk->bokn", self._learned(pair), part)
                if pair.self_weights is not None:
                    outputs[index] = outputs[index] + torch.einsum("oi,bikn->bokn", self._self_learned(pair), field)
        return torch.cat([output.flatten(1, 2) for output in outputs], dim=1).unflatten(2, grid)
