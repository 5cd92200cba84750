"""What is around the fetus: amniotic fluid, placenta, uterine wall, the mother's tissues and air.

The mother's frame is RAS in millimetres. Distances to the large shapes are smooth, so they are evaluated at
every second or fourth voxel in plane and interpolated; slices are never skipped, because each sees the mother
where she is just then.
"""

import numpy as np

from E3PoseTraining.synthesis.acquisition import View
from E3PoseTraining.synthesis.body import Body
from E3PoseTraining.synthesis.contrast import Contrast
from E3PoseTraining.synthesis.head import Head
from E3PoseTraining.synthesis.mother import draw_mother
from E3PoseTraining.synthesis.shapes import (
    Points,
    capsule,
    coverage,
    ellipsoid,
    move,
    over,
    smooth_noise,
    smooth_union,
)

STRIDE = 2


def paint_uterus(
    shape,
    view: View,
    head: Head,
    body: Body,
    canonical_to_ras: np.ndarray,
    contrast: Contrast,
    width: float,
    rng,
) -> np.ndarray:
    """Image [I, J, K] of mother, uterus and fluid, without the fetus; `view` is of RAS, `width` the voxel in
    mm.
    """
    points = view.points(stride=STRIDE)
    coarse = points[0].shape
    level = contrast.surroundings
    sparse = tuple(p[::STRIDE, ::STRIDE] for p in points)
    cavity = upsample(_cavity(sparse, head, body, canonical_to_ras, rng), coarse)
    placenta_site = upsample(_placenta(sparse, head, body, canonical_to_ras, rng), coarse)
    skin, mother = draw_mother(points, view, STRIDE, cavity, level, rng)

    wall_thickness = rng.uniform(4, 11)
    cavity, placenta_site, skin, mother = (
        upsample(f, shape) for f in (cavity, np.maximum(cavity - rng.uniform(15, 35), placenta_site), skin, mother)
    )
    grain = smooth_noise(rng, shape, [n * width / 9 for n in shape]) * np.float32(rng.uniform(0.1, 0.35))
    image = mother * coverage(skin, width)
    speckle = rng.standard_normal(shape, np.float32)
    speckle *= np.float32(rng.uniform(0.05, 0.25))
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


def _cavity(points: Points, head: Head, body: Body, canonical_to_ras, rng) -> np.ndarray:
    """Signed distance to the inner wall: a loose, uneven hull around head, trunk and limbs, with pockets of
    fluid.
    """
    length = head.size.occipitofrontal_diameter
    in_body = move(points, np.linalg.inv(canonical_to_ras @ body.body_to_canonical))
    in_head = move(points, np.linalg.inv(canonical_to_ras))
    knees = np.mean([part.end for part in body.limbs], axis=0)
    # The wall lies on the head here and stands off there, so the hull's head is not centred on the fetus's.
    aside = np.array([0, 0.04, -0.1]) + rng.normal(0, 0.08, 3)
    parts = [
        ellipsoid(in_head, aside * length, np.array([0.44, 0.55, 0.55]) * length),
        capsule(in_body, body.trunk[1].start, body.trunk[2].end, 0.4 * length, 0.46 * length),
        ellipsoid(
            in_body,
            np.array([0, 0.14, -0.35]) * length,
            rng.uniform(0.85, 1.1, 3) * np.array([0.42, 0.46, 1.1]) * length,
        ),
        ellipsoid(in_body, knees, rng.uniform(0.4, 0.62, 3) * length),
    ]
    for _ in range(rng.integers(1, 4)):
        at = np.array([rng.normal(0, 0.5), rng.normal(0.3, 0.5), rng.uniform(-1.3, 0.4)]) * length
        parts.append(ellipsoid(in_body, at, rng.uniform(0.12, 0.36, 3) * length))
    margin = rng.uniform(-14, 1)
    uneven = smooth_noise(rng, points[0].shape, (5, 5, 5)) * np.float32(rng.uniform(2, 6))
    return smooth_union(parts, 32) - np.float32(margin) + uneven


def _placenta(points: Points, head: Head, body: Body, canonical_to_ras, rng) -> np.ndarray:
    """Signed distance to the ball that marks where on the wall the placenta sits."""
    length = head.size.occipitofrontal_diameter
    direction = rng.normal(0, 1, 3)
    direction /= np.linalg.norm(direction)
    middle = body.body_to_canonical @ [0, 0.1 * length, rng.uniform(-1.0, -0.1) * length, 1]
    centre = (canonical_to_ras @ middle)[:3] + direction * length * rng.uniform(0.7, 1.0)
    return ellipsoid(points, centre, rng.uniform(0.5, 0.95, 3) * length)
