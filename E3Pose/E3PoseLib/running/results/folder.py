"""The folder of the results: that it can be written to, and that no scans lie in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Hashable, Iterable
from pathlib import Path

from ...errors import OutputError
from ...imaging.files import PART_PREFIX
from ..scans.folders import place_identity
from ..scans.tasks import Task
from .files import result_file

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
        with tempfile.TemporaryFile(dir=folder) as trial:
            # The clock of the disk, not of this computer, which may be wrong: another one may be writing there.
            now = os.fstat(trial.fileno()).st_mtime
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written to ({error.strerror}); choose another output folder") from error
    remove_old_parts(folder, now)
    return folder


def refuse_standing(paths: Iterable[Path], overwrite: bool) -> None:
    """For the beginning of a command, before anything is worked out.

    Parameters
    ----------
    paths : iterable of Path
        Files that will be written.
    overwrite : bool
        Whether the user has allowed to replace them.

    Raises
    ------
    OutputError
        One of them is there and must not be replaced, or is a folder, which never is.
    """
    for path in paths:
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; choose another place")
        if not overwrite and os.path.lexists(path):
            raise OutputError(f"{path}: stands already; choose another place, or replace it with --overwrite")


def remove_old_parts(folder: Path, now: float) -> None:
    """Remove what killed runs have left in a folder for a day.

    Parameters
    ----------
    folder : Path
    now : float
        Seconds, by the clock that gives the files their times.
    """
    for part in folder.glob(f"{PART_PREFIX}*"):
        # What another process has finished meanwhile is gone; what somebody holds open stays.
        with contextlib.suppress(OSError):
            if part.stat().st_mtime < now - OLD_PART_SECONDS:
                shutil.rmtree(part) if part.is_dir() else part.unlink()


def check_folder(folder: Path, tasks: Iterable[Task]) -> None:
    """Keep results out of the scans' own folders.

    A scan's JSON, or a mask drawn by hand, may have the very name of a result, and the next run would take masks for
    scans. Folders are compared by themselves, not by their names: one may have several.

    Raises
    ------
    OutputError
        If one of the scans, or a file that it is a link to, lies in a folder where results go.
    """
    identities: dict[Path, Hashable] = {}

    def identity_of(place: Path) -> Hashable:
        if place not in identities:
            identities[place] = place_identity(place)
        return identities[place]

    with_results, with_scans = {}, {}
    for task in tasks:
        place = result_file(folder, task, "json").parent
        with_results[identity_of(place)] = place
        for place in (task.path.parent, task.real_path.parent):
            with_scans[identity_of(place)] = task.path
    for identity in set(with_results) & set(with_scans):
        raise OutputError(
            f"{with_results[identity]}: holds scans ({with_scans[identity].name}); "
            "choose another folder for the results"
        )
