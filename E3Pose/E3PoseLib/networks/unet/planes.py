"""Convolutions of 3³ taps six planes at a time: half the multiplications, and what lies between stays at hand.

Along the first axis six planes come from eight products instead of eighteen, of sums of the eight planes that they
depend on with sums of the taps: Winograd's minimal filtering, as in Lavin and Gray, *Fast algorithms for convolutional
neural networks*, CVPR 2016, here F(6, 3) at the points 0, ±1, ±2, ±1/2 and infinity. Within planes the taps stay what
they are: the sums of all three axes would cost more than the products that they save.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...imaging.boxes import Box, whole

PLANES = 6
"""That are computed together."""

SUMS_OF_PLANES = (
    (1.0, 0.0, -21 / 4, 0.0, 21 / 4, 0.0, -1.0, 0.0),
    (0.0, 1.0, 1.0, -17 / 4, -17 / 4, 1.0, 1.0, 0.0),
    (0.0, -1.0, 1.0, 17 / 4, -17 / 4, -1.0, 1.0, 0.0),
    (0.0, 1 / 2, 1 / 4, -5 / 2, -5 / 4, 2.0, 1.0, 0.0),
    (0.0, -1 / 2, 1 / 4, 5 / 2, -5 / 4, -2.0, 1.0, 0.0),
    (0.0, 2.0, 4.0, -5 / 2, -5.0, 1 / 2, 1.0, 0.0),
    (0.0, -2.0, 4.0, 5 / 2, -5.0, -1 / 2, 1.0, 0.0),
    (0.0, -1.0, 0.0, 21 / 4, 0.0, -21 / 4, 0.0, 1.0),
)
SUMS_OF_TAPS = (
    (1.0, 0.0, 0.0),
    (-2 / 9, -2 / 9, -2 / 9),
    (-2 / 9, 2 / 9, -2 / 9),
    (1 / 90, 1 / 45, 2 / 45),
    (1 / 90, -1 / 45, 2 / 45),
    (32 / 45, 16 / 45, 8 / 45),
    (32 / 45, -16 / 45, 8 / 45),
    (0.0, 0.0, 1.0),
)
SUMS_OF_PRODUCTS = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 1 / 2, -1 / 2, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 1 / 4, 1 / 4, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1 / 8, -1 / 8, 0.0),
    (0.0, 1.0, 1.0, 16.0, 16.0, 1 / 16, 1 / 16, 0.0),
    (0.0, 1.0, -1.0, 32.0, -32.0, 1 / 32, -1 / 32, 1.0),
)
"""Bᵀ, G and Aᵀ of the paper: products are those of a sum of planes and a sum of taps, planes are sums of products."""

REACH = 2
"""A block's two convolutions see so many voxels to each side."""

IN_EVERY_PLANE = 1
"""The product that goes into each of the planes once: the bias is added to it."""


def block_by_planes(
    block: Sequence[nn.Module],
    features: Tensor,
    coarse: Tensor | None = None,
    box: Box | None = None,
    wanted: Box | None = None,
) -> Tensor:
    """What a block of a U-Net makes of its features; without gradients.

    Parameters
    ----------
    block : sequence of torch.nn.Module
        Convolution of 3³ taps, activation, another such convolution, activation, batch normalisation; the last is
        evaluated with its running statistics.
    features : torch.Tensor
        Shape ``[B, C, D, H, W]``: the first channels that come in.
    coarse : torch.Tensor, optional
        Shape ``[B, C', d, h, w]``: the others, once interpolated to twice the edges (trilinear).
    box : Box, optional
        Where in the doubled coarse features the others lie; None where both are of one size.
    wanted : Box, optional
        What is asked for of the grid of `features`; None for all. Along an axis where that leaves out `REACH` voxels on
        each side no more is computed.

    Returns
    -------
    torch.Tensor
        Shape ``[B, C_out, *wanted]``, the channels next to each other in memory.
    """
    first, activation, second, _, norm = block
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    shift = norm.bias - norm.running_mean * scale
    grid = whole(features)
    wanted = wanted or grid
    # Voxels that each convolution leaves out on each side: one along the axes where none needs zeros beyond the grid.
    less = [int(edges == slice(REACH, limits.stop - REACH)) for edges, limits in zip(wanted, grid, strict=True)]
    n_between, *between = (limits.stop - 2 * n for limits, n in zip(grid, less, strict=True))
    computed = [limits.stop - 4 * n for limits, n in zip(grid, less, strict=True)]
    ends, padding = less[0], [1 - n for n in less[1:]]
    result = features.new_empty(len(features), *computed, second.out_channels)
    for sample, planes in enumerate(result):
        sources = [_Planes(features[sample])]
        if coarse is not None:
            sources.append(_DoubledPlanes(coarse[sample], box or grid))
        # Planes between the two convolutions: those that were computed last, and one before and behind that the second
        # sees as well. It follows the first one plane behind.
        window = features.new_zeros(PLANES + 2, *between, first.out_channels)
        latest = window[2:]
        inner = _Convolution(sources, first, padding)
        outer = _Convolution([_Planes(window.permute(3, 0, 1, 2))], second, padding)
        for start in range(0, n_between + 1 - ends, PLANES):
            window[:2] = window[-2:]
            latest[n_between - start :] = 0
            if start < n_between:
                part = inner(start + ends, latest[: n_between - start])
                part.copy_(activation(part))
            behind = start - 1
            first_plane, stop = max(behind, ends), min(behind + PLANES, n_between - ends)
            part = outer(1, planes[first_plane - ends : stop - ends], skipped=first_plane - behind)
            torch.addcmul(shift, activation(part), scale, out=part)
    rest = [slice(None) if n else edges for edges, n in zip(wanted, less, strict=True)]
    return result.permute(0, 4, 1, 2, 3)[(..., *rest)]


