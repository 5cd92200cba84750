"""What became of the scans of a folder, in a table each for those that have a pose and those that failed."""

from __future__ import annotations

import contextlib
import csv
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import OutputError
from ...imaging.files import whole_file
from .data_set import places_of_results
from .failures import FAILURE_FORMAT
from .files import ENDINGS, FAILED_ENDING, UNFINISHED_ENDING
from .record import FORMAT, MARK_FORMAT, documents

BIDS_COLUMNS = ("sub", "ses", "run")

CERTAINTY_COLUMNS = ("probability", "bound_degrees", "bound_mm")
"""Empty where the model was never calibrated, or the results are of a version that told no such thing."""


@dataclass(frozen=True)
class Table:
    """A table that is made of the JSON documents in a folder.

    Parameters
    ----------
    name : str
        Of its file.
    columns : tuple of str
    ending, format : str
        Of the documents.
    row : callable
        The fields of a row from a document.
    """

    name: str
    columns: tuple[str, ...]
    ending: str
    format: str
    row: Callable[[dict], list]


def _pose_row(document: dict) -> list:
    confidence, settings = document["confidence"], document["settings"]
    bids = document.get("bids") or {}
    return [
        document["name"],
        *np.ravel(document["matrix"]).tolist(),
        settings["space"],
        settings["direction"],
        confidence["level"],
        *(_digits(confidence.get(name), 4) for name in CERTAINTY_COLUMNS),
        _digits(confidence["brain_volume_ml"], 1),
        "; ".join(document["warnings"]),
        document["input"],
        document["frame"],
        settings["model"],
        *(bids.get(key, "") for key in BIDS_COLUMNS),
    ]


def _digits(value: float | None, decimals: int) -> str:
    """A number, or nothing where a method does not tell it."""
    return "" if value is None else f"{value:.{decimals}f}"


POSES = Table(
    "poses.csv",
    (
        "frame_id",
        *(f"m{row}{column}" for row in range(4) for column in range(4)),
        *(
            "space",
            "direction",
            "confidence",
            *CERTAINTY_COLUMNS,
            "brain_volume_ml",
            "warnings",
            "input",
            "frame",
            "model",
        ),
        *BIDS_COLUMNS,
    ),
    ENDINGS["json"],
    FORMAT,
    _pose_row,
)
FAILURES = Table(
    "failures.csv",
    ("frame_id", "reason", "input", "frame"),
    FAILED_ENDING,
    FAILURE_FORMAT,
    lambda document: [document[key] for key in ("name", "reason", "input", "frame")],
)

TOLD_APART = 19
"""Of a table's columns so many tell it from others, which may begin with a name and a matrix too."""

FORMULA_BEGINNINGS = tuple("=+-@\t\r\n")
"""First characters by which a spreadsheet program takes a field for a formula, which may run programs."""


def check_tables(folder: Path) -> None:
    """Keep tables of other programs from being replaced.

    Raises
    ------
    OutputError
        If there is a file of a table's name that `write_tables` has not written.
    """
    for table in (POSES, FAILURES):
        path = folder / table.name
        if path.is_file():
            try:
                with path.open(encoding="utf-8", errors="replace") as stream:
                    beginning = stream.readline()
            except OSError as error:
                raise OutputError(f"{path}: cannot be read ({error.strerror or error})") from error
            # Nothing at all is what a power cut may leave.
            if beginning.strip("\0") and not beginning.startswith(",".join(table.columns[:TOLD_APART])):
                raise OutputError(f"{path}: is another program's; choose another folder, or replace it by --overwrite")


def write_tables(folder: str | os.PathLike, unrecorded: Iterable[dict] = ()) -> None:
    """Write ``poses.csv`` and ``failures.csv`` from what lies in a folder, by name; one without rows there is not.

    Results are not listed while they take their places, nor those of a scan that has changed and then failed.

    Parameters
    ----------
    folder : path-like
    unrecorded : iterable of dict
        Documents of failures that could not be written to the folder.

    Raises
    ------
    OutputError
        If one cannot be written. The other is written all the same.
    """
    folder = Path(folder)
    failures = [*_found(folder, FAILURES), *unrecorded]
    outdated = {document["name"] for document in failures if document.get("outdated")}
    unfinished = {document["name"] for document in documents(_paths(folder, UNFINISHED_ENDING), MARK_FORMAT)}
    poses = [document for document in _found(folder, POSES) if document["name"] not in outdated | unfinished]
    errors = []
    for table, rows in ((POSES, poses), (FAILURES, failures)):
        try:
            _write_table(folder, table, rows)
        except OutputError as error:
            errors.append(error)
    if errors:
        raise OutputError("; ".join(map(str, errors)))


def _found(folder: Path, table: Table) -> Iterator[dict]:
    """The documents of a table in a folder, by name."""
    yield from documents(_paths(folder, table.ending), table.format)


def _paths(folder: Path, ending: str) -> list[Path]:
    """The files of the results in a folder that end so, by name."""
    # None whose name begins with a dot: those are what a run that was killed has left.
    return sorted(path for place in places_of_results(folder) for path in place.glob(f"[!.]*{ending}"))


def _write_table(folder: Path, table: Table, documents: list[dict]) -> None:
    path = folder / table.name
    if not documents:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be removed ({error.strerror or error}); close it in the program that has it open"
            ) from error
        return
    rows = []
    for document in documents:
        with contextlib.suppress(KeyError, TypeError):  # somebody has changed it: it is nobody's to list
            rows.append([plain(field) for field in table.row(document)])
    # A name that is no UTF-8 is written with escapes.
    with (
        whole_file(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(table.columns)
        writer.writerows(rows)


def plain(field: Any) -> Any:
    """A field that no spreadsheet program takes for a formula; numbers stay as they are.

    >>> plain("=cmd|' /C calc'!A0"), plain("scan"), plain(-1.5)
    ("'=cmd|' /C calc'!A0", 'scan', -1.5)
    """
    if not isinstance(field, str) or field[:1].isalnum() or field[:1] == "/":
        return field
    # Some programs skip blanks, and take the wide forms of East Asian writing for the plain ones.
    beginning = unicodedata.normalize("NFKC", field[:1] + field.lstrip(" ")[:1])
    return f"'{field}" if any(character in FORMULA_BEGINNINGS for character in beginning) else field
