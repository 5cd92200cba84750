"""What a worker's process says: messages in its output, and what its end says about how it came."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field

import numpy as np

from E3PoseLib.errors import E3PoseError

MARKER = "\x1eE3POSE "
"""Starts a message in the worker's output; the control character keeps it apart from any log line."""

LAUNCHER_SAYS = "exit abnormally"
"""What Slicer's launcher of Python prints where a signal has ended what it launched."""


@dataclass(frozen=True)
class Progress:
    """What the worker does now; ``fraction`` in [0, 1]."""

    stage: str
    fraction: float


@dataclass(frozen=True)
class Finished:
    """A request is done. ``answer`` holds the message's own fields; ``masks``, uint8 [I, J, K] or None, are one of each
    scan that was handed over.
    """

    answer: dict = field(repr=False)
    masks: list[np.ndarray | None] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class Failed:
    """A request failed, or the worker died in it; ``error`` is the typed error to show."""

    error: E3PoseError


def describe_exit(status: int, last_words: str = "") -> str:
    """A process's end in words.

    A shell in between reports signal N as status 128 + N. Slicer's launcher reports status 1 for any, and says
    `LAUNCHER_SAYS` among the last words.

    >>> describe_exit(-9), describe_exit(3)
    ('was killed (SIGKILL; if nobody did, the computer ran out of memory)', 'ended with status 3')
    """
    if status > 0 and LAUNCHER_SAYS in last_words:
        return "was killed or crashed (if nobody killed it, the computer ran out of memory)"
    number = -status if status < 0 else status - 128 if status > 128 else 0
    if number not in set(signal.Signals):
        return f"ended with status {status}"
    name = signal.Signals(number).name
    hint = "; if nobody did, the computer ran out of memory" if name == "SIGKILL" else ""
    return f"was killed ({name}{hint})" if name in ("SIGKILL", "SIGTERM") else f"crashed ({name})"
