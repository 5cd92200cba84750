"""The brain from the sections of the slices: where most of them fit a ball of the age's size, then an ellipsoid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from ...synthesis.anatomy.growth import HeadSize
from .planes import Planes
from .sections import OUTLINE_POINTS, Section

BALL = 0.47
"""Radius of the brain by the geometric mean of the skull's diameters."""

REACH = 0.9
"""In radii: sections further from the middle are too small to be counted on."""

ASIDE_MM, RADIUS = 7.0, 0.15
"""Standard deviations of sections about a ball: of their middles, and of the logarithm of their radii."""

STARTS = 500
"""The clearest sections, from whose middles and radii the place of the ball is tried."""

NEAR_MM = 10.0
"""Places so near to the best are averaged with it."""

LEAST_SECTIONS = 3
"""With fewer there is no brain."""

SEMI_AXES = (0.47, 0.47, 0.4324)
"""Of the brain, by the occipitofrontal and the biparietal diameter and the geometric mean of both."""

AXES_DEVIATION = 0.0233
"""Of the logarithm of the semi-axes. It is small, as slices that lack a section at the ends leave the axes open."""

START_ANGLES = ((0, 0, 0), (0, 0, np.pi / 2), (0, np.pi / 2, 0), (0.8, 0, 0.8), (0.8, 0.8, 0), (0, 0.8, -0.8))
"""Of the ellipsoid, radians about the planes' axes: its longest axis along each of them, and between them."""

OUTLINE_MM, OUTLINE_WEIGHT = 3.0, 4.5
"""Deviation of an outline from the ellipsoid beyond which it counts linearly, and what a whole outline counts."""

ROUNDS = 2
"""Times that sections are chosen again by the ellipsoid fitted to those before."""

LEAST_OVERLAP = 0.75
"""Dice coefficient of a section and that of the ellipsoid."""


@dataclass(frozen=True, eq=False)
class Brain:
    """The brain of a scan, in mm along the axes of the planes.

    Parameters
    ----------
    centre : np.ndarray
        Shape ``[3]``.
    shape : np.ndarray
        Shape ``[3, 3]``, mm²: a point x lies on the ellipsoid where (x − centre)ᵀ shape⁻¹ (x − centre) = 1.
    level : float
        Of the flattened values inside.
    mask : np.ndarray
        Bool, shape of the planes: the sections, in slices between and beyond them those of the ellipsoid.
    share : float
        In how many of the slices through a brain of the age there is a section.
    """

    centre: np.ndarray
    shape: np.ndarray
    level: float
    mask: np.ndarray
    share: float


def find_brain(planes: Planes, sections: Sequence[Section], size: HeadSize) -> Brain | None:
    """The brain; None where too few sections fit one."""
    centre = _place(planes, sections, size)
    if centre is None:
        return None
    chosen = _of_ball(sections, centre, size)
    ellipsoid: np.ndarray | None = None
    for _ in range(ROUNDS + 1):
        if ellipsoid is not None:
            chosen = _of_ellipsoid(planes, sections, ellipsoid)
        if len(chosen) < LEAST_SECTIONS:
            break
        ellipsoid = _fitted(planes, chosen, centre if ellipsoid is None else ellipsoid[:3], size)
        kept = chosen
    if ellipsoid is None:
        return None
    mask = _inside(planes, ellipsoid)
    for section, _ in kept:
        mask[section.number] = False
        mask[section.number][tuple(section.pixels.T)] = True
    axes = Rotation.from_rotvec(ellipsoid[3:6]).as_matrix() * np.exp(ellipsoid[6:])
    level = float(np.median([section.level for section, _ in kept]))
    return Brain(ellipsoid[:3], axes @ axes.T, level, mask, len(kept) / _slices_through(planes, _radius(size)))


def _radius(size: HeadSize) -> float:
    return BALL * float(size.occipitofrontal_diameter * size.biparietal_diameter**2) ** (1 / 3)


def _slices_through(planes: Planes, ball: float) -> float:
    """How many slices have a section of a ball that counts."""
    return 2 * REACH * ball / float(planes.spacing[0])


def _fits(middles: np.ndarray, radii: np.ndarray, centre: np.ndarray, ball: float) -> np.ndarray:
    """How well sections fit a ball, 0 to 1."""
    offset = middles - centre
    along = np.abs(offset[:, 0])
    expected = np.sqrt(np.maximum(ball**2 - along**2, 1e-6))
    misfit = (offset[:, 1:] ** 2).sum(axis=1) / ASIDE_MM**2 + (np.log(radii / expected) / RADIUS) ** 2
    return np.exp(-misfit / 2) * (along < REACH * ball)


