"""From the axes that the rotation network sees in several views of a head to one rotation."""

from __future__ import annotations

import numpy as np
import torch

from ..imaging.rotations import geodesic_angle, orthonormalise, random_rotations

SAME_ANSWER_DEGREES = 30.0
"""Views that differ by less than this mean the same pose, seen more or less well."""


def view_rotations(n_views: int) -> np.ndarray:
    """From where the head is looked at: the scan's own axes, and fixed random ones.

    Parameters
    ----------
    n_views : int
        At least 1.

    Returns
    -------
    np.ndarray
        Shape ``[n_views, 3, 3]``, proper, float64: a vector v of a view is R·v in the scan's axes.
    """
    more = random_rotations(n_views - 1, torch.Generator().manual_seed(0), torch.float64).numpy()
    return np.concatenate([np.eye(3)[None], more])


def combine_views(axes: np.ndarray, view_to_scan: np.ndarray) -> tuple[np.ndarray, float]:
    """One set of axes from those seen in several views, and how far the views disagree.

    A view may be turned about altogether, and a mean of such and right ones is neither; so only those count that lie
    within `SAME_ANSWER_DEGREES` of the view that most others are near to.

    Parameters
    ----------
    axes : np.ndarray
        Shape ``[V, 3, 3]``: rows x, y, z in each view's own axes, any length; the sign of x is free.
    view_to_scan : np.ndarray
        Shape ``[V, 3, 3]``, proper.

    Returns
    -------
    axes : np.ndarray
        Shape ``[3, 3]``: the means of the unit axes, in the scan's axes.
    disagreement : float
        Mean angle in degrees between the rotation of each view, those left out included, and that of the answer.
    """
    axes = axes / np.linalg.norm(axes, axis=2, keepdims=True)
    axes[:, 0] *= np.where(np.linalg.det(axes) < 0, -1, 1)[:, None]
    axes = axes @ view_to_scan.transpose(0, 2, 1)
    rotations = orthonormalise(torch.from_numpy(axes))
    apart = geodesic_angle(rotations[:, None], rotations[None]).numpy()
    central = np.minimum(apart, SAME_ANSWER_DEGREES).mean(axis=1).argmin()
    mean = axes[apart[central] <= SAME_ANSWER_DEGREES].mean(axis=0)
    return mean, float(geodesic_angle(rotations, orthonormalise(torch.from_numpy(mean))).mean())


def assemble_rotation(axes: np.ndarray) -> np.ndarray:
    """The head's rotation from its three raw axes.

    The pseudovector's sign is free, so it takes the one that makes the frame right-handed; then the nearest rotation.

    Parameters
    ----------
    axes : np.ndarray
        Shape ``[3, 3]``: rows x, y, z in RAS, any length.

    Returns
    -------
    np.ndarray
        Shape ``[3, 3]``, determinant +1; columns are the head's right, anterior and superior axes.
    """
    columns = (axes / np.linalg.norm(axes, axis=1, keepdims=True)).T
    if np.linalg.det(columns) < 0:
        columns[:, 0] *= -1
    return orthonormalise(torch.from_numpy(columns)).numpy()
