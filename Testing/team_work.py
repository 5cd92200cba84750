"""What tests have the processes of a team do: they import it by name."""

import os
import signal
import time

import numpy as np
import torch
from made_results import kill_at_event

from E3PoseLib.imaging.volume import Volume, read_volume
from E3PoseLib.method.estimator import PoseEstimator
from E3PoseLib.running.scans.tasks import Task


def process_and_threads(estimator: PoseEstimator) -> tuple[int, int]:
    """Of this process its number, and torch's threads."""
    time.sleep(0.2)  # so that the others get their turn
    return os.getpid(), torch.get_num_threads()


def read_but_die_at_scan3(task: Task) -> Volume:
    """A scan; at one of them the process is killed, as the system does for lack of memory."""
    if task.name == "scan3":
        time.sleep(1)  # what the other process has begun is done by then
        os.kill(os.getpid(), signal.SIGKILL)
    return read_volume(task.path)


def read_and_be_killed(number: int, task: Task) -> Volume:
    """A scan; at one of them all processes are killed, before the ``number``-th deed to a file."""
    volume = read_volume(task.path)
    if task.name == "scan2":
        kill_at_event(number, kill=lambda: os.killpg(0, signal.SIGKILL))
    return volume


def pose_and_device(volume: Volume, estimator: PoseEstimator) -> tuple[np.ndarray, str]:
    """The pose of the head in a scan, and where it was estimated."""
    estimate = estimator.estimate(volume)
    return estimate.canonical_to_ras, estimate.device
