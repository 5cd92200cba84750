"""An estimate as plain numbers and words, for a JSON file, a scene or another process."""

from __future__ import annotations

import torch

from .estimator import PoseEstimate
from .rotations import matrix_to_euler


def summarise(estimate: PoseEstimate) -> dict:
    """Everything of an estimate but its mask.

    ``canonical_to_ras`` is 4×4 in RAS mm; ``euler_xyz_degrees`` are the angles of its rotation, see `rotations`.
    """
    rotation = torch.from_numpy(estimate.canonical_to_ras[:3, :3])
    return {
        "canonical_to_ras": estimate.canonical_to_ras.tolist(),
        "euler_xyz_degrees": matrix_to_euler(rotation).tolist(),
        "confidence": estimate.confidence.as_dict(),
        "warnings": list(estimate.warnings),
        "timings": estimate.timings,
        "device": estimate.device,
    }
