"""Several processes of one machine that share scans, each with the model in memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from functools import cache, cached_property
from multiprocessing.queues import SimpleQueue
from typing import TYPE_CHECKING, Any

from ..errors import WorkerError

if TYPE_CHECKING:
    # Each process imports torch when it begins: the first one need not have it by then.
    from ..method.estimator import PoseEstimator

_own_estimator: Callable[[], PoseEstimator]
"""Of a process of a team."""


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
        # Spawned: what is forked may use neither a GPU nor torch's threads that were there before.
        context = multiprocessing.get_context("spawn")
        places = context.SimpleQueue()
        for place in range(processes):
            places.put(place)
        recipe = (places, processes, dict(model), device, precision)
        self._pool = ProcessPoolExecutor(processes, context, initializer=_begin, initargs=recipe)
        # They are spawned deaf to interrupts: the first process hears them, and tells the others when to end.
        heed = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            # As many as there are processes, so that all of them begin.
            self._begun = [self._pool.submit(_identity) for _ in range(processes)]
        finally:
            signal.signal(signal.SIGINT, heed)

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *exception: object) -> None:
        """Wait for what is being done, and let go what has not begun."""
        self._pool.shutdown(cancel_futures=True)

    @cached_property
    def model(self) -> str:
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

    def submit(self, work: Callable[..., Any], *arguments: object) -> Future:
        """Have ``work(*arguments, estimator)`` done by the next process that has time; all of it is pickled."""
        return self._pool.submit(_work, work, arguments)

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


def _begin(places: SimpleQueue, processes: int, model: dict[str, Any], device: str, precision: str) -> None:
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    from .memory import keep_freed_memory, made_to_stay

    keep_freed_memory()
    with made_to_stay():
        import torch

        from ..method.estimator import PoseEstimator
        from ..models.model import load_model
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


def _end_with_the_first() -> None:
    """Where the first process is killed nobody is left to tell the others."""
    first = multiprocessing.parent_process()
    if first is not None:
        first.join()
        os._exit(1)


def _identity() -> str:
    return _own_estimator().model.identity


def _work(work: Callable[..., Any], arguments: tuple[object, ...]) -> Any:
    return work(*arguments, _own_estimator())
