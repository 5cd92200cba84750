"""What lies between a U-Net's convolutions."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

PIECE = 1 << 17
"""Features a thread that are taken at a time, half a megabyte: the four passes stay in the second-level cache."""

SATURATED = -20.0
"""Below this ELU is -1 to the last bit of a float32."""


class ExponentialLinear(nn.ELU):
    """torch's ELU with a scale of one, in place: x, or exp(x) - 1 where that is negative.

    For inference on a CPU it is max(x, exp(min(x, 0)) - 1), as exp(x) - 1 is never less than x. torch's own keeps every
    digit of what lies next to 0 and takes two to three times as long; this is as exact as a float32 of size one.
    """

    def __init__(self) -> None:
        super().__init__(inplace=True)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map features of any shape to as many; they are overwritten."""
        flat = _in_order_of_memory(features) if evaluated_in_float32(features) else None
        if flat is None:
            return super().forward(features)
        for piece in flat.split(PIECE * torch.get_num_threads()):
            # Exponentials that are too small for a float32, or too large, take many times as long.
            exponential = piece.clamp(SATURATED, 0).exp_()
            torch.maximum(piece, exponential.sub_(1), out=piece)
        return features


def evaluated_in_float32(features: torch.Tensor) -> bool:
    """Whether features are on a CPU, in float32 and without gradients."""
    exact = features.dtype == torch.float32 and not _autocasts()
    return features.device.type == "cpu" and exact and not torch.is_grad_enabled()


def _autocasts() -> bool:
    """Whether lower precision is on for the CPU."""
    try:
        return torch.is_autocast_enabled("cpu")
    except TypeError:  # before torch 2.4
        return torch.is_autocast_cpu_enabled()


def _in_order_of_memory(features: torch.Tensor) -> torch.Tensor | None:
    """A flat view of features, whatever their memory format; None where there are gaps between them."""
    axes = sorted(range(features.ndim), key=features.stride, reverse=True)
    ordered = features.permute(axes)
    return ordered.view(-1) if ordered.is_contiguous() else None


# In place where there is such a form: the features of the first level are the largest thing there is.
ACTIVATIONS = {
    "elu": ExponentialLinear,
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, inplace=True),
    "gelu": nn.GELU,
}
