"""Many scans: what is done already is skipped, and one that fails does not stop the rest."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import OutputError
from ..imaging.volume import Volume, read_volume
from .report import Failure, Report, attempt
from .results.data_set import describe_data_set
from .results.failures import failure, forget_failure, record_failure
from .results.files import Writers
from .results.folder import check_folder, prepare_folder
from .results.record import read_record
from .results.settings import Settings
from .results.standing import State, is_outdated, state_of_results
from .results.tables import check_tables, write_tables
from .results.writing import write_results
from .scans.reading import read_scan
from .scans.tasks import Task
from .team import Team

if TYPE_CHECKING:
    # With it comes torch, for which the first process of a team need not wait.
    from ..method.estimator import PoseEstimator


def run_batch(
    tasks: Sequence[Task],
    make_estimator: Callable[[int], PoseEstimator | Team],
    folder: str | os.PathLike,
    settings: Settings,
    *,
    overwrite: bool = False,
    read: Callable[[Task], Volume] | None = None,
    further: Writers = MappingProxyType({}),
    on_result: Callable[[Task, Failure | None], None] = lambda task, failed: None,
) -> Report:
    """Estimate the pose in each scan; what stands already is skipped, and a scan that fails does not stop the rest.

    ``poses.csv`` and ``failures.csv`` are written anew from all that lies in the folder when the run ends, also by an
    interrupt.

    Parameters
    ----------
    tasks : sequence of Task
    make_estimator : callable
        Called once with the number of scans that are left to estimate, if there are any. A team's processes take the
        scans as they come to them; it ends with the run.
    folder : path-like
        Of the results; made if need be.
    settings : Settings
    overwrite : bool
        Estimate scans again whose results stand, and replace files of another origin, but never a document of one.
    read : callable, optional
        How to read a scan, `read_volume` if not given. For a team to be pickled, as `further` is.
    further : mapping of str to callable
        Endings of further files, without which a scan's results do not stand, and what writes them: given the path, the
        scan and its estimate.
    on_result : callable, optional
        Told of each scan, and why it failed (None where it did not): first of those whose results stand or cannot be
        replaced, then of the others, in their order.

    Returns
    -------
    Report

    Raises
    ------
    OutputError
        If nothing can be written to the folder, or scans or tables of another program lie in it.
    WorkerError
        If a process of a team ended before its time; what is done stays.
    """
    folder = prepare_folder(folder)
    check_folder(folder, tasks)
    if not overwrite:
        check_tables(folder)
    describe_data_set(folder, tasks)
    run = _Run(folder, settings, overwrite, read, dict(further), on_result)
    try:
        if left := run.sort_out(tasks):
            run.estimate(left, make_estimator(len(left)))
    except BaseException:
        with contextlib.suppress(OutputError):  # of the two errors the first is the one to tell
            write_tables(folder, run.unrecorded)
        raise
    try:
        write_tables(folder, run.unrecorded)
    except OutputError as error:
        run.report.untabled = str(error)
    return run.report


class _Run:
    """One run over a folder of results: what is done, and what became of it."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        overwrite: bool,
        read: Callable[[Task], Volume] | None,
        further: Writers,
        on_result: Callable[[Task, Failure | None], None],
    ) -> None:
        self.report = Report()
        self.unrecorded: list[dict] = []
        self._folder = folder
        self._settings = settings
        self._overwrite = overwrite
        self._read = read
        self._further = further
        self._on_result = on_result

    def sort_out(self, tasks: Iterable[Task]) -> list[Task]:
        """The scans that are left to estimate, after those whose results stand or cannot be replaced."""
        left = []
        for task in tasks:
            outcome = attempt(task, partial(self._state, task))
            if isinstance(outcome, Failure):
                self._fail(task, outcome)
            elif outcome is State.WHOLE:
                self.report.skipped.append(task.name)
                self._succeed(task)
            else:
                if outcome is State.OUTDATED:
                    self.report.outdated.append(task.name)
                left.append(task)
        return left

    def _state(self, task: Task) -> State:
        if self._overwrite:
            read_record(self._folder, task)  # a document of another origin is not replaced
            return State.MISSING
        return state_of_results(task, self._folder, self._settings.for_task(task), self._further)

    def estimate(self, tasks: Sequence[Task], estimator: PoseEstimator | Team) -> None:
        """Estimate scans, by a team or in this very process."""
        same_for_all = (self._folder, self._settings, self._overwrite, self._read, self._further)
        if not isinstance(estimator, Team):
            for task in tasks:
                self._take(task, partial(estimate_one, task, *same_for_all, estimator))
            return
        # What its processes are at when the run ends belongs into the tables: they finish it.
        with estimator:
            futures = estimator.in_turn(estimate_one, ((task, *same_for_all) for task in tasks))
            for task, future in zip(tasks, futures, strict=True):
                self._take(task, partial(estimator.result_of, future))

    def _take(self, task: Task, work: Callable[[], str | None]) -> None:
        outcome = attempt(task, work)
        if isinstance(outcome, Failure):
            self._fail(task, outcome)
            return
        if outcome is None:
            self.report.skipped.append(task.name)
        else:
            self.report.done.append(task.name)
            if outcome == "low":
                self.report.low.append(task.name)
        self._succeed(task)

    def _fail(self, task: Task, failed: Failure) -> None:
        if task.name in self.report.outdated:
            self.report.outdated.remove(task.name)
        if failed.is_left_out:
            self.report.left_out.append(task.name)
            forget_failure(self._folder, task)
        else:
            self.report.failed[task.name] = failed.message
            document = failure(task, failed.message, is_outdated(task, self._folder))
            if not record_failure(self._folder, task, document):
                self.unrecorded.append(document)
        self._on_result(task, failed)

    def _succeed(self, task: Task) -> None:
        forget_failure(self._folder, task)
        self._on_result(task, None)


def estimate_one(
    task: Task,
    folder: Path,
    settings: Settings,
    overwrite: bool,
    read: Callable[[Task], Volume] | None,
    further: Writers,
    estimator: PoseEstimator,
) -> str | None:
    """Estimate the pose in a scan and write its results; see `run_batch`.

    Returns
    -------
    str or None
        The level of confidence; None where another run has written the results meanwhile.
    """
    settings = settings.for_task(task)
    if not overwrite and state_of_results(task, folder, settings, further) is State.WHOLE:
        return None
    volume, source = read_scan(task, read or (lambda one: read_volume(one.path, one.frame, settings.voxel_size)))
    estimate = estimator.estimate(volume)
    write_results(folder, task, volume, estimate, settings, source.record(), further)
    return estimate.confidence.level
