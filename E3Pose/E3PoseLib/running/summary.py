"""An estimate as plain numbers and words, for a JSON file, a scene or another process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..imaging.formats.nifti_orientation import other_coordinates
from ..imaging.rotations import matrix_to_euler
from ..method.estimate import PoseEstimate

NOT_REVIEWED = {"state": "estimated"}
"""What a result says of a pose that no person has checked or corrected; Slicer's panel notes there who has."""


def eyes_in_numbers(estimate: PoseEstimate) -> dict | None:
    """The eyes ``left`` and ``right`` in RAS mm and their ``probability``, or None where none were found."""
    eyes = estimate.eyes
    if eyes is None:
        return None
    return {"left": eyes.left.tolist(), "right": eyes.right.tolist(), "probability": eyes.probability}


def with_origin(estimate: PoseEstimate, file: str | None, **settings: Any) -> dict:
    """`summarise`, with these ``settings`` and what `other_coordinates` says of the scan's file, None without one, as
    ``coordinates``.
    """
    coordinates = None if file is None else other_coordinates(Path(file))
    return {**summarise(estimate), "coordinates": coordinates, "settings": settings}


def summarise(estimate: PoseEstimate) -> dict:
    """Everything of an estimate but its mask.

    ``canonical_to_ras`` is 4×4 in RAS mm; ``euler_xyz_degrees`` are the angles of its rotation, see `rotations`.
    """
    rotation = torch.from_numpy(estimate.canonical_to_ras[:3, :3])
    return {
        "canonical_to_ras": estimate.canonical_to_ras.tolist(),
        "euler_xyz_degrees": matrix_to_euler(rotation).tolist(),
        "confidence": estimate.confidence.as_dict(),
        "review": NOT_REVIEWED,
        "eyes": eyes_in_numbers(estimate),
        "warnings": list(estimate.warnings),
        "timings": estimate.timings,
        "device": estimate.device,
    }
