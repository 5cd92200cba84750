"""The folder that the two ends of a worker share: it goes with them, however they end."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

PREFIX = "E3Pose-"
ALIVE = "alive"
"""Name of the file that a living worker touches with each beat."""

ABANDONED_SECONDS = 600
"""Without a beat, after which nobody is behind a folder any more."""

_MADE_HERE = re.compile(rf"{PREFIX}[a-z0-9_]{{8}}")


def make_folder() -> Path:
    """A new folder for a worker. Those that hosts and workers have left, which were killed together, go.

    They hold voxels of patients.
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    with contextlib.suppress(OSError):
        (folder / ALIVE).touch()
        now = (folder / ALIVE).stat().st_mtime  # by the clock of the disk, as the others
        for other in folder.parent.glob(f"{PREFIX}*"):
            if _MADE_HERE.fullmatch(other.name) and _last_beat(other) < now - ABANDONED_SECONDS:
                remove_folder(other)
    return folder


def beat(folder: Path) -> bool:
    """Show that a worker is behind a folder; whether the folder is there still."""
    try:
        os.utime(folder / ALIVE)
    except FileNotFoundError:
        return folder.is_dir()
    except OSError:  # held open for a moment by another program
        pass
    return True


def remove_folder(folder: Path) -> None:
    """Remove a folder and all in it, as far as it is ours to remove."""
    shutil.rmtree(folder, ignore_errors=True)


def _last_beat(folder: Path) -> float:
    """When a folder's worker showed last that it is there; where that is not to be known, now and for ever."""
    try:
        if folder.is_symlink() or not folder.is_dir():
            return float("inf")
        times = [folder.stat().st_mtime, *(path.stat().st_mtime for path in folder.glob(ALIVE))]
    except OSError:
        return float("inf")
    return max(times)
