"""Runs networks on one device: from arrays to tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from .device import memory_errors
from .replay import Replay


class Inference:
    """Runs networks on one device, on all arrays of one shape together.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._replay = Replay()

    def __call__(
        self, network: Callable[[torch.Tensor], torch.Tensor], arrays: Sequence[np.ndarray]
    ) -> list[torch.Tensor]:
        """Run a network on each array; arrays of one shape go together as a batch.

        Parameters
        ----------
        network : callable
            From ``[B, 1, D, H, W]`` to a tensor ``[B, …]``; the same object at each call, see `Replay`.
        arrays : sequence of np.ndarray
            Shape ``[D, H, W]`` each, float32.

        Returns
        -------
        list of torch.Tensor
            On the device, without gradients.

        Raises
        ------
        DeviceError
            If the device runs out of memory.
        """
        outputs: dict[int, torch.Tensor] = {}
        for shape in dict.fromkeys(array.shape for array in arrays):
            indices = [index for index, array in enumerate(arrays) if array.shape == shape]
            alike = [arrays[index] for index in indices]
            # A single array needs no copy.
            batch = torch.from_numpy(np.stack(alike) if len(alike) > 1 else alike[0][None])[:, None]
            with torch.inference_mode(), memory_errors(self.device):
                outputs.update(zip(indices, self._replay(network, batch.to(self.device)), strict=True))
        return [outputs[index] for index in range(len(arrays))]
