"""Whether the results of a scan are there already."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ...errors import OutputError
from ..scans.tasks import Task
from .files import recorded_files, result_files
from .settings import Settings


def stands(task: Task, folder: Path, settings: Settings, further: Iterable[str] = ()) -> bool:
    """Whether the results of a scan are there, all that are asked for.

    Parameters
    ----------
    task : Task
    folder : Path
    settings : Settings
    further : iterable of str
        Endings of further files without which they do not stand.

    Raises
    ------
    OutputError
        If results of other settings, or files of another origin, would have to be replaced.
    """
    wanted = result_files(folder, task, settings, further)
    document, files = recorded_files(folder, task)
    foreign = [path for kind, path in wanted.items() if kind not in files and os.path.lexists(path)]
    if foreign:
        raise OutputError(
            f"{foreign[0]}: is no result of this program; choose another output folder, or replace it by --overwrite"
        )
    if document is None:
        return False
    recorded = document["settings"]
    clashes = [
        f"was made with {key} {recorded.get(key)!r}, not {getattr(settings, key)!r}"
        for key in ("model", "space", "direction", "precision")
        if recorded.get(key) != getattr(settings, key)
    ]
    if None not in (spacings := (recorded["reslice_spacing"], settings.reslice_spacing)) and len(set(spacings)) > 1:
        clashes.append("goes with a scan resliced at {:g} mm, not {:g}".format(*spacings))
    if Path(document["input"]) != task.real_path:
        clashes.append(f"is the result of another scan, {document['input']}, or the scan was there then")
    if (document.get("frame") or 0) != (task.frame or 0):
        clashes.append(f"is the result of frame {document.get('frame')}, not {task.frame}")
    if clashes:
        raise OutputError(f"{wanted['json']}: {clashes[0]}; choose another output folder, or replace it by --overwrite")
    return set(wanted) <= set(files) and all(path.is_file() for path in wanted.values())
