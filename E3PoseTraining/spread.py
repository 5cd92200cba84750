"""One folder of scans over many devices and nodes, by the engine that trains: Lightning starts the processes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy

from .run import accelerator

Item = TypeVar("Item")


class Team:
    """The processes that share a folder; each constructs its own `Team` and learns its place in it.

    Locally the first process starts the others with the same command line; under SLURM they are the tasks of ``srun``.

    Args:
        device: auto, cpu, cuda or mps.
        devices: processes on each node.
        num_nodes: nodes.

    Raises:
        DeviceError: there is no such device, or too few.
    """

    def __init__(self, device: str, devices: int, num_nodes: int) -> None:
        kind = accelerator(device, devices)
        # Nobody talks until all are done, which on a large folder takes longer than the usual half hour.
        strategy = DDPStrategy(timeout=timedelta(days=30), process_group_backend="gloo")
        self._fabric = Fabric(accelerator=kind, devices=devices, num_nodes=num_nodes, strategy=strategy)
        self._fabric.launch()
        self.device = str(self._fabric.device)
        self.is_first = self._fabric.global_rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """This process's items: every n-th of the whole."""
        return list(items[self._fabric.global_rank :: self._fabric.world_size])

    def total(self, count: int) -> int:
        """The sum of a number over all processes, once all have come here."""
        return int(self._fabric.all_reduce(torch.tensor(float(count)), reduce_op="sum"))
