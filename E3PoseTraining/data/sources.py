"""Where a training command's scans come from: two sets of folders, or one with a CSV of folds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from lightning.pytorch.utilities import rank_zero_only

from E3PoseLib.errors import DatasetError, TrainingError
from E3PoseLib.running.scans.folders import place_identity

from .folders import Case, find_cases, images_of_other_kinds, listing, split_by_fold


class Sources(NamedTuple):
    """The scans of both sides, and where the results go."""

    training: list[Case]
    validation: list[Case]
    output: Path


def find_both_sides(paths: list[str], val_fold: str | None, with_rotations: bool, usage: str) -> Sources:
    """Reads the positional arguments of a training command, and says which images are left out.

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
        Another number of arguments, or a fold to validate where no CSV names folds.
    DatasetError
        The files do not pair, or a scan is on both sides.
    """
    places = [Path(path) for path in paths]
    side = 3 if with_rotations else 2
    if len(places) == 4:
        images, labels, table, output = places
        cases = find_cases(images, labels, table if with_rotations else None)
        sources = Sources(*split_by_fold(cases, table, val_fold), output)
    elif len(places) != 2 * side + 1:
        raise TrainingError(f"{len(places)} folders and files are given. Usage: {usage}")
    elif val_fold is not None:
        raise TrainingError(
            f"--val_fold {val_fold} is of one CSV that names folds; here the scans that validate have folders of their "
            "own. Leave it out."
        )
    else:
        sources = Sources(find_cases(*places[:side]), find_cases(*places[side : 2 * side]), places[-1])
    _refuse_common_scans(sources)
    for folder in sorted({case.image.parent for case in sources.training + sources.validation}):
        _say_what_is_left_out(folder)
    return sources


def _refuse_common_scans(sources: Sources) -> None:
    """A network would be judged by what it has learned by heart; links to one file are that file."""
    training = {place_identity(case.image) for case in sources.training}
    both = [case.image for case in sources.validation if place_identity(case.image) in training]
    common = [f"{image} both trains and validates" for image in both]
    if common:
        raise DatasetError(
            f"{listing('Scans are on both sides', common)}.\nGive others to validate, or one CSV with a column fold."
        )


@rank_zero_only
def _say_what_is_left_out(folder: Path) -> None:
    if others := images_of_other_kinds(folder):
        more = f" and {len(others) - 1} more there" if len(others) > 1 else ""
        print(f"left out: {others[0]}{more}; training reads .nii and .nii.gz files", file=sys.stderr)