def _place(planes: Planes, sections: Sequence[Section], size: HeadSize) -> np.ndarray | None:
    """Middle of the ball about which the slices' best sections weigh most; ``[3]``, None where none weighs anything."""
    if not sections:
        return None
    ball = _radius(size)
    middles = np.array([section.middle_mm for section in sections])
    radii = np.array([section.radius_mm for section in sections])
    weights = np.array([section.weight for section in sections])
    numbers = np.array([section.number for section in sections])
    # A section smaller than the ball's equator lies before or behind its middle.
    starts = np.argsort(-weights, kind="stable")[:STARTS]
    behind = np.sqrt(np.maximum(ball**2 - radii[starts] ** 2, 0))[:, None] * [1, 0, 0]
    tried = np.unique(np.concatenate([middles[starts], middles[starts] + behind, middles[starts] - behind]), axis=0)
    evidence = np.zeros(len(tried))
    for number, centre in enumerate(tried):
        near = np.abs(middles - centre).max(axis=1) < max(3 * ASIDE_MM, ball)
        best = np.zeros(len(planes.values))
        np.maximum.at(best, numbers[near], weights[near] * _fits(middles[near], radii[near], centre, ball))
        evidence[number] = best.sum()
    if evidence.max() <= 0:
        return None
    near = np.linalg.norm(tried - tried[evidence.argmax()], axis=1) < NEAR_MM
    return np.average(tried[near], axis=0, weights=evidence[near] ** 4)


def _of_ball(sections: Sequence[Section], centre: np.ndarray, size: HeadSize) -> list[tuple[Section, float]]:
    middles = np.array([section.middle_mm for section in sections])
    radii = np.array([section.radius_mm for section in sections])
    fits = _fits(middles, radii, centre, _radius(size)) * [section.weight for section in sections]
    return [(section, 1.0) for section, _ in _best_of_slices(sections, fits, 0.05)]


def _of_ellipsoid(planes: Planes, sections: Sequence[Section], ellipsoid: np.ndarray) -> list[tuple[Section, float]]:
    """The section of each slice that is most like that of the ellipsoid, and its weight."""
    inside = _inside(planes, ellipsoid)
    areas = inside.sum(axis=(1, 2))
    fits = np.zeros(len(sections))
    for index, section in enumerate(sections):
        area = areas[section.number]
        if area >= 50:
            shared = np.count_nonzero(inside[section.number][tuple(section.pixels.T)])
            fits[index] = 2 * shared / (area + len(section.pixels)) * (0.9 + 0.1 * section.rim)
    return [(section, (fit - 0.7) / 0.25) for section, fit in _best_of_slices(sections, fits, LEAST_OVERLAP)]


def _best_of_slices(sections: Sequence[Section], fits: np.ndarray, least: float) -> list[tuple[Section, float]]:
    best: dict[int, tuple[Section, float]] = {}
    for section, fit in zip(sections, fits, strict=True):
        if fit > least and (section.number not in best or fit > best[section.number][1]):
            best[section.number] = section, float(fit)
    return list(best.values())


def _fitted(planes: Planes, chosen: Sequence[tuple[Section, float]], centre: np.ndarray, size: HeadSize) -> np.ndarray:
    """Centre, rotation vector and logarithms of the semi-axes, ``[9]``, of the ellipsoid nearest to outlines.

    In its sections the middle lies on a line and the squares of the axes are a quadratic function of the slice.
    """
    points = np.concatenate(
        [
            np.column_stack([np.full(OUTLINE_POINTS, section.number), section.outline_pixels]) * planes.spacing
            for section, _ in chosen
        ]
    )
    weights = OUTLINE_WEIGHT * np.repeat([weight for _, weight in chosen], OUTLINE_POINTS) / np.sqrt(OUTLINE_POINTS)
    length, width = size.occipitofrontal_diameter, size.biparietal_diameter
    usual = np.log(np.multiply(SEMI_AXES, [length, width, np.sqrt(length * width)]))

    def residuals(ellipsoid: np.ndarray) -> np.ndarray:
        turned = (points - ellipsoid[:3]) @ Rotation.from_rotvec(ellipsoid[3:6]).as_matrix()
        scaled = np.linalg.norm(turned / np.exp(ellipsoid[6:]), axis=1) + 1e-9
        away = np.linalg.norm(turned, axis=1) * (1 - 1 / scaled) / OUTLINE_MM
        robust = np.sqrt(2 * (np.sqrt(1 + away**2) - 1))
        return np.concatenate([weights * robust, (ellipsoid[6:] - usual) / AXES_DEVIATION])

    ends = [
        least_squares(
            residuals,
            np.concatenate([centre, Rotation.from_euler("xyz", start).as_rotvec(), usual]),
            max_nfev=25,
            x_scale=np.repeat([5.0, 0.5, 0.1], 3),
        )
        for start in START_ANGLES
    ]
    return min(ends, key=lambda end: end.cost).x


def _inside(planes: Planes, ellipsoid: np.ndarray) -> np.ndarray:
    """Bool, shape of the planes."""
    axes = Rotation.from_rotvec(ellipsoid[3:6]).as_matrix() / np.exp(ellipsoid[6:])
    grids = np.ogrid[tuple(slice(0, n) for n in planes.values.shape)]
    offset = [grid * step - middle for grid, step, middle in zip(grids, planes.spacing, ellipsoid[:3], strict=True)]
    return sum(sum(part * axes[row, column] for row, part in enumerate(offset)) ** 2 for column in range(3)) < 1
