"""Replays networks on NVIDIA GPUs as CUDA graphs, so that the CPU need not start each of their kernels."""

from __future__ import annotations

from collections.abc import Callable

import torch

Network = Callable[[torch.Tensor], torch.Tensor]

MOST_RECORDINGS = 8
"""Most graphs that are kept; each holds the memory of its network's features. Beyond this the oldest is dropped."""


class Replay:
    """Calls networks; from the second batch of the same shape on as a CUDA graph.

    A graph starts all kernels of a network at once, and the equivariant network has hundreds of small ones. The first
    call with a shape is a plain one, so a single scan does not wait for a recording. On a CPU all calls are plain.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[Network, torch.Size]] = set()
        self._recordings: dict[tuple[Network, torch.Size], _Recording | None] = {}

    def __call__(self, network: Network, batch: torch.Tensor) -> torch.Tensor:
        """Return ``network(batch)``, without gradients.

        Parameters
        ----------
        network : callable
            From tensor to tensor, on the batch's device throughout; the same object for every call of one network.
        batch : torch.Tensor

        Returns
        -------
        torch.Tensor
        """
        if not batch.is_cuda:
            return network(batch)
        key = (network, batch.shape)
        if key not in self._seen:
            self._seen.add(key)
            return network(batch)
        if key not in self._recordings:
            if len(self._recordings) == MOST_RECORDINGS:
                del self._recordings[next(iter(self._recordings))]
            self._recordings[key] = _record(network, batch)
        recording = self._recordings[key]
        return network(batch) if recording is None else recording(batch)


class _Recording:
    """A CUDA graph of a network, with the memory for its input, features and output."""

    def __init__(self, network: Network, batch: torch.Tensor) -> None:
        self._batch = batch.clone()
        self._graph = torch.cuda.CUDAGraph()
        # "thread_local": what other threads do on the GPU meanwhile must not make the recording fail.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._output = network(self._batch)

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        self._batch.copy_(batch)
        self._graph.replay()
        return self._output.clone()


def _record(network: Network, batch: torch.Tensor) -> _Recording | None:
    """Record a network; None if that fails, mostly for lack of memory."""
    # If a recording fails, torch does not switch back from its own stream.
    with torch.cuda.stream(torch.cuda.current_stream()):
        try:
            return _Recording(network, batch)
        except RuntimeError:
            return None
