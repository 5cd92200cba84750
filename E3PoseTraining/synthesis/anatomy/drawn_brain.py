"""Brains drawn from ellipsoids and tubes."""

from collections.abc import Sequence

import numpy as np

from ..shapes import Points, capsule, ellipsoid, smooth_noise, smooth_union
from ..tissues import Tissue
from .brain import Brain, BrainField
from .hindbrain import paint_hindbrain, posterior_fossa

_ATRIUM = 1.2
"""Radius of the lateral ventricle's atrium relative to the width of the ventricle."""


class ParametricBrain(Brain):
    """A brain drawn from ellipsoids and tubes, with a cortex that folds as the fetus grows."""

    pitch_degrees = 21.5

    def evaluate(
        self, points: Points, age_weeks: float, size: Sequence[float], rng, atrium_mm: float | None = None
    ) -> BrainField:
        shape = np.broadcast_shapes(*(p.shape for p in points))
        a, b, c = (np.float32(extent / 2) for extent in size)
        x, y, z = points
        lateral = np.abs(x)
        maturity = float(np.clip((age_weeks - 21) / 14, 0, 1))

        # The head is widest behind its middle and its floor is flatter than its roof.
        taper = 1 + np.float32(rng.uniform(0.0, 0.12)) * y / b
        floor = np.where(z < 0, np.float32(rng.uniform(1.15, 1.45)), np.float32(1))
        vault = ellipsoid((lateral * taper, y, z * floor), (0, 0, 0), (a, b, c))
        temporal = ellipsoid(
            (lateral, y, z),
            (0.5 * a, rng.uniform(0.05, 0.2) * b, -rng.uniform(0.45, 0.6) * c),
            (0.42 * a, 0.52 * b, 0.42 * c),
        )
        frontal = ellipsoid(
            (lateral, y, z),
            (0.3 * a, 0.3 * b, -0.05 * c),
            (rng.uniform(0.58, 0.7) * a, 0.71 * b, rng.uniform(0.7, 0.8) * c),
        )
        fossa = posterior_fossa(points, (a, b, c), rng)
        cerebrum_shell = smooth_union([vault, frontal, temporal], 6)
        # Orbits and sphenoid rise between the temporal lobes: the frontal lobe lies on them.
        orbits = ellipsoid((lateral, y, z), (0.2 * a, 0.62 * b, -1.15 * c), (0.85 * a, 0.48 * b, 0.6 * c))
        sphenoid = ellipsoid(points, (0, 0.45 * b, -0.95 * c), (rng.uniform(0.24, 0.36) * a, 0.45 * b, 0.42 * c))
        base = smooth_union([orbits, sphenoid], 6)
        cerebrum_shell = np.maximum(cerebrum_shell, -base)
        inner_skull = np.maximum(smooth_union([cerebrum_shell, fossa], 5), -base)

        # Folding: valleys along the zero set of a random field, deeper with age.
        cells = [2 * extent / rng.uniform(11, 16) for extent in size]
        folds = 1 - np.abs(smooth_noise(rng, shape, cells)) / np.float32(0.45)
        fold_depth = maturity * rng.uniform(3, 8)
        csf_gap = rng.uniform(0.5, 1.5) + (1 - maturity) * rng.uniform(0.5, 4)
        cortex_depth = -(cerebrum_shell + np.float32(csf_gap)) - np.float32(fold_depth) * np.clip(folds, 0, 1)
        sylvian = ellipsoid((lateral, y, z), (a, 0.12 * b, -0.12 * c), (rng.uniform(0.1, 0.4) * a, 0.25 * b, 0.12 * c))
        cortex_depth = np.minimum(cortex_depth, sylvian)
        # Thin between the hemispheres, and wider where the sagittal sinus runs under the skull.
        sinus = np.clip(1 + cerebrum_shell / np.float32(7), 0, 1) * np.float32(rng.uniform(0.5, 3))
        fissure = lateral - np.float32(rng.uniform(0.2, 0.9)) - sinus
        callosum_top = ellipsoid(points, (0, 0.02 * b, -0.05 * c), (99, 0.52 * b, 0.42 * c))
        fissure = np.where(callosum_top > 0, fissure, np.float32(99))

        tissue = np.zeros(shape, np.uint8)
        tissue[inner_skull < 0] = Tissue.EXTRA_AXIAL_CSF
        cortex_depth = np.minimum(cortex_depth, np.maximum(fissure, 0))
        tissue[(cortex_depth > 0) & (cerebrum_shell < 0)] = Tissue.CORTEX
        ribbon = rng.uniform(1.2, 2.2) + maturity
        white = (cortex_depth > ribbon) & (cerebrum_shell < 0)
        tissue[white] = Tissue.WHITE_MATTER
        tissue[(fissure < 0) & (cerebrum_shell < -1)] = Tissue.FALX

        callosum = np.abs(callosum_top + np.float32(1.5)) - np.float32(rng.uniform(0.8, 1.8))
        above = (lateral < 0.25 * a) & (z > -0.1 * c)
        rim = callosum - np.float32(rng.uniform(0.5, 1.8))  # the vessels and the sulcus that run along the callosum
        tissue[(rim < 0) & (callosum_top > 0) & above & (lateral < 4)] = Tissue.FALX
        tissue[(callosum < 0) & above] = Tissue.CORPUS_CALLOSUM
        for centre, radii in (
            ((0.17 * a, -0.08 * b, -0.08 * c), (0.17 * a, 0.2 * b, 0.2 * c)),
            ((0.36 * a, 0.15 * b, -0.08 * c), (0.16 * a, 0.24 * b, 0.2 * c)),
        ):
            tissue[ellipsoid((lateral, y, z), centre, radii) < 0] = Tissue.DEEP_GREY_MATTER

        width = rng.uniform(1.5, 5.5) * (1 if rng.random() < 0.9 else 2)  # the atrium is under 10 mm as a rule
        if atrium_mm is not None:
            width = atrium_mm / 2 / _ATRIUM
        ventricle = smooth_union(
            [
                capsule((lateral, y, z), p, q, r * width, s * width)
                for p, q, r, s in (
                    ((0.13 * a, 0.4 * b, 0.05 * c), (0.17 * a, 0.0, 0.22 * c), 0.9, 0.7),
                    ((0.17 * a, 0.0, 0.22 * c), (0.38 * a, -0.42 * b, 0.0), 0.7, _ATRIUM),
                    ((0.38 * a, -0.42 * b, 0.0), (0.3 * a, -0.68 * b, 0.0), _ATRIUM, 0.5),
                    ((0.38 * a, -0.42 * b, 0.0), (0.52 * a, 0.0, -0.45 * c), 1.0, 0.4),
                )
            ],
            3,
        )
        tissue[(ventricle < 0) & (cerebrum_shell < -3)] = Tissue.VENTRICLES
        cavum = ellipsoid(points, (0, 0.22 * b, 0.12 * c), (rng.uniform(1, 4), 0.22 * b, 0.14 * c))
        third = ellipsoid(points, (0, -0.05 * b, -0.12 * c), (rng.uniform(0.8, 2), 0.2 * b, 0.2 * c))
        tissue[(np.minimum(cavum, third) < 0)] = Tissue.VENTRICLES
        paint_hindbrain(tissue, points, fossa, (a, b, c), age_weeks, rng)
        return BrainField(tissue, inner_skull)
