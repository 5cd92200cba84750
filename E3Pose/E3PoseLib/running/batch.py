"""Many scans: what is done already is skipped, and one that fails does not stop the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import E3PoseError, WorkerError
from ..imaging.volume import Volume, read_volume
from .results.failures import forget_failure, record_failure
from .results.files import Writers
from .results.folder import check_folder, prepare_folder
from .results.settings import Settings
from .results.standing import stands
from .results.tables import check_tables, write_tables
from .results.writing import write_results
from .scans.tasks import Task
from .team import Team

if TYPE_CHECKING:
    # With it comes torch, for which the first process of a team need not wait.
    from ..method.estimator import PoseEstimator


@dataclass
class Report:
    """What became of the scans of a run; those of low confidence are among those done."""

    done: list[str] = field(default_factory=list)
    low: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def in_words(self) -> str:
        """How many scans went which way.

        >>> Report(done=["a", "b"], low=["b"]).in_words()
        '2 estimated, 0 already there, 0 failed; 1 of low confidence'
        """
        counts = f"{len(self.done)} estimated, {len(self.skipped)} already there, {len(self.failed)} failed"
        return counts + (f"; {len(self.low)} of low confidence" if self.low else "")


def run_batch(
    tasks: Sequence[Task],
    estimator: PoseEstimator | Team,
    folder: str | os.PathLike,
    settings: Settings,
    *,
    overwrite: bool = False,
    read: Callable[[Task], Volume] | None = None,
    further: Writers = MappingProxyType({}),
    on_result: Callable[[Task, str], None] = lambda task, message: None,
) -> Report:
    """Estimate the pose in each scan; what stands already is skipped, and a scan that fails does not stop the rest.

    ``poses.csv`` and ``failures.csv`` are written anew from all that lies in the folder when the run ends, also by an
    interrupt.

    Parameters
    ----------
    tasks : sequence of Task
    estimator : PoseEstimator or Team
        A team's processes take the scans as they come to them; it ends with the run.
    folder : path-like
        Of the results; made if need be.
    settings : Settings
    overwrite : bool
        Estimate scans again whose results stand.
    read : callable, optional
        How to read a scan, `read_volume` if not given. For a team to be pickled, as `further` is.
    further : mapping of str to callable
        Endings of further files, without which a scan's results do not stand, and what writes them: given the path, the
        scan and its estimate.
    on_result : callable, optional
        Told of each scan, in their order, and why it failed ("" where it did not).

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
    same_for_all = (folder, settings, overwrite, read, dict(further))
    until_done: AbstractContextManager = nullcontext()
    if isinstance(estimator, Team):
        until_done = estimator
        waiting = {task.name: estimator.submit(estimate_one, task, *same_for_all) for task in tasks}

        def level_of(task: Task) -> str | None:
            return estimator.result_of(waiting[task.name])
    else:

        def level_of(task: Task) -> str | None:
            return estimate_one(task, *same_for_all, estimator)

    low: list[str] = []

    def work(task: Task) -> bool:
        level = level_of(task)
        if level == "low":
            low.append(task.name)
        return level is not None

    def keep(task: Task, message: str) -> None:
        if message:
            record_failure(folder, task, message)
        else:
            forget_failure(folder, task)
        on_result(task, message)

    try:
        # What a team's processes are at when the run ends belongs into the tables.
        with until_done:
            report = run_each(tasks, work, keep)
        report.low = low
        return report
    finally:
        write_tables(folder)


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
        The level of confidence; None where the results stood already.
    """
    if not overwrite and stands(task, folder, settings, further):
        return None
    volume = read_volume(task.path, task.frame) if read is None else read(task)
    estimate = estimator.estimate(volume)
    write_results(folder, task, volume, estimate, settings, further)
    return estimate.confidence.level


def run_each(
    tasks: Iterable[Task],
    work: Callable[[Task], bool],
    on_result: Callable[[Task, str], None] = lambda task, message: None,
) -> Report:
    """Do something with each scan; one that fails does not stop the rest.

    Parameters
    ----------
    tasks : iterable of Task
    work : callable
        Returns False for a scan that needed no work.
    on_result : callable, optional
        As in `run_batch`.

    Returns
    -------
    Report
    """
    report = Report()
    for task in tasks:
        message = ""
        try:
            (report.done if work(task) else report.skipped).append(task.name)
        except WorkerError:
            # No scan's fault, and none is to follow.
            raise
        except E3PoseError as error:
            message = report.failed[task.name] = str(error)
        except Exception as error:
            # Whatever this scan has hit, the ones behind it have a right to their turn.
            message = report.failed[task.name] = f"{task.path}: {type(error).__name__}: {error}"
        on_result(task, message)
    return report
