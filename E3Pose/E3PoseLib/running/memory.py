"""What happens to memory that a process frees, and to what it never will."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's ``malloc.h``."""

KEPT_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for what comes next, where it is glibc; elsewhere nothing is done.

    glibc gives large blocks, as networks' features are, back to the system at once, and the system clears every page of
    the next one: a sixth of the time that the official networks take. The process then stays as large as it ever was,
    so this is for one that ends with its work.
    """
    if _is_glibc():
        glibc = ctypes.CDLL(None)
        glibc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        glibc.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)


def _is_glibc() -> bool:
    """Whether the C library is glibc, which it says itself: `platform.libc_ver` reads Python's file, if it may."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # Windows, macOS, other libraries
        return False


@contextmanager
def made_to_stay() -> Iterator[None]:
    """For what is imported and loaded while this lasts, and stays until the process ends: it is no garbage.

    Python would look all through PyTorch for some, many times while it is imported and once more at the very end: a
    quarter of what one scan takes. What is alive afterwards is not looked through again; it is freed as ever once
    nothing refers to it.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
