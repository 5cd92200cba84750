"""What freed memory costs when it is needed again."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
from E3PoseLib.memory import keep_freed_memory

if {kept}:
    keep_freed_memory()
for _ in range(10):
    torch.ones(20_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told to keep freed memory")
def test_large_blocks_are_cleared_by_the_system_once_not_each_time():
    faults = {
        kept: int(
            subprocess.run([sys.executable, "-c", PROGRAM.format(kept=kept)], capture_output=True, check=True).stdout
        )
        for kept in (False, True)
    }
    pages = 4 * 20_000_000 / 4096
    assert faults[False] - faults[True] > 8 * pages
