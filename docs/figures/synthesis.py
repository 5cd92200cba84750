"""Draw the figures of docs/synthesis.md: real clinical scans beside synthetic ones.

    python docs/figures/synthesis.py ../shared/data/epi ../shared/data/brains docs/images

The first folder holds the clinical EPI stacks with poses_ras.csv (BSD-2-Clause, Hoffmann et al. 2021), the second the
brain label maps, the third takes the pictures.
"""

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from scipy.ndimage import map_coordinates

from E3PoseLib.imaging.volume import read_volume
from E3PoseTraining.synthesis import FetalHeadGenerator
from E3PoseTraining.synthesis.anatomy.head import build_head
from E3PoseTraining.synthesis.kinds import KINDS

HALF_WIDTH_MM = 75.0
# fmt: off
COLOURS = ListedColormap([
    "#e8e0d0", "#4f86c6", "#b5651d", "#8fc1e3", "#8c6d62", "#c9a37c", "#6b8e5a", "#d9a5b3",
    "#33334d", "#1f1f1f", "#e3bfa0", "#b3574f", "#3d3d3d", "#9fe0f0", "#ffd24d", "#d8c690",
    "#c9403a", "#f2f2f2", "#5c4a3d", "#66b3cc", "#7fa86b", "#4d4d4d",
])  # of Tissue 1 to 22
# fmt: on
SCANS = 8


