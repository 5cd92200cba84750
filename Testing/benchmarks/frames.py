"""The motion of a synthetic head between two frames by ``equitrack``, by its points alone, and by E(3)-Pose's poses.

``python Testing/benchmarks/frames.py equitrack.safetensors`` makes its own frames, which takes some five
minutes, and needs SimpleITK:

* *turned*: one scan of a head at rest, and the same turned by up to 90 degrees and shifted; the frames differ in gain,
  exponent and noise as those do that it was trained on;
* *moved*: two scans of a fetus whose head has moved by up to 90 degrees within its mother, each with its own noise,
  gains of slices and motion.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from E3PoseLib.errors import NoHeadFoundError
from E3PoseLib.imaging.geometry import invert_rigid, pose_difference, rigid
from E3PoseLib.imaging.resampling import reslice
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.estimator import PoseEstimator
from E3PoseLib.models.loading import load_model
from E3PoseTraining.equitrack.module import shown_anew
from E3PoseTraining.methods.equitrack import EquiTrack
from E3PoseTraining.methods.method import Means
from E3PoseTraining.synthesis.anatomy.drawn_brain import ParametricBrain
from E3PoseTraining.synthesis.kinds.kind import Wanted
from E3PoseTraining.synthesis.kinds.moving import MovingFetus

SHAPE, SPACING_MM, AGES_WEEKS, LARGEST_DEGREES, LARGEST_SHIFT_MM = (96, 96, 48), 3.0, (20.0, 37.0), 90.0, 10.0
EDGE_MM = 216.0
"""Of the cube about the head that is turned as a whole."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="of equitrack")
    parser.add_argument("--heads", type=int, default=30)
    parser.add_argument("--seed", type=int, default=7000)
    options = parser.parse_args()
    tracker = EquiTrack(Means("cpu", weights=options.weights, method="equitrack"))
    estimator = PoseEstimator(load_model("default"), "cpu")

    def by_poses(volume: Volume, other: Volume) -> np.ndarray:
        before, after = (estimator.estimate(each).canonical_to_ras for each in (volume, other))
        return after @ invert_rigid(before)

    pairs = list(frames(options.heads, options.seed))
    for kind in ("turned", "moved"):
        of_kind = [pair[1:] for pair in pairs if pair[0] == kind]
        by_points = partial(tracker.motion, by_points_alone=True)
        for name, motion in (("equitrack", tracker.motion), ("its points alone", by_points), ("e3-pose", by_poses)):
            print(f"{kind}, {name}: {summary(motion, of_kind)}", flush=True)


def frames(n_heads: int, seed: int) -> Iterator[tuple[str, Volume, Volume, np.ndarray]]:
    """Kind, both frames, and the motion between them, ``[4, 4]`` in RAS mm."""
    for number in range(seed, seed + n_heads):
        rng = np.random.default_rng(number)
        torch.manual_seed(number)
        age = rng.uniform(*AGES_WEEKS)
        fetus = MovingFetus(number, age, lambda age, rng: ParametricBrain(), Wanted(SHAPE, SPACING_MM))
        direction = rng.normal(size=3)
        angle = np.radians(rng.uniform(0, LARGEST_DEGREES))
        turn = Rotation.from_rotvec(angle * direction / np.linalg.norm(direction)).as_matrix()
        motion = rigid(turn, rng.uniform(-1, 1, 3) * LARGEST_SHIFT_MM)
        first, second = fetus.scan(np.eye(4), 0), fetus.scan(motion, 1)
        rest, rest_to_ras = Volume(first.image, first.voxel_to_ras, name="first"), first.canonical_to_ras
        true = second.canonical_to_ras @ invert_rigid(rest_to_ras)
        yield "moved", rest, Volume(second.image, second.voxel_to_ras, name="second"), true
        # About the head the scan is cut, once as it lies and once turned.
        about = rigid(np.eye(3), rest_to_ras[:3, 3])
        cut = (reslice(rest, pose @ about, SPACING_MM, EDGE_MM) for pose in (np.eye(4), invert_rigid(true)))
        yield "turned", *(anew(replace(each, voxel_to_ras=about @ each.voxel_to_ras)) for each in cut), true


def anew(volume: Volume) -> Volume:
    """The scan with another exponent, gain and noise."""
    array = torch.from_numpy((volume.array / volume.array.max()).clip(0, 1))
    return replace(volume, array=shown_anew(array[None, None])[0, 0].numpy())


def summary(motion: Callable[[Volume, Volume], np.ndarray], pairs: list[tuple[Volume, Volume, np.ndarray]]) -> str:
    """Median and nine of ten of both errors."""
    errors, failed = [], 0
    for volume, other, true in pairs:
        try:
            errors.append(pose_difference(motion(volume, other), true))
        except NoHeadFoundError:
            failed += 1
    degrees = np.percentile([angle for angle, _ in errors], [50, 90])
    return f"{len(errors)} pairs, {degrees[0]:.1f}° (nine of ten {degrees[1]:.1f}°), {failed} without an answer"


if __name__ == "__main__":
    main()
