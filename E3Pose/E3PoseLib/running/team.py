"""What estimates the scans of a run: one process, or several of one machine that share them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from functools import cache, cached_property
from itertools import islice
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import WorkerError
from .ending import ENDS
from .results.known_model import known_identity
from .scans.tasks import Task

if TYPE_CHECKING:
    # Each process imports torch when it begins: the first one need not have it by then.
    from ..method.estimator import PoseEstimator

MOST_PROCESSES = 61 if sys.platform == "win32" else 1 << 16
"""Windows cannot wait for more at once."""

_own_estimator: Callable[[], PoseEstimator]
"""Of a process of a team."""


class Estimators:
    """Makes the estimator of a run once it is needed: one in this process, or a team.

    Parameters
    ----------
    make : callable
        Makes one for a number of scans.
    file_hash : str
        Of the model's file, by which its identity is known where results of it stand, see `model_file_hash`.
    """

    def __init__(self, make: Callable[[int], PoseEstimator | Team], file_hash: str) -> None:
        self.file_hash = file_hash
        self._make = make
        self._made: PoseEstimator | Team | None = None

    def __call__(self, n_scans: int) -> PoseEstimator | Team:
        """The estimator, made for that many scans when it is first asked for."""
        if self._made is None:
            self._made = self._make(n_scans)
        return self._made

    def identity(self, folder: Path, tasks: Sequence[Task]) -> str:
        """The identity of the model, which is loaded only where no results of its file stand in the folder."""
        if identity := known_identity(folder, tasks, self.file_hash):
            return identity
        estimator = self(len(tasks))
        return estimator.identity if isinstance(estimator, Team) else estimator.model.identity


class Team:
    """Processes that estimate poses, with a GPU each where there are several, or with their share of the threads.

    They begin at once, in a few seconds, and end with the ``with`` block, when they have done what they are at. To be
    made in the main thread.

    Parameters
    ----------
    model : mapping
        The arguments of `load_model`.
    device, precision : str
        As for `PoseEstimator`; ``cuda`` is one NVIDIA GPU after the other.
    processes : int
    """

    def __init__(self, model: Mapping[str, Any], device: str, precision: str, processes: int) -> None:
        self._processes = min(processes, MOST_PROCESSES)
        # Spawned: what is forked may use neither a GPU nor torch's threads that were there before.
        context = _Context()
        with _deaf_to_ends():
            places = context.SimpleQueue()
            for place in range(self._processes):
                places.put(place)
            recipe = (places, self._processes, dict(model), device, precision)
            self._pool = ProcessPoolExecutor(self._processes, context, initializer=_begin, initargs=recipe)
            # As many as there are processes, so that all of them begin.
            self._begun = [self._pool.submit(_identity) for _ in range(self._processes)]

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *exception: object) -> None:
        """Wait for what is being done, and let go what has not begun."""
        self._pool.shutdown(cancel_futures=True)

    @cached_property
    def identity(self) -> str:
        """The model's identity, once the processes have begun.

        Raises
        ------
        ModelError, DeviceError
            If there is no such model or device.
        WorkerError
            If a process ended before its time.
        """
        (identity,) = {self.result_of(future) for future in self._begun}
        return identity

    def in_turn(self, work: Callable[..., Any], arguments: Iterable[tuple[object, ...]]) -> Iterator[Future]:
        """Have ``work(*arguments, estimator)`` done for each set of arguments, all of which are pickled.

        Never more are handed out than there are processes, so that an interrupt need not wait for others.

        Yields
        ------
        Future
            In the order of the arguments, each done.
        """
        waiting = iter(arguments)
        begun: deque[Future] = deque()

        def hand_out() -> None:
            n_free = self._processes - sum(not future.done() for future in begun)
            begun.extend(self.submit(work, *each) for each in islice(waiting, n_free))

        hand_out()
        while begun:
            while not begun[0].done():
                wait([future for future in begun if not future.done()], return_when=FIRST_COMPLETED)
                hand_out()
            yield begun.popleft()
            hand_out()

    def submit(self, work: Callable[..., Any], *arguments: object) -> Future:
        """Have ``work(*arguments, estimator)`` done by the next process that has time; all of it is pickled."""
        try:
            return self._pool.submit(_work, work, arguments)
        except BrokenExecutor as error:  # a process was killed since: it is told in its turn, after what is done
            failed: Future = Future()
            failed.set_exception(error)
            return failed

    def result_of(self, future: Future) -> Any:
        """What was done, once it is; if it went wrong, its error.

        Raises
        ------
        WorkerError
            If a process ended before its time.
        """
        try:
            return future.result()
        except BrokenExecutor as error:
            raise WorkerError(
                "a process was killed, most likely for lack of memory; what is done stays: try again with fewer "
                "--devices"
            ) from error


class _Process(SpawnProcess):
    """Where one process is killed the pool terminates the others. These are deaf to that, so they are killed as well.

    They may wait for a lock that the killed one held while it answered, and would do so for ever.
    """

    def terminate(self) -> None:
        self.kill()


class _Context(SpawnContext):
    Process = _Process


@contextmanager
def _deaf_to_ends() -> Iterator[None]:
    """For processes that are born meanwhile: the first one hears what ends a command, and tells them when to end.

    Some systems tell all processes of a command at once, and Python's own helper among them would die of it.
    """
    heed = {end: signal.signal(end, signal.SIG_IGN) for end in ENDS}
    try:
        yield
    finally:
        for end, handler in heed.items():
            signal.signal(end, handler)


def _begin(places: SimpleQueue, processes: int, model: dict[str, Any], device: str, precision: str) -> None:
    threading.Thread(target=end_with_the_first, daemon=True).start()
    for end in ENDS:  # on Windows they are not born deaf to them
        signal.signal(end, signal.SIG_IGN)
    from .memory import keep_freed_memory, made_to_stay

    keep_freed_memory()
    with made_to_stay():
        import torch

        from ..method.estimator import PoseEstimator
        from ..models.loading import load_model
        from ..networks.device import pick_device

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))
    place = places.get()

    # When it is first asked for: what goes wrong then is an answer, and here would be the end of the team.
    @cache
    def make() -> PoseEstimator:
        picked = pick_device(device)
        if picked.type == "cuda" and picked.index is None:
            picked = torch.device("cuda", place % torch.cuda.device_count())
        return PoseEstimator(load_model(**model), str(picked), precision=precision)

    global _own_estimator
    _own_estimator = make


def end_with_the_first() -> None:
    """For a thread of another process: ends it with the first one. Where that is killed nobody is left to tell it."""
    first = multiprocessing.parent_process()
    if first is not None:
        first.join()
        os._exit(1)


def _identity() -> str:
    return _own_estimator().model.identity


def _work(work: Callable[..., Any], arguments: tuple[object, ...]) -> Any:
    return work(*arguments, _own_estimator())
