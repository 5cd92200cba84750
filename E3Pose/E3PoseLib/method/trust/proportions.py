"""Whether a brain has the proportions of one: a header that tells a wrong distance of slices stretches it."""

from __future__ import annotations

import numpy as np

from ...imaging.masks import filled_box
from ..cut_brain import BRAIN_MOMENTS


def stretched_by(mask: np.ndarray, voxel_to_ras: np.ndarray, rotation: np.ndarray) -> float:
    """How much longer a brain is along one of the scan's axes than across it, relative to what brains are.

    Parameters
    ----------
    mask : np.ndarray
        Shape ``[I, J, K]``, not 0 in the brain.
    voxel_to_ras : np.ndarray
        Shape ``[4, 4]``.
    rotation : np.ndarray
        Shape ``[3, 3]``: columns are the head's right, anterior and superior axes in RAS.

    Returns
    -------
    float
        Along the axis where it differs most: the root of the second moment over that of `BRAIN_MOMENTS`, over the
        geometric mean of the same of the two other axes. 1 for an ordinary brain, below 1 for a flat one.
    """
    if not mask.any():
        return 1.0
    places = np.argwhere(mask[filled_box(mask)]) @ voxel_to_ras[:3, :3].T
    directions = voxel_to_ras[:3, :3] / np.linalg.norm(voxel_to_ras[:3, :3], axis=0)
    expected = rotation @ BRAIN_MOMENTS @ rotation.T
    moments = np.var(places @ directions, axis=0)
    if not moments.all():
        return 1.0  # one voxel thin: nothing can be told
    factors = np.log(moments / np.einsum("ia,ij,ja->a", directions, expected, directions)) / 2
    beyond_others = factors - (factors.sum() - factors) / 2
    return float(np.exp(beyond_others[np.abs(beyond_others).argmax()]))
