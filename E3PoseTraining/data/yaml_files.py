"""YAML files: flags of a training command, and the card of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from E3PoseLib.errors import TrainingError


def read_yaml(path: Path, kind: str) -> Any:
    """What a YAML file holds; `kind` is what the message calls it.

    Raises
    ------
    TrainingError
        The file is unreadable.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"The {kind} {path} cannot be read: {error}") from error
