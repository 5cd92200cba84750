"""Which model results were made with, told by its file: without PyTorch, which takes seconds to load."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...errors import E3PoseError
from ...models.catalog import find_model
from ..scans.tasks import Task
from .record import read_record


def model_file_hash(arguments: Mapping[str, Any]) -> str:
    """SHA-256 of the file or files of a model, with the names of official ones, which name the model.

    Parameters
    ----------
    arguments : mapping
        Of `load_model`.

    Returns
    -------
    str
        "" where they cannot be read; loading the model will say why.

    Raises
    ------
    ModelError
        If there is no model of that name.
    """
    official = [Path(arguments[name]) for name in ("unet", "e3cnn") if arguments.get(name) is not None]
    digest = hashlib.sha256()
    try:
        for path in official:
            digest.update(os.fsencode(path.name) + b"\0" + path.read_bytes())
        if not official:
            digest.update(find_model(arguments.get("source", "default")).read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()


def known_identity(folder: Path, tasks: Iterable[Task], file_hash: str) -> str | None:
    """The identity of the model with that file, from the results of any of the scans; None where there are none."""
    if not file_hash:
        return None
    for task in tasks:
        with contextlib.suppress(E3PoseError, KeyError, TypeError):
            document = read_record(folder, task).document
            if document is not None and document["settings"]["model_file"] == file_hash:
                return document["settings"]["model"]
    return None
