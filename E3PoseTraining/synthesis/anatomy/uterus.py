"""What is around the fetus: amniotic fluid, placenta, uterine wall, the mother's tissues and air.

The mother's frame is RAS in millimetres. Distances to the large shapes are smooth, so they are evaluated at
every few voxels in plane and interpolated; slices are never skipped, because each sees the mother
where she is just then.
"""

import numpy as np

from ..scanner.contrast import Contrast
from ..scanner.grid import View
from ..shapes import Points, capsule, coverage, ellipsoid, move, over, smooth_noise, smooth_union
from .body import Body, body_distance
from .head import Head
from .mother import draw_mother


def paint_uterus(
    shape,
    view: View,
    head: Head,
    body: Body,
    fluid_volume: float,
    canonical_to_ras: np.ndarray,
    contrast: Contrast,
    width: float,
    rng,
    stride: int = 2,
) -> np.ndarray:
    """Image [I, J, K] of mother, uterus and fluid, without the fetus; `view` is of RAS, `width` the voxel in
    mm, `fluid_volume` in ml. Large shapes are evaluated at every `stride`-th voxel in plane, a power of two.
    """
    points = view.points(stride=stride)
    coarse = points[0].shape
    level = contrast.surroundings
    sparse = tuple(p[::2, ::2] for p in points)
    cavity = upsample(cavity_distance(sparse, head, body, fluid_volume, canonical_to_ras, rng), coarse)
    placenta_site = upsample(_placenta(sparse, body, canonical_to_ras, rng), coarse)
    skin, mother = draw_mother(points, view, stride, cavity, contrast, rng)

    wall_thickness = rng.uniform(4, 11)
    cavity, placenta_site, skin, mother = (
        upsampled(f, shape, stride)
        for f in (cavity, np.maximum(cavity - rng.uniform(15, 35), placenta_site), skin, mother)
    )
    grain = smooth_noise(rng, shape, [n * width / 9 for n in shape]) * np.float32(rng.uniform(0.1, 0.35))
    image = mother * coverage(skin, width)
    speckle = rng.standard_normal(shape, np.float32)
    speckle *= np.float32(rng.uniform(*contrast.mother.speckle))
    speckle += 1
    image *= speckle
    wall = np.minimum(cavity, placenta_site) - np.float32(wall_thickness)
    over(image, coverage(wall, width), np.float32(level["wall"]) * (1 + grain))
    over(
        image,
        coverage(placenta_site, width),
        np.float32(level["placenta"]) * (1 + np.float32(0.7) * grain[::-1]),
    )
    swirl = smooth_noise(rng, shape, (5, 5, 5)) * np.float32(rng.uniform(0.05, 0.25))
    over(image, coverage(cavity, width), np.float32(level["fluid"]) * (1 + swirl))
    return image


def upsampled(field: np.ndarray, shape, stride: int) -> np.ndarray:
    """Linear interpolation of a field known at every `stride`-th voxel in plane, a power of two, back to `shape`."""
    while stride > 1:
        stride //= 2
        field = upsample(field, (-(-shape[0] // stride), -(-shape[1] // stride)))
    return field


def upsample(field: np.ndarray, shape) -> np.ndarray:
    """Linear interpolation of a field known at every second voxel in plane back to `shape`."""
    for axis in (0, 1):
        full = np.empty((*field.shape[:axis], shape[axis], *field.shape[axis + 1 :]), np.float32)
        source, target = np.moveaxis(field, axis, 0), np.moveaxis(full, axis, 0)
        target[::2] = source
        gaps = target[1::2]
        after = source[1:] if len(source) > len(gaps) else np.concatenate([source[1:], source[-1:]])
        np.add(source[: len(gaps)], after[: len(gaps)], out=gaps)
        gaps *= 0.5
        field = full
    return field


def cavity_distance(points: Points, head: Head, body: Body, fluid_volume: float, canonical_to_ras, rng) -> np.ndarray:
    """Signed distance to the inner wall: a loose, uneven hull around head, trunk and limbs, with pockets of fluid.

    points: RAS in mm; fluid_volume: ml between wall and fetus.
    """
    # The wall lies on the head here and stands off there, so the hull's head is not centred on the fetus's.
    head_centre = head.size.occipitofrontal_diameter * (np.array([0, 0.04, -0.1]) + rng.normal(0, 0.08, 3))
    head_radii = head.size.occipitofrontal_diameter * np.array([0.44, 0.55, 0.55])
    scale = body.scale
    ellipsoids = [
        (np.array([0, 0.14, -0.35]), rng.uniform(0.85, 1.1, 3) * [0.42, 0.46, 1.1]),
        (np.mean([part.end for part in body.limbs], axis=0) / scale, rng.uniform(0.4, 0.62, 3)),
    ]
    for _ in range(rng.integers(1, 4)):
        at = np.array([rng.normal(0, 0.5), rng.normal(0.3, 0.5), rng.uniform(-1.3, 0.4)])
        ellipsoids.append((at, rng.uniform(0.12, 0.36, 3)))

    def hull(in_body: Points) -> np.ndarray:
        parts = [ellipsoid(move(in_body, body.body_to_canonical), head_centre, head_radii)]
        parts.append(capsule(in_body, body.trunk[1].start, body.trunk[2].end, 0.4 * scale, 0.46 * scale))
        parts.extend(ellipsoid(in_body, centre * scale, radii * scale) for centre, radii in ellipsoids)
        return smooth_union(parts, 32)

    # How far from the hull the wall lies is found on a lattice that holds it all, which the field of view may not.
    roughness = np.float32(rng.uniform(2, 6))
    reach = ((-1.6, 1.6), (-1.6, 2.0), (-2.4, 1.8))
    lattice = np.ix_(*(np.arange(low, high, 0.1, np.float32) * scale for low, high in reach))
    fetus = fetus_distance(lattice, head, body)
    wall = hull(lattice) + roughness * smooth_noise(rng, fetus.shape, (5, 5, 5))
    apart = np.sort(wall[fetus > 0])
    room = apart[min(round(1000 * fluid_volume / (0.1 * scale) ** 3), apart.size - 1)]

    in_body = move(points, np.linalg.inv(canonical_to_ras @ body.body_to_canonical))
    wall = hull(in_body) + roughness * smooth_noise(rng, points[0].shape, (5, 5, 5))
    # Where there is little fluid the wall lies on the fetus.
    return np.minimum(wall - room, fetus_distance(in_body, head, body))


def fetus_distance(in_body: Points, head: Head, body: Body) -> np.ndarray:
    """Signed distance to the fetus, about, at points of the body frame."""
    width, length = head.size.biparietal_diameter, head.size.occipitofrontal_diameter
    skull = ellipsoid(move(in_body, body.body_to_canonical), np.zeros(3), np.array([width, length, width]) / 2)
    return np.minimum(body_distance(in_body, body), skull)


def _placenta(points: Points, body: Body, canonical_to_ras, rng) -> np.ndarray:
    """Signed distance to the ball that marks where on the wall the placenta sits."""
    direction = rng.normal(0, 1, 3)
    direction /= np.linalg.norm(direction)
    middle = body.body_to_canonical @ [0, 0.1 * body.scale, rng.uniform(-1.0, -0.1) * body.scale, 1]
    centre = (canonical_to_ras @ middle)[:3] + direction * body.scale * rng.uniform(0.7, 1.0)
    return ellipsoid(points, centre, rng.uniform(0.5, 0.95, 3) * body.scale)
