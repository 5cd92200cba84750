"""The mother around the uterus: skin and fat, muscles, bones, spine, bowel, vessels and bladder.

Nobody will mistake her for an atlas; she is there so that a network learns what is not a fetal head. Her
frame is RAS in millimetres.
"""

import numpy as np

from ..scanner.contrast import Contrast, MotherLook
from ..scanner.grid import View
from ..shapes import Points, Vector, capsule, coverage, ellipsoid, over, smooth_noise


def draw_mother(
    points: Points,
    view: View,
    stride: int,
    cavity: np.ndarray,
    contrast: Contrast,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Signed distance to her skin, and the signal of what is within, both at `points` [i, j, k].

    `points` are every `stride`-th voxel in plane of `view`; `cavity` is the signed distance to the uterine
    cavity, by which her belly is placed.
    """
    coarse = points[0].shape
    level, look = contrast.surroundings, contrast.mother
    inside = cavity < 0
    front = float(points[1][inside].max()) if inside.any() else 80.0
    middle = float(points[0][inside].mean()) if inside.any() else 0.0
    half = np.array([rng.uniform(150, 210), rng.uniform(115, 160), 900.0])
    centre = np.array([0.6 * middle, front + rng.uniform(15, 45) - half[1], float(points[2].mean())])
    skin = ellipsoid(points, centre, half)
    skin = skin + smooth_noise(rng, coarse, view.extent / 100) * np.float32(6)

    tissue = _compartments(coarse, view.extent, look, rng) * np.float32(level["maternal"])
    tissue *= np.exp(smooth_noise(rng, coarse, [n / 2 for n in coarse]) * np.float32(rng.uniform(0.1, 0.35)))
    canvas = _Canvas(tissue, points, view, stride, look.edge_mm)
    for _ in range(rng.integers(20, 45)):
        _organ(canvas, centre, half, level["maternal"], rng)
    _spine(canvas, centre, half, level, rng)
    thickness = rng.uniform(*look.fat_mm)
    fat = coverage(np.abs(skin + np.float32(0.5 * thickness)) - np.float32(0.5 * thickness), look.edge_mm)
    speckle = np.exp(smooth_noise(rng, coarse, [n / 2 for n in coarse]) * np.float32(rng.uniform(*look.fat_speckle)))
    over(tissue, fat * np.float32(rng.uniform(0.5, 1)), speckle * np.float32(rng.uniform(*look.fat)))
    return skin, tissue


class _Canvas:
    """The coarse image of the mother, and how to paint an ellipsoid or a tube into just the part it fills."""

    def __init__(self, image: np.ndarray, points: Points, view: View, stride: int, edge_mm: float):
        self._image, self._points, self._view, self._stride, self._edge = image, points, view, stride, edge_mm

    def ellipsoid(self, centre: Vector, radii: Vector, signal: float) -> None:
        part = self._part(centre - radii, centre + radii)
        if part:
            distance = ellipsoid(tuple(p[part] for p in self._points), centre, radii)
            over(self._image[part], coverage(distance, self._edge), np.float32(signal))

    def tube(self, start: Vector, end: Vector, radius: float, signal: float) -> None:
        part = self._part(np.minimum(start, end) - radius, np.maximum(start, end) + radius)
        if part:
            distance = capsule(tuple(p[part] for p in self._points), start, end, radius, radius)
            over(self._image[part], coverage(distance, self._edge), np.float32(signal))

    def _part(self, lower: Vector, upper: Vector) -> tuple[slice, ...] | None:
        box = self._view.box(lower, upper)
        if box is None:
            return None
        i, j, k = box
        step = self._stride
        return (
            slice(-(-i.start // step), -(-i.stop // step)),
            slice(-(-j.start // step), -(-j.stop // step)),
            k,
        )


def _compartments(shape, extent: np.ndarray, look: MotherLook, rng: np.random.Generator) -> np.ndarray:
    """Muscles and organs: a patchwork of signals about 1, cut out by the level sets of two random fields.

    Along the cuts runs dark fascia, or bright fluid or vessels.
    """
    levels = 17
    cell = np.zeros(shape, np.int16)
    border = np.zeros(shape, np.float32)
    for factor in (1, levels):
        field = smooth_noise(rng, shape, extent / rng.uniform(40, 90, 3))
        field = field * np.float32(rng.uniform(0.8, 1.6)) + np.float32(levels / 2)
        whole = np.floor(np.clip(field, 0, levels - 0.1))
        border = np.maximum(border, np.abs(field - whole - np.float32(0.5)))
        cell += factor * whole.astype(np.int16)
    tissue = np.exp(rng.normal(0, look.spread, levels * levels)).astype(np.float32)[cell]
    seam = np.clip((border - np.float32(0.38)) * np.float32(10), 0, 1)
    over(tissue, seam, np.float32(rng.choice([0.2, 0.5, 2.0], p=[0.55, 0.25, 0.2])))
    return tissue


def _organ(canvas: _Canvas, centre: np.ndarray, half: np.ndarray, level: float, rng: np.random.Generator) -> None:
    """One organ at a random place; muscles and bones as a rule on both sides."""
    at = centre + rng.uniform(-1, 1, 3) * [half[0], half[1], 170]
    kind = rng.random()
    paired = rng.random() < 0.7
    places = [at, np.array([2 * centre[0] - at[0], *at[1:]])] if paired and kind < 0.7 else [at]
    if kind < 0.4:  # muscle or bowel
        radii, signal, core = rng.uniform(12, 50, 3), level * rng.uniform(0.6, 2.6), rng.random() < 0.3
    elif kind < 0.7:  # bone, gas
        radii, signal, core = rng.uniform(6, 30, 3), rng.uniform(0.0, 0.12), False
    elif kind < 0.93:  # vessels, bright bowel
        radii, signal, core = rng.uniform(3, 12, 3) * [1, 1, rng.uniform(1, 4)], rng.uniform(0.4, 1.5), False
    else:  # bladder, stomach, kidney
        radii, signal, core = rng.uniform(12, 32, 3), rng.uniform(0.5, 2.0), False
    for place in places:
        canvas.ellipsoid(place, radii, signal)
        if core:
            canvas.ellipsoid(place, 0.4 * radii, 0.1 * rng.random())


def _spine(canvas: _Canvas, centre: np.ndarray, half: np.ndarray, level: dict[str, float], rng) -> None:
    """Vertebrae with discs between, and the bright spinal canal behind them."""
    back = centre - np.array([0, 0.45 * half[1], 0])
    lean = rng.normal(0, 0.12)
    vertebra, disc = level["maternal"] * rng.uniform(0.5, 1.8), level["maternal"] * rng.uniform(0.3, 3)
    axis = np.array([0, lean, 1])
    for height in np.arange(-200, 201, 32) + rng.uniform(-15, 15):
        at = back + height * axis
        canvas.ellipsoid(at, np.array([24.0, 20.0, 15.0]), vertebra)
        canvas.ellipsoid(at + 16 * axis, np.array([23.0, 19.0, 5.0]), disc)
    canal = back - np.array([0, 30, 0])
    canvas.tube(canal - 200 * axis, canal + 200 * axis, 7.0, rng.uniform(0.3, 1.2))
