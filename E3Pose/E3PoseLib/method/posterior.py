"""From the segmentation network's logits to the mask of the brain."""

from __future__ import annotations

import math

import numpy as np
import torch

LOG_ROUNDING = 1e-3
"""More than rounding changes the logarithm of a probability."""


def posterior_to_object(logits: torch.Tensor, thresholds: tuple[float, ...], label: int) -> torch.Tensor:
    """The voxels that are labelled as the object.

    In each channel probabilities up to its threshold count as 0; the label is the channel of largest probability.

    Parameters
    ----------
    logits : torch.Tensor
        Shape ``[B, C, D, H, W]``.
    thresholds : tuple of float
        One for each channel.
    label : int
        Channel of the object.

    Returns
    -------
    torch.Tensor
        Shape ``[B, D, H, W]``, bool.
    """
    flat = logits.movedim(1, 0).flatten(1)
    # Only where the object may exceed its threshold is there anything to compute: elsewhere it counts as 0, and the
    # channel before it as no less. No probability is more than e to the power of its logit's lead on the largest.
    # Graphics would wait for the processor to learn where that is, and are as quick everywhere.
    near: slice | np.ndarray = slice(None)
    if label > 0 and thresholds[label] > 0 and logits.device.type == "cpu":
        least = math.log(thresholds[label]) - LOG_ROUNDING
        (near,) = ((flat[label] - flat.amax(dim=0)).numpy() >= least).nonzero()
    probabilities = flat[:, near].softmax(dim=0)
    for of_channel, threshold in zip(probabilities, thresholds, strict=True):
        of_channel.masked_fill_(of_channel <= threshold, 0)
    # Where argmax, the first of equal ones, is the label; torch's own takes many times as long on a CPU.
    own = probabilities[label]
    is_object = torch.zeros_like(flat[label], dtype=torch.bool)
    is_object[near] = (probabilities[:label] < own).all(dim=0) & (probabilities[label + 1 :] <= own).all(dim=0)
    return is_object.view(len(logits), *logits.shape[2:])
