"""Networks on NVIDIA graphics without the wait for the processor that starts their kernels one by one."""

from __future__ import annotations

from collections.abc import Callable

import torch

Network = Callable[[torch.Tensor], torch.Tensor]

MOST_RECORDINGS = 8
"""Each keeps the memory of its network's features. Where scans differ in size, the oldest goes."""


class Replay:
    """Calls networks, and records as a CUDA graph what they do with a batch of a shape that comes again.

    A graph starts all of a network's kernels at once; the equivariant network has hundreds of small ones. The first
    call of a shape is a plain one, so a single scan waits for no recording. On a CPU all calls are.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[Network, torch.Size]] = set()
        self._recordings: dict[tuple[Network, torch.Size], _Recording | None] = {}

    def __call__(self, network: Network, batch: torch.Tensor) -> torch.Tensor:
        """What ``network(batch)`` gives; without gradients.

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
    """A network's kernels on memory that stays theirs."""

    def __init__(self, network: Network, batch: torch.Tensor) -> None:
        self._batch = batch.clone()
        self._graph = torch.cuda.CUDAGraph()
        # Other threads' use of the card, of which the network knows nothing, is no reason to fail.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._output = network(self._batch)

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        self._batch.copy_(batch)
        self._graph.replay()
        return self._output.clone()


def _record(network: Network, batch: torch.Tensor) -> _Recording | None:
    """A recording, or None where there is none to be had, for lack of memory mostly."""
    # torch leaves its own stream current where a recording fails.
    with torch.cuda.stream(torch.cuda.current_stream()):
        try:
            return _Recording(network, batch)
        except RuntimeError:
            return None
