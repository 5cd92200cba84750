"""The output folder of a training run: new, or one to go on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only

from E3PoseLib.errors import OutputError, TrainingError
from E3PoseLib.imaging.geometry import read_json, write_json

from .checkpoints import check_checkpoint

MAY_CHANGE = {
    *("paths", "config", "resume", "init", "export", "unet", "e3cnn"),
    *("device", "devices", "num_nodes", "num_workers", "memory_gb", "precision", "checkpointing"),
    *("batch_size", "batchsize", "accumulate", "validate_every_n_epoch", "early_stopping"),
}
"""Flags that a resumed run may be given anew: where things lie, what it runs on, and how a step is shared out."""


class RunFolder:
    """The output folder of one training run.

    ``options.json`` holds the flags; ``checkpoints/last.ckpt`` everything that is needed to go on, and
    ``checkpoints/best.ckpt`` the best validated weights; ``logs/`` the CSV and TensorBoard logs.

    Parameters
    ----------
    path : Path
        The folder; it is made by `make`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.ckpt"
        self.options = path / "options.json"
        self.logs = path / "logs"

    def checkpoint_to_resume(self, options: dict[str, Any], resume: str | None) -> Path | None:
        """Finds what to resume, and whether the folder can take the run; writes nothing.

        Parameters
        ----------
        options : dict[str, Any]
            The run's flags.
        resume : str | None
            None, "last", or "auto".

        Returns
        -------
        Path | None
            The checkpoint to go on from, if any.

        Raises
        ------
        OutputError
            The folder holds another run.
        TrainingError
            There is nothing to resume, or a flag is another than that of the run to resume.
        ModelError
            The checkpoint to resume from is damaged.
        """
        if resume and self.last.is_file():
            check_checkpoint(self.last)
            self._check_same(options)
            return self.last
        if resume == "last":
            raise TrainingError(
                f"There is no checkpoint {self.last} to resume from. Leave --resume out to start a new run."
            )
        # A process of a parallel run that starts later than the first finds the first one's folder; and a run that was
        # killed in its first epoch has left nothing to go on from.
        is_own = rank_zero_only.rank > 0 or (resume == "auto" and self.options.is_file())
        if not is_own and self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise OutputError(
                f"{self.path} holds another run or other files. Name an empty folder, or add --resume to go on "
                "with that run."
            )
        return None

    def chosen_checkpoint(self, choice: str) -> dict[str, Any]:
        """The checkpoint that validated best, or the last one: where that is the choice, or none has validated.

        Parameters
        ----------
        choice : str
            "best" or "last".
        """
        path = self.best if choice == "best" and self.best.is_file() else self.last
        return torch.load(path, weights_only=True, map_location="cpu")

    def make(self, options: dict[str, Any]) -> None:
        """Makes the folder, with the run's flags in it.

        Raises
        ------
        OutputError
            It cannot be made.
        """
        if rank_zero_only.rank == 0:
            try:
                self.checkpoints.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"The output folder {self.path} cannot be made: {error}") from error
            write_json(self.options, options)

    def _check_same(self, options: dict[str, Any]) -> None:
        before = read_json(self.options)
        free = MAY_CHANGE | ({"n_epochs"} if before["schedule"] == "constant" else set())
        changed = [
            f"--{name} {options[name]} instead of {value}"
            for name, value in before.items()
            if name in options and name not in free and options[name] != value
        ]
        if changed:
            raise TrainingError(
                f"The run in {self.path} was begun with other flags: {', '.join(changed)}. Resume it with those in "
                f"{self.options}, or begin a new run with --init."
            )
