"""What the U-Nets say that look closer at a head once it is found: where its brain ends, and where eyes may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from ..imaging.cropping import cut, put_back
from ..imaging.geometry import rigid
from ..imaging.masks import bounding_box, box_around, dice_overlap, largest_components
from ..imaging.resampling import reached_box
from ..imaging.sampling import sample_grids
from ..networks.unet.unet import UNet

CORE_DEPTH_MM = 9.0
CORE_GROWTH_MM = 21.0
"""What two networks agree to be brain is worn off by the first, which no bridge to fat or fluid beside the head
outlasts, and grown again by the second within what the closer of them takes for brain."""

HALF_TURN = ([], [2, 3])
"""In which axes of a batch a head in any pose is mirrored: its own place, and half a turn from it."""

LEFT_AND_RIGHT = ([], [2])
"""The same for a head that stands upright, which looks alike from left and right."""


@dataclass(frozen=True, eq=False)
class Look:
    """What is known of a head that was looked at closely.

    Parameters
    ----------
    mask : np.ndarray
        Bool, shape of the model's grid: the brain.
    brain_agreement : float or None
        Dice overlap of the first look's brain and that of the closer one; None where there is no closer one.
    eye_probability : np.ndarray or None
        Shape ``[E, E, E]``: of each voxel of a cube around the head; None where no network has looked for eyes.
    voxel_to_ras : np.ndarray or None
        Shape ``[4, 4]``, of that cube.
    upright_agreement : float or None
        Dice overlap of that brain and the one seen upright; None before that, or where no network sees it so.
    """

    mask: np.ndarray
    brain_agreement: float | None = None
    eye_probability: np.ndarray | None = None
    voxel_to_ras: np.ndarray | None = None
    upright_agreement: float | None = None


def mirrored_posterior(network: UNet, mirrored_axes: Sequence[Sequence[int]], batch: torch.Tensor) -> torch.Tensor:
    """Mean probability of each class over mirror images of heads.

    Parameters
    ----------
    network : UNet
    mirrored_axes : sequence of sequence of int
        Of each mirror image, the axes of the batch that are mirrored.
    batch : torch.Tensor
        Shape ``[B, 1, E, E, E]``.

    Returns
    -------
    torch.Tensor
        Shape ``[B, C, E, E, E]``.
    """
    return torch.stack([network(batch.flip(axes)).softmax(1).flip(axes) for axes in mirrored_axes]).mean(0)


def closer_look(
    posterior: torch.Tensor,
    cube: tuple[slice, ...],
    mask: np.ndarray,
    field_of_view: tuple[slice, ...],
    grid_to_ras: np.ndarray,
    spacing_mm: float,
) -> Look:
    """The brain by two networks, the second of which sees the head alone.

    Parameters
    ----------
    posterior : torch.Tensor
        Shape ``[3, E, E, E]``: background, brain, eyes in a cube around the head.
    cube : tuple of slice
        Where in the grid that is.
    mask : np.ndarray
        Shape of the grid, bool: what the first network calls brain. It stays where the second sees none in the scan.
    field_of_view : tuple of slice
        What of the grid the scan covers.
    grid_to_ras : np.ndarray
        Shape ``[4, 4]``.
    spacing_mm : float
        Of the grid.

    Returns
    -------
    Look
    """
    first, brain = cut(mask, cube), _filled(_lead(posterior) > 0)
    depth, growth = round(CORE_DEPTH_MM / spacing_mm), round(CORE_GROWTH_MM / spacing_mm)
    core = largest_components(ndimage.binary_erosion(brain & first, iterations=depth))
    found = [ndimage.binary_dilation(one, iterations=growth, mask=brain) for one in core] or largest_components(brain)
    return Look(
        _first_in_scan([put_back(one, cube, mask.shape) for one in found], mask, field_of_view),
        dice_overlap(brain, first),
        posterior[2].cpu().numpy(),
        grid_to_ras @ rigid(np.eye(3), [edges.start for edges in cube]),
    )


def upright_look(
    posterior: torch.Tensor,
    cube_to_grid: np.ndarray,
    look: Look,
    field_of_view: tuple[slice, ...],
    grid_to_ras: np.ndarray,
) -> Look:
    """Brain and eyes by a network that sees the head upright.

    Parameters
    ----------
    posterior : torch.Tensor
        Shape ``[3, E, E, E]``: background, brain, eyes in a cube in which the head stands upright.
    cube_to_grid : np.ndarray
        Shape ``[4, 4]``, see `segmentation.crop.upright_cube`.
    look : Look
        The one before. Its brain stays where this network sees none in the scan, and agrees with nothing.
    field_of_view, grid_to_ras
        As for `closer_look`.

    Returns
    -------
    Look
    """
    # Carried by its probability, not as voxels: the border of voxels that stand askew would be a staircase.
    found = _carried_to_grid(_lead(posterior), cube_to_grid, look.mask.shape, posterior.device)
    brains = [_without_lips(one) for one in largest_components(_filled(found))]
    mask = _first_in_scan(brains, look.mask, field_of_view)
    overlap = 0.0 if mask is look.mask else dice_overlap(mask, look.mask)
    eye_probability = posterior[2].cpu().numpy()
    return Look(mask, look.brain_agreement, eye_probability, grid_to_ras @ cube_to_grid, overlap)


def _carried_to_grid(
    lead: np.ndarray, cube_to_grid: np.ndarray, shape: tuple[int, int, int], device: torch.device
) -> np.ndarray:
    """Where on a grid of that shape a lead is positive that was found in a cube; only what may be is visited."""
    carried = np.zeros(shape, bool)
    if (lead > 0).any():
        part = box_around(lead > 0, margin=1)
        part_to_grid = cube_to_grid @ rigid(np.eye(3), [edges.start for edges in part])
        box = reached_box(lead[part].shape, part_to_grid, shape)
        box_to_part = np.linalg.inv(part_to_grid) @ rigid(np.eye(3), [edges.start for edges in box])
        size = tuple(edges.stop - edges.start for edges in box)
        # Raised by 1: the zero beyond the part then stands for a lead of -1.
        (on_grid,) = sample_grids(lead[part] + 1, box_to_part[None], size, device=device)
        carried[box] = (on_grid > 1).cpu().numpy()
    return carried


def _lead(posterior: torch.Tensor) -> np.ndarray:
    """By how much brain is more probable than the likeliest other class; [D, H, W] in [-1, 1]."""
    return (posterior[1] - torch.maximum(posterior[0], posterior[2])).cpu().numpy()


def _filled(brain: np.ndarray) -> np.ndarray:
    """A brain with its holes filled; in place."""
    box = bounding_box(brain)
    if box is not None:
        brain[box] = ndimage.binary_fill_holes(brain[box])
    return brain


def _without_lips(brain: np.ndarray) -> np.ndarray:
    """A brain, not empty, less what is thinner than three voxels and reaches further than one from the rest of it."""
    box = bounding_box(brain)
    core = largest_components(ndimage.binary_opening(brain[box], np.ones((3, 3, 3))))
    if not core:
        return brain
    trimmed = np.zeros_like(brain)
    trimmed[box] = ndimage.binary_dilation(core[0], mask=brain[box])
    return trimmed


def _first_in_scan(found: list[np.ndarray], otherwise: np.ndarray, field_of_view: tuple[slice, ...]) -> np.ndarray:
    """The first brain of those found that lies within the scan, or the other where none does."""
    return next((mask for mask in found if mask[field_of_view].any()), otherwise)
