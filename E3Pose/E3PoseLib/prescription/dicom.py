"""A stack in DICOM's terms: the attributes that place its images in the patient (LPS, mm)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..imaging.geometry import LPS_TO_RAS
from .stack import SlicePlane, Stack


def image_orientation(plane: SlicePlane) -> np.ndarray:
    """ImageOrientationPatient (0020,0037), ``[6]``: along a row and along a column, in LPS."""
    return np.concatenate([LPS_TO_RAS[:3, :3] @ plane.row, LPS_TO_RAS[:3, :3] @ plane.column])


def image_positions(stack: Stack) -> np.ndarray:
    """ImagePositionPatient (0020,0032) of every slice, ``[n_slices, 3]``: the middle of its first pixel, in LPS mm."""
    first, step = stack.voxel_to_ras[:3, 3], stack.voxel_to_ras[:3, 2]
    return (first + np.arange(stack.n_slices)[:, None] * step) @ LPS_TO_RAS[:3, :3]


def dicom_numbers(stack: Stack) -> dict[str, Any]:
    """The attributes of the stack's images by their DICOM keywords; ``ImagePositionPatient`` is that of every slice."""
    along_row, along_column = stack.pixel_sizes
    columns, rows = stack.matrix
    return {
        "ImageOrientationPatient": image_orientation(stack),
        "ImagePositionPatient": image_positions(stack),
        # Between rows first, that is along a column.
        "PixelSpacing": [along_column, along_row],
        "Rows": rows,
        "Columns": columns,
        "SliceThickness": stack.thickness,
        "SpacingBetweenSlices": stack.spacing,
    }
