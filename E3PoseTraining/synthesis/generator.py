"""One synthetic scan from a seed and a number: anatomy, posture, place in the mother, acquisition."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from .acquisition import Grid, View, centre_trajectory, corrupt, distortion, draw_trajectory
from .body import Body, draw_body, paint_body
from .brain import Brain, ParametricBrain
from .contrast import draw_contrast
from .growth import AGE_RANGE_WEEKS, amniotic_fluid_volume
from .head import Head, brain_and_eyes, build_head, render_head
from .label_maps import read_label_maps
from .uterus import paint_uterus

BRAIN_LABEL, EYES_LABEL = 1, 2


@dataclass(frozen=True)
class SyntheticScan:
    """A scan and the truth about it.

    image: float32 [I, J, K], the brain's signal about 1 before the receive field; labels: uint8 [I, J, K]
    (brain 1, eyes 2); voxel_to_ras, canonical_to_ras: float64 [4, 4]; age_weeks; contrast: "epi", "t2" or
    "random"; lie: "cephalic", "breech" or "transverse"; brain_visible: fraction of the brain inside the
    field of view.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    voxel_to_ras: np.ndarray
    canonical_to_ras: np.ndarray
    age_weeks: float
    contrast: str
    lie: str
    brain_visible: float


class FetalHeadGenerator:
    """Synthetic scans by number: `generator(i)` depends on nothing but the arguments here and `i`.

    seed: of the whole series. brains: None for drawn brains only, or a folder of label maps
    (`*_parcellation.nii.gz`), from which about two thirds of the brains are then made. shape: voxels of
    every scan; None draws one that is usual for a clinical scout. spacing: None draws 2-6 mm, mostly 3 mm in
    plane; a number makes isotropic voxels. field: "uterus" for a whole scan, "head" for a field of view
    about the head alone. age_range: weeks. motion: 1 is usual, 0 freezes the fetus.
    """

    def __init__(
        self,
        seed: int = 0,
        brains: str | Path | None = None,
        shape: Sequence[int] | None = None,
        spacing: float | None = None,
        field: str = "uterus",
        age_range: tuple[float, float] = AGE_RANGE_WEEKS,
        motion: float = 1.0,
    ):
        if seed < 0:
            raise ValueError(f"seed {seed}: give a number from 0 up")
        if shape is not None and (len(shape) != 3 or min(shape) < 16 or max(shape) > 512):
            raise ValueError(f"shape {tuple(shape)}: give three numbers of voxels, at least 16 and at most 512 each")
        if spacing is not None and not 0.5 <= spacing <= 10:
            raise ValueError(f"spacing {spacing} mm: give 0.5 to 10 mm")
        if field not in ("uterus", "head"):
            raise ValueError(f"field {field!r}: give 'uterus' or 'head'")
        if not AGE_RANGE_WEEKS[0] <= age_range[0] <= age_range[1] <= AGE_RANGE_WEEKS[1]:
            raise ValueError(f"age range {age_range}: give two ages within {AGE_RANGE_WEEKS} weeks, youngest first")
        if not 0 <= motion <= 5:
            raise ValueError(f"motion {motion}: give 0 (none) to 5")
        self.seed, self.shape, self.spacing, self.field = seed, shape, spacing, field
        self.age_range, self.motion = age_range, motion
        self._label_maps = read_label_maps(Path(brains)) if brains is not None else []

    def __call__(self, index: int) -> SyntheticScan:
        """Make scan number `index` (from 0 up)."""
        rng = np.random.Generator(np.random.SFC64([self.seed, index]))
        age = float(rng.uniform(*self.age_range))
        contrast = draw_contrast(rng)
        spacing = self._draw_spacing(rng)
        head = build_head(age, self.draw_brain(age, rng), float(np.clip(0.6 * spacing.min(), 1.4, 2.0)), rng)
        body = draw_body(head, age, rng, growth=_draw_growth(rng))
        canonical_to_ras, lie = _draw_pose(body, rng)
        grid, head_voxel = self._draw_grid(head, body, canonical_to_ras, spacing, rng)

        strength = self.motion * float(rng.choice([0.3, 0.6, 1.0, 1.6], p=[0.3, 0.4, 0.22, 0.08]))
        trajectory = draw_trajectory(grid.shape[2], strength, rng)
        shift = distortion(grid, head_voxel, 0.5 * head.size.occipitofrontal_diameter, rng.uniform(0, 2), rng)
        brain, eyes = brain_and_eyes(head)
        brain_points = np.argwhere(brain)[::23] * head.spacing + head.origin
        trajectory = centre_trajectory(trajectory, grid, canonical_to_ras, brain_points - brain_points.mean(axis=0))
        voxel_to_mother = np.linalg.inv(trajectory.mother) @ grid.voxel_to_ras
        mother_view = View(grid, voxel_to_mother, shift)
        head_view = View(
            grid, np.linalg.inv(trajectory.fetus) @ np.linalg.inv(canonical_to_ras) @ voxel_to_mother, shift
        )
        width = float(np.cbrt(np.prod(spacing)))
        fluid_volume = amniotic_fluid_volume(age) * _draw_fluid(rng)
        image = paint_uterus(grid.shape, mother_view, head, body, fluid_volume, canonical_to_ras, contrast, width, rng)
        paint_body(image, head_view.within(np.linalg.inv(body.body_to_canonical)), body, contrast, width, rng)
        signal = render_head(head, contrast.tissue, contrast.texture, rng)
        labels = _paint_head(image, head_view, head, signal, brain, eyes)
        image = corrupt(image, spacing, rng)

        visible = np.count_nonzero(labels == BRAIN_LABEL) * np.prod(spacing) / (brain.sum() * head.spacing**3)
        image, labels, voxel_to_ras = _store(image, labels, grid.voxel_to_ras, rng)
        return SyntheticScan(
            name=self.name(index),
            image=image,
            labels=labels,
            voxel_to_ras=voxel_to_ras,
            canonical_to_ras=canonical_to_ras,
            age_weeks=age,
            contrast=contrast.kind,
            lie=lie,
            brain_visible=float(min(visible, 1.0)),
        )

    def name(self, index: int) -> str:
        """Name of scan number `index`, by which tables and files call it."""
        return f"synthetic_{self.seed}_{index:05d}"

    def _draw_spacing(self, rng: np.random.Generator) -> np.ndarray:
        if self.spacing is not None:
            return np.full(3, float(self.spacing))
        kind = rng.random()
        if kind < 0.45:
            in_plane = through = 3.0
        elif kind < 0.65:
            in_plane, through = 3.0, rng.uniform(3.5, 6)
        else:
            in_plane = rng.uniform(2, 4)
            through = in_plane * rng.uniform(1, min(2.5, 6 / in_plane))
        return np.array([in_plane, in_plane, through])

    def draw_brain(self, age_weeks: float, rng: np.random.Generator, drawn_fraction: float = 0.35) -> Brain:
        """A brain for an age: drawn from shapes in that fraction of cases, else from a label map near the age."""
        if not self._label_maps or rng.random() < drawn_fraction:
            return ParametricBrain()
        distance = np.array([abs(map_age - age_weeks) for map_age, _ in self._label_maps])
        weights = np.exp(-((distance - distance.min()) ** 2) / (2 * 2.0**2))
        return self._label_maps[rng.choice(len(weights), p=weights / weights.sum())][1]

    def _draw_grid(self, head: Head, body: Body, canonical_to_ras, spacing, rng) -> tuple[Grid, np.ndarray]:
        """A field of view that shows the head, whole in nine cases of ten, and as much of the fetus as it
        can.
        """
        length = head.size.occipitofrontal_diameter
        if self.shape is not None:
            shape = np.array(self.shape)
        elif self.field == "head":
            shape = np.ceil(length * rng.uniform(1.5, 2.1) / spacing).astype(int)
        else:
            in_plane = int(np.clip(rng.uniform(290, 480) / spacing[0], 80, 160))
            shape = np.array([in_plane, in_plane, int(np.clip(rng.uniform(120, 288) / spacing[2], 24, 96))])
        axes = np.eye(3)[rng.permutation(3)] * rng.choice([-1, 1], 3)[:, None]
        if np.linalg.det(axes) < 0:
            axes[:, 2] *= -1
        oblique = rng.normal(0, rng.choice([0, 8, 25]), 3)
        rotation = Rotation.from_euler("xyz", oblique, degrees=True).as_matrix() @ axes

        centre = canonical_to_ras[:3, 3].copy()
        extent = shape * spacing
        if self.field == "uterus":
            trunk = canonical_to_ras @ body.body_to_canonical @ [0, 0.1 * body.scale, -0.7 * body.scale, 1]
            centre += rng.uniform(0.2, 0.9) * (trunk[:3] - centre) + rng.normal(0, 15, 3)
        else:
            centre += rng.normal(0, 0.08 * length, 3)
        # Pull the field back until the head is in it; now and then leave it cut.
        room = np.maximum(extent / 2 - (0.62 if rng.random() < 0.9 else 0.25) * length, 0)
        offset = np.clip(rotation.T @ (centre - canonical_to_ras[:3, 3]), -room, room)
        centre = canonical_to_ras[:3, 3] + rotation @ offset
        voxel_to_ras = np.eye(4)
        voxel_to_ras[:3, :3] = rotation * spacing
        voxel_to_ras[:3, 3] = centre - voxel_to_ras[:3, :3] @ ((shape - 1) / 2)
        head_voxel = np.linalg.inv(voxel_to_ras)[:3] @ canonical_to_ras[:, 3]
        return Grid(tuple(int(n) for n in shape), spacing, voxel_to_ras), head_voxel


