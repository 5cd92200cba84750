"""CSV tables with a row for each scan: read with every mistake named, written whole or not at all."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from E3PoseLib.errors import DatasetError
from E3PoseLib.imaging.files import whole_file


def read_table(path: Path, required: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of a CSV with a header, each with the columns `required` and a ``frame_id`` of its own.

    Raises
    ------
    DatasetError
        The file is missing or unreadable, a column is missing, or a frame is listed twice.
    """
    columns, rows = _read(path)
    missing = [name for name in ("frame_id", *required) if name not in columns]
    if missing:
        raise DatasetError(
            f"{path} has no column {', '.join(missing)}; its header names {', '.join(columns) or 'nothing'}. "
            f"Its header must have {', '.join(('frame_id', *required))}, with commas between them{_separator(columns)}."
        )
    seen: dict[str, int] = {}
    for line, row in enumerate(rows, start=2):
        frame = row["frame_id"] = (row["frame_id"] or "").strip()
        if not frame:
            raise DatasetError(f"{path}, line {line}: frame_id is empty. Give the scan's file name there.")
        if frame in seen:
            raise DatasetError(
                f"{path}, line {line}: {frame} is listed already in line {seen[frame]}. Keep one of the two."
            )
        seen[frame] = line
    return rows


def columns_of(path: Path) -> Sequence[str]:
    """The names in the header of a CSV.

    Raises
    ------
    DatasetError
        The file is missing or unreadable.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[Sequence[str], list[dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            return reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise DatasetError(f"{path} cannot be read as a CSV file: {reason}.") from error


def _separator(columns: Sequence[str]) -> str:
    """What stands between the columns of a header that has no commas."""
    names = {";": "semicolons", "\t": "tabs"}
    found = [name for sign, name in names.items() if len(columns) == 1 and sign in columns[0]]
    return f", not {found[0]}" if found else ""


def groups_of(
    frames: Sequence[str], told: Sequence[str | None], column: str, source: object, *, needed: bool = True
) -> list[str]:
    """Which scans belong together, such as those of one fetus, by the names that a column tells.

    Parameters
    ----------
    frames : sequence of str
        The scans.
    told : sequence of str or None
        What the column tells of each; spaces around it mean nothing.
    column : str
        Its name.
    source : object
        Where it stands, for messages.
    needed : bool
        Whether the column has to tell of any scan; else it may be empty for all of them.

    Returns
    -------
    list of str
        A name for each scan; none at all where the column is empty.

    Raises
    ------
    DatasetError
        It tells of some scans only: those without a name would count as one group.
    """
    names = [(name or "").strip() for name in told]
    missing = [frame for frame, name in zip(frames, names, strict=True) if not name]
    if missing and (needed or any(names)):
        who = f"{missing[0]} has" if len(missing) == 1 else f"{missing[0]} and {len(missing) - 1} more have"
        raise DatasetError(f"{source}: {who} no {column}; give it for every scan.")
    return [] if missing else names


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a CSV with a header, whole or not at all.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def number(row: dict[str, str], column: str, path: Path) -> float:
    """The finite number in one column of a row.

    Raises
    ------
    DatasetError
        It is text, empty, or not finite.
    """
    text = (row[column] or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DatasetError(f"{path}: {column} of {row['frame_id']} is {text!r}, which is not a finite number.")
    return value
