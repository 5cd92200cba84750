"""Reconstructions of the brain alone: fine cubic voxels, and nothing outside a mask."""

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import binary_closing, center_of_mass, distance_transform_edt, gaussian_filter, map_coordinates, zoom
from scipy.spatial.transform import Rotation

from ..anatomy.head import Head, brain_and_eyes, build_head, render_head
from ..scanner.contrast import Contrast, Range, Sequence, draw_one_of
from ..scanner.fields import coil_shading
from ..scanner.grid import Grid
from ..scanning import BRAIN_LABEL, EYES_LABEL
from ..shapes import smooth_noise
from ..tissues import Tissue
from .kind import DrawBrain, Kind, Made, Wanted, cubic

TIGHT, SKULL, LOOSE = "tight", "skull", "loose"

LARGEST_VOLUME = 4_000_000
"""Voxels above which a field of view is no wider than it must be."""


@dataclass(frozen=True)
class Reconstruction(Kind):
    """A kind of reconstruction.

    Parameters
    ----------
    name : str
    sequences : tuple of (Sequence, float)
        See `draw_one_of`.
    spacing : tuple of float
        Voxel size, mm.
    masks : dict of str to float
        Share of masks: tight about the brain's tissue, all within the skull, or loose with some of what is around it.
    constant_background : float
        Fraction of the scans whose background is not zero but another constant.
    ages : tuple of float
        Weeks.
    enlarged_ventricles : float
    islands : float
        Fraction of the scans in which the mask has left a scrap of what is elsewhere.
    """

    name: str
    sequences: tuple[tuple[Sequence, float], ...]
    spacing: Range = (0.5, 1.1)
    masks: dict[str, float] = field(default_factory=lambda: {TIGHT: 0.35, SKULL: 0.35, LOOSE: 0.3})
    constant_background: float = 0.2
    ages: tuple[float, float] = (18.0, 40.0)
    enlarged_ventricles: float = 0.2
    islands: float = 0.15

    @property
    def spacings(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        return cubic(self.spacing)

    def make(self, age_weeks: float, draw_brain: DrawBrain, wanted: Wanted, rng: np.random.Generator) -> Made:
        contrast = draw_one_of(self.sequences, rng)
        spacing = rng.uniform(*self.spacing) if wanted.spacing is None else wanted.spacing
        atrium = self.draw_atrium(rng)
        head = build_head(age_weeks, draw_brain(age_weeks, rng), float(np.clip(spacing, 0.9, 2.0)), rng, atrium)
        mask = draw_mask(head, str(rng.choice(list(self.masks), p=list(self.masks.values()))), rng)
        canonical_to_ras = np.eye(4)
        canonical_to_ras[:3, :3] = _draw_rotation(rng)
        canonical_to_ras[:3, 3] = rng.normal(0, 20, 3)
        grid = _draw_grid(head, mask, canonical_to_ras, spacing, wanted, rng)

        image, kept, labels = _on_grid(head, _signal(head, contrast, rng), mask, canonical_to_ras, grid)
        image = gaussian_filter(image, rng.uniform(0.2, 0.9), truncate=2.5)
        image *= coil_shading(grid, rng.uniform(0.5, 0.95), rng)
        image += np.float32(np.exp(rng.uniform(*np.log((0.003, 0.04))))) * rng.standard_normal(image.shape, np.float32)
        background = 0.0
        if rng.random() < self.constant_background:
            background = float(rng.uniform(0.05, 1.2))
        image = np.where(kept, np.maximum(image, 0), np.float32(background))
        if rng.random() < self.islands:
            _leave_islands(image, kept, spacing, rng)

        # The brain that is seen has a centre of its own, which is the pose's.
        brain = labels == BRAIN_LABEL
        canonical_to_ras[:3, 3] = grid.voxel_to_ras[:3] @ [*center_of_mass(brain), 1]
        whole = np.count_nonzero(brain_and_eyes(head)[0]) * head.spacing**3
        visible = min(1.0, np.count_nonzero(brain) * spacing**3 / whole)
        return Made(image, labels, grid.voxel_to_ras, canonical_to_ras, contrast.kind, "none", visible)


def draw_mask(head: Head, kind: str, rng: np.random.Generator) -> np.ndarray:
    """What a reconstruction keeps of a head, boolean on its label grid.

    Parameters
    ----------
    head : Head
    kind : str
        "tight": the brain's tissue, with the sulci but hardly any fluid around it. "skull": all within the skull, give
        or take a voxel. "loose": up to 3 to 15 mm beyond that, by its eyes too where they are so near.
    rng : numpy.random.Generator
    """
    brain = brain_and_eyes(head)[0]
    if kind == TIGHT:
        tissue = brain & (head.tissue != Tissue.EXTRA_AXIAL_CSF) & (head.tissue != Tissue.FALX)
        brain = binary_closing(np.pad(tissue, 5), iterations=max(1, round(3 / head.spacing)))[5:-5, 5:-5, 5:-5] & brain
    # Distances are smooth: every second voxel holds them well enough.
    coarse = brain[::2, ::2, ::2]
    away = distance_transform_edt(~coarse) - distance_transform_edt(coarse)
    away = zoom((2 * head.spacing * away).astype(np.float32), np.array(brain.shape) / coarse.shape, order=1)
    margin = {TIGHT: rng.uniform(0, 1.5), SKULL: rng.normal(0, 1.0), LOOSE: rng.uniform(3, 15)}[kind]
    uneven = {TIGHT: 0.5, SKULL: 0.7, LOOSE: 2.0}[kind]
    return away + np.float32(uneven) * smooth_noise(rng, brain.shape, (7, 7, 7)) < margin


def _signal(head: Head, contrast: Contrast, rng: np.random.Generator) -> np.ndarray:
    """Signal of the head, in fluid or against the wall of the uterus."""
    signal = render_head(head, contrast, rng)
    around = contrast.surroundings["fluid" if rng.random() < 0.6 else "wall"]
    return np.where(head.tissue == Tissue.OUTSIDE, np.float32(around), signal.astype(np.float32))


def _draw_rotation(rng: np.random.Generator) -> np.ndarray:
    """Head axes as columns in RAS: upright but for some degrees in two cases of five, else any."""
    if rng.random() < 0.4:
        return Rotation.from_rotvec(rng.normal(0, rng.choice([3, 12]), 3), degrees=True).as_matrix()
    return Rotation.random(random_state=np.random.RandomState(rng.integers(2**31))).as_matrix()


def _draw_grid(
    head: Head, mask: np.ndarray, canonical_to_ras: np.ndarray, spacing: float, wanted: Wanted, rng: np.random.Generator
) -> Grid:
    """Voxels along RAS, up to twice as wide as what is kept; a wanted shape that holds less is about its middle."""
    points = np.argwhere(mask)[::7] * head.spacing + head.origin
    points = points @ canonical_to_ras[:3, :3].T + canonical_to_ras[:3, 3]
    low, high = points.min(0), points.max(0)
    room = (high - low) * rng.uniform(0.03, 1.0, 3)
    while np.prod((high - low + room) / spacing) > LARGEST_VOLUME and room.max() > 0.03 * (high - low).max():
        room *= 0.8
    shape = np.ceil((high - low + room) / spacing).astype(int)
    if wanted.shape is not None:
        shape = np.array(wanted.shape)
        room = np.maximum(shape * spacing - (high - low), 0)
    middle = (low + high) / 2 + rng.uniform(-0.4, 0.4, 3) * room
    return Grid.about(middle, np.eye(3), shape, np.full(3, float(spacing)))


def _leave_islands(image: np.ndarray, kept: np.ndarray, spacing: float, rng: np.random.Generator) -> None:
    """One to three scraps of something, some 4 to 15 mm wide, outside the mask, in place."""
    bright = float(image[kept].mean())
    for _ in range(rng.integers(1, 4)):
        size = np.maximum(1, rng.uniform(4, 15, 3) / spacing).astype(int)
        first = (rng.random(3) * np.maximum(np.array(image.shape) - size, 1)).astype(int)
        box = tuple(slice(a, a + n) for a, n in zip(first, size, strict=True))
        scrap = (bright * rng.uniform(0.2, 1.8) * rng.lognormal(0, 0.3, image[box].shape)).astype(np.float32)
        image[box] = np.where(kept[box], image[box], scrap)


def _on_grid(
    head: Head, signal: np.ndarray, mask: np.ndarray, canonical_to_ras: np.ndarray, grid: Grid
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signal, mask and labels [I, J, K] of a head at a pose."""
    voxel_to_head = np.linalg.inv(canonical_to_ras) @ grid.voxel_to_ras
    voxel_to_head[:3, 3] -= head.origin
    voxel_to_head[:3] /= head.spacing
    i, j, k = np.ix_(*(np.arange(n, dtype=np.float32) for n in grid.shape))
    where = np.stack(
        [np.float32(a) * i + np.float32(b) * j + np.float32(c) * k + np.float32(d) for a, b, c, d in voxel_to_head[:3]]
    )
    brain, eyes = brain_and_eyes(head)
    kind = np.where(eyes, np.uint8(EYES_LABEL), brain.astype(np.uint8))
    image = map_coordinates(signal, where, order=1, output=np.float32, mode="nearest")
    kept = map_coordinates(mask.astype(np.float32), where, order=1, output=np.float32) > 0.5
    labels = map_coordinates(kind, where, order=0) * kept
    return image, kept, labels
