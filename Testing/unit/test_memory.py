"""What freed memory costs when it is needed again, and what stays when nobody looks for garbage in it."""

import gc
import platform
import subprocess
import sys
from contextlib import nullcontext

import pytest

from E3PoseLib.running.memory import made_to_stay

BLOCK_BYTES, TIMES = 100_000_000, 10

PROGRAM = f"""
import ctypes
import resource
from E3PoseLib.running.memory import keep_freed_memory

glibc = ctypes.CDLL(None)
glibc.malloc.restype = ctypes.c_void_p
if {{kept}}:
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({TIMES}):
    block = ctypes.c_void_p(glibc.malloc(ctypes.c_size_t({BLOCK_BYTES})))
    ctypes.memset(block, 1, {BLOCK_BYTES})
    glibc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told to keep freed memory")
def test_the_system_clears_the_pages_of_a_large_block_once_not_each_time():
    faults = {}
    for kept in (False, True):
        command = [sys.executable, "-c", PROGRAM.format(kept=kept)]
        faults[kept] = int(subprocess.run(command, capture_output=True, check=True).stdout)
    assert faults[True] < 1.5 * faults[False] / TIMES


class Cycle:
    """Garbage once nothing else refers to it."""

    def __init__(self):
        self.itself = self


def collected(made_so) -> int:
    """How many cycles of two, one made as given and one as any other, are found to be garbage."""
    with made_so:
        kept = Cycle()
    other = Cycle()
    gc.collect()
    del kept, other
    return gc.collect()


def test_what_is_made_to_stay_is_not_looked_through_for_garbage():
    try:
        as_ever, to_stay = collected(nullcontext()), collected(made_to_stay())
    finally:
        gc.unfreeze()
    assert to_stay == as_ever / 2
    assert gc.isenabled()


def test_meanwhile_nothing_is_collected_and_afterwards_as_before():
    try:
        with pytest.raises(KeyError), made_to_stay():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled()
        gc.disable()
        with made_to_stay():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
