"""What became of the scans of a run; one that fails does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from ..errors import E3PoseError, NotAScanError, WorkerError
from .scans.tasks import Task


@dataclass
class Report:
    """What became of the scans of a run, by name.

    Parameters
    ----------
    done : list of str
        Estimated; those of low confidence are among them, and those whose scan had changed.
    low, outdated : list of str
    skipped : list of str
        Whose results were there already.
    left_out : list of str
        Found to be no scans.
    failed : dict of str to str
        And why.
    untabled : str
        Why a table could not be written, or "".
    """

    done: list[str] = field(default_factory=list)
    low: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    untabled: str = ""

    def in_words(self) -> str:
        """How many scans went which way.

        >>> Report(done=["a", "b"], low=["b"], left_out=["mask"]).in_words()
        '2 estimated, 0 already there, 0 failed; 1 of low confidence; 1 left out'
        """
        counts = f"{len(self.done)} estimated, {len(self.skipped)} already there, {len(self.failed)} failed"
        for names, words in (
            (self.low, "of low confidence"),
            (self.outdated, "anew, as the scan had changed"),
            (self.left_out, "left out"),
        ):
            counts += f"; {len(names)} {words}" if names else ""
        return counts


@dataclass(frozen=True)
class Failure:
    """Why something could not be done with a scan.

    Parameters
    ----------
    message : str
    is_left_out : bool
        Whether there is nothing to be done: the image is a label map, which nobody has named.
    """

    message: str
    is_left_out: bool = False

    def in_words(self) -> str:
        """What became of the scan, and why."""
        return f"{'left out' if self.is_left_out else 'failed'}: {self.message}"


Result = TypeVar("Result")


def attempt(task: Task, work: Callable[[], Result]) -> Result | Failure:
    """Do something with a scan; whatever it hits, the ones behind it have a right to their turn.

    Raises
    ------
    WorkerError
        That is no scan's fault, and nothing is to follow.
    """
    try:
        return work()
    except WorkerError:
        raise
    except E3PoseError as error:
        return Failure(str(error), isinstance(error, NotAScanError) and not task.named)
    except Exception as error:
        return Failure(f"{task.path}: {type(error).__name__}: {error}")


def run_each(
    tasks: Iterable[Task],
    work: Callable[[Task], None],
    on_result: Callable[[Task, Failure | None], None] = lambda task, failed: None,
) -> Report:
    """Do something with each scan; one that fails does not stop the rest.

    Parameters
    ----------
    tasks : iterable of Task
    work : callable
    on_result : callable, optional
        As in `run_batch`.

    Returns
    -------
    Report
    """
    report = Report()
    for task in tasks:
        outcome = attempt(task, partial(work, task))
        if isinstance(outcome, Failure):
            report.failed[task.name] = outcome.message
            on_result(task, outcome)
        else:
            report.done.append(task.name)
            on_result(task, None)
    return report
