"""Folders of scans with labels and annotations: which files belong together, and which of them validate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from E3PoseLib.errors import DatasetError

from .annotations import read_rotations
from .tables import read_table


@dataclass(frozen=True)
class Case:
    """One scan of a data set.

    Attributes
    ----------
    frame_id : str
        File name without its extension.
    image : Path
        The scan.
    label : Path
        Its segmentation, same grid; the object has label 1.
    axes : np.ndarray | None
        ``[3, 3]`` rows right, anterior, superior in voxel axes (`annotations`), or None.
    repeats : int
        How often an epoch shows it.
    """

    frame_id: str
    image: Path
    label: Path
    axes: np.ndarray | None = None
    repeats: int = 1


def volumes_by_id(folder: Path) -> dict[str, Path]:
    """The .nii and .nii.gz files of a folder by file name without extension.

    Raises
    ------
    DatasetError
        No such folder, no such file in it, or two files of one name.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder. Give the folder that holds the .nii or .nii.gz files.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        for extension in (".nii.gz", ".nii"):
            if path.name.endswith(extension) and not path.name.startswith("."):
                frame = path.name.removesuffix(extension)
                if frame in found:
                    raise DatasetError(f"{found[frame]} and {path} are two files of one scan. Remove one.")
                found[frame] = path
                break
    if not found:
        raise DatasetError(f"{folder} holds no .nii or .nii.gz file.")
    return found


def find_cases(image_dir: Path, label_dir: Path, annotations: Path | None = None) -> list[Case]:
    """Pairs images and labels by file name, and with the rows of an annotation CSV where one is given.

    Rows of the CSV without a scan are ignored: one CSV may serve several folders.

    Raises
    ------
    DatasetError
        Names every unpaired file and every frame without an annotation.
    """
    images, labels = volumes_by_id(image_dir), volumes_by_id(label_dir)
    problems = [f"{images[frame]} has no label of the same name in {label_dir}" for frame in images.keys() - labels]
    problems += [f"{labels[frame]} has no image of the same name in {image_dir}" for frame in labels.keys() - images]
    rotations = read_rotations(annotations) if annotations else {}
    if annotations:
        problems += [f"{images[frame]} has no row in {annotations}" for frame in images.keys() - rotations]
    if problems:
        raise DatasetError(listing("The files do not pair", sorted(problems)))
    return [Case(frame, images[frame], labels[frame], rotations.get(frame)) for frame in sorted(images)]


def split_by_fold(cases: Sequence[Case], table: Path, validation: str | None) -> tuple[list[Case], list[Case]]:
    """Training and validation cases by the column ``fold`` of a CSV.

    Parameters
    ----------
    cases : Sequence[Case]
        Of one folder.
    table : Path
        CSV with columns frame_id and fold, and repeats, where an epoch shall show some scans more than once.
    validation : str | None
        The fold that validates; the others train, except one called ``test``. None: the folds are called ``train`` and
        ``val``.

    Raises
    ------
    DatasetError
        A case without a row or fold, a number of repeats below 1, or a side without a case.
    """
    rows = {row["frame_id"]: row for row in read_table(table, ("fold",))}
    folds = {frame: (row["fold"] or "").strip() for frame, row in rows.items()}
    problems = [f"{case.image} has no fold in {table}" for case in cases if not folds.get(case.frame_id)]
    if problems:
        raise DatasetError(listing("The folds are incomplete", problems))
    cases = [replace(case, repeats=_repeats(rows[case.frame_id], table)) for case in cases]
    names = sorted({folds[case.frame_id] for case in cases})
    if validation is None and not {"train", "val"} <= set(names):
        raise DatasetError(
            f"The folds of {table} are {', '.join(names)}, not train and val. Say with --val_fold which validates."
        )
    chosen = validation or "val"
    training = [c for c in cases if folds[c.frame_id] not in (chosen, "test")]
    if validation is None:
        training = [c for c in cases if folds[c.frame_id] == "train"]
    validating = [replace(c, repeats=1) for c in cases if folds[c.frame_id] == chosen]
    if not training or not validating:
        raise DatasetError(
            f"The fold {chosen!r} of {table} leaves {len(training)} scans to train and {len(validating)} to validate "
            f"(folds: {', '.join(names)})."
        )
    return training, validating


def _repeats(row: dict[str, str], table: Path) -> int:
    text = (row.get("repeats") or "1").strip()
    if not text.isdigit() or int(text) < 1:
        raise DatasetError(f"{table}: {row['frame_id']} has {text!r} repeats; give a whole number from 1 up.")
    return int(text)


def listing(title: str, problems: list[str], limit: int = 10) -> str:
    """A message of one problem, or of the first `limit` with the number of the rest."""
    if len(problems) == 1:
        return problems[0]
    rest = [f"… and {len(problems) - limit} more"] if len(problems) > limit else []
    return "\n  ".join([f"{title}, {len(problems)} problems:", *problems[:limit], *rest])
