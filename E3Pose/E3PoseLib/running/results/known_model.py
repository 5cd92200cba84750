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

_MEANING = b"settings 2\0"
"""Of a pair of files; to be changed with what is read from them: 2 since the settings of training are."""


def model_file_hash(arguments: Mapping[str, Any]) -> str:
    """SHA-256 of the file of a model, or of the pair of files, with their names, which name the model.

    One pair may mean another model to another version of this program; what it means now is part of its hash. A model
    file tells all of its model itself.

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
    pair = [Path(arguments[name]) for name in ("unet", "e3cnn") if arguments.get(name) is not None]
    digest = hashlib.sha256()
    try:
        for path in pair:
            digest.update(_MEANING + os.fsencode(path.name) + b"\0" + path.read_bytes())
        if not pair:
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
