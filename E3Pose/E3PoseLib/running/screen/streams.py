"""Standard input, output and errors, as a program may find them: closed, or of an encoding without some characters."""

from __future__ import annotations

import contextlib
import io
import os
import sys


def make_streams_usable() -> None:
    """See that printing never fails for where it goes to.

    What is closed leads nowhere from now on. Otherwise the next file that is opened would get its number, and with it
    all that libraries write to it. What the encoding of the screen lacks is written with escapes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 (stays open)
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):  # not Slicer's own, or a test's
            stream.reconfigure(errors="backslashreplace")
