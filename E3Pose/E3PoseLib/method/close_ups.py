"""The close-up networks: two U-Nets that see the head alone, and tell where its brain ends and where eyes may be.

The first sees the head as it lies in the scan. The second sees it upright, turned by the rotation network's answer, and
may tell how far it is from upright: by the place in the head of each voxel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from scipy import ndimage

from ..imaging.boxes import Box
from ..imaging.cropping import cut, put_back
from ..imaging.geometry import rigid
from ..imaging.intensities import rescale
from ..imaging.masks import bounding_box, box_around, dice_overlap, largest_components
from ..imaging.resampling import reached_box
from ..imaging.rotations import geodesic_angle, trimmed_rotation
from ..imaging.sampling import sample_grids
from ..models.model import N_EYES_CLASSES, Model
from ..networks.inference import Inference
from ..networks.unet.unet import UNet
from .crop import cube_around, upright_cube
from .head import EyeMap, Head
from .views import assemble_rotation

CORE_DEPTH_MM = 9.0
CORE_GROWTH_MM = 21.0
"""What two networks agree to be brain is eroded by the first, which no bridge to fat or fluid beside the head
survives, and dilated again by the second within what the close-up network calls brain."""

HALF_TURN = (2, 3)
"""The axes of the batch along which a head in any pose is mirrored: that is half a turn."""

LEFT_AND_RIGHT = 2
"""The axis of the batch along which an upright head is mirrored: it looks alike from left and right."""

TILTED_DEGREES = 8.0
"""A head that stood this far from upright is shown once more (docs/making.md)."""

EVERY_SECOND = slice(None, None, 2)
"""Along each edge of the cube, the voxels whose places tell the rotation: within 0.4° of what all tell, in an eighth of
the time."""

LEAST_WEIGHT, LEAST_VOXELS = 0.05, 20
"""Of a voxel's place in the head, the probability that it is in the brain: below, it does not count. Of fewer voxels no
rotation is told: a brain has some 900 of these in the cube."""


class CloseUps:
    """Runs the close-up networks of a model.

    Parameters
    ----------
    model : Model
    infer : Inference
    """

    def __init__(self, model: Model, infer: Inference) -> None:
        self._header = model.header
        self._infer = infer
        # One object for all calls, as recordings are kept by it.
        self._by_scan = model.eyes_network and partial(posterior_in_any_pose, model.eyes_network)
        self._by_upright = model.upright_network and partial(upright_posterior, model.upright_network)

    @property
    def sees_heads(self) -> bool:
        """Whether the model has a network that sees the head as it lies in the scan."""
        return self._by_scan is not None

    @property
    def sees_upright_heads(self) -> bool:
        """Whether the model has a network that sees the head upright."""
        return self._by_upright is not None

    def in_scan(self, heads: Sequence[Head]) -> list[Head]:
        """Heads with the brain mask and the eye map of the network that sees them as they lie in the scan.

        Heads that have been seen so already, and brains without skull, stay as they are.
        """
        assert self._by_scan is not None
        header = self._header
        cubes = {
            index: cube_around(head.brain, header.eyes_edge) for index, head in enumerate(heads) if head.wants_close_up
        }
        inputs = [rescale(cut(heads[index].scan.array, cube), header.clip_fraction) for index, cube in cubes.items()]
        seen = list(heads)
        for index, posterior in zip(cubes, self._infer(self._by_scan, inputs), strict=True):
            seen[index] = close_up(heads[index], posterior, cubes[index], header.spacing_mm)
        return seen

    def upright(self, heads: Sequence[Head]) -> list[Head]:
        """Heads whose axes are known, with what the network tells that sees them upright: brain, eyes, rotation.

        A head that stood tilted, by what the network tells of its rotation, is shown once more as it tells. Of a brain
        without skull the rotation alone is told: its mask is known, and it has no eyes.
        """
        shown = {index: assemble_rotation(head.axes.axes) for index, head in enumerate(heads) if head.axes is not None}
        seen = self._seen_upright(heads, shown)
        tilted = {}
        for index, rotation in shown.items():
            told = seen[index].turned
            if told is not None and _degrees_between(rotation, told) > TILTED_DEGREES:
                tilted[index] = told
        again = self._seen_upright(heads, tilted)
        for index in tilted:
            if again[index].turned is not None:
                seen[index] = again[index]
        return seen

    def _seen_upright(self, heads: Sequence[Head], rotations: Mapping[int, np.ndarray]) -> list[Head]:
        """The heads, those for which a rotation ``[3, 3]`` is given as the network sees them, turned upright by it."""
        assert self._by_upright is not None
        edge = self._header.upright_edge
        cubes = {index: upright_cube(heads[index].brain, rotation, edge) for index, rotation in rotations.items()}
        inputs = []
        for index, cube in cubes.items():
            (turned,) = sample_grids(heads[index].scan.array, cube[None], (edge,) * 3, device=self._infer.device)
            inputs.append(rescale(turned.cpu().numpy(), self._header.clip_fraction))
        seen = list(heads)
        for index, posterior in zip(cubes, self._infer(self._by_upright, inputs), strict=True):
            seen[index] = upright_close_up(heads[index], posterior, cubes[index])
        return seen


def _degrees_between(one: np.ndarray, other: np.ndarray) -> float:
    return float(geodesic_angle(torch.from_numpy(one), torch.from_numpy(other)))


def posterior_in_any_pose(network: UNet, batch: torch.Tensor) -> torch.Tensor:
    """Mean probability of each class over heads as they lie and turned by half a turn.

    Parameters
    ----------
    network : UNet
    batch : torch.Tensor
        Shape ``[B, 1, E, E, E]``.

    Returns
    -------
    torch.Tensor
        Shape ``[B, C, E, E, E]``.
    """
    return torch.stack([network(batch.flip(axes)).softmax(1).flip(axes) for axes in ((), HALF_TURN)]).mean(0)


def upright_posterior(network: UNet, batch: torch.Tensor) -> torch.Tensor:
    """What the upright network tells, the mean over heads and their mirror images.

    Parameters
    ----------
    network : UNet
    batch : torch.Tensor
        Shape ``[B, 1, E, E, E]``.

    Returns
    -------
    torch.Tensor
        Shape ``[B, C, E, E, E]``: probabilities of background, brain, eyes; then, where the network tells it, how far
        right, anterior and superior of the brain's centre a voxel is, in radii of a ball of the brain's volume.
    """
    here, there = network(batch), network(batch.flip(LEFT_AND_RIGHT)).flip(LEFT_AND_RIGHT)
    classes = sum(told[:, :N_EYES_CLASSES].softmax(1) for told in (here, there))
    # What is right in a head is left in its mirror image.
    right, others = there[:, N_EYES_CLASSES : N_EYES_CLASSES + 1], there[:, N_EYES_CLASSES + 1 :]
    places = here[:, N_EYES_CLASSES:] + torch.cat([-right, others], dim=1)
    return torch.cat([classes, places], dim=1) / 2


def close_up(head: Head, posterior: torch.Tensor, cube: Box, spacing_mm: float) -> Head:
    """The head with the brain mask that two networks agree on, and the eye map of the second.

    Parameters
    ----------
    head : Head
        With the brain mask of the segmentation network, which stays where the second network sees none in the scan.
    posterior : torch.Tensor
        Shape ``[3, E, E, E]``: background, brain, eyes in a cube around the head.
    cube : Box
        Where in the model's grid that is.
    spacing_mm : float
        Of the grid.

    Returns
    -------
    Head
    """
    first, brain = cut(head.brain, cube), _filled(_lead(posterior) > 0)
    depth, growth = round(CORE_DEPTH_MM / spacing_mm), round(CORE_GROWTH_MM / spacing_mm)
    core = largest_components(ndimage.binary_erosion(brain & first, iterations=depth))
    found = [ndimage.binary_dilation(one, iterations=growth, mask=brain) for one in core] or largest_components(brain)
    cube_to_ras = head.scan.grid_to_ras @ rigid(np.eye(3), [edges.start for edges in cube])
    return replace(
        head,
        brain=_first_in_scan([put_back(one, cube, head.brain.shape) for one in found], head),
        brain_agreement=dice_overlap(brain, first),
        eye_map=EyeMap(posterior[2].cpu().numpy(), cube_to_ras),
    )


def upright_close_up(head: Head, posterior: torch.Tensor, cube_to_grid: np.ndarray) -> Head:
    """The head with brain mask, eye map and rotation by the network that sees it upright.

    Parameters
    ----------
    head : Head
        Its brain mask stays where this network sees none in the scan, and then agrees with nothing. Of a brain without
        skull the rotation alone is taken.
    posterior : torch.Tensor
        Shape ``[C, E, E, E]``, see `upright_posterior`, in a cube in which the head stands upright.
    cube_to_grid : np.ndarray
        Shape ``[4, 4]``, see `crop.upright_cube`.

    Returns
    -------
    Head
    """
    if not head.has_skull:
        return replace(head, turned=_turned(posterior, cube_to_grid))
    # The probability is carried to the grid, not a mask: the border of turned voxels would be a staircase.
    found = _carried_to_grid(_lead(posterior), cube_to_grid, head.brain.shape, posterior.device)
    brain = _first_in_scan([_without_lips(one) for one in largest_components(_filled(found))], head)
    return replace(
        head,
        brain=brain,
        upright_agreement=0.0 if brain is head.brain else dice_overlap(brain, head.brain),
        eye_map=EyeMap(posterior[2].cpu().numpy(), head.scan.grid_to_ras @ cube_to_grid),
        turned=None if brain is head.brain else _turned(posterior, cube_to_grid),
    )


def _turned(posterior: torch.Tensor, cube_to_grid: np.ndarray) -> np.ndarray | None:
    """The head's rotation by its voxels' places, `Head.turned`; None where none are told, or of too few voxels."""
    thinned = posterior[:, EVERY_SECOND, EVERY_SECOND, EVERY_SECOND].cpu()
    brain, places = thinned[1], thinned[N_EYES_CLASSES:]
    seen = brain > LEAST_WEIGHT
    if not len(places) or np.count_nonzero(seen) < LEAST_VOXELS:
        return None
    points = seen.nonzero().to(brain)
    in_cube = trimmed_rotation(points[None], places[:, seen].mT[None], brain[seen][None])[0].double().numpy()
    axes = cube_to_grid[:3, :3] / np.linalg.norm(cube_to_grid[:3, 0])
    return axes @ in_cube.T


def _carried_to_grid(
    lead: np.ndarray, cube_to_grid: np.ndarray, shape: tuple[int, ...], device: torch.device
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


def _first_in_scan(found: list[np.ndarray], head: Head) -> np.ndarray:
    """The first brain mask of those found that lies within the scan; the head's own where none does."""
    return next((mask for mask in found if mask[head.scan.field_of_view].any()), head.brain)