def _draw_growth(rng: np.random.Generator) -> float:
    """Now and then growth has spared the head and left the body small."""
    return rng.uniform(0.75, 1) if rng.random() < 0.2 else 1.0


def _draw_fluid(rng: np.random.Generator) -> float:
    """Amniotic fluid as a fraction of the age's mean; in a quarter of the pregnancies there is little."""
    return float(np.exp(rng.normal(0, 0.4))) * (rng.uniform(0.1, 0.6) if rng.random() < 0.25 else 1.0)


def _draw_pose(body: Body, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """canonical_to_ras of a fetus that lies head down, head up or across, turned anyhow about itself."""
    lie = str(rng.choice(["cephalic", "breech", "transverse"], p=[0.6, 0.3, 0.1]))
    if lie == "transverse":
        angle = rng.uniform(0, 2 * np.pi)
        trunk = np.array([np.cos(angle), 0.4 * np.sin(angle), 0.0])
    else:
        trunk = np.array([0, 0, 1.0 if lie == "cephalic" else -1.0])
    trunk = trunk + rng.normal(0, 0.35, 3)
    trunk /= np.linalg.norm(trunk)
    down = -body.body_to_canonical[:3, 2]
    turn, _ = Rotation.align_vectors(trunk[None], down[None])
    spin = Rotation.from_rotvec(trunk * rng.uniform(0, 2 * np.pi))
    canonical_to_ras = np.eye(4)
    canonical_to_ras[:3, :3] = (spin * turn).as_matrix()
    canonical_to_ras[:3, 3] = rng.normal(0, 40, 3)
    return canonical_to_ras, lie


def _paint_head(image, view: View, head: Head, signal, brain, eyes) -> np.ndarray:
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


def _store(image, labels, voxel_to_ras, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put the voxel axes in any of the 48 orders and directions; nothing moves in RAS."""
    order = rng.permutation(3)
    flips = rng.random(3) < 0.5
    old_from_new = np.zeros((4, 4))
    old_from_new[3, 3] = 1
    for new, old in enumerate(order):
        old_from_new[old, new] = -1 if flips[new] else 1
        old_from_new[old, 3] = image.shape[old] - 1 if flips[new] else 0
    step = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    return (
        np.ascontiguousarray(image.transpose(order)[step]),
        np.ascontiguousarray(labels.transpose(order)[step]),
        voxel_to_ras @ old_from_new,
    )
