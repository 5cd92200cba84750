"""The network that gives points of a head, and the rotation that carries some points onto others in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from E3PoseLib.compiler import compiler_left_out

from ..localisation.networks import EquivariantUNet

with compiler_left_out():
    import roma

RADII = 5.0, 2.5
"""Voxels of a crop at which the template's points lie about the brain's middle, by turns: a brain's own radius is some
seven. The further apart points lie, the less a tenth of a voxel turns them."""


class EquiTrack(nn.Module):
    """After EquiTrack (Billot et al., 2024): centres of mass of scalar fields, which turn with what a frame shows.

    Theirs: gated blocks of 5³ taps on 96³ voxels, the absolute value of a field as its mass, a denoising U-Net before
    them. Here: the equivariant U-Net of `localisation` without its finest way up, on the crops of the other networks,
    whose voxels are means of eight, and the soft-max of a field as its mass, so that no empty place has any.

    A head is nearly its own mirror image and the network commutes with reflections, so the points can only lie near the
    plane of symmetry. That is enough for a rotation, which is proper.

    Parameters
    ----------
    n_points : int
    multiplicity, kernel_size : int
        As for `EquivariantUNet`.

    Attributes
    ----------
    template : Tensor
        ``[K, 3]``: where the points are to lie in a head, along right, anterior and superior, voxels of a crop.
    """

    template: Tensor

    def __init__(self, n_points: int = 32, multiplicity: int = 1, kernel_size: int = 3) -> None:
        super().__init__()
        self.network = EquivariantUNet(multiplicity, kernel_size, n_outputs=n_points, finest=False)
        self.register_buffer("template", rings(n_points))

    def forward(self, frames: Tensor) -> Tensor:
        """The points of each frame.

        Parameters
        ----------
        frames : Tensor
            ``[B, 1, D, D, D]``, D a multiple of 4.

        Returns
        -------
        Tensor
            ``[B, K, 3]``, voxels from the points' own middle.
        """
        fields = self.network(frames)
        masses = fields.flatten(2).softmax(dim=2).view_as(fields)
        size = fields.shape[2]
        places = (torch.arange(size, device=frames.device) - (size - 1) / 2) * (frames.shape[2] / size)
        points = torch.stack([masses.sum(rest) @ places for rest in ((3, 4), (2, 4), (2, 3))], dim=2)
        return points - points.mean(dim=1, keepdim=True)

    def to_template(self, points: Tensor) -> Tensor:
        """The head's axes as rows ``[B, 3, 3]``, from its points: the rotation from a frame to the head's own."""
        return rotation_between(points, self.template.expand_as(points))

    def distance_from_places(self, points: Tensor, axes: Tensor) -> Tensor:
        """Mean distance of the points ``[B, K, 3]`` of heads with axes ``[B, 3, 3]`` from their places, in radii."""
        return (points - self.template @ axes).norm(dim=2).mean() / self.template.norm(dim=1).mean()


def rings(n_points: int) -> Tensor:
    """Points ``[K, 3]`` on two circles in a head's plane of symmetry, ``RADII`` about their middle."""
    angles = torch.arange(n_points) * (2 * math.pi / n_points)
    radii = torch.tensor(RADII).repeat(n_points // 2 + 1)[:n_points]
    places = torch.stack([torch.zeros(n_points), radii * angles.cos(), radii * angles.sin()], dim=1)
    return places - places.mean(dim=0)


@torch.inference_mode(False)  # roma keeps a constant of its first call, which training cannot use if made in that mode
def rotation_between(points: Tensor, others: Tensor) -> Tensor:
    """The rotation R that carries points nearest to others by least squares (Kabsch, 1976): other ≈ R · point.

    Parameters
    ----------
    points, others : Tensor
        ``[B, K, 3]``, from their own middles.

    Returns
    -------
    Tensor
        ``[B, 3, 3]``, proper.
    """
    return roma.special_procrustes(others.mT @ points)


TRACKERS: dict[str, type[EquiTrack]] = {"equitrack": EquiTrack}
"""By the name of their method."""
