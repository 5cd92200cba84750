"""What the end of a process says about how it came."""

from __future__ import annotations

import signal

LAUNCHER_SAYS = "exit abnormally"
"""What Slicer's launcher of Python prints where a signal has ended what it launched."""


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