def real_scans(folder):
    """(title, image, voxel_to_ras, canonical_to_ras) of every other stack: at least one of each fetus."""
    with (folder / "poses_ras.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    seen = {"ep2d_10", "ep2d_12", "ep2d_14", "ep2d_17", "ep2d_24", "ep2d_28", "ep2d_31", "ep2d_40"}
    for name, *numbers in rows:
        if name in seen:
            volume = read_volume(folder / f"{name}.nii.gz")
            yield name, volume.intensities(), volume.voxel_to_ras, np.array(numbers, float).reshape(4, 4)


def synthetic_scans(brains, seed=2026):
    """The first scans of EPI contrast at ages of the real ones, unselected."""
    generator = FetalHeadGenerator(seed=seed, brains=brains, age_range=(26, 35.5))
    scans = (scan for scan in map(generator, range(1000)) if scan.contrast == "epi" and scan.brain_visible > 0.97)
    for _, scan in zip(range(SCANS), scans, strict=False):
        yield f"{scan.age_weeks:.0f} weeks", scan.image, scan.voxel_to_ras, scan.canonical_to_ras


def standard_planes(image, voxel_to_ras, canonical_to_ras):
    """Sagittal, coronal and axial picture through the brain's centre, and a coronal one through the eyes; 1 mm."""
    span = np.arange(-HALF_WIDTH_MM, HALF_WIDTH_MM + 1)
    across, up = np.meshgrid(span, span[::-1])
    none = np.zeros_like(across)
    to_voxel = np.linalg.inv(voxel_to_ras) @ canonical_to_ras
    for plane in ((none, across, up), (-across, none, up), (-across, up, none), (-across, none + 40, up - 15)):
        points = np.tensordot(to_voxel[:3, :3], np.stack(plane), 1) + to_voxel[:3, 3, None, None]
        yield map_coordinates(image, points, order=1)


def draw_heads(real, synthetic, path):
    figure, axes = plt.subplots(SCANS, 8, figsize=(16, 2.06 * SCANS))
    for side, scans in enumerate((real, synthetic)):
        for row, (_, image, voxel_to_ras, canonical_to_ras) in zip(axes, scans, strict=True):
            planes = list(standard_planes(image, voxel_to_ras, canonical_to_ras))
            white = np.percentile(planes[0], 99.5)
            for axis, plane in zip(row[4 * side : 4 * side + 4], planes, strict=True):
                axis.imshow(plane, cmap="gray", vmin=0, vmax=white)
    for axis, title in zip(axes[0], ["sagittal", "coronal", "axial", "eyes"] * 2, strict=True):
        axis.set_title(title, fontsize=12)
    _save(figure, axes, path)


def draw_scans(real, synthetic, path):
    figure, axes = plt.subplots(SCANS // 2, 6, figsize=(16, 2.6 * SCANS // 2))
    for side, scans in enumerate((real, synthetic)):
        for row, (_, image, voxel_to_ras, canonical_to_ras) in zip(axes, scans[::2], strict=True):
            spacing = np.linalg.norm(voxel_to_ras[:3, :3], axis=0)
            centre = np.linalg.inv(voxel_to_ras) @ canonical_to_ras[:, 3]
            through = int(np.argmin(image.shape))  # the slice axis is the short one as a rule
            for column, along in enumerate([through, *(a for a in range(3) if a != through)]):
                index = int(np.clip(round(centre[along]), 0, image.shape[along] - 1))
                rest = [a for a in range(3) if a != along]
                row[3 * side + column].imshow(
                    image.take(index, along).T,
                    cmap="gray",
                    vmin=0,
                    vmax=np.percentile(image, 99.4),
                    aspect=spacing[rest[1]] / spacing[rest[0]],
                )
    for column, title in ((1, "clinical scouts as acquired"), (4, "synthetic scans as stored")):
        axes[0, column].set_title(title, fontsize=12)
    _save(figure, axes, path)


def draw_growth(brains, path):
    """The sagittal label map of one drawn and one label-map head at five ages."""
    ages = (20, 24, 28, 32, 37)
    figure, axes = plt.subplots(2, len(ages), figsize=(12, 5.4))
    drawn, mapped = FetalHeadGenerator(brains=None), FetalHeadGenerator(brains=brains)
    for row, generator in zip(axes, (drawn, mapped), strict=True):
        for axis, age in zip(row, ages, strict=True):
            rng = np.random.default_rng(age)
            brain = generator.draw_brain(float(age), rng, drawn_fraction=0.0 if generator is mapped else 1.0)
            head = build_head(float(age), brain, 0.8, rng)
            middle = round(-head.origin[0] / head.spacing)
            extent = head.spacing * np.array(head.tissue.shape)
            axis.imshow(
                np.ma.masked_equal(head.tissue[middle].T[::-1], 0),
                cmap=COLOURS,
                vmin=0.5,
                vmax=22.5,
                interpolation="nearest",
                extent=(0, extent[1], 0, extent[2]),
            )
            axis.set(xlim=(0, 150), ylim=(-10, 160), title=f"{age} weeks")
    _save(figure, axes, path)


def draw_kinds(brains, path, seed=7, count=6):
    """The slice with most of the brain in it, of the first scans of each kind, unselected."""
    figure, axes = plt.subplots(len(KINDS), count, figsize=(2.3 * count, 2.3 * len(KINDS)))
    for row, kind in zip(axes, KINDS, strict=True):
        generator = FetalHeadGenerator(seed=seed, brains=brains, kinds={kind: 1})
        for index, axis in enumerate(row):
            scan = generator(index)
            spacing = np.linalg.norm(scan.voxel_to_ras[:3, :3], axis=0)
            through = (
                int(np.argmax(spacing)) if spacing.max() > 1.2 * spacing.min() else int(np.argmin(scan.image.shape))
            )
            rest = [a for a in range(3) if a != through]
            slices = (scan.labels == 1).sum(axis=tuple(rest))
            picture = scan.image.take(int(slices.argmax()), through)
            axis.imshow(
                picture.T,
                cmap="gray",
                vmin=0,
                vmax=np.percentile(picture, 99.5),
                aspect=spacing[rest[1]] / spacing[rest[0]],
            )
            axis.set_title(f"{kind}: {scan.contrast}, {scan.age_weeks:.0f} weeks", fontsize=8)
    _save(figure, axes, path)


def _save(figure, axes, path):
    for axis in axes.ravel():
        axis.axis("off")
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=70, facecolor="white")
    plt.close(figure)


if __name__ == "__main__":
    epi, brains, output = map(Path, sys.argv[1:4])
    real, synthetic = list(real_scans(epi)), list(synthetic_scans(brains))
    draw_heads(real, synthetic, output / "synthesis_heads.png")
    draw_scans(real, synthetic, output / "synthesis_scans.png")
    draw_growth(brains, output / "synthesis_growth.png")
    draw_kinds(brains, output / "synthesis_kinds.png")
