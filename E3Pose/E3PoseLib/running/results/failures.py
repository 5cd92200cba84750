"""The record of a scan that failed: ``NAME.failed``, beside what became of the others."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...errors import OutputError, TransformError
from ...imaging.geometry import read_json, write_json
from ..scans.tasks import Task

FAILURE_FORMAT = "e3pose-failure-1"
FAILED_SUFFIX = ".failed"
"""How the record of a scan ends that has failed."""


def record_failure(folder: Path, task: Task, reason: str) -> None:
    """Keep why a scan has failed until it succeeds; results before stay.

    Where that cannot be written, or a file of another origin has its name, there is no record.
    """
    path = folder / f"{task.name}{FAILED_SUFFIX}"
    if os.path.lexists(path) and not _is_failure(path):
        return
    with contextlib.suppress(OutputError):
        write_json(
            path,
            {
                "format": FAILURE_FORMAT,
                "name": task.name,
                "input": str(task.real_path),
                "frame": task.frame,
                "reason": reason,
            },
        )


def forget_failure(folder: Path, task: Task) -> None:
    """Remove the record of a scan that has failed before."""
    path = folder / f"{task.name}{FAILED_SUFFIX}"
    if _is_failure(path):
        path.unlink(missing_ok=True)


def _is_failure(path: Path) -> bool:
    return next(documents([path], FAILURE_FORMAT), None) is not None


def documents(paths: Iterable[Path], format: str) -> Iterator[dict]:
    """The JSON documents of a format among files."""
    for path in paths:
        with contextlib.suppress(TransformError):
            document = read_json(path)
            if isinstance(document, dict) and document.get("format") == format:
                yield document
