"""Checkpoints that a killed run or a full disk cannot spoil."""

from __future__ import annotations

import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from E3PoseLib.errors import ModelError
from E3PoseLib.imaging.files import whole_file


def check_checkpoint(path: Path) -> None:
    """Sees that a checkpoint can be read.

    Raises
    ------
    ModelError
        It cannot.
    """
    try:
        torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, OSError, UnpicklingError) as error:
        reason = (str(error) or "empty").splitlines()[0]
        raise ModelError(
            f"{path} is damaged ({reason}). Copy best.ckpt, which stands beside it, over it to go on from there, or "
            "start anew in another folder."
        ) from error


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its final name and renames it, so a killed run leaves the previous one whole.

    Lightning's own writer goes through the system's temporary folder; moving from there to another file system
    copies, and a copy can be cut short.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
