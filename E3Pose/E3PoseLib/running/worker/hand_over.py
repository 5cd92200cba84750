"""The voxels of scans on their way to the worker, written by a thread: the window that asked goes on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from E3PoseLib.errors import E3PoseError, WorkerError

CHUNK_BYTES = 1 << 22
"""Written at a time; in between, the thread sees that it is to stop."""


class Scan(Protocol):
    """What a worker must be told of a scan; a `Volume` is one."""

    @property
    def array(self) -> np.ndarray:
        """The voxels [I, J, K]; they are read while they are handed over, not before."""

    @property
    def voxel_to_ras(self) -> np.ndarray:
        """4x4, RAS mm."""

    @property
    def name(self) -> str:
        """How messages call the scan."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the result must know."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the pose is not certain whatever the networks say."""


def describe(scan: Scan, file: str | None) -> dict:
    """What a worker must be told of a scan beside its voxels, as JSON takes it."""
    return {
        "name": scan.name,
        "voxel_to_ras": np.asarray(scan.voxel_to_ras, dtype=float).tolist(),
        "notes": list(scan.notes),
        "doubts": list(scan.doubts),
        "file": file,
    }


class HandOver:
    """Writes arrays to ``.npy`` files, by their paths, without a copy of them in memory.

    ``check()`` is called when all are written, by whoever calls `finish`, and raises an E3PoseError where an array was
    changed meanwhile.
    """

    def __init__(self, arrays: Mapping[Path, np.ndarray], check: Callable[[], Any]) -> None:
        self._arrays = dict(arrays)
        self._check = check
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether nothing is written any more."""
        return not self._thread.is_alive()

    def finish(self) -> None:
        """Raise what went wrong; WorkerError where the file could not be written, or what ``check`` raises."""
        self._thread.join()
        if isinstance(self._error, E3PoseError):
            raise self._error
        if self._error is not None:
            folder = next(iter(self._arrays)).parent
            raise WorkerError(f"cannot hand the scan to the worker in {folder}: {self._error}") from self._error
        self._check()

    def stop(self) -> None:
        """Write no further, and wait for the chunk under way."""
        self._stopped.set()
        self._thread.join()

    def _write(self) -> None:
        try:
            for file, array in self._arrays.items():
                write_array(file, array, self._stopped)
        except Exception as error:
            self._error = error


def write_array(file: Path, array: np.ndarray, stopped: threading.Event) -> None:
    """Write a ``.npy`` file in chunks, in the order of memory, until an event is set.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "array.npy"
    >>> write_array(path, np.arange(6).reshape(2, 3).T, threading.Event())
    >>> np.load(path).tolist()
    [[0, 3], [1, 4], [2, 5]]
    """
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        array = np.asfortranarray(array)
    in_order = array if array.flags.c_contiguous else array.T
    values = in_order.reshape(-1).view(np.uint8).data
    with file.open("wb") as stream:
        np.lib.format.write_array_header_2_0(stream, np.lib.format.header_data_from_array_1_0(array))
        for start in range(0, len(values), CHUNK_BYTES):
            if stopped.is_set():
                break
            stream.write(values[start : start + CHUNK_BYTES])
