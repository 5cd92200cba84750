"""Print the table of docs/synthesis.md that compares clinical with synthetic scans, and draw their mean heads.

    python docs/figures/likeness.py ../shared/data/epi ../shared/data/brains docs/images
    python docs/figures/likeness.py --t2 ../shared/data/t2 ../shared/data/brains

The first folder holds the clinical EPI stacks with poses_ras.csv and landmarks.csv (Hoffmann et al. 2021), the second
the brain label maps, the third takes synthesis_mean.png. Takes about a minute. With --t2 the table compares T2 volumes
of the uterus late in gestation (uterus/ and uterus_poses_ras.csv) with synthetic ones; no picture is made of them.
"""

import csv
import sys
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from E3PoseLib.imaging.volume import read_volume
from E3PoseTraining.synthesis import FetalHeadGenerator
from E3PoseTraining.synthesis.anatomy.growth import head_size

SYNTHETIC = 30
STEP, HALF = 1.5, 75.0  # of the mean head's grid, in hundredths of the occipitofrontal diameter
MOVED = 1.0  # jaggedness above which a stack counts as strongly moved


class Scan(NamedTuple):
    """A picture [I, J, K], its voxel_to_ras and canonical_to_ras [4, 4], and the age in weeks."""

    image: np.ndarray
    voxel_to_ras: np.ndarray
    canonical_to_ras: np.ndarray
    age: float

    def at(self, points):
        """The picture at points [3, ...] in canonical mm; NaN outside."""
        to_voxel = np.linalg.inv(self.voxel_to_ras) @ self.canonical_to_ras
        voxels = np.tensordot(to_voxel[:3, :3], points, 1)
        voxels += to_voxel[:3, 3].reshape(3, *[1] * (points.ndim - 1))
        return map_coordinates(self.image, voxels, order=1, cval=np.nan)


def clinical(folder):
    with (folder / "landmarks.csv").open(newline="") as file:
        ages = {row["frame_id"]: float(row["gestational_age_weeks"]) for row in csv.DictReader(file)}
    with (folder / "poses_ras.csv").open(newline="") as file:
        for name, *numbers in list(csv.reader(file))[1:]:
            volume = read_volume(folder / f"{name}.nii.gz")
            pose = np.array(numbers, float).reshape(4, 4)
            yield Scan(volume.intensities().astype(np.float32), volume.voxel_to_ras, pose, ages[name])


def synthetic(brains):
    generator = FetalHeadGenerator(seed=77, brains=brains, age_range=(26, 35.5))
    scans = (scan for scan in map(generator, count()) if scan.contrast == "epi" and scan.brain_visible > 0.97)
    for scan in islice(scans, SYNTHETIC):
        yield Scan(scan.image, scan.voxel_to_ras, scan.canonical_to_ras, scan.age_weeks)


def clinical_t2(folder):
    """The volumes' ages are not known: their heads have the size of some 36 weeks."""
    with (folder / "uterus_poses_ras.csv").open(newline="") as file:
        for name, *numbers in list(csv.reader(file))[1:]:
            volume = read_volume(folder / "uterus" / f"{name}.nii.gz")
            pose = np.array(numbers, float).reshape(4, 4)
            yield Scan(volume.intensities().astype(np.float32), volume.voxel_to_ras, pose, 36.0)


def synthetic_t2(brains):
    generator = FetalHeadGenerator(seed=77, brains=brains, age_range=(33, 39), kinds={"t2-volume": 1})
    scans = (s for s in map(generator, count()) if s.contrast == "haste" and s.brain_visible > 0.97 and wide(s))
    for scan in islice(scans, SYNTHETIC):
        yield Scan(scan.image, scan.voxel_to_ras, scan.canonical_to_ras, scan.age_weeks)


def wide(scan):
    """Whether the field of view is that of a uterus, not of a head."""
    extent = np.linalg.norm(scan.voxel_to_ras[:3, :3], axis=0) * scan.image.shape
    return np.sort(extent)[1] > 190


def grid(*halves, step=2.0):
    axes = [np.arange(-half, half + 0.1, step) for half in halves]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def ball(scan, centre, radius):
    """Signal within a ball; centre [3] in head lengths, radius in mm."""
    points = grid(radius, radius, radius, step=1.0)
    points = points[:, np.linalg.norm(points, axis=0) <= radius]
    length = head_size(scan.age).occipitofrontal_diameter
    return scan.at(points + length * np.array(centre)[:, None])


