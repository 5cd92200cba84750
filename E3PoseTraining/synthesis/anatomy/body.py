"""The fetus below the head: trunk with organs and spine, curled limbs, and the umbilical cord.

Everything is in the body frame: origin where the neck leaves the skull, x right, y anterior, z towards the
head, millimetres; lengths scale with the abdomen, which in the third trimester grows faster than the head.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation

from ..scanner.contrast import Contrast
from ..scanner.grid import View
from ..shapes import Points, capsule, coverage, ellipsoid, over, smooth_noise, smooth_union
from ..tissues import Tissue
from .growth import abdominal_circumference
from .head import Head

_ABDOMEN = 0.37  # its radius, in units of a body's scale


@dataclass(frozen=True)
class Segment:
    """A tapered limb part: start [3], end [3], both radii."""

    start: np.ndarray
    end: np.ndarray
    start_radius: float
    end_radius: float


@dataclass(frozen=True)
class Body:
    """body_to_canonical [4, 4]; scale: mm, 2.7 radii of the abdomen; trunk, limbs and cord as segments."""

    body_to_canonical: np.ndarray
    scale: float
    trunk: tuple[Segment, ...]
    limbs: tuple[Segment, ...]
    cord: tuple[Segment, ...]


def draw_body(head: Head, age_weeks: float, rng: np.random.Generator, growth: float = 1.0) -> Body:
    """Draw a posture: neck flexed and turned, back bent, arms and legs folded at random.

    growth: the body's length and girth as a fraction of the age's median.
    """
    scale = growth * abdominal_circumference(age_weeks) / (2 * np.pi * _ABDOMEN) * rng.normal(1, 0.04)
    length = head.size.occipitofrontal_diameter
    flexion = float(np.clip(rng.normal(33, 14), -15, 60))
    turn = Rotation.from_euler("xyz", [flexion, rng.normal(0, 10), rng.normal(0, 22)], degrees=True)
    body_to_canonical = np.eye(4)
    body_to_canonical[:3, :3] = turn.as_matrix()
    body_to_canonical[:3, 3] = head.neck + length * np.array([0, 0.02, 0.08])  # a fetus hardly shows a neck

    girth, bend = scale * rng.normal(1, 0.08), rng.uniform(0.0, 0.25)
    trunk = [
        Segment(*scale * np.array([(0, 0.0, 0.1), (0, 0.0, -0.3)]), 0.17 * scale, 0.24 * scale),
        Segment(*scale * np.array([(0, 0.0, -0.36), (0, 0.2 * bend, -0.65)]), 0.3 * girth, 0.36 * girth),
        Segment(*scale * np.array([(0, 0.2 * bend, -0.65), (0, bend, -1.15)]), 0.38 * girth, 0.34 * girth),
        Segment(*scale * np.array([(0, bend, -1.15), (0, 1.6 * bend, -1.4)]), 0.3 * scale, 0.22 * scale),
    ]  # fmt: skip
    limbs = []
    for side in (-1.0, 1.0):
        trunk.append(Segment(*scale * np.array([(0, 0, -0.26), (side * 0.33, 0.02, -0.3)]), 0.16 * scale, 0.13 * scale))
        shoulder = scale * np.array([side * 0.36, 0.04, -0.32])
        elbow = shoulder + 0.5 * scale * _direction([side * 0.25, 0.55, -0.7], 0.45, rng)
        wrist = elbow + 0.45 * scale * _direction([-side * 0.4, 0.4, rng.uniform(0.1, 1.3)], 0.4, rng)
        hand = wrist + 0.14 * scale * _direction([-side * 0.2, 0.3, 0.4], 0.6, rng)
        hip = scale * np.array([side * 0.18, 1.3 * bend, -1.32])
        knee = hip + 0.55 * scale * _direction([side * 0.3, 0.8, rng.uniform(-0.3, 0.8)], 0.3, rng)
        ankle = knee + 0.5 * scale * _direction([-side * 0.4, -0.2, -0.8], 0.5, rng)
        toes = ankle + 0.2 * scale * _direction([0, 0.8, -0.2], 0.4, rng)
        for start, end, thick, thin in (
            (shoulder, elbow, 0.12, 0.095),
            (elbow, wrist, 0.1, 0.065),
            (wrist, hand, 0.06, 0.05),
            (hip, knee, 0.19, 0.13),
            (knee, ankle, 0.13, 0.07),
            (ankle, toes, 0.06, 0.045),
        ):
            limbs.append(Segment(start, end, thick * scale, thin * scale))
    return Body(body_to_canonical, scale, tuple(trunk), tuple(limbs), _cord(scale, bend, rng))


def _direction(mean, spread: float, rng: np.random.Generator) -> np.ndarray:
    vector = np.asarray(mean) + rng.normal(0, spread, 3)
    return vector / np.linalg.norm(vector)


def _cord(scale: float, bend: float, rng: np.random.Generator) -> tuple[Segment, ...]:
    """A random walk of tube from the navel through the fluid before the belly."""
    radius = rng.uniform(4, 8)
    at = scale * np.array([0, 0.45 + bend, -0.9])
    heading = _direction([0, 1, 0], 0.5, rng)
    parts = []
    for _ in range(rng.integers(6, 18)):
        heading = _direction(heading, 0.6, rng)
        parts.append(Segment(at, at + 0.22 * scale * heading, radius, radius))
        at = parts[-1].end
    return tuple(parts)


def body_distance(points: Points, body: Body) -> np.ndarray:
    """Signed distance in mm to trunk and limbs at points of the body frame."""
    return smooth_union([_distance(points, part) for part in (*body.trunk, *body.limbs)], 8)


def _distance(points: Points, part: Segment) -> np.ndarray:
    return capsule(points, part.start, part.end, part.start_radius, part.end_radius)


def paint_body(image: np.ndarray, view: View, body: Body, contrast: Contrast, width: float, rng) -> None:
    """Paint cord, limbs and trunk into image [I, J, K]; `view` is of the body frame, `width` the voxel's."""
    level, scale = contrast.surroundings, body.scale
    for part in body.cord:
        _paint(image, view, [part], level["cord"], width, rng)
    for part in body.limbs:
        _paint(
            image,
            view,
            [part],
            level["fetal_muscle"] * rng.uniform(0.7, 1.4),
            width,
            rng,
            skin=level["fetal_skin"],
        )
        core = Segment(part.start, part.end, 0.28 * part.start_radius, 0.28 * part.end_radius)
        _paint(image, view, [core], level["bone"], width, rng)
    _paint(image, view, body.trunk, level["fetal_muscle"], width, rng, skin=level["fetal_skin"])

    bend = body.trunk[2].end[1] / scale
    side = np.array([-1, 1, 1])
    for centre, radii, signal in (
        ((0.16, -0.02, -0.5), (0.12, 0.17, 0.2), level["lung"]),
        (side * (0.16, -0.02, -0.5), (0.12, 0.17, 0.2), level["lung"]),
        ((-0.06, 0.1, -0.54), (0.11, 0.12, 0.11), level["bone"] * rng.uniform(0.8, 3)),
        ((0.08, 0.1 + 0.4 * bend, -0.76), (0.26, 0.22, 0.14), level["liver"]),
        ((-0.17, 0.4 * bend, -0.78), (0.07, 0.1, 0.06), level["fluid"] * rng.uniform(0.6, 1)),
        ((0, 0.12 + bend, -1.02), (0.2, 0.16, 0.13), level["liver"] * rng.uniform(0.7, 2)),
        ((0.12, -0.16 + 0.6 * bend, -0.92), (0.07, 0.07, 0.11), level["lung"]),
        (side * (0.12, -0.16 + 0.6 * bend, -0.92), (0.07, 0.07, 0.11), level["lung"]),
        ((0, 0.15 + 1.3 * bend, -1.28), rng.uniform(0.03, 0.1) * np.ones(3), level["fluid"]),
    ):
        radii = np.asarray(radii) * rng.normal(1, 0.12, 3) * scale
        centre = np.asarray(centre) * scale
        box = view.box(centre - radii - width, centre + radii + width)
        if box:
            alpha = coverage(ellipsoid(view.points(box), centre, radii), width)
            over(image[box], alpha, signal)

    back = (
        np.array([(0, -0.14, 0.05), (0, -0.22, -0.5), (0, -0.22 + 0.6 * bend, -1.0), (0, 0.9 * bend - 0.16, -1.3)])
        * scale
    )
    front = back + scale * np.array([0, 0.07, 0])
    column = [Segment(p, q, 0.055 * scale, 0.05 * scale) for p, q in pairwise(front)]
    canal = [Segment(p, q, 0.045 * scale, 0.035 * scale) for p, q in pairwise(back)]
    _paint(image, view, column, level["bone"] * 1.5, width, rng)
    _paint(image, view, canal, float(contrast.tissue[Tissue.SPINAL_CANAL]), width, rng)


def _paint(image, view: View, parts, signal: float, width: float, rng, skin: float | None = None) -> None:
    reach = max(max(part.start_radius, part.end_radius) for part in parts) + width
    ends = np.concatenate([[part.start, part.end] for part in parts])
    box = view.box(ends.min(0) - reach, ends.max(0) + reach)
    if not box:
        return
    points = view.points(box)
    distance = smooth_union([_distance(points, part) for part in parts], 8)
    value = np.float32(signal)
    if skin is not None:
        shape = distance.shape
        value = value * (1 + np.float32(0.3) * smooth_noise(rng, shape, [n * width / 9 for n in shape]))
        value = value + coverage(np.abs(distance + 2) - 1.5, width) * np.float32(skin - signal)
    over(image[box], coverage(distance, width), value)
