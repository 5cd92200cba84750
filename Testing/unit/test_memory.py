"""What freed memory costs when it is needed again."""

import platform
import subprocess
import sys

import pytest

BLOCK_BYTES, TIMES = 100_000_000, 10

PROGRAM = f"""
import ctypes
import resource
from E3PoseLib.memory import keep_freed_memory

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
