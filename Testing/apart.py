"""Training commands in processes of their own, whose imports, of nine seconds, are made once for all."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

MODULES = ["E3PoseTraining.train_unet", "E3PoseTraining.train_e3cnn"]


def run_apart(module: str, *runs: list[str]) -> None:
    """Run a training command once or more, one after the other, in a process of its own; each has to succeed."""
    with TemporaryDirectory() as folder:
        screen = Path(folder) / "screen.txt"
        process = begin_apart(module, *runs, screen=screen)
        process.join(300)
        if process.is_alive():
            process.kill()
        assert process.exitcode == 0, screen.read_text()[-2000:]


def begin_apart(module: str, *runs: list[str], screen: Path) -> BaseProcess:
    """The same, without waiting; what the command shows goes into a file.

    It has one thread: sums in one order, so that equal means to the last bit. It heeds interrupts.
    """
    # A copy of a process that has done nothing but import; a copy of this one would go on from what it has trained.
    method = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
    context = get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(MODULES)
    process = context.Process(target=_run, args=(f"E3PoseTraining.{module}", runs, str(screen)))
    process.start()
    return process


def _run(module: str, runs: tuple[list[str], ...], screen: str) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.default_int_handler)
    written = os.open(screen, os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(written, stream)
    torch.set_num_threads(1)
    main: Callable[[list[str]], int] = importlib.import_module(module).main
    sys.exit(max(main(run) for run in runs))
