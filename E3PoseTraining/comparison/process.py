"""Methods over all scans, each in a process of its own: its memory is its own, and its end is nobody else's."""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TextIO

from E3PoseLib.errors import E3PoseError
from E3PoseLib.running.results.settings import Settings
from E3PoseLib.running.scans.tasks import Task

from ..methods.command import run_method
from ..methods.method import Means

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
"""Environment variables by which the libraries of the methods are told how many threads to use, when they load."""


@dataclass(frozen=True)
class Job:
    """A method and the scans that it is run over; what its results hold stays, and is not done again.

    Parameters
    ----------
    label : str
        What the table calls the method.
    name : str
        Of the method.
    tasks : sequence of Task
    means : Means
    age : str, optional
        As for `Ages`.
    folder : Path
        Of the results.
    overwrite : bool
        Whether results that stand are replaced.
    """

    label: str
    name: str
    tasks: Sequence[Task]
    means: Means
    age: str | None
    folder: Path
    overwrite: bool = False


def run_apart(jobs: Sequence[Job], at_once: int = 1) -> Iterator[tuple[Job, str]]:
    """Run methods, so many at a time, each with its share of the cores.

    Parameters
    ----------
    jobs : sequence of Job
    at_once : int

    Yields
    ------
    job : Job
        As they end.
    refused : str
        Why the method could not be run to its end, "" where it was; scans that it fails at are in its tables.
    """
    waiting, running = list(jobs), dict[Connection, tuple[Job, BaseProcess]]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                running.update([_started(job, at_once)])
            for receiver in wait(list(running)):
                assert isinstance(receiver, Connection)
                job, process = running[receiver]
                try:
                    refused = receiver.recv()
                except EOFError:
                    refused = None
                process.join()
                del running[receiver]
                if refused is None:
                    refused = (
                        f"its process ended before its time (status {process.exitcode}), for lack of memory or by a "
                        "library's fault"
                    )
                yield job, refused
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join()


def _started(job: Job, at_once: int) -> tuple[Connection, tuple[Job, BaseProcess]]:
    print(f"{job.label}:" if at_once == 1 else f"{job.label}: begins", file=sys.stderr, flush=True)
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, job, at_once > 1))
    with _share_of_threads(at_once):
        process.start()
    sender.close()
    return receiver, (job, process)


@contextmanager
def _share_of_threads(processes: int) -> Iterator[None]:
    """What begins inside has its share of the cores, where there are several and nobody has told another number."""
    told = [] if processes == 1 else [name for name in THREADS if name not in os.environ]
    share = max(1, (os.cpu_count() or 1) // processes)
    os.environ.update(dict.fromkeys(told, str(share)))
    try:
        yield
    finally:
        for name in told:
            del os.environ[name]


def _run(sender: Connection, job: Job, is_one_of_several: bool) -> None:
    screen = _Labelled(sys.stderr, job.label) if is_one_of_several else sys.stderr
    try:
        with redirect_stdout(screen), redirect_stderr(screen):  # the table alone is for the output
            run_method(job.tasks, job.name, job.means, job.age, job.folder, Settings(model=""), job.overwrite)
    except E3PoseError as error:
        sender.send(str(error))
    except Exception as error:  # of a user's own method, or of a package beneath
        sender.send(f"{type(error).__name__}: {error}")
    else:
        sender.send("")


class _Labelled(io.TextIOBase):
    """A screen that several methods share: whole lines, which begin with the method's label, and no progress bars."""

    def __init__(self, screen: TextIO, label: str) -> None:
        self._screen = screen
        self._label = label
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._screen.write(f"{self._label}: {line}\n")
        self._screen.flush()
        return len(text)
