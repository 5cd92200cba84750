"""What EquiTrack sees of a scan: the head alone, as what surrounds it does not turn with it."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch import Tensor

from E3PoseLib.imaging.intensities import rescale
from E3PoseLib.imaging.masks import ball_radius
from E3PoseLib.method.crop import crop_views

from ..augmentation.inputs import OBJECT_FRACTION
from ..augmentation.sample import OBJECT_LABEL, Sample, affine_coordinates, resample

KEPT, GONE = 0.1, 0.35
"""How far from the brain, in radii of a ball of its volume, all is kept, and from where on nothing is. Skull and scalp
lie between."""


def head_alone(array: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Intensities that fade away around the brain.

    Parameters
    ----------
    array, brain : np.ndarray
        Shape ``[D, H, W]``: intensities on cubic voxels, not negative, and the brain's mask, bool, not empty.

    Returns
    -------
    np.ndarray
        Shape ``[D, H, W]``, float32.
    """
    radius = ball_radius(float(np.count_nonzero(brain)))
    distance = ndimage.distance_transform_edt(~brain) / radius
    return (array * ((GONE - distance) / (GONE - KEPT)).clip(0, 1)).astype(np.float32)


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
