"""What is measured of a pose as evidence for or against it, and how large the doubts are that follow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from ..cut_brain import AT_END_VOXELS, end_around

if TYPE_CHECKING:
    from .confidence import Confidence

BRAIN_VOLUME_ML = (10.0, 600.0)
"""From 18 weeks to term, with the margin that a coarse mask needs (Kyriakopoulou et al., 2017: 30 to 450 ml)."""

SMALL_BRAIN_ML, LARGE_BRAIN_ML = 100.0, 350.0
"""Outside of these a brain is rarer, and its pose harder to read."""

BORDER_MM = 9.0
"""Thickness of skull and scalp. A brain that ends nearer than this to the end of the scan belongs to a head that may be
cut, even where the mask, which networks draw round, does not reach the end (docs/accuracy.md)."""


def border_share(array: np.ndarray, mask: np.ndarray, spacing_mm: float) -> tuple[bool, float]:
    """Whether the head reaches the end of what the scan shows, and which share of the brain's outline does.

    A head reaches it where the brain does, but for less than skull and scalp. See `cut_brain.end_around`.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[D, H, W]``, intensities.
    mask : np.ndarray
        Of that shape, the brain, not empty.
    spacing_mm : float
        Edge of a voxel.

    Returns
    -------
    head_reaches : bool
    share : float
        Of the mask's outermost voxels, those that lie at the end themselves, in [0, 1]: what a brain has lost there
        shifts its centre.
    """
    # Where a cut head was resampled, a voxel that is partly filled lies between it and the zeros.
    reach = max(2, int(BORDER_MM / spacing_mm))
    # No cube of three voxels that comes so near to the brain reaches beyond this box, unless the grid ends there.
    end = end_around(array, mask, margin=reach + 2)
    if not end.beyond.any() or not (ndimage.distance_transform_edt(~end.brain)[end.beyond] <= reach).any():
        return False, 0.0
    outline = end.brain & ~ndimage.binary_erosion(end.brain)
    at_end = ndimage.binary_dilation(end.beyond, iterations=AT_END_VOXELS) & outline
    return True, float(np.count_nonzero(at_end) / np.count_nonzero(outline))


def axis_concentration(field: torch.Tensor) -> tuple[float, float, float]:
    """How well the voxels agree on each axis.

    Parameters
    ----------
    field : torch.Tensor
        Shape ``[9, d, h, w]``: the pseudovector x and the vectors y, z at each voxel.

    Returns
    -------
    tuple of float
        Of y and z the length of the mean unit vector. Of x, whose sign is free, the same for an axis: with l the
        largest eigenvalue of the mean of x·xᵀ, (3l − 1)/2 (the order parameter of a nematic).
    """
    x, y, z = (functional.normalize(part.flatten(1).double(), dim=0) for part in field.split(3))
    largest = float(torch.linalg.eigvalsh(x @ x.T / x.shape[1])[-1])
    return (
        min(1.0, max(0.0, (3 * largest - 1) / 2)),
        float(y.mean(dim=1).norm()),
        float(z.mean(dim=1).norm()),
    )


def orthogonality_error(axes: np.ndarray) -> float:
    """How far the rows of a 3×3 matrix are from right angles, in degrees, [0, 90].

    The angle whose cosine is the volume that the unit rows span: d where two of them are off by d and the third is
    upright to both, and 90 where all three lie in one plane, whatever the angles between them.
    """
    unit = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    return float(np.rad2deg(np.arccos(min(1.0, abs(np.linalg.det(unit))))))


def sizes_of_doubts(confidence: Confidence) -> dict[str, float]:
    """How large each doubt about a pose is, by its name: 0 where nothing speaks against the pose, else about 1.

    "opinions apart" alone may be negative, down to -0.5: two sets of networks that tell much the same speak for the
    pose, but they may share an error, so that they are nearer still says no more.

    These are what a `Calibration` weighs. Where a doubt grows faster than in proportion there is a second part of it,
    which begins later. Of a brain without skull there is little else to tell by, so some doubts weigh more there.

    >>> from E3PoseLib.method.trust.confidence import Confidence
    >>> sizes_of_doubts(Confidence((0.9, 0.95, 0.9), 5.0, 200.0, touches_border=False))["right angles"]
    0.5
    """
    known = confidence
    views = min(known.view_disagreement_degrees or 0.0, 90.0)
    halves, halves_mm = known.halves_apart_degrees, known.halves_apart_mm
    halves_apart = 0.0
    # Of one half's pose the probability is halved instead: no scans teach which half is meant.
    if halves is not None and halves_mm is not None and not known.is_of_one_half:
        halves_apart = 0.5 + halves / 20 + halves_mm / 20
    skewed = known.orthogonality_error_degrees
    small = max(0.0, math.log(SMALL_BRAIN_ML / max(known.brain_volume_ml, 1.0)))
    brain_only = float(known.brain_only)
    eyes_apart = 0.0 if known.has_no_eyes else known.eyes_disagreement_degrees or 0.0
    brain, upright = (1.0 if one is None else one for one in (known.brain_agreement, known.upright_agreement))
    apart, apart_mm = known.opinions_apart_degrees, known.opinions_apart_mm
    opinions_apart = 0.0 if apart is None or apart_mm is None else min(max(apart / 10 + apart_mm / 10 - 1, -0.5), 1.0)
    return {
        "axes": 1 - min(known.axis_concentration),
        "axes, poor": max(0.0, 0.8 - min(known.axis_concentration)),
        "right angles": skewed / 10,
        "right angles, poor": max(0.0, skewed - 10) / 10,
        "views": views / 10,
        "views, poor": max(0.0, views - 10) / 10,
        "brains": 1 - brain,
        "brains, poor": max(0.0, 0.8 - brain),
        "brains upright": 1 - upright,
        "brains upright, poor": max(0.0, 0.87 - upright),
        "no eyes": float(known.has_no_eyes),
        "eyes apart": eyes_apart / 10,
        "eyes unclear": 0.0 if known.has_no_eyes or known.eyes_probability is None else 1 - known.eyes_probability,
        "moved": 0.0 if known.is_by_halves else 10 * max(0.0, known.interleave_ratio - 0.75),
        "halves": halves_apart,
        "border": float(known.touches_border),
        "cut": 10 * known.border_share,
        "small brain": small,
        "large brain": max(0.0, math.log(max(known.brain_volume_ml, 1.0) / LARGE_BRAIN_ML)),
        "core": float(known.by_core),
        "continued": float(known.continued),
        "brightened": float(known.brightened),
        "second opinion": float(known.by_second_opinion),
        "opinions apart": opinions_apart,
        "brain only": brain_only,
        "brain only, views": brain_only * views / 10,
        "brain only, right angles": brain_only * skewed / 10,
        "brain only, small": brain_only * small,
    }
