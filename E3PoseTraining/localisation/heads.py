"""What the U-Nets see: heads upright in training, and when they are judged also heads that are turned."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from E3PoseLib.imaging.intensities import rescale
from E3PoseLib.method.views import view_rotations

from ..augmentation.placement import upright
from ..augmentation.sample import Sample

N_TURNED = 6
"""Orientations besides the upright one in which a head is judged: random ones, the same for every head."""


class UprightHead:
    """Of training: the head is upright by `RandUprightHead`; of judging: upright, and turned about the brain's centre.

    Parameters
    ----------
    edge : int
        Of the cube, voxels.
    clip_fraction : float
        See `E3PoseLib.imaging.intensities.rescale`.
    """

    def __init__(self, edge: int, clip_fraction: float = 0.0) -> None:
        self.edge = edge
        self.clip_fraction = clip_fraction

    def __call__(self, sample: Sample) -> Sample:
        """Image and label ``[1, edge, edge, edge]`` in training; ``[1 + N_TURNED, …]``, the upright one first, else."""
        # A head that the augmentation has placed has no axes any more.
        if sample.axes is None:
            shown = [sample]
        else:
            shown = [upright(sample, self.edge, rotation) for rotation in view_rotations(1 + N_TURNED)]
        images = np.stack([rescale(each.image[0].numpy(force=True), self.clip_fraction) for each in shown])
        label = torch.cat([each.label for each in shown])
        return dataclasses.replace(sample, image=torch.from_numpy(images).to(label.device), label=label, axes=None)
