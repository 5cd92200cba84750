"""Stable bright regions of a scan's slices that may be sections of a brain of the age."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from ...synthesis.anatomy.growth import HeadSize
from .planes import PIXEL_MM, Planes

SKULL_PIXELS, RIM_PIXELS = 9, 7
"""Of the black top hat that shows dark lines, and of the neighbourhood in which the dark rim of a region is sought."""

DEEPENED = ((2.0, 3), (1.0, 5), (1.0, 7))
"""Of each detection: by how many of its depths the skull is deepened, and by how many pixels it is widened."""

DELTA, MAXIMUM_VARIATION, LEAST_DIVERSITY = 3, 1.0, 0.05
"""Of `cv2.MSER_create`: grey levels between which a region must be stable, how much of it may change, and by how much
nested ones must differ."""

LEAST_FILL, LEAST_SOLID, LEAST_ROUND = 0.85, 0.4, 0.55
"""Of a region: its area in that of its ellipse, what of it is no hole, and the ratio of its ellipse's axes."""

WIDTHS, LENGTHS = (0.35, 1.0), (0.45, 1.05)
"""Of its ellipse: the shorter axis in biparietal diameters, the longer in occipitofrontal ones."""

DARK = 0.35
"""By so much (logarithm) the rim of a region is darker than its inside where a skull is there."""

OUTLINE_POINTS = 32


@dataclass(frozen=True, eq=False)
class Section:
    """A region of one slice.

    Parameters
    ----------
    number : int
        Of the slice.
    pixels : np.ndarray
        Shape ``[n, 2]``, rows and columns; holes filled.
    middle_mm : np.ndarray
        Shape ``[3]``, mm along the axes of the planes.
    radius_mm : float
        Of the circle as large as its ellipse.
    level : float
        Median inside.
    rim : float
        0 to 1: the contrast of inside minus rim, times how far round the rim is dark.
    fill : float
        0 to 1: how well it fills its ellipse.
    """

    number: int
    pixels: np.ndarray
    middle_mm: np.ndarray
    radius_mm: float
    level: float
    rim: float
    fill: float

    @property
    def weight(self) -> float:
        """0 to 1, how clearly it may be a section of a brain."""
        return self.rim * self.fill

    @cached_property
    def outline_pixels(self) -> np.ndarray:
        """Shape ``[OUTLINE_POINTS, 2]``, rows and columns on its border."""
        corner = self.pixels.min(axis=0) - 1
        image = np.zeros(self.pixels.max(axis=0) - corner + 2, np.uint8)
        image[tuple((self.pixels - corner).T)] = 1
        found, _ = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        border = max(found, key=len)[:, 0, ::-1] + corner
        return border[np.linspace(0, len(border) - 1, OUTLINE_POINTS).astype(int)]


def find_sections(planes: Planes, size: HeadSize) -> Iterator[Section]:
    """Regions of all slices that may be sections of the brain.

    The bright brain and the bright fluid about it are parted by a skull that is thin and here and there not dark. So
    dark lines are deepened by their black top hat, and widened by an erosion, each time by another measure; regions
    are grown again by what the erosion took.
    """
    area = np.pi / 4 / PIXEL_MM**2
    least, most = 0.3 * size.biparietal_diameter, 1.1 * size.occipitofrontal_diameter
    detector = cv2.MSER_create(DELTA, int(area * least**2), int(area * most**2), MAXIMUM_VARIATION, LEAST_DIVERSITY)
    detector.setPass2Only(True)  # bright regions alone
    lines = [cv2.morphologyEx(one, cv2.MORPH_BLACKHAT, disc(SKULL_PIXELS)) for one in planes.values]
    rims = [cv2.erode(one, disc(RIM_PIXELS)) for one in planes.values]
    for deeper, wider in DEEPENED:
        kernel = disc(wider)
        deepened = np.stack(
            [cv2.erode(one - deeper * line, kernel) for one, line in zip(planes.values, lines, strict=True)]
        )
        for number, image in enumerate(_grey_levels(deepened)):
            if image.min() == image.max():
                continue
            for points, box in zip(*detector.detectRegions(image), strict=True):
                found = _measured(points, box, kernel, planes.values[number], rims[number], size)
                if found is not None:
                    middle, *measures = found
                    middle_mm = np.array([number * planes.spacing[0], *(middle * planes.spacing[1:])])
                    yield Section(number, measures[0], middle_mm, *measures[1:])


def disc(pixels: int) -> np.ndarray:
    """A disc for OpenCV's morphology, so many pixels across."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (pixels, pixels))


def _grey_levels(array: np.ndarray) -> np.ndarray:
    """256 levels between two percentiles."""
    least, most = np.percentile(array, [2, 99.5])
    return (np.clip((array - least) / max(float(most - least), 1e-6), 0, 1) * 255).astype(np.uint8)


def _measured(
    points: np.ndarray, box: np.ndarray, kernel: np.ndarray, values: np.ndarray, rim: np.ndarray, size: HeadSize
) -> tuple[np.ndarray, np.ndarray, float, float, float, float] | None:
    """Middle (pixels) of a region, its pixels, radius, level, rim and fill as in `Section`.

    None if no section of a brain looks like that. OpenCV counts columns first in the region's points and in its box,
    which is where it begins, then its size.
    """
    margin = len(kernel) + 1
    corner = box[1::-1] - margin
    image = np.zeros(box[:1:-1] + 2 * margin, np.uint8)
    image[points[:, 1] - corner[0], points[:, 0] - corner[1]] = 1
    border, _ = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    region = np.zeros_like(image)
    cv2.drawContours(region, border, -1, 1, -1)
    region = cv2.dilate(region, kernel)
    moments = cv2.moments(region, binaryImage=True)
    area = moments["m00"]
    # Columns come first in OpenCV's moments; the larger eigenvalue of their covariance is the longer axis squared.
    middle = np.array([moments["m01"], moments["m10"]]) / area
    across, along, mixed = (moments[name] / max(area - 1, 1) for name in ("mu02", "mu20", "mu11"))
    half, apart = (across + along) / 2, math.hypot((across - along) / 2, mixed)
    shorter, longer = (2 * math.sqrt(max(value, 1e-6)) for value in (half - apart, half + apart))
    width, length = 2 * PIXEL_MM * shorter, 2 * PIXEL_MM * longer
    fill = area / (math.pi * shorter * longer)
    if not (
        fill > LEAST_FILL
        and len(points) > LEAST_SOLID * area
        and width > LEAST_ROUND * length
        and WIDTHS[0] < width / size.biparietal_diameter < WIDTHS[1]
        and LENGTHS[0] < length / size.occipitofrontal_diameter < LENGTHS[1]
    ):
        return None
    pixels = np.argwhere(region)
    around = np.argwhere(cv2.dilate(region, disc(3)) - region) + corner
    pixels, seen = _within(pixels + corner, values.shape), _within(around, values.shape)
    level = float(np.median(values[tuple(pixels.T)]))
    contrast = level - rim[tuple(seen.T)]
    if not len(contrast):
        return None
    closed = np.count_nonzero(contrast > DARK) / len(around)
    dark = float(np.clip(np.median(contrast), 0, 1)) * closed
    filled = float(np.clip((fill - LEAST_FILL) / 0.1, 0, 1))
    return middle + corner, pixels, float(PIXEL_MM * np.sqrt(shorter * longer)), level, dark, filled


def _within(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return pixels[((pixels >= 0) & (pixels < shape)).all(axis=1)]
