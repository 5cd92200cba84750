"""The record of a scan that failed: ``NAME.failed``, beside what became of the others."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ...errors import OutputError
from ...imaging.geometry import write_json
from ..scans.tasks import Task
from .files import FAILED_ENDING, result_file
from .record import documents

FAILURE_FORMAT = "e3pose-failure-1"


def failure(task: Task, reason: str, outdated: bool) -> dict:
    """The document of a failure.

    Parameters
    ----------
    task : Task
    reason : str
    outdated : bool
        Whether results stand that are those of the scan as it was before.
    """
    return {
        "format": FAILURE_FORMAT,
        "name": task.name,
        "input": str(task.real_path),
        "frame": task.frame,
        "reason": reason,
        "outdated": outdated,
    }


def record_failure(folder: Path, task: Task, document: dict) -> bool:
    """Keep why a scan has failed until it succeeds; results before stay.

    Returns
    -------
    bool
        Whether it is kept: not where it cannot be written, or a file of another origin has its name; nor of a scan that
        is not there, as its name was mistyped: no later run would ever take that away.
    """
    if not os.path.lexists(task.path):
        forget_failure(folder, task)
        return False
    path = result_file(folder, task, FAILED_ENDING)
    if os.path.lexists(path) and not _is_failure(path):
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, document)
    except (OutputError, OSError):
        return False
    return True


def forget_failure(folder: Path, task: Task) -> None:
    """Remove the record of a scan that has failed before."""
    path = result_file(folder, task, FAILED_ENDING)
    if os.path.lexists(path) and _is_failure(path):
        with contextlib.suppress(OSError):  # open in another program: the next run tries again
            path.unlink(missing_ok=True)


def _is_failure(path: Path) -> bool:
    return next(documents([path], FAILURE_FORMAT), None) is not None
