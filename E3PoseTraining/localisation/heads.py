"""What the U-Nets see: heads upright in training, and when they are judged also heads that are turned."""

from __future__ import annotations

import dataclasses

import torch

from E3PoseLib.method.views import view_rotations

from ..augmentation.inputs import UprightInput
from ..augmentation.placement import upright
from ..augmentation.sample import Sample

N_TURNED = 6
"""Orientations besides the upright one in which a head is judged: random ones, the same for every head."""


class UprightHead(UprightInput):
    """Of training: the head is upright by `RandUprightHead`; of judging: upright, and turned about the brain's centre.

    Parameters
    ----------
    edge : int
        Of the cube, voxels.
    clip_fraction : float
        See `E3PoseLib.imaging.intensities.rescale`.
    """

    def __call__(self, sample: Sample) -> Sample:
        """Image and label ``[1, edge, edge, edge]`` in training; ``[1 + N_TURNED, …]``, the upright one first, else."""
        see = super().__call__
        if sample.is_upright:
            return see(sample)
        shown = [see(upright(sample, self.edge, rotation)) for rotation in view_rotations(1 + N_TURNED)]
        images, labels = torch.cat([each.image for each in shown]), torch.cat([each.label for each in shown])
        return dataclasses.replace(shown[0], image=images, label=labels)
