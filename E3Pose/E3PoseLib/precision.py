"""In how many bits the U-Net computes."""

from __future__ import annotations

import time

import torch

from .segmentation.unet import UNet

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

SAME_OBJECT_DICE = 0.998
"""Overlap with float32's object from which a lower precision may take its place."""


def segment(network: UNet, batch: torch.Tensor, precision: str) -> torch.Tensor:
    """Logits ``[B, C, D, H, W]``, the convolutions in one of `PRECISIONS`."""
    with torch.autocast(batch.device.type, PRECISIONS[precision], enabled=precision != "float32"):
        return network(batch)


def fastest_precision(network: UNet, batch: torch.Tensor, label: int) -> str:
    """float32, or the device's lower precision where that is quicker on this batch and finds the same object.

    Parameters
    ----------
    network : UNet
    batch : torch.Tensor
        Shape ``[B, 1, D, H, W]``, scans as the network sees them.
    label : int
        Channel of the object.

    Returns
    -------
    str
        ``float32``; or ``bfloat16`` on a CPU, ``float16`` on graphics: where the second of two passes took less time
        and the Dice overlap of the objects is at least `SAME_OBJECT_DICE`.
    """
    lower = "bfloat16" if batch.device.type == "cpu" else "float16"
    seconds, objects = {}, {}
    for precision in ("float32", lower):
        segment(network, batch, precision).cpu()
        started = time.perf_counter()
        logits = segment(network, batch, precision).cpu()
        seconds[precision] = time.perf_counter() - started
        objects[precision] = logits.argmax(dim=1) == label
    both = (objects["float32"] & objects[lower]).sum()
    same = 2 * both >= SAME_OBJECT_DICE * (objects["float32"].sum() + objects[lower].sum())
    return lower if same and seconds[lower] < seconds["float32"] else "float32"
