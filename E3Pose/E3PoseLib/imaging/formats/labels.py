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
"""Least fraction of a label map's voxels other than 0 that have the value of the next voxel along the first axis: of
masks and parcellations of fetal heads 0.83 to 0.98 do, of scans at most 0.12 (121 files of six sources)."""

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
    planes = array[..., ::PLANES_APART]
    here, beyond = planes[:-1], planes[1:]
    inside = here != 0
    n_inside = np.count_nonzero(inside)
    if not n_inside or np.count_nonzero((here == beyond) & inside) < LEAST_EQUAL_NEIGHBOURS * n_inside:
        return False
    labels = np.unique(array)
    return 2 <= len(labels) <= MOST_LABELS and bool((labels == np.round(labels)).all())
