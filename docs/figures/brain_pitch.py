"""Measure the rotation about x from the label maps' axes to the canonical head frame (docs/synthesis.md).

    python docs/figures/brain_pitch.py ../shared/data/epi ../shared/data/brains [STACK …]

Each clinical stack is resliced by its landmark pose; the masks of label maps near its age are fitted to it, rigidly
and with a scale along each axis. Takes about half an hour on one core for all stacks, two minutes for one.
"""

import csv
import re
import sys
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from E3PoseLib.imaging.volume import read_volume

RING_MM = 5.0
FIELD_MM = 80.0
STARTS_DEGREES = (-15.0, 0.0, 15.0)


class MaskTemplate:
    """Signed distance in mm to a label map's mask, about its centre of mass."""

    def __init__(self, path):
        volume = read_volume(path)
        inside = volume.array > 0
        outer, inner = (distance_transform_edt(part, volume.spacing) for part in (~inside, inside))
        self._distance = (outer - inner).astype(np.float32)
        self._to_voxel = np.linalg.inv(volume.voxel_to_ras)
        self._centre = volume.voxel_to_ras[:3] @ [*np.argwhere(inside).mean(axis=0), 1]

    def distance(self, points):
        voxels = (points + self._centre) @ self._to_voxel[:3, :3].T + self._to_voxel[:3, 3]
        return map_coordinates(self._distance, voxels.T, order=1, mode="nearest")


def canonical_samples(path, canonical_to_ras):
    """Points [n, 3] in canonical mm within the stack, and the picture there; fluid is clipped to the brain's level."""
    volume = read_volume(path)
    span = np.arange(-FIELD_MM, FIELD_MM + 0.1, 2.5)
    points = np.stack(np.meshgrid(span, span, span, indexing="ij"), axis=-1).reshape(-1, 3)
    points = points[np.linalg.norm(points * [1.1, 0.85, 1.0], axis=1) < FIELD_MM]
    to_voxel = np.linalg.inv(volume.voxel_to_ras) @ canonical_to_ras
    voxels = points @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    within = np.all((voxels >= 0) & (voxels <= np.array(volume.shape) - 1), axis=1)
    points, picture = points[within], map_coordinates(volume.intensities(), voxels[within].T, order=1)
    return points, np.minimum(picture, np.percentile(picture[np.linalg.norm(points, axis=1) < 25], 80))


def fit(template, points, picture):
    """(correlation, rotation vector x y z in degrees, shift in mm) of the best fit."""

    def cost(parameters):
        turn, shift, stretch = np.split(parameters * 10, 3)
        scale = np.exp(stretch / 100)
        rotation = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
        distance = template.distance((points - shift) @ rotation / scale) * np.cbrt(np.prod(scale))
        near = distance < RING_MM
        model, seen = -np.tanh(distance[near] / 1.5), picture[near]
        inside = model > 0
        weight = np.where(inside, 0.5 / max(inside.sum(), 1), 0.5 / max((~inside).sum(), 1))
        model, seen = model - weight @ model, seen - weight @ seen
        correlation = weight @ (model * seen) / np.sqrt((weight @ model**2) * (weight @ seen**2))
        uneven = np.square(stretch / 10 - np.mean(stretch / 10)).sum()
        return -correlation + 0.002 * uneven + 1e-5 * (turn[1] ** 2 + turn[2] ** 2)

    options = {"maxiter": 12, "xtol": 1e-2, "ftol": 1e-4}
    fits = [minimize(cost, [start / 10, *[0] * 8], method="Powell", options=options) for start in STARTS_DEGREES]
    best = min(fits, key=lambda result: result.fun)
    return -best.fun, *np.split(best.x[:6] * 10, 2)


def main(epi, brains, *stacks):
    templates = {}
    for file in sorted(brains.glob("GA*_mask.nii.gz")):
        templates.setdefault(int(re.match(r"GA(\d+)", file.name)[1]), MaskTemplate(file))
    with (epi / "landmarks.csv").open(newline="") as file:
        ages = {row["frame_id"]: float(row["gestational_age_weeks"]) for row in csv.DictReader(file)}
    with (epi / "poses_ras.csv").open(newline="") as file:
        poses = {name: np.array(numbers, float).reshape(4, 4) for name, *numbers in list(csv.reader(file))[1:]}
    results = []
    for name in stacks or sorted(poses):
        points, picture = canonical_samples(epi / f"{name}.nii.gz", poses[name])
        # These fetuses' brains are small for their age in some axes, so a younger map is tried as well.
        candidates = {int(np.clip(round(ages[name]) - younger, 21, 34)) for younger in (0, 3)}
        results.append(max((fit(templates[age], points, picture) for age in candidates), key=lambda f: f[0]))
        correlation, turn, shift = results[-1]
        print(f"{name}  pitch {turn[0]:5.1f}  shift {np.round(shift, 1)}  correlation {correlation:.2f}", flush=True)
    pitch = np.array([turn[0] for _, turn, _ in results])
    error = pitch.std(ddof=1) / np.sqrt(len(pitch)) if len(pitch) > 1 else np.nan
    print(f"pitch: median {np.median(pitch):.1f}, mean {pitch.mean():.1f} ± {error:.1f} degrees")
    print("shift: median", np.median([shift for *_, shift in results], axis=0).round(1), "mm")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
