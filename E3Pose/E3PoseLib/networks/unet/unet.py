"""The segmentation network."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ...imaging.boxes import Box
from .activations import ACTIVATIONS, evaluated_in_float32
from .planes import block_by_planes, linear_weights

WORTH_PLANES = 70_000_000
"""Multiplications a plane, for each thread, from which on a block is computed by planes: of fewer, the many steps cost
more than they save. Measured with one thread and two, AVX-512; with AVX2 it is as good a bound."""

HALF_A_REGISTER = 8 if "AVX512" in torch.backends.cpu.get_cpu_capability() else 0
"""Features up to which a convolution leaves half of each register empty: oneDNN puts 16 side by side with AVX-512."""


class UNet(nn.Module):
    """A 3-D U-Net: two 3³ convolutions and one batch normalisation a level, skips in front of upsampled features.

    Parameters
    ----------
    n_levels : int
        Resolutions, the input's included.
    n_features : int
        Features of the first level.
    feature_multiplier : int
        Growth of the features from level to level.
    activation : str
        One of ``elu``, ``relu``, ``leaky_relu``, ``gelu``.
    n_classes : int
        Output channels; channel 0 is the background.
    n_input_channels : int
    input_stride : int
        The network sees cells of this many voxels along each edge, their voxels as channels, and its logits are
        interpolated back: a wide field of view at little cost, with a smooth border of what is found.

    Raises
    ------
    ValueError
        For an unknown activation, less than one level or an input stride below one.
    """

    def __init__(
        self,
        n_levels: int = 4,
        n_features: int = 16,
        feature_multiplier: int = 2,
        activation: str = "elu",
        n_classes: int = 3,
        n_input_channels: int = 1,
        input_stride: int = 1,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {activation!r}; choose one of {', '.join(ACTIVATIONS)}")
        if n_levels < 1:
            raise ValueError(f"a U-Net needs at least one level, got {n_levels}")
        if input_stride < 1:
            raise ValueError(f"the input stride is a number of voxels from 1 up, got {input_stride}")
        self.n_levels = n_levels
        self.input_stride = input_stride
        features = [n_features * feature_multiplier**level for level in range(n_levels)]
        self.list_encoder_blocks = nn.ModuleList()
        previous = n_input_channels * input_stride**3
        for width in features:
            self.list_encoder_blocks.append(_Block(previous, width, activation))
            previous = width
        self.list_decoder_blocks = nn.ModuleList()
        for width in reversed(features[:-1]):
            self.list_decoder_blocks.append(_Block(previous + width, width, activation))
            previous = width
        self.last_conv = _Convolution(previous, n_classes, 1)

    @property
    def stride(self) -> int:
        """Each edge of the input must be a multiple of this many voxels."""
        return self.input_stride * 2 ** (self.n_levels - 1)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Map intensities ``[B, 1, D, H, W]`` to logits ``[B, n_classes, D, H, W]``, edges in multiples of `stride`."""
        features = cells(volume, self.input_stride)
        skips = []
        for block in self.list_encoder_blocks[:-1]:
            skips.append(block(features))
            features = functional.max_pool3d(skips[-1], 2)
        features = self.list_encoder_blocks[-1](features)
        for block in self.list_decoder_blocks:
            features = block(skips.pop(), features)
        logits = self.last_conv(features)
        return logits if self.input_stride == 1 else interpolate(logits, self.input_stride)


def double(features: torch.Tensor) -> torch.Tensor:
    """Trilinear interpolation to twice the edges."""
    finer = functional.interpolate(features, scale_factor=2, mode="trilinear")
    if finer.requires_grad and finer.is_contiguous(memory_format=torch.channels_last_3d):
        # The gradient is a part of that of the concatenation, no whole tensor, and torch would leave it to code that
        # takes four times as long.
        finer.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last_3d))
    return finer


def interpolate(logits: torch.Tensor, factor: int) -> torch.Tensor:
    """Trilinear interpolation, [B, C, D, H, W] to [B, C, factor·D, factor·H, factor·W], in float32 or better.

    A matrix product an axis: for the few channels of logits torch's own, with one loop for all three, takes four
    times as long on a CPU.
    """
    with torch.autocast(logits.device.type, enabled=False):
        finer = logits.to(torch.promote_types(logits.dtype, torch.float32))
        # The first of the three axes becomes the last: after three turns they are in order again.
        for length in logits.shape[2:]:
            finer = finer.movedim(2, -1) @ linear_weights(length, factor, finer)
    return finer


