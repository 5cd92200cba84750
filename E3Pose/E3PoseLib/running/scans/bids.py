"""BIDS data sets: their scans, and the names that derivatives of a scan have.

The specification: https://bids-specification.readthedocs.io (raw data: "Common principles"; results: "Derivatives").
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import E3PoseError
from ...imaging.formats import name_without_suffix
from .folders import Image, LeftOut, images_of, is_folder

SUBJECT, SESSION = "sub-", "ses-"
DESCRIPTION = "dataset_description.json"
"""Lies in a data set, beside its subjects."""

NO_SCANS = {"fmap": "a field map", "mrs": "spectroscopy"}
"""Data types, as the folders within a subject's are called, that hold no scans."""


@dataclass(frozen=True)
class BidsName:
    """The name of a scan in a BIDS data set.

    Parameters
    ----------
    folder : tuple of str
        From the data set to the scan's: ``("sub-01", "ses-1", "anat")``.
    words : tuple of str
        ``key-value`` each, in the order of the name.
    suffix : str
        ``T2w`` for example.
    frame : int, optional
        Of a 4-D scan.

    >>> name = BidsName.of(("sub-01", "anat"), "sub-01_run-2_T2w")
    >>> name.entity("run"), name.derivative("brain", "mask")
    ('2', 'sub-01_run-2_space-T2w_desc-brain_mask')
    """

    folder: tuple[str, ...]
    words: tuple[str, ...]
    suffix: str
    frame: int | None = None

    @classmethod
    def of(cls, folder: Sequence[str], stem: str) -> BidsName:
        """From the folders within the data set and a file's name without its ending.

        Subject and session are those of the folders where the name does not state them.
        """
        *words, suffix = stem.split("_")
        stated = [word for word in folder if word.startswith((SUBJECT, SESSION))]
        missing = [word for word in stated if not any(known.startswith(word[:4]) for known in words)]
        return cls(tuple(folder), (*missing, *words), suffix)

    def of_frame(self, frame: int | None) -> BidsName:
        """The same for one frame of the scan."""
        return replace(self, frame=frame)

    def entity(self, key: str) -> str:
        """The value of an entity, or ""."""
        return next((word.partition("-")[2] for word in self.words if word.startswith(f"{key}-")), "")

    def derivative(self, description: str, suffix: str = "") -> str:
        """The name, without ending, of something made from the scan.

        Parameters
        ----------
        description : str
            What it is. The scan's own description and its frame go before it.
        suffix : str
            If it is another kind of image: it then lies in the space of the scan.
        """
        frame = "" if self.frame is None else f"frame{self.frame:04d}"
        words = [word for word in self.words if not word.startswith("desc-")]
        if suffix and not self.entity("space"):
            words.append(f"space-{self.suffix}")
        words.append(f"desc-{self.entity('desc')}{frame}{description}")
        return "_".join([*words, suffix or self.suffix])


@dataclass(frozen=True)
class BidsImage(Image):
    """An image in a BIDS data set.

    Parameters
    ----------
    bids : BidsName
    """

    bids: BidsName = BidsName((), (), "")


def bids_images(given: Path, suffixes: tuple[str, ...], on_left_out: LeftOut) -> list[BidsImage]:
    """The scans of a BIDS data set, in the order of their names.

    Parameters
    ----------
    given : Path
        The data set, which has its description or its subjects in it, or a folder or file within one of its subjects.
        Only what lies in subjects is taken, so no derivatives.
    suffixes : tuple of str
        How the names of image files end, in lower case.
    on_left_out : callable
        Told of each image that is no scan, and why.

    Raises
    ------
    E3PoseError
        If it is no BIDS data set, a folder cannot be read, or there are no scans.
    """
    whole = Path(os.path.abspath(given))  # noqa: PTH100 (links stay as they are, ".." goes)
    subjects = subjects_of(whole)
    holds_subjects = any(_is_subject(subject.name) for subject in subjects)
    data_set = whole if holds_subjects or (whole / DESCRIPTION).is_file() else _data_set_around(whole)
    if data_set != whole:
        images = _images(whole, suffixes, on_left_out)
    else:
        if not subjects:
            raise E3PoseError(f"{given}: no BIDS data set, as it has no folders {SUBJECT}…; give it without --bids")
        images = []
        for subject in subjects:
            try:
                images += _images(subject, suffixes, on_left_out)
            except E3PoseError as error:
                on_left_out(subject, str(error))
        if not images:
            raise E3PoseError(f"{given}: none of its {len(subjects)} subjects has a scan ({', '.join(suffixes)})")
    found: dict[tuple, BidsImage] = {}
    for image in images:
        folder, stem = image.path.relative_to(data_set).parent.parts, name_without_suffix(image.path, suffixes)
        if reason := next((words for data_type, words in NO_SCANS.items() if data_type in folder), ""):
            on_left_out(image.path, reason)
            continue
        # A name that states its subject needs no folders before it.
        called = (stem,) if stem.startswith(SUBJECT) else (*folder, stem)
        taken = found.setdefault((folder, stem), BidsImage(image.path, called, image.named, BidsName.of(folder, stem)))
        if taken.path != image.path:
            on_left_out(image.path, f"named like {taken.path.name}, which BIDS allows once")
    return list(found.values())


def subjects_of(data_set: Path) -> list[Path]:
    """The folders of the subjects of a data set, by name."""
    return sorted(path for path in data_set.glob(f"{SUBJECT}*") if is_folder(path))


def _data_set_around(path: Path) -> Path:
    """The data set of the subject that something lies in, or the path itself where there is none.

    Folders above a data set may be named like subjects, so that it is the innermost one.
    """
    places = [path, *path.parents] if is_folder(path) else path.parents
    # An image that lies in no subject's folder is known by its own name.
    alone = path.parent if path.name.startswith(SUBJECT) else path
    return next((place.parent for place in places if _is_subject(place.name)), alone)


def _is_subject(name: str) -> bool:
    """No label has an underscore: sub-01_T2w may be the folder of a DICOM series within a subject."""
    return name.startswith(SUBJECT) and "_" not in name


def _images(path: Path, suffixes: tuple[str, ...], on_left_out: LeftOut) -> list[Image]:
    if is_folder(path):
        return images_of(path, suffixes, True, None, on_left_out)
    return [Image(path, (path.name,), named=True)]
