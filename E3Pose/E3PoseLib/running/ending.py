"""How every command ends: its exit status, and one line on the screen where it did not go well."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import E3PoseError
from .screen.streams import make_streams_usable

SUCCESS, SOME_FAILED, WRONG_USAGE, INTERRUPTED, NO_READER = 0, 1, 2, 130, 141

SAME_COMMAND = "what is done stays, run the same command again for the rest"
FROM_THE_START = "run the same command again, from the start"

ENDS = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if name in signal.Signals.__members__
)
"""Signals that ask a program to end: from the keyboard, from a scheduler, from a terminal that closes."""


def exit_status(name: str, command: Callable[[], int | None], after_interrupt: str = FROM_THE_START) -> int:
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
    make_streams_usable()
    with _ended_like_an_interrupt():
        return _exit_status(name, command, after_interrupt)


@contextmanager
def _ended_like_an_interrupt() -> Iterator[None]:
    """A scheduler, or a terminal that closes, ends a command as an interrupt does: whole, and with its tables."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What the program was told to ignore, as nohup does, it goes on to ignore.
    before = {end: signal.getsignal(end) for end in ENDS if signal.getsignal(end) is signal.SIG_DFL}
    for end in before:
        signal.signal(end, signal.default_int_handler)
    try:
        yield
    finally:
        for end, handler in before.items():
            signal.signal(end, handler)


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """While this lasts an interrupt waits, and comes at the end; a context, or a decorator of what shall not be cut.

    VTK ends the whole program, with its status 1 and without a table, where an interrupt comes within an observer that
    is Python.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = {end: signal.getsignal(end) for end in ENDS if signal.getsignal(end) is signal.default_int_handler}
    for end in before:
        signal.signal(end, lambda number, frame: waiting.append(number))
    try:
        yield
    finally:
        for end, handler in before.items():
            signal.signal(end, handler)
        if waiting:
            raise KeyboardInterrupt


def _exit_status(name: str, command: Callable[[], int | None], after_interrupt: str) -> int:
    try:
        status = command() or SUCCESS
        # A reader that has gone shows here, not when Python ends.
        print(end="", flush=True)
        return status
    except BrokenPipeError:
        # What is still to be written would fail once more, and be reported, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    except BaseException as error:
        if _came_of_interrupt(error):
            _say(f"{name}: interrupted; {after_interrupt}")
            return INTERRUPTED
        if isinstance(error, E3PoseError):
            _say(f"{name}: {error}")
            return WRONG_USAGE
        if isinstance(error, Exception) and (reason := _unfit_package(error)):
            _say(f"{name}: {reason}")
            return WRONG_USAGE
        raise


def _came_of_interrupt(error: BaseException | None) -> bool:
    """Whether an error is an interrupt, or was met while one was dealt with: a terminal that is gone, for example."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _unfit_package(error: Exception) -> str:
    """See `dependencies.unfit_package`, which needs packages itself."""
    with contextlib.suppress(Exception):
        from ..dependencies import unfit_package

        return unfit_package(error)
    return ""


def _say(message: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone
        print(message, file=sys.stderr, flush=True)
