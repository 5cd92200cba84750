"""The output folder of a training run: new, or one to go on with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only

from E3PoseLib.errors import OutputError, TrainingError
from E3PoseLib.imaging.geometry import read_json, write_json

from ..data.folders import Case
from .checkpoints import check_checkpoint

MAY_CHANGE = {
    *("paths", "config", "resume", "init", "export", "unet", "e3cnn"),
    *("device", "devices", "num_nodes", "num_workers", "memory_gb", "precision", "checkpointing"),
    *("batch_size", "batchsize", "accumulate", "validate_every_n_epoch", "early_stopping"),
}
"""Flags that a resumed run may be given anew: where things lie, what it runs on, and how a step is shared out."""

SCANS = "scans"
"""Beside the flags in ``options.json``: which scans train and validate."""


class RunFolder:
    """The output folder of one training run.

    ``options.json`` holds the flags and a note of the scans; ``checkpoints/last.ckpt`` everything that is needed to go
    on, and ``checkpoints/best.ckpt`` the best validated weights; ``logs/`` the CSV and TensorBoard logs.

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

    def checkpoint_to_resume(
        self, options: dict[str, Any], resume: str | None, scans: dict[str, dict[str, Any]]
    ) -> Path | None:
        """Finds what to resume, and whether the folder can take the run; writes nothing.

        Parameters
        ----------
        options : dict[str, Any]
            The run's flags.
        resume : str | None
            None, "last", or "auto".
        scans : dict[str, dict[str, Any]]
            See `note_of`.

        Returns
        -------
        Path | None
            The checkpoint to go on from, if any.

        Raises
        ------
        OutputError
            The folder holds another run.
        TrainingError
            There is nothing to resume, or a flag is another than that of the run to resume, or the scans are others.
        ModelError
            The checkpoint to resume from is damaged.
        """
        if resume and self.last.is_file():
            check_checkpoint(self.last)
            self._check_same(options, scans)
            return self.last
        if resume == "last":
            raise TrainingError(
                f"There is no checkpoint {self.last} to resume from. Give --resume auto to begin anew where there is "
                "none."
            )
        # A process of a parallel run that starts later than the first finds the first one's folder; and a run that was
        # killed in its first epoch has left nothing to go on from.
        is_own = rank_zero_only.rank > 0 or (resume == "auto" and self.options.is_file())
        if not is_own and self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            go_on = ", or add --resume auto to go on with that run" if self.options.is_file() else ""
            raise OutputError(f"{self.path} holds another run or other files. Name an empty folder{go_on}.")
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

    def make(self, options: dict[str, Any], scans: dict[str, dict[str, Any]]) -> None:
        """Makes the folder, with the run's flags in it and which scans (`note_of`) it learns from.

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
            write_json(self.options, options | {SCANS: scans})

    def _check_same(self, options: dict[str, Any], scans: dict[str, dict[str, Any]]) -> None:
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
        # Runs that were begun before scans were noted go on.
        for side, now in scans.items() if SCANS in before else ():
            then = before[SCANS][side]
            if now != then:
                what = "others" if now["count"] == then["count"] else f"{now['count']}"
                raise TrainingError(
                    f"The run in {self.path} was begun with other scans: {then['count']} for {side} then, {what} now. "
                    "Resume it with those, or begin a new run with --init."
                )


def note_of(training: Sequence[Case], validation: Sequence[Case]) -> dict[str, dict[str, Any]]:
    """Which scans a run learns from and validates with: of each side how many, and a digest of their names and repeats.

    Where the files lie is no part of it: a data set may be moved.
    """
    return {side: _digest(cases) for side, cases in (("training", training), ("validation", validation))}


def _digest(cases: Sequence[Case]) -> dict[str, Any]:
    names = "\n".join(f"{case.frame_id}\t{case.repeats}" for case in cases)
    return {"count": len(cases), "digest": hashlib.sha256(names.encode()).hexdigest()[:16]}
