"""What became of the scans of a folder, in a table each for those that have a pose and those that failed."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import OutputError
from ...imaging.files import whole_file
from .failures import FAILED_SUFFIX, FAILURE_FORMAT, documents
from .files import FORMAT, SUFFIXES


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
    return [
        document["name"],
        *np.ravel(document["matrix"]).tolist(),
        settings["space"],
        settings["direction"],
        confidence["level"],
        f"{confidence['score']:.4f}",
        f"{confidence['brain_volume_ml']:.1f}",
        "; ".join(document["warnings"]),
        document["input"],
        document["frame"],
        settings["model"],
    ]


POSES = Table(
    "poses.csv",
    (
        "frame_id",
        *(f"m{row}{column}" for row in range(4) for column in range(4)),
        *("space", "direction", "confidence", "score", "brain_volume_ml", "warnings", "input", "frame", "model"),
    ),
    SUFFIXES["json"],
    FORMAT,
    _pose_row,
)
FAILURES = Table(
    "failures.csv",
    ("frame_id", "reason", "input", "frame"),
    FAILED_SUFFIX,
    FAILURE_FORMAT,
    lambda document: [document[key] for key in ("name", "reason", "input", "frame")],
)

TOLD_APART = 19
"""Of a table's columns so many tell it from others, which may begin with a name and a matrix too."""


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
            with path.open(encoding="utf-8", errors="replace") as stream:
                if not stream.readline().startswith(",".join(table.columns[:TOLD_APART])):
                    raise OutputError(
                        f"{path}: is another program's; choose another folder, or replace it by --overwrite"
                    )


def write_tables(folder: str | os.PathLike) -> None:
    """Write ``poses.csv`` and ``failures.csv`` from what lies in a folder, by name; one without rows there is not.

    Raises
    ------
    OutputError
        If one cannot be written.
    """
    folder = Path(folder)
    for table in (POSES, FAILURES):
        path = folder / table.name
        # None whose name begins with a dot: those are what a run that was killed has left.
        paths = sorted(folder.glob(f"[!.]*{table.ending}"))
        rows = [table.row(one) for one in documents(paths, table.format)]
        if not rows:
            path.unlink(missing_ok=True)
            continue
        # A name that is no UTF-8 is written with escapes.
        with (
            whole_file(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
        ):
            writer = csv.writer(stream)
            writer.writerow(table.columns)
            writer.writerows(rows)
