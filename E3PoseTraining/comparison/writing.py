"""A comparison on disk: Markdown to read, CSV and JSON for programs, curves and the worst cases of each method."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from E3PoseLib.errors import OutputError
from E3PoseLib.imaging.files import whole_file

from ..data.tables import write_table
from ..evaluation.figures import draw_cumulative_errors, draw_worst_cases
from ..evaluation.metrics import Interval
from ..evaluation.poses import Truth
from .measures import Outcome, Row

WORST = 4
"""Cases drawn of each method."""


def write_tables(folder: Path, rows: Sequence[Row], outcomes: Sequence[Outcome], truths: Sequence[Truth]) -> None:
    """Write ``comparison.md``, ``.csv``, ``.json`` and ``cases.csv``.

    Raises
    ------
    OutputError
        If one cannot be written.
    """
    try:
        _write_text(folder / "comparison.md", markdown(rows) + "\n")
        _write_text(
            folder / "comparison.json", json.dumps([_plain(row) for row in rows], indent=2, allow_nan=False) + "\n"
        )
        numbers = [{"method": row.method, **_numbers(row), "not run": row.refused} for row in rows]
        figures = dict.fromkeys(name for each in numbers for name in each if name not in ("method", "not run"))
        columns = ["method", *figures, "not run"]
        write_table(folder / "comparison.csv", columns, ([each.get(name, "") for name in columns] for each in numbers))
        write_table(folder / "cases.csv", ["method", "frame_id", *CASE_COLUMNS], _cases(outcomes, truths))
    except OSError as error:
        raise OutputError(f"The comparison cannot be written to {folder}: {error}") from error


def draw(folder: Path, outcomes: Sequence[Outcome], truths: Sequence[Truth], scans: Mapping[str, Path]) -> None:
    """Draw ``cumulative_error.png`` and ``worst_METHOD.png``, in the place of those of an earlier run.

    Raises
    ------
    OutputError
        If one cannot be written.
    """
    try:
        for picture in (*folder.glob("worst_*.png"), folder / "cumulative_error.png"):
            picture.unlink(missing_ok=True)  # of methods that are no part of this table
        answered = [one for one in outcomes if one.errors.answered.any()]
        if answered:
            ran = {one.method: one.errors for one in outcomes if not one.refused or one in answered}
            draw_cumulative_errors(ran, folder / "cumulative_error.png")
        for one in answered:
            picture = folder / f"worst_{one.method}.png"
            draw_worst_cases(truths, one.estimates, one.errors, scans, WORST, picture)
    except OSError as error:
        raise OutputError(f"The comparison cannot be written to {folder}: {error}") from error


CASE_COLUMNS = ("rotation_degrees", "mean_euler_of_rest", "mean_euler_difference", "centre_mm", "seconds")


def _cases(outcomes: Sequence[Outcome], truths: Sequence[Truth]) -> list[list[object]]:
    lines = []
    for one in outcomes:
        columns = (
            one.errors.rotation_degrees,
            one.euler_of_rest,
            one.euler_differences,
            one.errors.centre_mm,
            one.seconds,
        )
        for index, truth in enumerate(truths):
            values = [column[index] for column in columns]
            lines.append([one.method, truth.frame_id, *("" if np.isnan(v) else f"{v:.3f}" for v in values)])
    return lines


def markdown(rows: Sequence[Row]) -> str:
    """The table with a row for each figure and a column for each method; below it, those that were not run."""
    ran = [row for row in rows if row.figures]
    lines = []
    if ran:
        lines += ["| | " + " | ".join(row.method for row in ran) + " |", "| --- |" + " --- |" * len(ran)]
        lines += [
            f"| {name} | " + " | ".join(_cell(row.figures.get(name)) for row in ran) + " |" for name in _names(ran)
        ]
    for row in rows:
        if row.refused:
            lines += ["", f"`{row.method}` was not run{' to its end' if row.figures else ''}: {row.refused}"]
    return "\n".join(lines)


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.figures))


def _cell(value: Interval | float | int | str | None) -> str:
    """
    >>> _cell(Interval(1.25, 0.5, 2.0)), _cell(0.00012), _cell(float("nan")), _cell(None), _cell(3)
    ('1.2 [0.5, 2.0]', '0.00012', '', '', '3')
    """
    if _known(value.value if isinstance(value, Interval) else value) is None:
        return ""
    return (
        f"{value:.3g}"
        if isinstance(value, float) and value < 1
        else f"{value:.1f}"
        if isinstance(value, float)
        else str(value)
    )


def _numbers(row: Row) -> dict[str, object]:
    """The figures for programs: of an interval its value and both of its ends, each by a name of its own."""
    numbers: dict[str, object] = {}
    for name, figure in row.figures.items():
        if isinstance(figure, Interval):
            numbers |= {name: figure.value, f"{name}, from": figure.low, f"{name}, to": figure.high}
        else:
            numbers[name] = figure
    return {name: _known(number) for name, number in numbers.items()}


def _plain(row: Row) -> dict:
    figures = {
        name: {key: _known(part) for key, part in asdict(value).items()}
        if isinstance(value, Interval)
        else _known(value)
        for name, value in row.figures.items()
    }
    return {"method": row.method, "figures": figures, "not run": row.refused}


def _known(number: object) -> object:
    """None for a figure that is not known."""
    return None if isinstance(number, float) and math.isnan(number) else number


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
