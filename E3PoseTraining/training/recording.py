"""A network's training steps on NVIDIA graphics without the wait for the processor that starts their kernels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class RecordedField:
    """A rotation network's ``axes_field`` and its gradients as CUDA graphs, for batches of the first one's shape.

    A step on small crops is some thousand small kernels, whose starts take ten times as long as they themselves.
    Batches of other shapes take plain calls; so do all on other devices, in lower precision, without gradients, shared
    by several processes, and where features are computed anew in the backward pass.

    The recording reads the weights where they lay: not to be kept when the network moves to another device.

    Parameters
    ----------
    network : nn.Module
        An `E3CNN`, or any module with its ``axes_field``; its weights may change between calls, in place.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._recorded: tuple[torch.Size, Callable[[Tensor], Tensor]] | None = None

    def __call__(self, volume: Tensor) -> Tensor:
        """``network.axes_field(volume)``."""
        if not self._may_record(volume):
            return self._network.axes_field(volume)
        if self._recorded is None:
            # At once: what a plain call leaves behind belongs to another stream, for which no recording can wait.
            self._recorded = volume.shape, _record(self._network, volume)
        shape, recording = self._recorded
        return recording(volume) if volume.shape == shape else self._network.axes_field(volume)

    def _may_record(self, volume: Tensor) -> bool:
        return (
            volume.is_cuda
            and torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cuda")
            and not torch.distributed.is_initialized()
            and not getattr(self._network, "checkpointing", False)
        )


class _AxesField(nn.Module):
    """``axes_field`` as a module's forward pass, which torch records together with the weights' gradients."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, volume: Tensor) -> Tensor:
        return self.network.axes_field(volume)


def _record(network: nn.Module, volume: Tensor) -> Callable[[Tensor], Tensor]:
    """A recording, or plain calls where there is none to be had, for lack of memory mostly."""
    # torch leaves its own stream current where a recording fails.
    with torch.cuda.stream(torch.cuda.current_stream()):
        try:
            # Weights of irreps that are not carried have no gradient.
            return torch.cuda.make_graphed_callables(_AxesField(network), (volume.clone(),), allow_unused_input=True)
        except RuntimeError:
            return network.axes_field
