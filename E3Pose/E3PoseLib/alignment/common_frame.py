"""The middle of the frames that several stacks claim for one head."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from ..imaging.geometry import invert_rigid, rigid

_ROUNDS = 20
_LEAST_RADIANS, _LEAST_MM = 0.01, 0.2
"""Nearer than this a claim gets no more weight, or the middle would stick to the first one that it meets."""


def common_frame(claims: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The frame in the middle of what stacks that are brought together claim: where most agree, one wrong claim moves
    it little.

    Rotations and origins have each their geometric median, by Weiszfeld's weights of one over the distance.

    Parameters
    ----------
    claims : mapping of int to (np.ndarray, np.ndarray)
        Of each stack ``[4, 4]`` twice, rigid, mm: where some frame that is the same for all lies in it, and where the
        head's frame lies by its own pose.

    Returns
    -------
    np.ndarray
        ``head_to_frame``, ``[4, 4]``: from the head's frame to the one that is the same for all.
    """
    heads = [invert_rigid(frame_to_ras) @ head_to_ras for frame_to_ras, head_to_ras in claims.values()]
    rotations = Rotation.from_matrix(np.array([head[:3, :3] for head in heads]))
    origins = np.array([head[:3, 3] for head in heads])
    rotation, origin = rotations.mean(), np.median(origins, axis=0)
    for _ in range(_ROUNDS):
        apart = (rotation.inv() * rotations).magnitude()
        rotation = rotations.mean(1 / np.maximum(apart, _LEAST_RADIANS))
        weights = 1 / np.maximum(np.linalg.norm(origins - origin, axis=1), _LEAST_MM)
        origin = weights @ origins / weights.sum()
    return rigid(rotation.as_matrix(), origin)
