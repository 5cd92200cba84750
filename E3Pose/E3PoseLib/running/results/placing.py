"""Finished files take their places together: all of them, or the ones before stay."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ...errors import OutputError
from ...imaging.files import PART_PREFIX, reason, take_place, to_disk
from ..ending import interrupts_wait


@contextmanager
def unfinished(folder: Path, files: Mapping[str, Path], names: Mapping[str, str]) -> Iterator[dict[str, Path]]:
    """Where files are written until they are whole: in a hidden folder, which goes with all that is left in it.

    Errors name the files as they are to be called.

    Parameters
    ----------
    folder : Path
        Of the results.
    files : mapping of str to Path
        Their places, by kind.
    names : mapping of str to str
        How each is called until then.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    parts: dict[str, Path] = {}
    place = None
    try:
        place = Path(tempfile.mkdtemp(prefix=PART_PREFIX, dir=folder))
        parts = {kind: place / names[kind] for kind in files}
        yield parts
    except OutputError as error:
        message = str(error)
        for kind, part in parts.items():
            message = message.replace(str(part), str(files[kind]))
        raise OutputError(message) from error
    except OSError as error:
        path = Path(os.fsdecode(error.filename2 or error.filename or folder))
        raise OutputError(f"{path}: cannot be written ({reason(error, path)})") from error
    finally:
        if place is not None:
            # On Windows a virus scanner may hold a file of it: then it is removed a day later.
            shutil.rmtree(place, ignore_errors=True)


@interrupts_wait()
def place_together(
    parts: Mapping[Path, Path], gone: Iterable[Path], mark: tuple[Path, Path], copies_folder: Path
) -> None:
    """Move finished files to their places.

    A mark is set first and goes last. While it stands the files need not fit together, and it says whose they are: so
    where the program is killed, the next run knows what it finds. Where a file cannot be replaced, as Windows refuses
    to while another program has it open, all is put back. An interrupt waits until they are placed: between the last
    file and the mark it would leave whole results out of the run's table.

    Parameters
    ----------
    parts : mapping of Path to Path
        From the finished files to their places, in this order; the folders of these are there.
    gone : iterable of Path
        Files that go, as the new ones are fewer.
    mark : tuple of Path
        From the finished mark to its place.
    copies_folder : Path
        For copies of what is replaced.

    Raises
    ------
    OutputError, OSError
        If a file cannot be replaced; the ones before stand again.
    """
    finished_mark, mark_place = mark
    for file in (*parts, finished_mark):
        to_disk(file)
    moves: list[tuple[Path | None, Path]] = [*((None, path) for path in gone), *parts.items()]
    before = [path for _, path in moves if path.is_file()]
    copies = {path: copies_folder / f"{n}.before" for n, path in enumerate(before)}
    for path, copy in copies.items():
        shutil.copy2(path, copy)
    last, _ = moves[-1]
    folders = {mark_place.parent, *(path.parent for _, path in moves)}
    was_marked, together = mark_place.exists(), True
    try:
        take_place(finished_mark, mark_place)
        to_disk(mark_place.parent)
        for part, path in moves:
            if part is last:  # none of the others may be missing once it is there
                for folder in folders:
                    to_disk(folder)
            if part is None:
                _remove(path)
            else:
                take_place(part, path)
        for folder in folders:
            to_disk(folder)
    except BaseException:
        if last is not None and last.exists():
            together = _put_back(moves, copies) and not was_marked
        raise
    finally:
        if together:
            with contextlib.suppress(OSError):  # held open for a moment: the next run finds that all fits together
                mark_place.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 (Path.unlink of Python 3.10 hides it from tests that refuse it)
    except PermissionError as error:
        raise OutputError(
            f"{path}: cannot be removed ({error.strerror or error}); close it in the program that has it open"
        ) from error


def _put_back(moves: list[tuple[Path | None, Path]], copies: Mapping[Path, Path]) -> bool:
    """Give the files before their places again; whether that succeeded."""
    try:
        for part, path in reversed(moves):
            if part is not None and part.exists():
                continue  # it has not come so far
            if path in copies and (part is not None or not path.exists()):
                take_place(copies[path], path)
            elif path not in copies:
                path.unlink(missing_ok=True)
    except (OSError, OutputError):
        return False
    return True
