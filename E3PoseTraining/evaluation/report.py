"""The results of an evaluation as a table for the eye and as files for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from E3PoseLib.imaging.files import whole_file

from ..data.tables import write_table
from .metrics import AXES, Interval, PoseErrors
from .poses import Truth

Summary = dict[str, Interval | int]


def format_table(summaries: dict[str, Summary]) -> str:
    """Plain-text table: a row for each figure, a column for each group; in brackets 95 % intervals."""
    names = list(dict.fromkeys(name for summary in summaries.values() for name in summary))
    header = ["", *summaries]
    rows = [[name, *(str(summary.get(name, "")) for summary in summaries.values())] for name in names]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def write_cases(path: Path, truths: Sequence[Truth], errors: PoseErrors) -> None:
    """One line a case, worst rotation first, cases without an answer before all; empty cells are unknown."""
    header = (
        "frame_id",
        "rotation_degrees",
        *(f"{axis}_axis_degrees" for axis in AXES),
        "centre_mm",
        "left_right_flip",
    )

    def row(i: int) -> list[object]:
        values = [errors.rotation_degrees[i], *errors.axis_degrees[i], errors.centre_mm[i]]
        cells = ["" if np.isnan(value) else f"{value:.3f}" for value in values]
        return [truths[i].frame_id, *cells, int(errors.reversed_axes[i, 0]) if errors.answered[i] else ""]

    write_table(path, header, map(row, np.argsort(-np.nan_to_num(errors.rotation_degrees, nan=np.inf))))


def write_summary(path: Path, summaries: dict[str, Summary]) -> None:
    """The table as JSON: group → figure → number, or value with its interval; unknown is null."""

    def plain(value: Interval | int) -> object:
        if isinstance(value, Interval):
            return {key: None if np.isnan(number) else number for key, number in asdict(value).items()}
        return value

    content = {group: {name: plain(value) for name, value in summary.items()} for group, summary in summaries.items()}
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
