"""What a scan's files are, by which a result remembers what it was made from."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ...errors import VolumeError
from ...imaging.formats import files_of


@dataclass(frozen=True)
class FileState:
    """What the system says of a file without reading it: a file with the same state has the same content.

    Parameters
    ----------
    name : str
        Without its folder.
    bytes : int
        Its size.
    modified_ns, changed_ns : int
        When its content, and when anything about it was changed last, as `os.stat` has it.
    """

    name: str
    bytes: int
    modified_ns: int
    changed_ns: int


def states(files: Iterable[Path]) -> tuple[FileState, ...]:
    """The states of files.

    Raises
    ------
    OSError
        If one of them is not there.
    """
    found = []
    for file in files:
        status = os.stat(file)  # noqa: PTH116 (thousands of them, and Path.stat takes twice as long)
        found.append(FileState(file.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return tuple(found)


def content_hash(files: Iterable[Path]) -> str:
    """SHA-256 of the content of files, one after the other.

    Raises
    ------
    OSError
        If one of them cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


class Source:
    """The files of a scan, looked at before it is read.

    Parameters
    ----------
    path : Path
        As for `read_volume`. That it cannot be read shows when it is read.
    volumes : sequence of Path
        Of a folder whose volumes are a series, these in their order.
    """

    def __init__(self, path: Path, volumes: Sequence[Path] = ()) -> None:
        self._path = path
        self._files: list[Path] = []
        self._states: tuple[FileState, ...] = ()
        with contextlib.suppress(OSError):
            self._files = [file for volume in volumes or (path,) for file in files_of(volume)]
            self._states = states(self._files)

    def record(self) -> dict:
        """What a result remembers, once the scan has been read: states and hash of its files.

        Raises
        ------
        VolumeError
            If they have changed meanwhile.
        """
        try:
            digest, afterwards = content_hash(self._files), states(self._files)
        except OSError as error:
            raise VolumeError(f"{self._path}: cannot be read any more ({error.strerror or error})") from error
        if not afterwards or afterwards != self._states:
            raise VolumeError(f"{self._path}: was changed while it was being read; try again when it is whole")
        return source_record(self._states, digest)


def source_record(found: Iterable[FileState], digest: str) -> dict:
    """States and hash as a result's JSON keeps them."""
    return {"files": [asdict(state) for state in found], "sha256": digest}


def recorded_states(record: dict) -> tuple[FileState, ...]:
    """The states in such a record.

    Raises
    ------
    KeyError, TypeError
        If it is none.
    """
    return tuple(FileState(**state) for state in record["files"])
