"""From the segmentation network's logits to the mask of the brain."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage


def posterior_to_mask(logits: torch.Tensor, thresholds: tuple[float, ...], label: int) -> np.ndarray:
    """The largest 6-connected component of the voxels that are labelled as the object.

    In each channel probabilities up to its threshold count as 0; the label is the channel of largest probability.

    Parameters
    ----------
    logits : torch.Tensor
        Shape ``[C, D, H, W]``.
    thresholds : tuple of float
        One for each channel.
    label : int
        Channel of the object.

    Returns
    -------
    np.ndarray
        Shape ``[D, H, W]``, bool; empty where nothing was found.
    """
    probabilities = logits.softmax(dim=0)
    limits = torch.tensor(thresholds, device=logits.device, dtype=logits.dtype)[:, None, None, None]
    probabilities = probabilities.masked_fill(probabilities <= limits, 0)
    # Where argmax, the first of equal ones, is the label; torch's own takes as long as the network on a CPU.
    own = probabilities[label]
    is_object = (probabilities[:label] < own).all(dim=0) & (probabilities[label + 1 :] <= own).all(dim=0)
    return largest_component(is_object.cpu().numpy())


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest 6-connected component of a bool array; of equal ones the first in memory order."""
    box = bounding_box(mask)
    if box is None:
        return mask
    components, n_components = ndimage.label(mask[box])
    if n_components > 1:
        largest = np.bincount(components.ravel())[1:].argmax() + 1
        mask = np.zeros_like(mask)
        mask[box] = components == largest
    return mask


def bounding_box(mask: np.ndarray) -> tuple[slice, ...] | None:
    """Slices around the true voxels of an array, or None where there are none."""
    box = []
    for axis in range(mask.ndim):
        where = mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)).nonzero()[0]
        if not len(where):
            return None
        box.append(slice(int(where[0]), int(where[-1]) + 1))
    return tuple(box)
