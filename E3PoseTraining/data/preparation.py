"""New folders in the layout of the training commands, from data sets of other layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from E3PoseLib.errors import OutputError


def prepare(write: Callable[[], list[str]], output: Path) -> None:
    """Makes a new folder, has a data set written into it, and says how many scans it has.

    Parameters
    ----------
    write : Callable[[], list[str]]
        Writes ``images/``, ``labels/`` and ``annotations.csv`` into it and returns the frames written.
    output : Path
        The new folder.

    Raises
    ------
    E3PoseError
        What is wrong with the source, or with the folder to write.
    """
    make_folders(output)
    frames = write()
    print(f"{len(frames)} scans in {output}: images/, labels/, annotations.csv")


def make_folders(output: Path) -> None:
    """Makes the new data set's folders.

    Raises
    ------
    OutputError
        Something is there already, or the folder cannot be made.
    """
    # Empty folders are what a call that could not read its source has left.
    if output.is_file() or any(path.is_file() for path in output.rglob("*")):
        raise OutputError(f"{output} is not empty. Name a new folder.")
    try:
        for name in ("images", "labels"):
            (output / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error}") from error
