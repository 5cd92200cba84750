"""Where the brain is: the segmentation network's logits made to masks, largest component first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from ..imaging.masks import largest_components
from ..models.model import Model
from ..networks.inference import Inference
from ..networks.precision import encode, fastest_precision, segment
from ..networks.unet.padding import find_object_without_padding
from .prepared import PreparedScan

LEAST_CANDIDATE_ML = 4.0
"""Components smaller than this are not tried as the brain, but for the largest: of some brains the network sees only a
corner."""

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


class BrainLocaliser:
    """Finds what may be the brain in prepared scans, by the segmentation network.

    Parameters
    ----------
    model : Model
    infer : Inference
    precision : str
        One of `PRECISIONS`, or "auto": what `fastest_precision` finds on the first scans.

    Attributes
    ----------
    precision : str
        In which the network runs; "auto" until the first scans.
    """

    def __init__(self, model: Model, infer: Inference, precision: str) -> None:
        self.precision = precision
        self._network = model.segmentation_network
        self._header = model.header
        self._infer = infer

    def __call__(self, scans: Sequence[PreparedScan]) -> list[list[np.ndarray]]:
        """Brain masks of each scan.

        Returns
        -------
        list of list of np.ndarray
            For each scan bool masks on the model's grid, largest first; none where no brain was found.

        Raises
        ------
        DeviceError
            If the device runs out of memory.
        """
        found = self._infer(self.find_object, [scan.array for scan in scans])
        return [self.candidates(scan, is_object.cpu().numpy()) for scan, is_object in zip(scans, found, strict=True)]

    def find_object(self, batch: torch.Tensor) -> torch.Tensor:
        """The voxels that the network labels as brain, bool ``[B, D, H, W]``, of scans ``[B, 1, D, H, W]``."""
        if self.precision == "auto":
            self.precision = fastest_precision(self._network, batch, self.to_object)
        if batch.device.type != "cpu":
            # Recorded calls compute the same each time, whatever the batch shows.
            return self.to_object(segment(self._network, self.precision, batch))
        return find_object_without_padding(partial(encode, self._network, self.precision), batch, self.to_object)

    def to_object(self, logits: torch.Tensor) -> torch.Tensor:
        """`posterior_to_object` with the model's thresholds and label."""
        return posterior_to_object(logits, self._header.thresholds, self._header.object_label)

    def candidates(self, scan: PreparedScan, is_object: np.ndarray) -> list[np.ndarray]:
        """Brain masks on the model's grid, largest first, among the voxels labelled as brain, bool ``[D, H, W]``.

        What lies wholly in the padding is none.
        """
        least_voxels = LEAST_CANDIDATE_ML * 1000 / self._header.spacing_mm**3
        return largest_components(is_object, self._header.candidates, least_voxels, scan.field_of_view)
