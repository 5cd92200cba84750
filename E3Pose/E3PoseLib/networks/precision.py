"""The precision that the U-Net computes in: float32, or a lower one where that is faster and finds the same."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from ..imaging.boxes import Box, part_of, whole
from ..imaging.masks import dice_overlap
from .unet.padding import PaddedScans
from .unet.unet import UNet

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

SAME_MASK_DICE = 0.998
"""A lower precision is accepted if its mask overlaps with that of float32 by at least this Dice coefficient."""


def segment(network: UNet, precision: str, batch: torch.Tensor) -> torch.Tensor:
    """Logits ``[B, C, D, H, W]`` in float32, the convolutions in one of `PRECISIONS`."""
    with _convolving_in(precision, batch):
        return network(batch).float()


def encode(network: UNet, precision: str, batch: torch.Tensor, box: Box | None) -> Callable[[Box], torch.Tensor]:
    """Run the encoder once, and return a function that gives the logits of any box of the grid.

    Parameters
    ----------
    network : UNet
    precision : str
        One of `PRECISIONS`.
    batch : torch.Tensor
        Shape ``[B, 1, D, H, W]``.
    box : Box or None
        The batch is zero outside of it. None: compute the whole grid at once.

    Returns
    -------
    callable
        From a box in voxels to logits ``[B, C, *box]`` in float32.
    """
    if box is None:
        everywhere = segment(network, precision, batch)
        return lambda wanted: part_of(everywhere, wanted, whole(batch))
    with _convolving_in(precision, batch):
        scans = PaddedScans(network, batch, box)

    def logits(wanted: Box) -> torch.Tensor:
        with _convolving_in(precision, batch):
            return scans.logits(wanted).float()

    return logits


def _convolving_in(precision: str, batch: torch.Tensor) -> torch.autocast:
    return torch.autocast(batch.device.type, PRECISIONS[precision], enabled=precision != "float32")


def fastest_precision(network: UNet, batch: torch.Tensor, to_mask: Callable[[torch.Tensor], torch.Tensor]) -> str:
    """Choose between float32 and the device's lower precision, by trying both on a batch.

    Parameters
    ----------
    network : UNet
    batch : torch.Tensor
        Shape ``[B, 1, D, H, W]``, scans as the network sees them.
    to_mask : callable
        From logits ``[B, C, D, H, W]`` to the voxels ``[B, D, H, W]`` that are brain.

    Returns
    -------
    str
        The lower precision (``bfloat16`` on a CPU, ``float16`` on a GPU) if the second of two passes took less time
        than in float32 and the masks overlap by at least `SAME_MASK_DICE`; else ``float32``, also if there is no brain
        to compare.
    """
    lower = "bfloat16" if batch.device.type == "cpu" else "float16"
    seconds, masks = {}, {}
    for precision in ("float32", lower):
        segment(network, precision, batch).cpu()
        started = time.perf_counter()
        logits = segment(network, precision, batch).cpu()
        seconds[precision] = time.perf_counter() - started
        masks[precision] = to_mask(logits).numpy()
    same = dice_overlap(masks["float32"], masks[lower]) >= SAME_MASK_DICE
    return lower if same and seconds[lower] < seconds["float32"] else "float32"
