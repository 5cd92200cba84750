"""Folders of scans with labels and annotations: which files belong together, and which of them validate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from E3PoseLib.errors import DatasetError
from E3PoseLib.imaging.formats import SUFFIXES, name_without_suffix
from E3PoseLib.imaging.volume import Volume

from .annotations import read_rotations
from .tables import read_table

READ = (".nii.gz", ".nii")
"""How the names of files that training reads end, in any case."""

TRAIN, VALIDATE, LEFT_OUT = "train", "val", "test"
"""Folds with a meaning, in any case."""


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
    """The .nii and .nii.gz files of a folder, in any case, by file name without extension.

    Raises
    ------
    DatasetError
        No such folder, no such file in it, or two files of one name.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder. Give the folder that holds the .nii or .nii.gz files.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.lower().endswith(READ) and not path.name.startswith("."):
            frame = name_without_suffix(path, READ)
            if frame in found:
                raise DatasetError(f"{found[frame]} and {path} are two files of one scan. Remove one.")
            found[frame] = path
    if not found:
        others = images_of_other_kinds(folder)
        instead = f", but images of other kinds, such as {others[0].name}. Save them as .nii.gz" if others else ""
        raise DatasetError(f"{folder} holds no .nii or .nii.gz file{instead}.")
    return found


def images_of_other_kinds(folder: Path) -> list[Path]:
    """The files of a folder whose names end as those of images do, but not as of those that training reads."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.name.lower().endswith(SUFFIXES) and not path.name.lower().endswith(READ) and path.name[0] != "."
    ]


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


def check_same_grid(image: Volume, label: Volume) -> None:
    """That the voxels of a label are those of its image; both have the names of their files.

    Raises
    ------
    DatasetError
        Shapes differ, or a voxel lies more than half the image's largest voxel edge from where it should.
    """
    if image.shape != label.shape:
        raise DatasetError(f"{label.name} has shape {label.shape}, but its image {image.name} has {image.shape}.")
    corner = np.array([*image.shape, 1.0])
    if np.abs((image.voxel_to_ras - label.voxel_to_ras) * corner).sum(axis=1).max() > image.spacing.max() / 2:
        raise DatasetError(f"{label.name} lies elsewhere in the patient than its image {image.name}: headers differ.")


def split_by_fold(cases: Sequence[Case], table: Path, validation: str | None) -> tuple[list[Case], list[Case]]:
    """Training and validation cases by the column ``fold`` of a CSV.

    Parameters
    ----------
    cases : Sequence[Case]
        Of one folder.
    table : Path
        CSV with columns frame_id and fold, and repeats, where an epoch shall show some scans more than once. With a
        column fetus no fetus may be on both sides.
    validation : str | None
        The fold that validates; the others train, except one called ``test``. None: the folds are called ``train`` and
        ``val``, and there may be one called ``test``. These three names are known in any case.

    Raises
    ------
    DatasetError
        A case without a row or fold, a fold of which it is not told what it is for, a number of repeats below 1, a side
        without a case, or a fetus on both.
    """
    rows = {row["frame_id"]: row for row in read_table(table, ("fold",))}
    folds = {frame: _fold_name((row["fold"] or "").strip()) for frame, row in rows.items()}
    problems = [f"{case.image} has no fold in {table}" for case in cases if not folds.get(case.frame_id)]
    if problems:
        raise DatasetError(listing("The folds are incomplete", problems))
    cases = [replace(case, repeats=_repeats(rows[case.frame_id], table)) for case in cases]
    names = sorted({folds[case.frame_id] for case in cases})
    if validation is None and not {TRAIN, VALIDATE} <= set(names):
        raise DatasetError(
            f"The folds of {table} are {', '.join(names)}, not train and val. Say with --val_fold which validates."
        )
    unknown = [name for name in names if name not in (TRAIN, VALIDATE, LEFT_OUT)]
    if validation is None and unknown:
        raise DatasetError(
            f"Beside train and val {table} has the folds {', '.join(unknown)}. Say with --val_fold which validates; "
            f"all others then train, but for {LEFT_OUT}; call a fold {LEFT_OUT} to leave it out."
        )
    chosen = _fold_name(validation or VALIDATE)
    training = [c for c in cases if folds[c.frame_id] not in (chosen, LEFT_OUT)]
    validating = [replace(c, repeats=1) for c in cases if folds[c.frame_id] == chosen]
    if not training or not validating:
        raise DatasetError(
            f"The fold {chosen!r} of {table} leaves {len(training)} scans to train and {len(validating)} to validate "
            f"(folds: {', '.join(names)})."
        )
    fetuses = [{(rows[c.frame_id].get("fetus") or "").strip() for c in side} for side in (training, validating)]
    if shared := sorted(fetuses[0] & fetuses[1] - {""}):
        raise DatasetError(
            f"By {table} the same fetus trains and validates: {', '.join(shared[:5])}{', …' if shared[5:] else ''}. "
            "Give all scans of a fetus one fold, or leave the column fetus out."
        )
    return training, validating


def _fold_name(text: str) -> str:
    """A fold's name as it is compared: those with a meaning in lower case, others as they are."""
    return text.casefold() if text.casefold() in (TRAIN, VALIDATE, LEFT_OUT) else text


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
