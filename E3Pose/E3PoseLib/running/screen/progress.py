"""A run as it is seen on the screen: what is left out, a progress bar, what failed, and the counts at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import OutputError
from ...imaging.volume import Volume
from ..batch import run_batch
from ..ending import SOME_FAILED, SUCCESS
from ..report import Failure
from ..results.settings import Settings
from ..results.tables import FAILURES, POSES, write_tables
from ..scans.tasks import Task

if TYPE_CHECKING:
    from ...method.estimator import PoseEstimator
    from ..team import Team

MOST_NAMED = 5
"""Of the files that are left out for one reason so many are named."""


class LeftOut:
    """Tells which files of folders are no scans, a line for each reason."""

    def __init__(self) -> None:
        self._paths: dict[str, list[Path]] = {}

    def __call__(self, path: Path, reason: str) -> None:
        """Take note of one."""
        self._paths.setdefault(reason, []).append(path)

    def tell(self) -> None:
        """Print them."""
        for reason, paths in self._paths.items():
            more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
            named = ", ".join(path.name for path in paths[:MOST_NAMED])
            print(f"left out, {reason}: {named}{more}", file=sys.stderr)


@contextmanager
def progress(n_scans: int) -> Iterator[Callable[[Task, Failure | None], None]]:
    """A progress bar; inside, a function to be told of each task and why it failed, or None where it did not."""
    from tqdm import tqdm

    with tqdm(total=n_scans, unit="scan", desc="poses", disable=None) as bar:

        def tell(task: Task, failed: Failure | None) -> None:
            if failed is not None:
                bar.write(f"{task.name}: {failed.in_words()}", file=sys.stderr)
            bar.update()

        yield tell


def run_with_progress(
    tasks: Sequence[Task],
    make_estimator: Callable[[int], PoseEstimator | Team],
    folder: str | os.PathLike,
    settings: Settings,
    overwrite: bool,
    read: Callable[[Task], Volume] | None = None,
) -> int:
    """Run a batch with a progress bar, print what failed, and return the exit status."""
    with progress(len(tasks)) as tell:
        report = run_batch(tasks, make_estimator, folder, settings, overwrite=overwrite, read=read, on_result=tell)
    tables = {"results": Path(folder) / POSES.name, "failures": Path(folder) / FAILURES.name}
    print("; ".join([report.in_words(), *(f"{what} in {path}" for what, path in tables.items() if path.is_file())]))
    if report.untabled:
        _tell_untabled(report.untabled)
    return SOME_FAILED if report.failed or report.untabled else SUCCESS


def list_results(folder: str | os.PathLike) -> int:
    """Write the tables of a folder that several nodes have filled, and return the exit status."""
    try:
        write_tables(folder)
    except OutputError as error:
        _tell_untabled(str(error))
        return SOME_FAILED
    return SUCCESS


def _tell_untabled(reason: str) -> None:
    print(f"{reason}; then run the same command again: it only lists what is done", file=sys.stderr)
