"""A folder of scans by one process on all threads, and by several that share them: seconds, and memory of the largest.

    python Testing/benchmarks/folder.py [--scans 100] [--processes 2] [--model NAME]

The scans are copies of the sample that ships with the project, so that every run does the same work.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from E3PoseLib.models.catalog import sample_scan


def estimate(scans: Path, output: Path, model: str, processes: int) -> float:
    """Seconds of ``e3pose estimate``, start-up included."""
    command = [sys.executable, "-m", "E3PoseLib", "estimate", str(scans), "-o", str(output), "--model", model]
    started = time.perf_counter()
    subprocess.run([*command, "--device", "cpu", "--devices", str(processes)], check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--model", default="default", help="name or .safetensors file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scans").mkdir()
        for number in range(options.scans):
            shutil.copyfile(sample_scan(), folder / "scans" / f"scan{number:03d}.nii.gz")
        seconds = {}
        for processes in (1, options.processes):
            seconds[processes] = estimate(folder / "scans", folder / str(processes), options.model, processes)
            megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
            print(f"{processes} process(es): {seconds[processes]:.1f} s, the largest so far {megabytes:.0f} MB")
        print(f"ratio {seconds[options.processes] / seconds[1]:.2f}")


if __name__ == "__main__":
    main()
