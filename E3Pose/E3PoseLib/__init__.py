"""E(3)-Pose: how a fetus's head lies in an MR scan.

>>> from E3PoseLib import PoseEstimator, load_model, read_volume
>>> estimator = PoseEstimator(load_model("official.safetensors"))  # doctest: +SKIP
>>> estimator.estimate(read_volume("scan.nii.gz")).canonical_to_ras  # doctest: +SKIP

The names below load on first use: importing the package costs nothing, so a panel can open without torch.
"""

from __future__ import annotations

import os
from importlib import import_module

__version__ = "0.1.0"

# Of PyTorch's threads on Linux: how often one that waits for the others looks before it sleeps. Without this it
# waits for longer and so keeps from its core the thread that it waits for, where other programs use the processor too:
# on two cores beside one busy process a scan took 11 s instead of 2 (docs/benchmarks.md). Read when PyTorch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")

_HOMES = {
    "PoseEstimate": "method.estimate",
    "PoseEstimator": "method.estimator",
    "Volume": "imaging.volume",
    "load_model": "models.loading",
    "read_volume": "imaging.volume",
}
__all__ = ["PoseEstimate", "PoseEstimator", "Volume", "load_model", "read_volume"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
