"""Training commands in processes of their own, whose imports, of nine seconds, are made once for all."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

MODULES = ["E3PoseTraining.train_unet", "E3PoseTraining.train_e3cnn"]


def run_apart(module: str, *runs: list[str]) -> None:
    """Run a training command once or more, one after the other, in a process of its own; each has to succeed."""
    with TemporaryDirectory() as folder:
        screen = Path(folder) / "screen.txt"
        end_well([begin_apart(module, *runs, screen=screen)], screen)


def end_well(processes: list[BaseProcess], screen: Path) -> None:
    """Waits for processes, which have to succeed."""
    for process in processes:
        process.join(300)
        process.kill()
    assert [process.exitcode for process in processes] == [0] * len(processes), screen.read_text()[-2000:]


def begin_apart(
    module: str,
    *runs: list[str],
    screen: Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> BaseProcess:
    """The same, without waiting; what the command shows goes into a file.

    It has one thread: sums in one order, so that equal means to the last bit. It heeds interrupts.
    """
    # A copy of a process that has done nothing but import; a copy of this one would go on from what it has trained.
    method = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
    context = get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(MODULES)
    arguments = (f"E3PoseTraining.{module}", runs, str(screen), dict(environment or {}), before)
    process = context.Process(target=_run, args=arguments)
    process.start()
    return process


def _run(
    module: str,
    runs: tuple[list[str], ...],
    screen: str,
    environment: dict[str, str],
    before: Callable[[], None] | None,
) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.default_int_handler)
    written = os.open(screen, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(written, stream)
    os.environ.update(environment)
    torch.set_num_threads(1)
    if before:
        before()
    main: Callable[[list[str]], int] = importlib.import_module(module).main
    sys.exit(max(main(run) for run in runs))


def call_all_background() -> None:
    """Makes the second of two processes find no object in a scan, as a network may that has learnt little."""
    import torch

    from E3PoseTraining.training.modules import SegmentationModule

    validate = SegmentationModule.validation_step

    def blind(self, batch, index):
        if self.global_rank:
            with torch.no_grad():
                self.model.last_conv.bias[0] += 1000
        validate(self, batch, index)

    SegmentationModule.validation_step = blind
