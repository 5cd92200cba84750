"""The folder of the results: that it can be written to, and that no scans lie in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from ...errors import OutputError
from ...imaging.files import PART_PREFIX
from ..scans.tasks import Task

OLD_PART_SECONDS = 24 * 3600
"""After so long nobody is still writing what a killed run has left."""


def prepare_folder(folder: str | os.PathLike) -> Path:
    """Make the folder of the results and try it; what a run that was killed has left in it for a day goes.

    Raises
    ------
    OutputError
        If it cannot be made or written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror}); choose another output folder") from error
    try:
        # Nameless, so that processes which share the folder do not meet.
        tempfile.TemporaryFile(dir=folder).close()
        for part in folder.glob(f"{PART_PREFIX}*"):
            # What another process has finished meanwhile is gone.
            with contextlib.suppress(FileNotFoundError):
                if part.stat().st_mtime < time.time() - OLD_PART_SECONDS:
                    shutil.rmtree(part) if part.is_dir() else part.unlink()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written to ({error.strerror}); choose another output folder") from error
    return folder


def check_folder(folder: Path, tasks: Iterable[Task]) -> None:
    """Keep results out of the scans' own folder.

    A scan's JSON, or a mask drawn by hand, may have the very name of a result, and the next run would take masks for
    scans.

    Raises
    ------
    OutputError
        If one of the scans, or a file that it is a link to, lies in the folder of the results.
    """
    place = folder.resolve()
    for task in tasks:
        if place in (task.path.parent.resolve(), task.real_path.parent):
            raise OutputError(f"{folder}: holds scans ({task.path.name}); choose another folder for the results")
