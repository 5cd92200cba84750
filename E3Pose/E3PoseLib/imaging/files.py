"""Writing files whole or not at all: under a temporary name first, which is then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError

PART_PREFIX = ".part-"
"""First characters of the names of files being written; a program that was killed may leave such files."""


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it is renamed to `path` on success and deleted on any error.

    Raises
    ------
    OutputError
        If the file cannot be written: no such folder, no permission, no space left.

    >>> with whole_file("/no/such/folder/pose.json") as temporary:
    ...     pass
    Traceback (most recent call last):
    E3PoseLib.errors.OutputError: /no/such/folder/pose.json: cannot be written (No such file or directory)
    """
    path = Path(path)
    temporary = None
    try:
        # The suffix stays at the end, as writers choose the format by it.
        handle, name = tempfile.mkstemp(prefix=PART_PREFIX, suffix="-" + path.name, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
