"""The training package, which this library does without where it is not asked for."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..errors import E3PoseError


def training_part(name: str) -> ModuleType:
    """A module of the training package.

    Raises
    ------
    E3PoseError
        If it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise E3PoseError(
            f"this needs the training package, which lacks {error.name}; install it, in the project's folder: "
            "pip install '.[training]'"
        ) from error
