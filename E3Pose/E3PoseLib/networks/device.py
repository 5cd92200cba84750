"""Where the networks run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import DeviceError


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name, or with ``auto`` cuda where there is one, else the processor.

    Apple's mps is taken by name only: not every torch has all that the networks need there.

    Raises
    ------
    DeviceError
        If the name is none, or there is no such device.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"unknown device {name!r}; choose auto, cpu, cuda, cuda:N or mps") from error
    n_devices = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }.get(device.type, 0)
    if (device.index or 0) >= n_devices:
        raise DeviceError(f"there is no device {name!r} here; choose auto or cpu, or install a torch that supports it")
    return device


@contextmanager
def exact_float32() -> Iterator[None]:
    """Let NVIDIA's graphics multiply float32 as such; a context, or a decorator of what shall run in one.

    torch lets convolutions there round their factors to 11 bits ("TF32"), and whoever shares the process may let all
    products do so. The official E(3)-CNN's axes, made of small differences, then turn by degrees.
    """
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        # Since torch 2.9; to mix them with the names from before is an error.
        places, name, exact = (torch.backends.cuda.matmul, torch.backends.cudnn.conv), "fp32_precision", "ieee"
    else:
        places, name, exact = (torch.backends.cuda.matmul, torch.backends.cudnn), "allow_tf32", False
    before = [getattr(place, name) for place in places]
    try:
        for place in places:
            setattr(place, name, exact)
        yield
    finally:
        for place, setting in zip(places, before, strict=True):
            setattr(place, name, setting)


@contextmanager
def memory_errors(device: torch.device) -> Iterator[None]:
    """Turn a device's lack of memory into a `DeviceError`; other errors pass."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise DeviceError(f"{device} ran out of memory; close other programs or choose another device") from error
    except RuntimeError as error:
        # torch raises a plain RuntimeError when the allocator of the CPU or of Apple's graphics fails.
        if "allocate memory" not in str(error) and "out of memory" not in str(error):
            raise
        raise DeviceError(f"{device} ran out of memory; close other programs or choose another device") from error
