"""What is written for each scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...imaging.volume import Volume

if TYPE_CHECKING:
    # With it comes torch; a process that only hands out scans need not wait for that.
    from ...method.estimate import PoseEstimate
    from ..scans.tasks import Task

E3_POSE = "e3-pose"
"""The name of this library's own method among others."""

DIRECTIONS = ("canonical-to-input", "input-to-canonical")


@dataclass(frozen=True)
class Settings:
    """What is written for each scan.

    Parameters
    ----------
    model : str
        The identity of the model, `Model.identity`; recorded with each result.
    space : str
        "ras" (mm) or "voxel" (indices of the file's own voxels), of the matrix in ``.npy`` and ``poses.csv``.
    direction : str
        "canonical-to-input" or "input-to-canonical".
    save_mask : bool
    precision : str
        As asked for; recorded with each result, beside what the U-Net ran in.
    reslice_spacing : float, optional
        Also write the scan resliced in the head's planes, with voxels of so many mm.
    voxel_size : tuple of float, optional
        Of scans whose files have lost it: one for all axes, or one for each; mm.
    model_file : str
        Hash of the file of the model, by which a later run knows the model without loading it; "" if not known.
    method : str
        By which the pose is estimated; others than E(3)-Pose are the training package's.
    known : mapping of str to float
        What the method was told of this very scan, such as the gestational age.
    """

    model: str
    space: str = "ras"
    direction: str = DIRECTIONS[0]
    save_mask: bool = False
    precision: str = "float32"
    reslice_spacing: float | None = None
    voxel_size: tuple[float, ...] | None = None
    model_file: str = ""
    method: str = E3_POSE
    known: Mapping[str, float] = field(default_factory=dict)

    def for_task(self, task: Task) -> Settings:
        """The settings of one scan; the same for all, unless something is known of each."""
        return self

    def matrix(self, volume: Volume, estimate: PoseEstimate) -> np.ndarray:
        """The 4×4 matrix asked for; to and from voxels it is affine, exact for any voxel size and handedness."""
        matrix = estimate.canonical_to_ras
        if self.space == "voxel":
            matrix = np.linalg.inv(volume.voxel_to_ras) @ matrix
        return matrix if self.direction == DIRECTIONS[0] else np.linalg.inv(matrix)
