"""One folder from two: synthetic scans and the few real ones that a network shall also see, as often as wanted."""

from __future__ import annotations

import shutil
from pathlib import Path

from E3PoseLib.errors import DatasetError, OutputError

from .annotations import ANGLE_COLUMNS
from .folders import volumes_by_id
from .tables import read_table, write_table

COLUMNS = ("frame_id", *ANGLE_COLUMNS, "fold", "repeats")


def mix(synthetic: Path, real: Path, output: Path, repeats: int, n_validation: int, limit: int | None) -> list[str]:
    """Writes ``images/``, ``labels/`` and ``annotations.csv`` with the columns fold and repeats.

    Synthetic scans have the fold ``train``, the last of them ``val``; real ones keep their own, so that any of them
    can be left out by ``--val_fold``.

    Parameters
    ----------
    synthetic, real : Path
        Folders with ``images/``, ``labels/`` and ``annotations.csv``; that of `real` has a fold.
    output : Path
        New folder.
    repeats : int
        How often an epoch shows each real scan.
    n_validation : int
        Synthetic scans that validate.
    limit : int | None
        Synthetic scans at most, those that validate included; None for all.

    Returns
    -------
    list[str]
        The frames written.

    Raises
    ------
    DatasetError
        A table or a file is missing, or there are too few synthetic scans.
    OutputError
        A file cannot be written.
    """
    rows = read_table(synthetic / "annotations.csv", ANGLE_COLUMNS)[:limit]
    if len(rows) <= n_validation:
        raise DatasetError(f"{synthetic} has {len(rows)} scans; more than the {n_validation} that validate are needed.")
    for number, row in enumerate(rows):
        row |= {"fold": "val" if number >= len(rows) - n_validation else "train", "repeats": "1"}
    real_rows = [
        row | {"repeats": str(repeats)} for row in read_table(real / "annotations.csv", (*ANGLE_COLUMNS, "fold"))
    ]
    for source, wanted in ((synthetic, rows), (real, real_rows)):
        for folder in ("images", "labels"):
            _share(source / folder, output / folder, [row["frame_id"] for row in wanted])
    table = ([row[column] for column in COLUMNS] for row in rows + real_rows)
    write_table(output / "annotations.csv", COLUMNS, table)
    return [row["frame_id"] for row in rows + real_rows]


def _share(source: Path, target: Path, frames: list[str]) -> None:
    """The frames' files in a second place, without a second copy where the file system can do that."""
    files = volumes_by_id(source)
    for frame in frames:
        if frame not in files:
            raise DatasetError(f"{source} has no scan {frame}, which the table beside it lists.")
        place = target / files[frame].name
        try:
            place.hardlink_to(files[frame].resolve())
        except FileExistsError as error:
            raise DatasetError(f"{frame} is both a synthetic and a real scan; rename one.") from error
        except OSError:
            try:
                shutil.copyfile(files[frame], place)
            except OSError as error:
                raise OutputError(f"{place} cannot be written: {error}") from error
