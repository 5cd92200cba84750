"""Whether the results of a scan are there already, and are those of the scan as it is now."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

from ...errors import OutputError, TransformError
from ...imaging.formats import files_of
from ...imaging.geometry import read_itk, read_npy, write_json
from ..scans.source import content_hash, recorded_states, source_record, states
from ..scans.tasks import Task
from .files import result_file, result_files, wanted_kinds
from .record import Record, read_record
from .settings import E3_POSE, Settings


class State(Enum):
    """What of a scan's results is there."""

    WHOLE = "all that are asked for"
    MISSING = "none, or not all"
    OUTDATED = "those of a scan that has changed since"


_TELL_APART = ("method", "model", "space", "direction", "precision", "voxel_size", "known")
"""Settings that results of other ones are not mixed with."""

_BEFORE: dict[str, Any] = {"method": E3_POSE, "known": {}}
"""What results hold for that were made before there were these settings."""


def state_of_results(task: Task, folder: Path, settings: Settings, further: Iterable[str] = ()) -> State:
    """What of the results of a scan is there.

    Of a scan whose files were touched, but have the same content, the document is brought up to date.

    Parameters
    ----------
    task : Task
    folder : Path
    settings : Settings
    further : iterable of str
        Endings of further files without which they are not whole.

    Raises
    ------
    OutputError
        If results of other settings or of another scan, files of another origin, or results that were edited would
        have to be replaced.
    """
    kinds = wanted_kinds(settings, further)
    wanted = result_files(folder, task, kinds)
    record = read_record(folder, task)
    for kind, path in wanted.items():
        if kind not in record.kinds and os.path.lexists(path):
            raise OutputError(
                f"{path}: is no result of this program; choose another output folder, or replace it by --overwrite"
            )
    if record.document is None:
        return State.MISSING
    if clash := _clash(record.document, task, settings):
        raise OutputError(f"{wanted['json']}: {clash}; choose another output folder, or replace it by --overwrite")
    all_there = all(_is_there(path, record.kinds.get(kind)) for kind, path in wanted.items())
    if all_there and _is_current(record.document, task, wanted["json"]):
        return State.WHOLE
    _check_unedited(record, result_files(folder, task, record.kinds))
    return State.OUTDATED if all_there and "source" in record.document else State.MISSING


def is_outdated(task: Task, folder: Path) -> bool:
    """Whether results stand that are those of the scan as it was before."""
    try:
        record = read_record(folder, task)
    except OutputError:
        return False
    if record.document is None or not _is_same_scan(record.document, task):
        return False
    return not _is_current(record.document, task, result_file(folder, task, "json"))


def _clash(document: dict, task: Task, settings: Settings) -> str:
    """Why results are not those of this task and these settings, or ""."""
    recorded = document.get("settings", {})
    for key in _TELL_APART:
        before, now = recorded.get(key, _BEFORE.get(key)), getattr(settings, key)
        now = list(now) if isinstance(now, tuple) else now
        if before != now:
            return f"was made with {key} {before!r}, not {now!r}"
    spacings = (recorded.get("reslice_spacing"), settings.reslice_spacing)
    if None not in spacings and spacings[0] != spacings[1]:
        return "goes with a scan resliced at {:g} mm, not {:g}".format(*spacings)
    if not _is_same_scan(document, task):
        return f"is the result of another scan, {document.get('input')}"
    if (document.get("frame") or 0) != (task.frame or 0):
        return f"is the result of frame {document.get('frame')}, not {task.frame}"
    return ""


def _is_same_scan(document: dict, task: Task) -> bool:
    """Whether results are of this file, by whatever path, or of one that was moved from where it was."""
    if document.get("input") == str(task.real_path):
        return True
    before, now = Path(str(document.get("input"))), task.real_path
    if before == now:
        return True
    try:
        if os.path.lexists(before):
            return os.path.samefile(before, now)  # noqa: PTH121 (of two paths alike)
        return document["source"]["sha256"] == content_hash(files_of(task.path))
    except (OSError, KeyError, TypeError):
        return False


def _is_there(path: Path, stated: dict | None) -> bool:
    """Whether a file is there: as its document states, or as somebody has edited it, but not cut short."""
    if stated is None:
        return False
    try:
        size = os.stat(path).st_size  # noqa: PTH116 (see `source.states`)
    except OSError:
        return False
    return size > 0 and (size == stated.get("bytes", size) or _is_whole(path))


def _is_current(document: dict, task: Task, path: Path) -> bool:
    """Whether the scan is what the results were made from."""
    try:
        source = document["source"]
        recorded = recorded_states(source)
        files = files_of(task.path)
        found = states(files)
    except (KeyError, TypeError):
        return False  # results of a version that did not remember
    except OSError:
        return True  # there is no other scan
    if found == recorded and document["input"] == str(task.real_path):
        return True
    try:
        if content_hash(files) != source["sha256"]:
            return False
    except OSError:
        return True
    with contextlib.suppress(OutputError):  # next time its content is compared once more
        write_json(path, {**document, "input": str(task.real_path), "source": source_record(found, source["sha256"])})
    return True


def _check_unedited(record: Record, files: dict[str, Path]) -> None:
    """Keep a mask that somebody has corrected, for instance, from being replaced unasked.

    Raises
    ------
    OutputError
        If one of the files is whole, and not as this program wrote it.
    """
    for kind, path in files.items():
        stated = record.kinds[kind].get("sha256")
        if stated is None or not path.is_file():
            continue
        if hashlib.sha256(path.read_bytes()).hexdigest() != stated and _is_whole(path):
            raise OutputError(
                f"{path}: was edited, and its scan has changed or results beside it are missing; move it, or replace "
                "it by --overwrite"
            )


def _is_whole(path: Path) -> bool:
    """Whether a file can be read, unlike what a power cut or a full disk leaves."""
    name = path.name.lower()
    try:
        if name.endswith(".npy"):
            read_npy(path)
        elif name.endswith(".tfm"):
            read_itk(path)
        elif name.endswith(".gz"):
            with gzip.open(path) as stream:
                while stream.read(1 << 20):
                    pass
    except (TransformError, OSError, EOFError, zlib.error):
        return False
    return bool(path.stat().st_size)
