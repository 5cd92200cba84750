"""One folder of scans over many nodes, which Lightning, the engine that trains, brings together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy

Item = TypeVar("Item")


class Nodes:
    """The processes that share a folder, one on each node: under SLURM the tasks of ``srun``.

    Parameters
    ----------
    num_nodes : int
        How many.
    """

    def __init__(self, num_nodes: int) -> None:
        # Nobody talks until all are done, which on a large folder takes longer than the usual half hour.
        strategy = DDPStrategy(timeout=timedelta(days=30), process_group_backend="gloo")
        self._fabric = Fabric(accelerator="cpu", devices=1, num_nodes=num_nodes, strategy=strategy)
        self._fabric.launch()

    def share(self, items: Sequence[Item]) -> list[Item]:
        """This node's items: every n-th of the whole."""
        return list(items[self._fabric.global_rank :: self._fabric.world_size])

    def until_all_are_done(self) -> bool:
        """Wait for the other nodes; whether this is the first of them."""
        self._fabric.barrier()
        return self._fabric.global_rank == 0
