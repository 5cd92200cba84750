"""Where a training command's scans come from: two sets of folders, or one with a CSV of folds."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from E3PoseLib.errors import TrainingError

from .folders import Case, find_cases, split_by_fold


class Sources(NamedTuple):
    """The scans of both sides, and where the results go."""

    training: list[Case]
    validation: list[Case]
    output: Path


def find_both_sides(paths: list[str], val_fold: str | None, with_rotations: bool, usage: str) -> Sources:
    """Reads the positional arguments of a training command.

    Parameters
    ----------
    paths : list[str]
        Images, labels and (`with_rotations`) annotations to train on, the same to validate on, and the output folder;
        or images, labels, one CSV with a ``fold`` column, and the output folder.
    val_fold : str | None
        See `split_by_fold`.
    with_rotations : bool
        Cases need an annotation.
    usage : str
        Shown where the number of arguments is neither.

    Raises
    ------
    TrainingError
        Another number of arguments.
    DatasetError
        The files do not pair.
    """
    places = [Path(path) for path in paths]
    side = 3 if with_rotations else 2
    if len(places) == 4:
        images, labels, table, output = places
        cases = find_cases(images, labels, table if with_rotations else None)
        return Sources(*split_by_fold(cases, table, val_fold), output)
    if len(places) != 2 * side + 1:
        raise TrainingError(f"{len(places)} folders and files are given. Usage: {usage}")
    return Sources(find_cases(*places[:side]), find_cases(*places[side : 2 * side]), places[-1])
