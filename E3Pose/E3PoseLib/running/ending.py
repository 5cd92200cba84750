"""How every command ends: its exit status, and one line on the screen where it did not go well."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import E3PoseError

SUCCESS, SOME_FAILED, WRONG_USAGE, INTERRUPTED, NO_READER = 0, 1, 2, 130, 141

SAME_COMMAND = "what is done stays, run the same command again for the rest"


def exit_status(name: str, command: Callable[[], int | None], after_interrupt: str = SAME_COMMAND) -> int:
    """Run a command and say why it ended, if not well.

    Parameters
    ----------
    name : str
        Of the command, before its messages.
    command : callable
        Returns its exit status, or None for success.
    after_interrupt : str
        How the user goes on after an interrupt.

    Returns
    -------
    int
        The command's own status; 2 where an input, a flag or the machine does not allow what was asked; 130 after an
        interrupt, 141 where whatever reads the output, such as ``head``, has closed it. What is no error of the
        command's use goes on to the caller.

    >>> exit_status("e3pose", lambda: None)
    0
    """
    with _ended_like_an_interrupt():
        return _exit_status(name, command, after_interrupt)


@contextmanager
def _ended_like_an_interrupt() -> Iterator[None]:
    """What a scheduler ends by SIGTERM ends as by an interrupt: whole, and with what is done in its tables."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit_status(name: str, command: Callable[[], int | None], after_interrupt: str) -> int:
    try:
        status = command() or SUCCESS
        # A reader that has gone shows here, not when Python ends.
        print(end="", flush=True)
        return status
    except E3PoseError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return WRONG_USAGE
    except KeyboardInterrupt:
        print(f"{name}: interrupted; {after_interrupt}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # What is still to be written would fail once more, and be reported, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
