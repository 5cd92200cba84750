"""A pose that nobody had to estimate, and what is needed to write it: for tests of what is done with results."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from phantoms import make_head

from E3PoseLib.imaging.geometry import rigid
from E3PoseLib.imaging.volume import Volume, write_volume
from E3PoseLib.method.estimate import PoseEstimate
from E3PoseLib.method.trust.confidence import Confidence
from E3PoseLib.running.results.settings import Settings
from E3PoseLib.running.results.writing import write_results
from E3PoseLib.running.scans.source import Source
from E3PoseLib.running.scans.tasks import Task

WITH_ALL = Settings("model-1", save_mask=True, reslice_spacing=8.0)
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "shutil.copyfile")
"""Audit events of what is done to files; each comes before it is done."""


def make_scan(folder: Path, name: str = "scan.nii.gz", seed: int = 0) -> Task:
    """A scan in a folder, and its task."""
    folder.mkdir(parents=True, exist_ok=True)
    write_volume(folder / name, make_head((16, 18, 14), (8.0, 8.0, 8.0), seed))
    return Task(folder / name, name.removesuffix(".nii.gz").removesuffix(".nii"))


def made_estimate(volume: Volume, x_mm: float = 1.0) -> PoseEstimate:
    """An estimate whose head lies at ``(x_mm, 2, 3)``."""
    mask = np.zeros(volume.shape, np.uint8)
    mask[4:8, 4:8, 4:8] = 1
    confidence = Confidence((0.9, 0.9, 0.9), 1.0, 200.0, False)
    return PoseEstimate(rigid(np.eye(3), [x_mm, 2, 3]), mask, confidence, (), {"total": 0.5}, "cpu", "float32")


def write_made(folder: Path, task: Task, settings: Settings = WITH_ALL, x_mm: float = 1.0) -> dict[str, Path]:
    """Results of a scan, as a run writes them."""
    volume = make_head((16, 18, 14), (8.0, 8.0, 8.0))
    source = Source(task.path)
    return write_results(folder, task, volume, made_estimate(volume, x_mm), settings, source.record())


def contents(folder: Path) -> dict[str, bytes]:
    """All that lies in a folder but what a killed run has left unfinished."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".part-") for part in path.relative_to(folder).parts)
    }


def kill_at_event(number: int, kill: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGKILL)) -> None:
    """Have this process killed just before it does something to a file for the ``number``-th time, from 0."""
    left = number

    def count(event: str, arguments: tuple) -> None:
        nonlocal left
        if event in EVENTS and not (event == "open" and "r" in str(arguments[1] or "r")):
            if left == 0:
                kill()
            left -= 1

    sys.addaudithook(count)


def killed(number: int, work: Callable[[], object]) -> bool:
    """Whether a process that does some work is killed at its ``number``-th deed to a file."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            kill_at_event(number)
            work()
            status = 0
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or os.WIFSIGNALED(status)
    return status != 0
