"""One method over all scans, in a process of its own: its memory is its own, and its end is nobody else's."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from multiprocessing.connection import Connection
from pathlib import Path

from E3PoseLib.errors import E3PoseError
from E3PoseLib.running.results.settings import Settings
from E3PoseLib.running.scans.tasks import Task

from ..methods.command import run_method
from ..methods.method import Means


def run_apart(
    tasks: Sequence[Task], name: str, means: Means, age: str | None, folder: Path, overwrite: bool = False
) -> str:
    """Run a method; what its results hold stays, and what is done already is not done again.

    Parameters
    ----------
    tasks : sequence of Task
    name : str
        Of the method.
    means : Means
    age : str, optional
        As for `Ages`.
    folder : Path
        Of the results.
    overwrite : bool
        Whether results that stand are replaced.

    Returns
    -------
    str
        Why the method could not be run, "" where it was; scans that it fails at are in its tables.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, list(tasks), name, means, age, folder, overwrite))
    process.start()
    sender.close()
    try:
        message = receiver.recv()
    except EOFError:
        message = None
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
    if message is None:
        return (
            f"its process ended before its time (status {process.exitcode}), for lack of memory or by a library's fault"
        )
    return message


def _run(
    sender: Connection,
    tasks: list[Task],
    name: str,
    means: Means,
    age: str | None,
    folder: Path,
    overwrite: bool,
) -> None:
    try:
        with redirect_stdout(sys.stderr):  # the table alone is for the output
            run_method(tasks, name, means, age, folder, Settings(model=""), overwrite)
    except E3PoseError as error:
        sender.send(str(error))
    except Exception as error:  # of a user's own method, or of a package beneath
        sender.send(f"{type(error).__name__}: {error}")
    else:
        sender.send("")
