"""What freed memory costs when it is needed again."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
from E3PoseLib.memory import keep_freed_memory
from E3PoseLib.segmentation.unet import UNet

if {kept}:
    keep_freed_memory()
network, batch = UNet(3, 16).eval(), torch.zeros(1, 1, 96, 96, 96)
with torch.inference_mode():
    for _ in range(4):  # until the heap has taken its shape
        network(batch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    network(batch)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told to keep freed memory")
def test_the_system_need_not_clear_the_pages_of_a_networks_features_again():
    faults = {}
    for kept in (False, True):
        command = [sys.executable, "-c", PROGRAM.format(kept=kept)]
        faults[kept] = int(subprocess.run(command, capture_output=True, check=True).stdout)
    one_feature_map = 16 * 96**3 * 4 / 4096
    assert faults[False] > 2 * one_feature_map
    assert faults[True] < 0.5 * faults[False]
