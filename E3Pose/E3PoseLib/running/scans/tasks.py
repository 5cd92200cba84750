"""The scans of a batch: which files they are, and under which name their results go."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...errors import E3PoseError
from ...imaging.formats import SUFFIXES, name_without_suffix
from ...imaging.volume import count_frames
from .bids import BidsImage, BidsName, bids_images
from .folders import Image, images_of, is_folder
from .names import names_told_apart


@dataclass(frozen=True)
class Task:
    """One scan to estimate.

    Parameters
    ----------
    path : Path
    name : str
        Of its results, and in the tables.
    frame : int, optional
        Of a 4-D file.
    bids : BidsName, optional
        Of a scan in a BIDS data set: the entities, by which its results are named too.
    named : bool
        Whether its file was named itself, not found in a folder.
    """

    path: Path
    name: str
    frame: int | None = None
    bids: BidsName | None = None
    named: bool = True

    @cached_property
    def real_path(self) -> Path:
        """Of the file itself, where `path` is a link; of a link that leads in a circle some of it."""
        return Path(os.path.realpath(self.path))


def find_tasks(
    inputs: Iterable[str | os.PathLike],
    frame: int | None = None,
    all_frames: bool = False,
    suffixes: tuple[str, ...] = SUFFIXES,
    *,
    recursive: bool | None = None,
    bids: bool = False,
    apart_from: str | os.PathLike | None = None,
    on_left_out: Callable[[Path, str], None] = lambda path, reason: None,
) -> list[Task]:
    """List the scans behind files and folders.

    Parameters
    ----------
    inputs : iterable of path-like
        Image files, or folders whose image files are taken in the order of their names.
    frame : int, optional
        Of each 4-D file.
    all_frames : bool
        Take every frame of a 4-D file as a scan of its own.
    suffixes : tuple of str
        How the names of image files end, in lower case; DICOM files may be named anything.
    recursive : bool, optional
        Take the images of all subfolders as well; each is named by its path from the folder given. None where the
        command offers no such thing.
    bids : bool
        The inputs are BIDS data sets: take the images of their subjects.
    apart_from : path-like, optional
        A folder that is not looked into, as results go there.
    on_left_out : callable, optional
        Told of each image of a folder that is no scan, and why.

    Raises
    ------
    E3PoseError
        If a folder holds no scan or cannot be read.
    """
    images: list[Image] = []
    for given in map(Path, inputs):
        if bids:
            images += bids_images(given, suffixes, on_left_out)
        elif is_folder(given):
            images += images_of(given, suffixes, recursive, apart_from, on_left_out)
        else:
            images.append(Image(given, (name_without_suffix(given, suffixes),), named=True))
    # A file that is named twice, by itself and by its folder, is one scan.
    images = list({image.path.absolute(): image for image in images}.values())
    framed = [(image, index) for image in images for index in _frames(image, frame, all_frames)]
    names = names_told_apart(
        [image.path for image, _ in framed],
        [
            (*image.stem[:-1], f"{image.stem[-1]}_frame{index:04d}") if all_frames and index is not None else image.stem
            for image, index in framed
        ],
    )
    return [
        Task(
            image.path,
            name,
            index,
            image.bids.of_frame(index if all_frames else None) if isinstance(image, BidsImage) else None,
            image.named,
        )
        for (image, index), name in zip(framed, names, strict=True)
    ]


def _frames(image: Image, frame: int | None, all_frames: bool) -> list[int | None]:
    """Which frames of a file are scans; of an unreadable one a single task, which then fails with its reason."""
    if not all_frames:
        return [frame]
    try:
        n_frames = count_frames(image.path)
    except E3PoseError:
        n_frames = 1
    return list(range(n_frames)) if n_frames > 1 else [None]