def cells(volume: torch.Tensor, stride: int) -> torch.Tensor:
    """Cells of `stride`³ voxels with their voxels as channels, the first axis' slowest: [B, C·stride³, D, H, W].

    torch has this (`torch.nn.functional.pixel_unshuffle`) for two dimensions alone.
    """
    if stride == 1:
        return volume
    batch, channels, *shape = volume.shape
    parts = [n for edge in shape for n in (edge // stride, stride)]
    split = volume.reshape(batch, channels, *parts).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return split.reshape(batch, channels * stride**3, *parts[::2])


class _Convolution(nn.Conv3d):
    """A convolution that keeps the grid, on a CPU always by oneDNN.

    torch itself leaves single taps, and a single small grid (channels × depth × height up to 20480), to code of its own
    that takes up to four times as long: the deeper levels of most U-Nets, and all of a closer look.
    """

    def __init__(self, n_in: int, n_out: int, kernel_size: int) -> None:
        super().__init__(n_in, n_out, kernel_size, padding=kernel_size // 2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if not _by_onednn(features):
            return super().forward(features)
        if self.kernel_size == (3, 3, 3) and self.out_channels <= HALF_A_REGISTER and features.shape[-1] % 2 == 0:
            return self._by_pairs(features)
        return torch.mkldnn_convolution(
            features, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups
        )

    def _by_pairs(self, features: torch.Tensor) -> torch.Tensor:
        """Two neighbours along the last axis at once, each with an end of a kernel of four taps to itself.

        That is a third more multiplications, by zero, in registers that are full and no longer half empty: the same
        sums to the last bit in 0.7 of the time.
        """
        kernels = [functional.pad(self.weight, ends) for ends in ((0, 1), (1, 0))]
        kernel = torch.cat(kernels).contiguous(memory_format=torch.channels_last_3d)
        pairs = torch.mkldnn_convolution(
            features, kernel, self.bias.repeat(2), self.padding, (1, 1, 2), self.dilation, self.groups
        )
        # Channels come last in memory, so those of two neighbours stand where two voxels' channels do.
        batch, _, depth, height, width = pairs.shape
        neighbours = pairs.movedim(1, -1).reshape(batch, depth, height, 2 * width, self.out_channels)
        return neighbours.movedim(-1, 1)


def _by_onednn(features: torch.Tensor) -> bool:
    """Whether features are for oneDNN."""
    return evaluated_in_float32(features) and torch.backends.mkldnn.is_available()


class _Block(nn.Sequential):
    """Two convolutions, each with its activation, and a batch normalisation."""

    def __init__(self, n_in: int, n_out: int, activation: str) -> None:
        super().__init__(
            _Convolution(n_in, n_out, 3),
            ACTIVATIONS[activation](),
            _Convolution(n_out, n_out, 3),
            ACTIVATIONS[activation](),
            nn.BatchNorm3d(n_out),
        )

    def forward(
        self,
        features: torch.Tensor,
        coarse: torch.Tensor | None = None,
        box: Box | None = None,
        wanted: Box | None = None,
    ) -> torch.Tensor:
        """Map features, and behind them coarse ones at twice their edges, to those of the block.

        Parameters
        ----------
        features : torch.Tensor
            Shape ``[B, C, D, H, W]``.
        coarse : torch.Tensor, optional
            Shape ``[B, C', d, h, w]``.
        box : Box, optional
            Where in the doubled coarse features the others lie; None where both are of one size.
        wanted : Box, optional
            What is asked for of the grid of `features`; None for all.

        Returns
        -------
        torch.Tensor
            Shape ``[B, n_out, *wanted]``.
        """
        multiplications = (self[0].weight.numel() + self[2].weight.numel()) * features[0, 0, 0].numel()
        worth_planes = multiplications >= WORTH_PLANES * torch.get_num_threads()
        if worth_planes and not self.training and _by_onednn(features):
            return block_by_planes(self, features, coarse, box, wanted)
        if coarse is not None:
            doubled = double(coarse)
            features = torch.cat([features, doubled if box is None else doubled[(..., *box)]], dim=1)
        result = super().forward(features)
        return result if wanted is None else result[(..., *wanted)]
