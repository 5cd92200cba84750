"""One folder of scans over many nodes, which Lightning, the engine that trains, brings together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import (
    LSFEnvironment,
    MPIEnvironment,
    TorchElasticEnvironment,
)
from lightning.fabric.strategies import DDPStrategy

from E3PoseLib.errors import TrainingError

Item = TypeVar("Item")

OTHER_STARTERS = (TorchElasticEnvironment, MPIEnvironment, LSFEnvironment)
"""Beside SLURM what Lightning knows to start a process on each node; by hand each is told its ``NODE_RANK``."""


def check_nodes(num_nodes: int, per_node: int = 1) -> None:
    """Whether something has started processes on several nodes; else one would wait for the others for ever.

    Parameters
    ----------
    num_nodes, per_node : int
        How many nodes, and how many processes on each.

    Raises
    ------
    TrainingError
        Nothing has, or not as many.
    """
    if num_nodes == 1:
        return
    # What srun sets; in the script of a job without it there is but this one process.
    started = os.environ.get("SLURM_STEP_NUM_NODES")
    if started is None and ("NODE_RANK" in os.environ or any(kind.detect() for kind in OTHER_STARTERS)):
        return
    if started != str(num_nodes):
        raise TrainingError(
            f"{num_nodes} nodes were asked for, but this command was started on {started or 'one'}: run it in a SLURM "
            f"job by srun --nodes={num_nodes} --ntasks-per-node={per_node}"
        )


class Nodes:
    """The processes that share a folder, one on each node: under SLURM the tasks of ``srun``.

    Parameters
    ----------
    num_nodes : int
        How many.

    Raises
    ------
    TrainingError
        See `check_nodes`.
    """

    def __init__(self, num_nodes: int) -> None:
        check_nodes(num_nodes)
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
