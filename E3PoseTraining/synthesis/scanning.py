"""A fetus in its mother, seen through the slices of a scan: signal before the receive field, and labels."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from .anatomy.body import paint_body
from .anatomy.fetus import Fetus
from .anatomy.growth import amniotic_fluid_volume
from .anatomy.head import Head, brain_and_eyes, render_head
from .anatomy.uterus import paint_uterus
from .scanner.contrast import Contrast
from .scanner.fields import distortion
from .scanner.grid import Grid, View
from .scanner.motion import Trajectory, centre_trajectory

BRAIN_LABEL, EYES_LABEL = 1, 2


@dataclass(frozen=True)
class Picture:
    """What a scanner's slices show before it adds artifacts.

    Parameters
    ----------
    signal : np.ndarray
        float32 ``[I, J, K]``, the brain's about 1.
    labels : np.ndarray
        uint8 ``[I, J, K]``: brain 1, eyes 2.
    brain_visible : float
        Fraction of the brain inside the field of view.
    """

    signal: np.ndarray
    labels: np.ndarray
    brain_visible: float


def take_picture(
    fetus: Fetus,
    contrast: Contrast,
    grid: Grid,
    trajectory: Trajectory,
    displacement: tuple[float, float],
    stride: int,
    rng: np.random.Generator,
) -> Picture:
    """Paint mother, uterus, body and head, each where it is at the time of each slice.

    Parameters
    ----------
    fetus : Fetus
    contrast : Contrast
    grid : Grid
    trajectory : Trajectory
        Motion over the slices of the grid.
    displacement : tuple of float
        Range of the standard deviation, mm, of the displacement along phase encoding.
    stride : int
        See `paint_uterus`.
    rng : numpy.random.Generator
    """
    head, body, canonical_to_ras = fetus.head, fetus.body, fetus.canonical_to_ras
    head_voxel = np.linalg.inv(grid.voxel_to_ras)[:3] @ canonical_to_ras[:, 3]
    strength = rng.uniform(*displacement)
    shift = distortion(grid, head_voxel, 0.5 * head.size.occipitofrontal_diameter, strength, rng)
    brain, eyes = brain_and_eyes(head)
    brain_points = np.argwhere(brain)[::23] * head.spacing + head.origin
    trajectory = centre_trajectory(trajectory, grid, canonical_to_ras, brain_points - brain_points.mean(axis=0))
    voxel_to_mother = np.linalg.inv(trajectory.mother) @ grid.voxel_to_ras
    mother_view = View(grid, voxel_to_mother, shift)
    head_view = View(grid, np.linalg.inv(trajectory.fetus) @ np.linalg.inv(canonical_to_ras) @ voxel_to_mother, shift)
    width = float(np.cbrt(np.prod(grid.spacing)))
    fluid_volume = amniotic_fluid_volume(fetus.age_weeks) * _draw_fluid(rng)
    image = paint_uterus(
        grid.shape, mother_view, head, body, fluid_volume, canonical_to_ras, contrast, width, rng, stride
    )
    paint_body(image, head_view.within(np.linalg.inv(body.body_to_canonical)), body, contrast, width, rng)
    signal = render_head(head, contrast, rng)
    labels = paint_head(image, head_view, head, signal, brain, eyes)
    visible = np.count_nonzero(labels == BRAIN_LABEL) * np.prod(grid.spacing) / (brain.sum() * head.spacing**3)
    return Picture(image, labels, float(min(visible, 1.0)))


def _draw_fluid(rng: np.random.Generator) -> float:
    """Amniotic fluid as a fraction of the age's mean; in a quarter of the pregnancies there is little."""
    return float(np.exp(rng.normal(0, 0.4))) * (rng.uniform(0.1, 0.6) if rng.random() < 0.25 else 1.0)


def paint_head(image, view: View, head: Head, signal, brain, eyes) -> np.ndarray:
    """Paint the head over `image` and return the labels; three samples through each slice make it thick."""
    labels = np.zeros(image.shape, np.uint8)
    upper = head.origin + head.spacing * np.array(head.tissue.shape)
    scale = np.float32(1 / head.spacing)
    box = view.box(head.origin, upper)
    if box is None:
        return labels
    kind = np.where(eyes, np.uint8(EYES_LABEL), brain.astype(np.uint8))
    layers = ((head.tissue > 0).astype(np.float32), signal.astype(np.float32))
    offsets = (-1 / 3, 0.0, 1 / 3)
    alpha, colour, in_brain, in_eyes = np.zeros((4, *image[box].shape), np.float32)
    for through in offsets:
        points = view.points(box, through=through)
        voxel = np.stack([(p - np.float32(o)) * scale for p, o in zip(points, head.origin, strict=True)])
        for total, layer in zip((alpha, colour), layers, strict=True):
            total += map_coordinates(layer, voxel, order=1, output=np.float32)
        label = map_coordinates(kind, voxel, order=0)
        in_brain += label == BRAIN_LABEL
        in_eyes += label == EYES_LABEL
    image[box] = image[box] * (1 - alpha / len(offsets)) + colour / len(offsets)
    labels[box][in_brain > len(offsets) / 2] = BRAIN_LABEL
    labels[box][in_eyes > len(offsets) / 2] = EYES_LABEL
    return labels