class _Planes:
    """Channels that go into a convolution, plane by plane: ``[C, D, H, W]``."""

    def __init__(self, features: Tensor) -> None:
        self.n_planes = features.shape[1]
        self._volume = features.permute(1, 2, 3, 0)
        self._matrix = features.new_tensor(SUMS_OF_PLANES)

    def sums(self, start: int) -> Tensor:
        """Sums ``[8, C, H, W]`` of planes, for the six that begin at `start`; there are zeros beyond the grid."""
        first, last = max(start - 1, 0), min(start + PLANES + 1, self.n_planes)
        return self._summed(self._matrix[:, first - start + 1 : last - start + 1], slice(first, last))

    def _summed(self, matrix: Tensor, planes: slice) -> Tensor:
        """Such sums of some of the planes, the matrix being of shape ``[8, planes]``."""
        sums = matrix @ self._volume[planes].flatten(1)
        return sums.unflatten(1, self._volume.shape[1:]).permute(0, 3, 1, 2)


class _DoubledPlanes(_Planes):
    """Channels ``[C, d, h, w]`` that go into a convolution at twice their edges, and of these voxels those of a box."""

    def __init__(self, features: Tensor, box: Box) -> None:
        super().__init__(features)
        planes, *self._rows_and_columns = box
        self._doubling = linear_weights(self.n_planes, 2, features)[:, planes].T
        self.n_planes = len(self._doubling)

    def _summed(self, matrix: Tensor, planes: slice) -> Tensor:
        # Sums along one axis may come before the others are interpolated: all of it is linear.
        matrix = matrix @ self._doubling[planes]
        (at_hand,) = matrix.any(0).nonzero(as_tuple=True)
        needed = slice(int(at_hand[0]), int(at_hand[-1]) + 1)
        coarse = super()._summed(matrix[:, needed], needed)
        return functional.interpolate(coarse, scale_factor=2, mode="bilinear")[(..., *self._rows_and_columns)]


class _Convolution:
    """A convolution of sources, the channels of one behind those of the other."""

    def __init__(self, sources: Sequence[_Planes], layer: nn.Conv3d, padding: Sequence[int]) -> None:
        self._sources, self._bias, self._padding = sources, layer.bias, padding
        taps = _summed_taps(layer.weight)
        self._kernels = [kernel.contiguous(memory_format=torch.channels_last) for kernel in taps]
        self._to_planes = layer.weight.new_tensor(SUMS_OF_PRODUCTS)

    def __call__(self, start: int, out: Tensor, skipped: int = 0) -> Tensor:
        """Up to six planes from `start` on, but for the first that are skipped, into ``[n, H, W, C_out]``."""
        sums = [source.sums(start) for source in self._sources]
        images = sums[0] if len(sums) == 1 else torch.cat(sums, dim=1)
        products = [
            torch.mkldnn_convolution(
                image, kernel, self._bias if index == IN_EVERY_PLANE else None, self._padding, (1, 1), (1, 1), 1
            )
            for index, (image, kernel) in enumerate(zip(images.split(1), self._kernels, strict=True))
        ]
        stacked = torch.cat(products).permute(0, 2, 3, 1).flatten(1)
        torch.mm(self._to_planes[skipped : skipped + len(out)], stacked, out=out.flatten(1))
        return out


def _summed_taps(weight: Tensor) -> Tensor:
    """Kernels ``[8, C_out, C_in, 3, 3]`` for images from one ``[C_out, C_in, 3, 3, 3]`` for volumes."""
    taps = weight.permute(2, 0, 3, 4, 1)
    sums = weight.new_tensor(SUMS_OF_TAPS) @ taps.reshape(3, -1)
    return sums.unflatten(1, taps.shape[1:]).permute(0, 1, 4, 2, 3)


def linear_weights(length: int, factor: int, like: Tensor) -> Tensor:
    """What linear interpolation to `factor` times as many samples multiplies by, ``[length, factor · length]``."""
    samples = torch.eye(length, dtype=like.dtype, device=like.device)
    return functional.interpolate(samples[None], scale_factor=factor, mode="linear")[0]
