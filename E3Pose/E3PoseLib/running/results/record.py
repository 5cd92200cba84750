"""The JSON document of a scan's results, and the mark that stands while they take their places."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import OutputError, TransformError
from ...imaging.geometry import read_json
from ..scans.folders import RESULT_FORMAT
from ..scans.tasks import Task
from .files import UNFINISHED_ENDING, result_file

FORMAT = RESULT_FORMAT
MARK_FORMAT = "e3pose-unfinished-1"


@dataclass(frozen=True)
class Record:
    """What stands in the place of a scan's results.

    Parameters
    ----------
    document : dict or None
        Of whole results; None where there are none, or the run was killed while they took their places.
    kinds : mapping of str to dict
        Of each kind of file that is known to be of this program: its ``bytes`` and ``sha256``, as far as known.
    """

    document: dict | None = None
    kinds: Mapping[str, dict] = field(default_factory=dict)


def read_record(folder: Path, task: Task) -> Record:
    """Read what stands in the place of a scan's results.

    Raises
    ------
    OutputError
        If there is a document of another origin, such as a scanner's, which is never replaced.
    """
    marked = _read(result_file(folder, task, UNFINISHED_ENDING), MARK_FORMAT)
    document = _read(result_file(folder, task, "json"), FORMAT)
    kinds = {} if document is None else _kinds(document)
    if marked is None:
        return Record(document or None, kinds)
    if document and _fit_together(folder, task, kinds):
        with contextlib.suppress(OSError):
            result_file(folder, task, UNFINISHED_ENDING).unlink()
        return Record(document, kinds)
    return Record(None, {kind: {} for kind in (*kinds, *marked.get("kinds", ()), UNFINISHED_ENDING, "json")})


def _read(path: Path, format: str) -> dict | None:
    """A document of that format; None where there is no file, an empty one where a power cut has left nothing in it.

    Raises
    ------
    OutputError
        If there is another file.
    """
    if not os.path.lexists(path):
        return None
    with contextlib.suppress(TransformError, TypeError, AttributeError):
        document = read_json(path)
        if document.get("format") == format and isinstance(document.get("settings", {}), dict):
            return document
    if _is_blank(path):
        return {}
    raise OutputError(f"{path}: is no result of this program, and is never replaced; choose another output folder")


def _is_blank(path: Path) -> bool:
    """Whether a file holds nothing, or zeros."""
    try:
        return not path.read_bytes().strip(b"\0")
    except OSError:
        return False


def _kinds(document: dict) -> dict[str, dict]:
    """The kinds of files that belong to results, from their document."""
    files = document.get("files")
    if isinstance(files, dict) and all(isinstance(stated, dict) for stated in files.values()):
        return {"json": {}, **files}
    # Of a version that did not record them, or blank.
    settings = document.get("settings", {})
    kinds = ["json", "npy", "tfm", *document.get("further", ())]
    kinds += ["mask"] if settings.get("save_mask") else []
    kinds += ["resliced"] if settings.get("reslice_spacing") is not None else []
    return {kind: {} for kind in kinds}


def _fit_together(folder: Path, task: Task, kinds: Mapping[str, dict]) -> bool:
    """Whether the files are the ones that the document states, by their content."""
    try:
        return all(
            content_stated(result_file(folder, task, kind)) == stated
            for kind, stated in kinds.items()
            if kind != "json"
        )
    except OSError:
        return False


def content_stated(path: Path) -> dict:
    """What a document states of a file, by which it is known again: its size and the hash of its content.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def mark(task: Task, kinds: Iterable[str]) -> dict:
    """The document that stands while files of those kinds take their places."""
    return unfinished_mark(task.name, kinds)


def unfinished_mark(name: str, kinds: Iterable[str]) -> dict:
    """See `mark`; of files that go by a name."""
    return {
        "format": MARK_FORMAT,
        "name": name,
        "kinds": sorted(kinds),
        "note": "The run was stopped here. Run the same command again, which writes these results anew.",
    }


def is_unfinished_mark(path: Path) -> bool:
    """Whether a file is such a mark."""
    with contextlib.suppress(TransformError):
        return read_json(path).get("format") == MARK_FORMAT
    return False


def documents(paths: Iterable[Path], format: str) -> Iterator[dict]:
    """The JSON documents of a format among files."""
    for path in paths:
        with contextlib.suppress(TransformError):
            document = read_json(path)
            if isinstance(document, dict) and document.get("format") == format:
                yield document


def encoded(document: Mapping[str, Any]) -> str:
    """The text of a document; arrays become lists.

    >>> encoded({"frame": None})
    '{\\n  "frame": null\\n}\\n'
    """
    return json.dumps(document, indent=2, default=lambda value: value.tolist(), allow_nan=False) + "\n"
