"""The scans of a batch: which files they are, and under which name their results go."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import E3PoseError
from ...imaging.formats import NIFTI_SUFFIXES
from ...imaging.volume import count_frames


@dataclass(frozen=True)
class Task:
    """One scan to estimate.

    Parameters
    ----------
    path : Path
    name : str
        Of its results.
    frame : int, optional
        Of a 4-D file.
    """

    path: Path
    name: str
    frame: int | None = None

    @property
    def real_path(self) -> Path:
        """Of the file itself, where `path` is a link; of a link that leads in a circle some of it."""
        return Path(os.path.realpath(self.path))


def find_tasks(
    inputs: Iterable[str | os.PathLike],
    frame: int | None = None,
    all_frames: bool = False,
    suffixes: tuple[str, ...] = NIFTI_SUFFIXES,
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
        How the names of image files end, in lower case.

    Raises
    ------
    E3PoseError
        If a folder holds no image file or cannot be read, or two inputs would write the same results.
    """
    tasks: dict[str, Task] = {}
    # A file that is named twice, by itself and by its folder, is one scan.
    for path in {path.absolute(): path for path in _files(inputs, suffixes)}.values():
        stem = name_without_suffix(path, suffixes)
        n_frames = _frames_or_one(path) if all_frames else 1
        for index in range(n_frames):
            many = n_frames > 1
            task = Task(path, f"{stem}_frame{index:04d}" if many else stem, index if many else frame)
            clash = tasks.setdefault(task.name, task)
            if clash is not task:
                raise E3PoseError(f"{clash.path} and {path} would both be written as {task.name!r}: rename one")
    return list(tasks.values())


def name_without_suffix(path: Path, suffixes: Iterable[str] = NIFTI_SUFFIXES) -> str:
    """A file's name without its format's suffix.

    >>> name_without_suffix(Path("scans/fetus.01.nii.gz"))
    'fetus.01'
    """
    for suffix in sorted(suffixes, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def _files(inputs: Iterable[str | os.PathLike], suffixes: tuple[str, ...]) -> Iterator[Path]:
    for path in map(Path, inputs):
        if not _is_folder(path):
            yield path
            continue
        try:
            # A link that leads nowhere is a scan too, which will fail by name; what is hidden is none.
            found = sorted(
                file
                for file in path.iterdir()
                if file.name.lower().endswith(suffixes) and not file.name.startswith(".") and not _is_folder(file)
            )
        except OSError as error:
            raise E3PoseError(f"{path}: this folder cannot be read ({error.strerror})") from error
        if not found:
            raise E3PoseError(f"{path}: no {', '.join(suffixes)} file in this folder")
        yield from found


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # one may not look there; what is named so will fail by name
        return False


def _frames_or_one(path: Path) -> int:
    """Frames of a file; of an unreadable one a single task, which then fails with its reason."""
    try:
        return count_frames(path)
    except E3PoseError:
        return 1
