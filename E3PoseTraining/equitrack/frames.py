"""What EquiTrack is trained on: two frames of a head that has turned between them."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from E3PoseLib.imaging.intensities import rescale
from E3PoseLib.method.crop import crop_views

from ..augmentation.grid import OBJECT_LABEL, affine_coordinates
from ..augmentation.inputs import OBJECT_FRACTION
from ..augmentation.sample import Sample, resample
from .head_alone import head_alone


class TwoFrames:
    """Two frames of a head that has turned between them, by the very crop of use.

    The first goes by the brain as a first look finds it, where the augmentation has drawn one, the second by the true
    brain: masks of two frames differ, too.

    Parameters
    ----------
    edge : int
        Voxels along each edge of a frame.
    clip_fraction : float
        See `E3PoseLib.imaging.intensities.rescale`.
    """

    def __init__(self, edge: int, clip_fraction: float) -> None:
        self.edge = edge
        self.clip_fraction = clip_fraction

    def __call__(self, sample: Sample) -> Sample:
        """Image ``[2, edge, edge, edge]`` and axes ``[2, 3, 3]``; the label stays as it is."""
        assert sample.axes is not None
        # Another turn for each scan and epoch, and the same again after a restart: the augmentation drew these axes.
        seed = int(np.ascontiguousarray(sample.axes.numpy()).view(np.uint32)[0, 0])
        turns = torch.from_numpy(Rotation.random(2, random_state=seed).as_matrix())
        found = sample.label if sample.first_look is None else sample.first_look
        frames = [
            self._frame(dataclasses.replace(sample, label=label, first_look=None), turn)
            for label, turn in zip((found, sample.label), turns, strict=True)
        ]
        return dataclasses.replace(sample, image=torch.stack(frames), axes=sample.axes @ turns, first_look=None)

    def _frame(self, sample: Sample, turn: Tensor) -> Tensor:
        """``[edge, edge, edge]``: where v is a direction of it, ``turn · v`` is one of the sample.

        The scan is turned before it is cut: how large a crop is, and where its middle, also hangs on how the head lies.
        """
        turned = resample(sample, affine_coordinates(sample.shape, turn, torch.zeros(3)))
        image, brain = turned.image[0].numpy(force=True), turned.label[0].numpy(force=True) == OBJECT_LABEL
        place = (self.edge, OBJECT_FRACTION, np.eye(3)[None], self.clip_fraction)
        frame = crop_views(brain, head_alone(rescale(image), brain), *place)[0]
        return torch.from_numpy(frame).to(sample.image.device)
