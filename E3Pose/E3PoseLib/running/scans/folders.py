"""The images in folders, less what is no scan."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ...errors import E3PoseError, TransformError, VolumeError
from ...imaging.formats import FoundScan, name_without_suffix, scans_in
from ...imaging.formats.labels import named_as_labels
from ...imaging.geometry import read_json

LeftOut = Callable[[Path, str], None]
"""Told of a file that is left out, and why."""

MOST_SUBFOLDERS = 100
"""That are looked into only to tell that they are left out: on a network drive each takes its time."""

RESLICED_END = "_resliced"
RESULT_FORMAT = "e3pose-pose-1"
"""States that a JSON document is the result of a scan."""


@dataclass(frozen=True)
class Image:
    """An image file.

    Parameters
    ----------
    path : Path
    stem : tuple of str
        How it is called at least: folders from the one that was given, and its name without suffix.
    named : bool
        Whether it was named itself, not found in a folder.
    """

    path: Path
    stem: tuple[str, ...]
    named: bool = False


def images_of(
    folder: Path,
    suffixes: tuple[str, ...],
    recursive: bool | None,
    apart_from: str | os.PathLike | None,
    on_left_out: LeftOut,
) -> list[Image]:
    """The images of a folder that may be scans, in the order of their names.

    Parameters
    ----------
    folder : Path
    suffixes : tuple of str
        How the names of image files end, in lower case; DICOM files may be named anything.
    recursive : bool or None
        Of its subfolders as well, but hidden ones. None where nobody can ask for those.
    apart_from : path-like, optional
        A folder that is not looked into.
    on_left_out : callable
        Told of each label map, mask and result of E3Pose, and of subfolders that are left out for not `recursive`.

    Raises
    ------
    E3PoseError
        If the folder cannot be read, or there are none.
    """
    found: list[Image] = []
    n_left_out = 0
    for place in folders_in(folder, recursive, apart_from):
        try:
            scans = scans_in(place, suffixes)
        except VolumeError:
            if place == folder:
                raise
            on_left_out(place, "a folder that cannot be read")
            continue
        for scan in scans:
            if reason := _no_scan(scan):
                on_left_out(scan.path, reason)
                n_left_out += 1
            else:
                found.append(Image(scan.path, (*_folders_in_name(folder, place, scan), scan.name)))
    if found:
        if recursive is False:
            for subfolder in _with_scans(folder, suffixes, apart_from):
                on_left_out(subfolder, "subfolders with scans, which --recursive takes")
        return found
    message = f"{folder}: no {', '.join(suffixes)} file in this folder"
    if n_left_out:
        message += f" but {n_left_out} that are no scans (label maps, masks, results); a file named itself is tried"
    elif not recursive and _some_below(folder, suffixes, apart_from):
        way = "name one of these" if recursive is None else "take those with --recursive"
        message += f"; there are some in its subfolders: {way}"
    raise E3PoseError(message)


def is_folder(path: Path) -> bool:
    """Whether a path is a folder that can be looked at."""
    try:
        return path.is_dir()
    except OSError:  # no permission; what is named so will fail by name
        return False


def place_identity(place: Path) -> Hashable:
    """What tells a file or folder from others, whatever path leads to it: by a link, a mount, or in another case."""
    try:
        status = os.stat(place)  # noqa: PTH116 (Path.stat of Python 3.10 hides it from tests)
        # Some network drives of Windows number nothing.
        return (status.st_dev, status.st_ino) if status.st_ino else place.resolve()
    except OSError:
        return place


def folders_in(
    folder: Path, recursive: bool | None = True, apart_from: str | os.PathLike | None = None
) -> Iterator[Path]:
    """The folder and, by name, those in it but hidden ones, each once, wherever links lead.

    Parameters
    ----------
    folder : Path
    recursive : bool
        Otherwise the folder alone.
    apart_from : path-like, optional
        A folder that is not looked into.
    """
    seen: set[Hashable] = set()
    if apart_from is not None and is_folder(Path(apart_from)):
        seen.add(place_identity(Path(apart_from)))
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        identity = place_identity(place)
        # The folder itself was asked for, even if results were to go there; that is refused elsewhere, in words.
        if identity in seen and place != folder:
            continue
        seen.add(identity)
        yield place
        if recursive:
            with contextlib.suppress(OSError):  # whoever looks for its scans is told
                inner = sorted(path for path in place.iterdir() if not path.name.startswith(".") and is_folder(path))
                waiting += reversed(inner)


def _some_below(folder: Path, suffixes: tuple[str, ...], apart_from: str | os.PathLike | None) -> bool:
    """Whether the subfolders of a folder hold images."""
    for place in folders_in(folder, True, apart_from):
        with contextlib.suppress(VolumeError):
            if scans_in(place, suffixes):
                return True
    return False


def _with_scans(folder: Path, suffixes: tuple[str, ...], apart_from: str | os.PathLike | None) -> Iterator[Path]:
    """The subfolders with files that are scans by their names; to look deeper, or into them, would take long."""
    apart = None if apart_from is None else place_identity(Path(apart_from))
    subfolders = (path for path in folder.iterdir() if not path.name.startswith(".") and is_folder(path))
    for place in sorted(islice(subfolders, MOST_SUBFOLDERS)):
        with contextlib.suppress(OSError):
            if place_identity(place) != apart and any(_is_scan_by_name(path, suffixes) for path in place.iterdir()):
                yield place


def _is_scan_by_name(path: Path, suffixes: tuple[str, ...]) -> bool:
    is_image = path.name.lower().endswith(suffixes) and not path.name.startswith(".")
    return is_image and not _no_scan(FoundScan(path, name_without_suffix(path, suffixes)))


def _folders_in_name(folder: Path, place: Path, scan: FoundScan) -> tuple[str, ...]:
    """The folders on the way to a scan, less one that its name begins with, as that of a DICOM series does."""
    parts = place.relative_to(folder).parts
    return parts[:-1] if parts and scan.name.startswith(f"{parts[-1]}_") else parts


def _no_scan(scan: FoundScan) -> str:
    """Why an image that lies in a folder is no scan, or ""."""
    if named_as_labels(scan.name):
        return "a label map or mask by its name"
    if scan.name.endswith(RESLICED_END) and _is_result(scan.path.with_name(f"{scan.name[: -len(RESLICED_END)]}.json")):
        return "a result of E3Pose"
    return ""


def _is_result(path: Path) -> bool:
    try:
        document = read_json(path)
    except TransformError:
        return False
    return isinstance(document, dict) and document.get("format") == RESULT_FORMAT
