"""The device that the networks run on, its precision, and its lack of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import DeviceError


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; ``auto`` is the first NVIDIA GPU where there is one, else the CPU.

    Apple's graphics (``mps``) are refused: three-dimensional convolutions there have given wrong numbers without an
    error in several versions of PyTorch, and what was never measured cannot be trusted with a pose.

    Raises
    ------
    DeviceError
        If the name is none, there is no such device, or it is not supported.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"unknown device {name!r}; choose auto, cpu, cuda or cuda:N") from error
    if device.type == "mps":
        raise DeviceError(
            f"device {name!r} is not supported, as PyTorch's 3-D convolutions there have been wrong without an error; "
            "choose cpu"
        )
    n_devices = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
    }.get(device.type, 0)
    if (device.index or 0) >= n_devices:
        raise DeviceError(f"there is no device {name!r} here; choose auto or cpu, or install a torch that supports it")
    return device


@contextmanager
def exact_float32() -> Iterator[None]:
    """Compute float32 products on NVIDIA GPUs in full precision; a context manager, or a decorator.

    By default torch rounds the factors of convolutions there to 11 bits ("TF32"), and other code in the process may
    have allowed that for all products. The official E(3)-CNN's axes are small differences, and would turn by degrees.
    """
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        # Since torch 2.9, which refuses to mix the new names with the old ones.
        places, name, exact = (torch.backends.cuda.matmul, torch.backends.cudnn.conv), "fp32_precision", "ieee"
    else:
        places, name, exact = (torch.backends.cuda.matmul, torch.backends.cudnn), "allow_tf32", False
    before = [getattr(place, name) for place in places]
    # In the old names "medium" cannot be told from "high".
    overall = None if name == "fp32_precision" else torch.get_float32_matmul_precision()
    try:
        for place in places:
            setattr(place, name, exact)
        yield
    finally:
        for place, setting in zip(places, before, strict=True):
            setattr(place, name, setting)
        if overall is not None:
            torch.set_float32_matmul_precision(overall)


@contextmanager
def memory_errors(device: torch.device) -> Iterator[None]:
    """Turn a device's lack of memory into a `DeviceError`; other errors are not changed."""
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        raise DeviceError(f"{device} ran out of memory; close other programs or choose another device") from error
    except RuntimeError as error:
        # torch raises a plain RuntimeError when the CPU's allocator fails.
        if "allocate memory" not in str(error) and "out of memory" not in str(error):
            raise
        raise DeviceError(f"{device} ran out of memory; close other programs or choose another device") from error
