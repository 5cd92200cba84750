"""Methods over all scans, each in a process of its own: its memory is its own, and its end is nobody else's."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TextIO

from E3PoseLib.errors import E3PoseError
from E3PoseLib.running.ending import ENDS, interrupts_wait
from E3PoseLib.running.results.settings import Settings
from E3PoseLib.running.scans.tasks import Task
from E3PoseLib.running.team import end_with_the_first

from ..methods.command import run_method
from ..methods.method import Means
from ..training.options import usable_cores

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
"""Environment variables by which the libraries of the methods are told how many threads to use, when they load. Whoever
has told the first one has told all."""


@dataclass(frozen=True)
class Job:
    """A method and the scans that it is run over.

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
        Whether results that stand are replaced; else they stay, and are not made again.
    """

    label: str
    name: str
    tasks: Sequence[Task]
    means: Means
    age: str | None
    folder: Path
    overwrite: bool = False


@dataclass(frozen=True, eq=False)
class _Running:
    job: Job
    process: BaseProcess
    receiver: Connection

    @property
    def has_told(self) -> bool:
        try:
            return self.receiver.poll()
        except OSError:  # on Windows, of a pipe whose other end is gone
            return False

    @property
    def has_ended(self) -> bool:
        # The pipe of a process that was killed stays open where something that it has started lives on.
        return self.has_told or not self.process.is_alive()

    def refused(self) -> str:
        """Waits for the end, and says why the method could not be run to it."""
        try:
            told = self.receiver.recv() if self.has_told else None
        except EOFError:
            told = None
        self.process.join()
        self.receiver.close()
        if told is None:
            status = self.process.exitcode
            return f"its process ended before its time (status {status}), for lack of memory or by a library's fault"
        return told


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
    at_once = min(at_once, len(jobs))
    waiting, running = list(jobs), list[_Running]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                print(f"{job.label}:" if at_once == 1 else f"{job.label}: begins", file=sys.stderr, flush=True)
                try:
                    with interrupts_wait():  # or nobody would know of a process that has begun
                        running.append(_start(job, at_once))
                except OSError as error:
                    yield job, f"no process could be started for it ({error.strerror or error})"
            wait([end for one in running for end in (one.receiver, one.process.sentinel)])
            for one in [one for one in running if one.has_ended]:
                refused = one.refused()
                running.remove(one)
                yield one.job, refused
    finally:
        for one in running:
            one.process.terminate()
        for one in running:
            one.process.join()


def _start(job: Job, at_once: int) -> _Running:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, job, at_once > 1))
    with _share_of_threads(at_once):
        process.start()
    sender.close()
    return _Running(job, process, receiver)


@contextmanager
def _share_of_threads(processes: int) -> Iterator[None]:
    """What begins inside has its share of the cores, where there are several and nobody has told another number."""
    told = [] if processes == 1 or THREADS[0] in os.environ else [name for name in THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(told, str(max(1, usable_cores() // processes))))
    try:
        yield
    finally:
        for name in told:
            del os.environ[name]


def _run(sender: Connection, job: Job, is_one_of_several: bool) -> None:
    threading.Thread(target=end_with_the_first, daemon=True).start()
    for end in ENDS:  # from the keyboard they come to all: the first process ends the others
        if end != signal.SIGTERM:
            signal.signal(end, signal.SIG_IGN)
    screen = _Labelled(sys.stderr, job.label) if is_one_of_several else sys.stderr
    try:
        with redirect_stdout(screen), redirect_stderr(screen):  # the table alone is for the output
            run_method(job.tasks, job.name, job.means, job.age, job.folder, Settings(model=""), job.overwrite)
    except E3PoseError as error:
        told = str(error)
    except Exception as error:  # of a user's own method, or of a package beneath
        told = f"{type(error).__name__}: {error}"
    else:
        told = ""
    if isinstance(screen, _Labelled):
        screen.end_line()
    sender.send(told)


class _Labelled(io.TextIOBase):
    """A screen that several methods share: whole lines, which begin with the method's label.

    It is no terminal, so progress bars stay away; of what is written over itself the last is kept.
    """

    def __init__(self, screen: TextIO, label: str) -> None:
        self._screen = screen
        self._label = label
        self._begun = ""
        self._lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._screen.fileno()

    def write(self, text: str) -> int:
        with self._lock:
            *lines, begun = (self._begun + text).split("\n")
            # What ends with a return is written over by what comes next.
            self._begun = _last_written(begun) + "\r" * begun.endswith("\r")
            for line in lines:
                self._screen.write(f"{self._label}: {_last_written(line)}\n")
            self._screen.flush()
        return len(text)

    def end_line(self) -> None:
        """Shows what was begun and has no end."""
        if self._begun:
            self.write("\n")


def _last_written(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]
