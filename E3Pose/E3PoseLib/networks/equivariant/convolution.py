"""Convolution that commutes with rotations and reflections."""

from __future__ import annotations

import math
from collections.abc import Callable, Set

import torch
from e3nn import o3
from torch import nn
from torch.nn import functional

from . import fourier
from .basis import coupled_basis
from .factorised import HarmonicWindows, PairWeights
from .pairs import Learned, Pair, find_pairs
from .reach import only, reached
from .ways import DENSE, WINDOWS, fastest_way

Prepared = torch.Tensor | fourier.KernelSpectra | dict[tuple[int, int], PairWeights]
"""A kernel, its spectra, or weights by pair."""


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
    keeps it. It is applied in whichever way is fastest (`fastest_way`): as a dense convolution, in the Fourier domain
    (`fourier.correlate`), or, on small grids, without ever being built (`HarmonicWindows`).

    Parameters
    ----------
    irreps_in, irreps_out : e3nn.o3.Irreps or str
    kernel_size : int
        Odd number of taps along an edge.
    n_radial : int
        Number of radial functions.
    lmax : int
        Highest order of the spherical harmonics.
    carried : set of e3nn.o3.Irrep or None
        Those of `irreps_in` that the features hold, the others being zero (see `reach`); None for all. Of the output
        then only what they reach is given.

    Attributes
    ----------
    carried_in, carried_out : e3nn.o3.Irreps
        Of the features that come and go; the weights are laid out for `irreps_in` and `irreps_out`.
    weight : torch.nn.Parameter
        Shape ``[n_radial, weight_numel]``, in the order of the tensor product's paths.
    sc : SelfConnection
    kept : dict or None
        Of a frozen layer, what `prepare` made, by way and precision.
    """

    def __init__(
        self,
        irreps_in: o3.Irreps | str,
        irreps_out: o3.Irreps | str,
        *,
        kernel_size: int = 5,
        n_radial: int = 5,
        lmax: int = 4,
        carried: Set[o3.Irrep] | None = None,
    ) -> None:
        super().__init__()
        self.irreps_in = o3.Irreps(irreps_in)
        self.irreps_out = o3.Irreps(irreps_out)
        if carried is None:
            self.carried_in, self.carried_out = self.irreps_in, self.irreps_out
        else:
            self.carried_in = only(self.irreps_in, carried)
            self.carried_out = only(self.irreps_out, reached(carried, self.irreps_out, lmax))
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
        self._pairs = find_pairs(product, kernel_size, self.carried_in, self.carried_out)
        self._path_sizes = [math.prod(instruction.path_shape) for instruction in product.instructions]
        for pair in self._pairs:
            basis = coupled_basis(pair.irrep_in, pair.irrep_out, lmax, kernel_size, n_radial)
            self.register_buffer(pair.basis, basis.flatten(0, 1).permute(0, 3, 2, 1), persistent=False)
        self._windows = HarmonicWindows(self.carried_in, self.carried_out, self._pairs, kernel_size, n_radial, lmax)
        self._parities = fourier.Parities.of(self.carried_in), fourier.Parities.of(self.carried_out)
        self.kept: dict[tuple[str | int, torch.dtype], Prepared] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.irreps_in} -> {self.irreps_out}, {self.kernel_size}³ taps)"

    def learned(self, dtype: torch.dtype | None = None) -> dict[tuple[int, int], Learned]:
        """The normalised weights of every pair, by the blocks of irreps that it connects.

        All are cut at once: the gradient of a slice would be as large as the whole. Without `dtype` they have the
        layer's own precision.
        """
        dtype = dtype or self.weight.dtype
        parts = self.weight.to(dtype).split(self._path_sizes, dim=1)
        self_sizes = [self.irreps_in[a].mul * self.irreps_out[b].mul for a, b in self.sc.blocks]
        self_parts = dict(zip(self.sc.blocks, self.sc.weight.to(dtype).split(self_sizes), strict=True))
        learned = {}
        for pair in self._pairs:
            paths = torch.stack([parts[path] for path in pair.paths]) * pair.path_weight
            part = self_parts.get(pair.layout)
            if part is not None:
                part = part.reshape(pair.mul_in, pair.mul_out) * pair.self_path_weight
            learned[pair.blocks] = Learned(paths.unflatten(2, (pair.mul_in, pair.mul_out)), part)
        return learned

    def kernel(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Build the dense kernel from the weights.

        Parameters
        ----------
        dtype : torch.dtype, optional
            In which it is computed; None for the layer's own.

        Returns
        -------
        torch.Tensor
            Shape ``[carried_out.dim, carried_in.dim, k, k, k]``, for cross-correlation; differentiable.
        """
        learned = self.learned(dtype)
        blocks = {pair.blocks: self._block(pair, learned[pair.blocks]) for pair in self._pairs}
        rows = []
        for b, (mul_out, irrep_out) in enumerate(self.carried_out):
            row = []
            for a, (mul_in, irrep_in) in enumerate(self.carried_in):
                block = blocks.get((a, b))
                if block is None:
                    shape = (mul_out, irrep_out.dim, mul_in, irrep_in.dim, self.kernel_size**3)
                    block = self.weight.new_zeros(shape, dtype=dtype)
                row.append(block.flatten(2, 3))
            rows.append(torch.cat(row, dim=2).flatten(0, 1))
        return torch.cat(rows).unflatten(2, (self.kernel_size,) * 3)

    def _block(self, pair: Pair, learned: Learned) -> torch.Tensor:
        """Kernel from one block of irreps to another: ``[mul_out, dim_out, mul_in, dim_in, taps]``."""
        # [mul_in · mul_out, paths · n_radial] @ [paths · n_radial, dim_out · dim_in · taps]
        basis = getattr(self, pair.basis).to(learned.paths.dtype)
        block = learned.paths.flatten(2).flatten(0, 1).T @ basis.flatten(1)
        block = block.reshape(pair.mul_in, pair.mul_out, pair.irrep_out.dim, pair.irrep_in.dim, -1)
        block = block.permute(1, 2, 0, 3, 4)
        if learned.point_wise is None:
            return block
        # The same number for every component of an irrep: a Kronecker product with the identity.
        identity = torch.eye(pair.irrep_in.dim, device=block.device, dtype=block.dtype)
        point_wise = learned.point_wise.T[:, None, :, None, None] * identity[:, None, :, None]
        return block + functional.pad(point_wise, [block.shape[-1] // 2] * 2)

    def freeze(self) -> None:
        """Keep what is made of the weights, once it is first needed; call when they will not change any more."""
        self.kept = {}

    def train(self, mode: bool = True) -> SteerableConvolution:
        """Switch to training, which forgets what was kept, or to evaluation."""
        if mode:
            self.kept = None
        return super().train(mode)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> SteerableConvolution:
        if self.kept is not None:
            # Kept for another device or precision.
            self.kept = {}
        return super()._apply(fn, recurse)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[B, carried_in.dim, D, H, W]`` to ``[B, carried_out.dim, D, H, W]``; a frozen layer also in float64."""
        frozen = self.kept is not None
        way = fastest_way(
            tuple(features.shape[2:]),
            1 if frozen else len(features),
            self.carried_in.dim,
            self.carried_out.dim,
            self.kernel_size,
            frozen,
            features.is_cuda,
            features.dtype == torch.float64,
        )
        if self.kept is None:
            return self.evaluate(way, self.prepare(way), features)
        key = way, torch.promote_types(features.dtype, self.weight.dtype)
        if key not in self.kept:
            # No inference tensors even if made in inference mode, so that they may be used outside of it.
            with torch.inference_mode(False), torch.no_grad():
                self.kept[key] = self.prepare(*key)
        return self.evaluate(way, self.kept[key], features)

    def prepare(self, way: str | int, dtype: torch.dtype | None = None) -> Prepared:
        """What an evaluation in that way needs of the weights; differentiable."""
        if way == WINDOWS:
            return self._windows.weights(self.learned(dtype))
        if way == DENSE:
            return self.kernel(dtype)
        inputs, outputs = (parities.to(self.weight.device) for parities in self._parities)
        return fourier.kernel_spectra(self.kernel(dtype), inputs, outputs, valid=way)

    def evaluate(self, way: str | int, prepared: Prepared, features: torch.Tensor) -> torch.Tensor:
        """`forward` in a given way, see `fastest_way`, with what `prepare` made for it."""
        if way == WINDOWS:
            return self._windows(features, prepared)
        if way == DENSE:
            return functional.conv3d(features, prepared, padding=self.kernel_size // 2)
        return fourier.correlate(features, prepared)
