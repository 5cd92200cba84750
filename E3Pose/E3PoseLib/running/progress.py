"""A run as it is seen on the screen: its progress bar, what failed, and the counts at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .batch import run_batch
from .ending import SOME_FAILED, SUCCESS
from .results.settings import Settings
from .results.tables import FAILURES, POSES
from .scans.tasks import Task

if TYPE_CHECKING:
    from ..method.estimator import PoseEstimator
    from .team import Team


@contextmanager
def progress(n_scans: int) -> Iterator[Callable[[Task, str], None]]:
    """A progress bar; inside, a function to be told of each task and why it failed, or "" where it did not."""
    from tqdm import tqdm

    with tqdm(total=n_scans, unit="scan", desc="poses", disable=None) as bar:

        def tell(task: Task, message: str) -> None:
            if message:
                bar.write(f"{task.name}: failed: {message}", file=sys.stderr)
            bar.update()

        yield tell


def run_with_progress(
    tasks: Sequence[Task],
    estimator: PoseEstimator | Team,
    folder: str | os.PathLike,
    settings: Settings,
    overwrite: bool,
) -> int:
    """Run a batch with a progress bar, print what failed, and return the exit status."""
    with progress(len(tasks)) as tell:
        report = run_batch(tasks, estimator, folder, settings, overwrite=overwrite, on_result=tell)
    tables = {"results": Path(folder) / POSES.name, "failures": Path(folder) / FAILURES.name}
    print("; ".join([report.in_words(), *(f"{what} in {path}" for what, path in tables.items() if path.is_file())]))
    return SOME_FAILED if report.failed else SUCCESS
