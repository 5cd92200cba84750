"""Label maps and masks, which lie beside many scans and are none; known by name, or by their voxels."""

from __future__ import annotations

import re

import numpy as np

ENDS = ("mask", "masks", "seg", "label", "labels", "labelmap", "segmentation", "parcellation", "probseg", "roi")
"""Last word of a label map's name, or its end: ``brainmask``, ``dseg``."""

BEGINNINGS = ("mask", "seg", "label", "labels", "segmentation", "roi")
"""First word of one, as in ``seg-001``."""

MOST_LABELS = 256
LEAST_EQUAL_NEIGHBOURS = 0.5
"""Least fraction of a label map's voxels beside the background that have the value of the next voxel along the first
axis: of masks and parcellations of fetal heads 0.83 to 0.98 do, of scans at most 0.12 (121 files of six sources)."""

PLANES_APART = 4
"""Of so many planes one is looked at first, which spares scans the time for all."""


def named_as_labels(stem: str) -> bool:
    """Whether a file's name says that it is a label map or mask.

    >>> [named_as_labels(name) for name in ("scan_mask", "sub-01_dseg", "T2-label_2", "unmasked_T2", "scan_brain")]
    [True, True, True, False, False]
    """
    words = [word for word in re.split(r"[^a-z]+", stem.lower()) if word]
    return bool(words) and (words[-1].endswith(ENDS) or words[0] in BEGINNINGS)


def is_label_map(array: np.ndarray) -> bool:
    """Whether voxels are labels: few whole numbers, in pieces; where all are the same nobody can tell.

    Parameters
    ----------
    array : np.ndarray
        Shape ``[I, J, K]``, real.
    """
    if not _in_pieces(array, 0):
        return False
    labels, counts = np.unique(array, return_counts=True)
    if not (2 <= len(labels) <= MOST_LABELS and (labels == np.round(labels)).all()):
        return False
    # A scan's background may be another value than 0, -1024 for example, and alone makes most of it one piece.
    return _in_pieces(array, labels[counts.argmax()])


def _in_pieces(array: np.ndarray, background: float) -> bool:
    """Whether voxels other than the background are mostly like their neighbours; see `LEAST_EQUAL_NEIGHBOURS`."""
    planes = array[..., ::PLANES_APART]
    here, beyond = planes[:-1], planes[1:]
    inside = here != background
    n_inside = int(np.count_nonzero(inside))
    return 0 < LEAST_EQUAL_NEIGHBOURS * n_inside <= int(np.count_nonzero((here == beyond) & inside))
