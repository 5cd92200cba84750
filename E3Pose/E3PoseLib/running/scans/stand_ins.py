"""Files that stand where a scan should be: links without a file, notes about a file, pointers to one kept elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import VolumeError
from ...imaging.formats import mistaken_for_a_scan

_ANNEX = ".git/annex/objects"


def refuse_stand_in(path: Path) -> None:
    """Say what a file is that is named like a scan and is none.

    Raises
    ------
    VolumeError
        If it is a link that leads nowhere, macOS's notes about a file, a pointer of git-annex or Git LFS, empty, or
        something else that is no image by its first bytes; with what to do.
    """
    if reason := _reason(path):
        raise VolumeError(f"{path}: {reason}")


def _reason(path: Path) -> str:
    is_there = os.path.exists(path)  # noqa: PTH110 (Path.exists raises for links in a circle)
    if path.is_symlink() and not is_there:
        target = Path(os.readlink(path)).as_posix()  # noqa: PTH115 (as it is written, wherever it leads)
        if _ANNEX in target:
            return "a link of git-annex whose file is not here; fetch it with 'git annex get' or 'datalad get'"
        return f"a link to {target}, which is not there; restore that file, or remove the link"
    if path.name.startswith("._"):
        return "macOS's notes about a file, not a scan; name the file without '._'"
    return mistaken_for_a_scan(path) if is_there and path.is_file() else ""