def measure(scan):
    """What the table lists, by name; signals are relative to the brain's."""
    length = head_size(scan.age).occipitofrontal_diameter
    core = scan.at(grid(22, 28, 18))
    brain = np.nanmedian(core)
    core = core / brain
    known = np.nan_to_num(core, nan=1.0)
    face = scan.at(grid(18, 12, 10) + length * np.array([0, 0.36, -0.36]).reshape(3, 1, 1, 1)) / brain
    # Landmarks are not to the voxel: the brightest place near where the eye should be.
    reach, gap = 0.44 * length, head_size(scan.age).interocular_distance / 2 / length
    eye = np.array([gap, 0.44 * np.cos(np.radians(20)), -0.44 * np.sin(np.radians(20))])
    eyes = [np.nanpercentile(ball(scan, eye * [side, 1, 1], 0.12 * reach), 85) / brain for side in (-1, 1)]
    orbits = [np.nanpercentile(ball(scan, eye * [side, 1, 1], 0.4 * reach), 20) / brain for side in (-1, 1)]
    return {
        "signal varies within the brain's core (std)": np.nanstd(core),
        "its fine texture (std)": np.std(known - gaussian_filter(known, 1.5)),
        "eye": np.mean(eyes),
        "around the eye, lower fifth": np.mean(orbits),
        "face, mean": np.nanmean(face),
        "face, std": np.nanstd(face),
        "jaggedness of slices": jaggedness(scan, brain),
        "whole scan, median": np.median(scan.image) / brain,
        "whole scan, 90th percentile": np.percentile(scan.image, 90) / brain,
        "whole scan, 99.5th percentile": np.percentile(scan.image, 99.5) / brain,
    }


def jaggedness(scan, brain):
    """How much a slice differs from its neighbours, over how much from the next but one; motion between interleaves
    makes it large, where the anatomy alone makes it small.
    """
    spacing = np.linalg.norm(scan.voxel_to_ras[:3, :3], axis=0)
    centre = (np.linalg.inv(scan.voxel_to_ras) @ scan.canonical_to_ras[:, 3])[:3]
    radius = 0.55 * head_size(scan.age).occipitofrontal_diameter / spacing
    first = np.maximum(0, np.floor(centre - radius)).astype(int)
    last = np.minimum(scan.image.shape, np.ceil(centre + radius) + 1).astype(int)
    head = np.clip(scan.image[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] / brain, 0, 1.5)
    ratios = []
    for axis in range(3):
        stack = np.moveaxis(head, axis, 0)
        if len(stack) >= 8:
            near = np.abs(stack[2:-2] - (stack[1:-3] + stack[3:-1]) / 2).mean()
            far = np.abs(stack[2:-2] - (stack[:-4] + stack[4:]) / 2).mean()
            ratios.append(near / far)
    return max(ratios)


def mean_head(scans):
    """Median picture [X, Y, Z] of heads scaled to one length, symmetric; strongly moved ones are left out."""
    heads = []
    for scan in scans:
        brain = np.nanmedian(scan.at(grid(22, 28, 18)))
        if jaggedness(scan, brain) < MOVED:
            points = grid(HALF, HALF, HALF, step=STEP) * head_size(scan.age).occipitofrontal_diameter / 100
            heads.append(np.clip(scan.at(points) / brain, 0, 2.5).astype(np.float16))
    heads = np.stack(heads)
    both = np.nan_to_num(np.concatenate([heads, heads[:, ::-1]]), nan=0.1)
    return np.median(both, axis=0)


def draw_means(means, path):
    titles = ("sagittal", "through an eye", "coronal, eyes", "coronal, 20 ahead", "coronal", "axial", "axial, eyes")
    figure, axes = plt.subplots(len(means), 7, figsize=(14, 2.1 * len(means)))
    at = lambda offset: round((offset + HALF) / STEP)  # noqa: E731
    for row, mean in zip(axes, means, strict=True):
        planes = [mean[at(x)].T for x in (0, 16)] + [mean[:, at(y)].T for y in (43, 20, 0)]
        planes += [mean[:, :, at(z)].T for z in (0, -15)]
        for axis, plane in zip(row, planes, strict=True):
            axis.imshow(plane.astype(float), origin="lower", cmap="gray", vmin=0, vmax=1.5)
            axis.set(xticks=[], yticks=[])
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=10)
    for axis, name in zip(axes[:, 0], ("clinical", "synthetic"), strict=True):
        axis.set_ylabel(name)
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=70, facecolor="white")
    plt.close(figure)


def main(arguments):
    if arguments[0] == "--t2":
        t2, brains = map(Path, arguments[1:])
        print_table([list(clinical_t2(t2)), list(synthetic_t2(brains))])
        return
    epi, brains, pictures = map(Path, arguments)
    groups = [list(clinical(epi)), list(synthetic(brains))]
    print_table(groups)
    draw_means([mean_head(scans) for scans in groups], pictures / "synthesis_mean.png")


def print_table(groups):
    """Medians, with the 10th and 90th percentile in brackets, of two groups of scans."""
    tables = [[measure(scan) for scan in scans] for scans in groups]
    print("| | clinical | synthetic |\n| --- | --- | --- |")
    for name in tables[0][0]:
        cells = [np.percentile([row[name] for row in table], [50, 10, 90]) for table in tables]
        print(f"| {name} | " + " | ".join(f"{m:.2f} [{low:.2f}, {high:.2f}]" for m, low, high in cells) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
