"""What EquiTrack sees of a scan: the head alone, as what surrounds it does not turn with it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from E3PoseLib.imaging.masks import ball_radius

KEPT, GONE = 0.1, 0.35
"""How far from the brain, in radii of a ball of its volume, all is kept, and from where on nothing is. Skull and scalp
lie between."""


def head_alone(array: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Intensities that fade away around the brain.

    Parameters
    ----------
    array, brain : np.ndarray
        Shape ``[D, H, W]``: intensities on cubic voxels, not negative, and the brain's mask, bool, not empty.

    Returns
    -------
    np.ndarray
        Shape ``[D, H, W]``, float32.
    """
    radius = ball_radius(float(np.count_nonzero(brain)))
    distance = ndimage.distance_transform_edt(~brain) / radius
    return (array * ((GONE - distance) / (GONE - KEPT)).clip(0, 1)).astype(np.float32)
