"""Checkpoints that a killed run or a full disk cannot spoil, nor a folder that was moved."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
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


class MovableCheckpoint(ModelCheckpoint):
    """Lightning's callback, which knows its best checkpoint again where the run's folder was moved or copied.

    Lightning notes whole paths, and forgets the best score where the folder is another: the next checkpoint, however
    bad, would replace the best one.
    """

    @property
    def state_key(self) -> str:
        """The key of the class that this one stands for, so that runs begun with that one go on."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        best = self._here(state_dict["best_model_path"])
        if not best or not Path(best).is_file():
            return  # without the best checkpoint its score is nothing to keep
        here = {
            "dirpath": self.dirpath,
            "best_model_path": best,
            "best_k_models": {self._here(path): score for path, score in state_dict["best_k_models"].items()},
            "kth_best_model_path": self._here(state_dict["kth_best_model_path"]),
            "last_model_path": self._here(state_dict["last_model_path"]),
        }
        super().load_state_dict(state_dict | here)

    def _here(self, path: str) -> str:
        """The file of that name in this run's folder; "" stays "". Of any system's paths this class knows the name."""
        return str(Path(self.dirpath or "") / PureWindowsPath(path).name) if path else ""
