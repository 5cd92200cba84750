"""A picture of every augmentation on one scan."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from .artifacts import RandCroppedFieldOfView, RandGhosting, RandSpinHistory, RandSurroundings
from .distortion import RandEpiDistortion, RandShear
from .intensity import NormalisePercentiles, RandBiasField, RandGamma, RandNoise, RandShading
from .motion import RandInterleavedMotion
from .placement import RandPlacement
from .resolution import RandIsotropicResolution, RandThickSlices
from .sample import Sample

EDGE = 72
DRAWS = 12
GALLERY = {
    "turned, scaled, moved": RandPlacement(EDGE, 40, 20, (0.8, 1.2)),
    "mirrored": RandPlacement(EDGE, flipping=True),
    "interleaved-slice motion": RandInterleavedMotion(1.0),
    "motion of up to 6 interleaves": RandInterleavedMotion(1.0, max_passes=6),
    "EPI distortion": RandEpiDistortion(1.0),
    "shear": RandShear(1.0),
    "other surroundings": RandSurroundings(1.0),
    "cropped field of view": RandCroppedFieldOfView(1.0),
    "spin history (U-Net)": RandSpinHistory((1.5, 2.3), (0.8, 1.5), prob=1.0),
    "spin history (E(3)-CNN)": RandSpinHistory((2.3, 4.6), (0.8, 1.5), prob=1.0),
    "ghosting": RandGhosting(1.0),
    "isotropic resolution to 8 mm": RandIsotropicResolution(8),
    "thick slices to 8 mm": RandThickSlices(1.0),
    "bias field, order 3": RandBiasField(0.5),
    "shading to a tenth": RandShading(1.0),
    "noise": RandNoise(0.06),
    "gamma": RandGamma((-0.8, -0.5)),
}


def draw_gallery(sample: Sample, seed: int) -> Figure:
    """Draws the middle slice of the object, untouched and after each augmentation, its outline in gold.

    Of a dozen draws each panel shows the one that changes the slice most.

    Parameters
    ----------
    sample : Sample
        A scan.
    seed : int
        Decides the draws.
    """
    sample = NormalisePercentiles(0.005)(RandPlacement(EDGE, centre_on_object=True)(sample))
    panels = {"the scan": sample}
    for title, transform in GALLERY.items():
        draws = [transform.set_random_state(seed + number)(sample) for number in range(DRAWS)]
        panels[title] = max(draws, key=lambda drawn: _change(sample, drawn))
    columns = 7
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(2.4 * columns, 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns).ravel()
    for panel, (title, shown) in zip(axes, panels.items(), strict=False):
        cut, outline = _middle_cut(shown.image), _middle_cut(shown.label) == 1
        panel.imshow(cut.T, cmap="gray", origin="lower", vmin=0, vmax=max(1.0, np.percentile(cut, 99.9)))
        if outline.any():
            panel.contour(outline.T, levels=[0.5], colors="gold", linewidths=0.7)
        panel.set_title(title, fontsize=9)
    for panel in axes:
        panel.set_axis_off()
    return figure


def _change(before: Sample, after: Sample) -> float:
    return float(np.abs(_middle_cut(before.image) - _middle_cut(after.image)).mean())


def _middle_cut(array: Tensor) -> np.ndarray:
    return array[0, :, EDGE // 2].numpy()
