"""What stands where a command writes: it is not replaced unasked."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from pathlib import Path

from E3PoseLib.errors import OutputError


def add_overwrite_option(parser: argparse.ArgumentParser) -> None:
    """The flag by which the user asks for it."""
    parser.add_argument("--overwrite", action="store_true", help="replace what stands where the results go")


def refuse_standing(paths: Iterable[Path], overwrite: bool) -> None:
    """For the beginning of a command, before anything is worked out.

    Parameters
    ----------
    paths : iterable of Path
        Files that will be written.
    overwrite : bool
        Whether the user has allowed to replace them.

    Raises
    ------
    OutputError
        One of them is there and must not be replaced, or is a folder, which never is.
    """
    for path in paths:
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; give the name of a file")
        if not overwrite and os.path.lexists(path):
            raise OutputError(f"{path}: stands already; choose another place, or replace it by --overwrite")
