"""Writing files whole or not at all: under a temporary name first, which is then renamed."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError

PART_PREFIX = ".part-"
"""First characters of the names of files being written, and of folders of such files; a program that was killed may
leave some."""

_END_KEPT = 12
"""Characters of a file's name that its temporary name ends with, as writers choose the format by them."""

_WAITS_SECONDS = (0.05, 0.1, 0.2, 0.4) if os.name == "nt" else ()
"""Between further tries to rename a file: on Windows a virus scanner may hold it open for a moment."""


_LONGEST_PATH = 259 if os.name == "nt" else None
"""Characters in a path, where Windows is not told to allow more; elsewhere the system says itself what is too long."""


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it is renamed to `path` on success and deleted on any error.

    In a folder whose own name begins with `PART_PREFIX` nothing is taken for whole yet: there it yields `path` itself.

    Raises
    ------
    OutputError
        If the file cannot be written: no such folder, no permission, no space left, or another program has it open.

    >>> with whole_file("/no/such/folder/pose.json") as temporary:
    ...     pass
    Traceback (most recent call last):
    E3PoseLib.errors.OutputError: /no/such/folder/pose.json: cannot be written (No such file or directory)
    """
    path = Path(path)
    temporary = None
    try:
        if path.parent.name.startswith(PART_PREFIX):
            yield path
            return
        handle, name = tempfile.mkstemp(prefix=PART_PREFIX, suffix=path.name[-_END_KEPT:], dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        to_disk(temporary)
        temporary.chmod(0o666 & ~_umask())
        take_place(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({reason(error, path)})") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):  # renamed, or held open by a virus scanner: it goes some day
                temporary.unlink()


def reason(error: OSError, path: Path) -> str:
    """Why a file could not be written, in the system's words; where its path is longer than Windows allows, that."""
    length = len(str(path.absolute()))
    if _LONGEST_PATH is not None and length > _LONGEST_PATH:
        return f"a path of {length} characters, and Windows allows {_LONGEST_PATH}: choose a folder with a shorter one"
    return error.strerror or str(error)


def take_place(part: Path, path: Path) -> None:
    """Rename a finished file, which replaces what has that name.

    Raises
    ------
    OutputError
        If that is refused, as Windows does while another program has the file open.
    OSError
        If it fails for another reason.
    """
    for wait in (*_WAITS_SECONDS, None):
        try:
            os.replace(part, path)  # noqa: PTH105 (Path.replace of Python 3.10 hides it from tests that refuse it)
            return
        except PermissionError as error:
            if wait is None:
                raise OutputError(
                    f"{path}: cannot be replaced ({error.strerror or error}); close it in the program that has it open"
                ) from error
            time.sleep(wait)


def to_disk(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, would survive a power cut.

    Where the system cannot do that for folders, as Windows cannot, nothing is done for them.
    """
    if path.is_dir():
        with contextlib.suppress(OSError):
            _sync(path, os.O_RDONLY)
    else:
        _sync(path, os.O_RDWR)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
