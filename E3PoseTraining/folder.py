"""The output folder of a training run: new, or one to go on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from E3PoseLib.errors import OutputError, TrainingError
from E3PoseLib.geometry import write_json

from .checkpoints import check_checkpoint


class RunFolder:
    """The output folder of one training run.

    ``options.json`` holds the flags; ``checkpoints/last.ckpt`` everything that is needed to go on, and
    ``checkpoints/best.ckpt`` the best validated weights; ``logs/`` the CSV and TensorBoard logs.

    Args:
        path: the folder; it is made by `prepare`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.ckpt"
        self.options = path / "options.json"
        self.logs = path / "logs"

    def prepare(self, options: dict[str, Any], resume: str | None) -> Path | None:
        """Makes the folder, or finds what to resume.

        Args:
            options: the run's flags, kept beside the results.
            resume: None, "last", or "auto".

        Returns:
            the checkpoint to go on from, if any.

        Raises:
            OutputError: the folder holds another run, or cannot be made.
            TrainingError: there is nothing to resume.
            ModelError: the checkpoint to resume from is damaged.
        """
        if resume == "last" and not self.last.is_file():
            raise TrainingError(
                f"There is no checkpoint {self.last} to resume from. Leave --resume out to start a new run."
            )
        if resume and self.last.is_file():
            check_checkpoint(self.last)
            return self.last
        # A process of a parallel run that starts later than the first finds the first one's folder.
        if rank_zero_only.rank == 0:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise OutputError(
                    f"{self.path} holds another run or other files. Name an empty folder, or add --resume to go on "
                    "with that run."
                )
            try:
                self.checkpoints.mkdir(parents=True)
            except OSError as error:
                raise OutputError(f"The output folder {self.path} cannot be made: {error}") from error
            write_json(self.options, options)
        return None
