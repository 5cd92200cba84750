"""Scans that mislead: `python Testing/benchmarks/misleading.py SCANS LABELS poses_ras.csv [--model NAME]`.

SCANS, LABELS and the table are what `E3PoseTraining.synthesize` wrote (scans of the uterus). Of each scan there are

- twins: the scan and beside it the same turned by half a turn, in turns with both heads next to where they meet, what
  is beyond being cut off, and with the heads at the far ends;
- a mirrored one: its header has the sign of an axis wrong;
- a stretched one: its header has the slices a third thicker than they are;
- a shuffled one: its odd slices come first, then the even ones, so no pose in it is right.

The answer is compared with the pose that the picture shows by its header. Of twins it is right for either head, and it
is told how often the other was noticed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from harder import SUCCESS

from E3PoseLib import PoseEstimator, load_model
from E3PoseLib.errors import E3PoseError
from E3PoseLib.imaging.geometry import pose_difference, rigid
from E3PoseLib.imaging.masks import bounding_box
from E3PoseLib.imaging.rotations import orthonormalise
from E3PoseLib.imaging.volume import Volume, read_volume
from E3PoseTraining.evaluation.poses import read_truth

HEAD_MARGIN_MM = 25.0
"""Between a brain and where twins' scans meet."""

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])

TOO_THICK = 4 / 3


@dataclass(frozen=True, eq=False)
class Misleading:
    """A scan that misleads, and the poses of the heads that it shows by its header."""

    kind: str
    scan: Volume
    poses: list[np.ndarray]


def twins(scan: Volume, label: Volume, pose: np.ndarray, heads_meet: bool) -> Misleading:
    """The scan and the same turned by half a turn, joined along the axis at an end of which its head is nearest."""
    head = bounding_box(label.array > 0)
    room = [
        [edges.start * step, (n - edges.stop) * step]
        for edges, n, step in zip(head, scan.shape, scan.spacing, strict=True)
    ]
    axis, side = np.unravel_index(np.argmin(room), (3, 2))
    n = scan.shape[axis]
    margin = int(np.ceil(HEAD_MARGIN_MM / scan.spacing[axis]))
    # The scan comes first, so its head has to be at its end where heads meet, and at its beginning where they do not.
    turned = (axis, (axis + 1) % 3)
    flipped = bool(side) != heads_meet
    first = np.flip(scan.array, turned) if flipped else scan.array
    first_from_scan = half_turn(scan.shape, turned) if flipped else np.eye(4)
    if heads_meet:
        beyond = head[axis].start if flipped else n - head[axis].stop
        first = np.take(first, np.arange(n - max(0, beyond - margin)), axis)
    joined = np.concatenate([first, np.flip(first, turned)], axis)
    second_from_scan = half_turn(joined.shape, turned) @ first_from_scan
    to_ras, from_ras = scan.voxel_to_ras, np.linalg.inv(scan.voxel_to_ras)
    poses = [to_ras @ voxel @ from_ras @ pose for voxel in (first_from_scan, second_from_scan)]
    return Misleading("twins, heads together" if heads_meet else "twins, heads apart", Volume(joined, to_ras), poses)


def half_turn(shape: tuple[int, ...], axes: tuple[int, int]) -> np.ndarray:
    """What a grid's voxels become, ``[4, 4]``, where two of its axes are flipped."""
    turn = np.eye(4)
    for axis in axes:
        turn[axis, axis], turn[axis, 3] = -1, shape[axis] - 1
    return turn


def mirrored(scan: Volume, pose: np.ndarray) -> Misleading:
    """The scan by a header that is mirrored left to right: a mirrored head looks like a head."""
    return Misleading("mirrored", replace(scan, voxel_to_ras=MIRROR @ scan.voxel_to_ras), [MIRROR @ pose @ MIRROR])


def stretched(scan: Volume, pose: np.ndarray) -> Misleading:
    """The scan by a header whose slices are too thick; the pose is the nearest to what that makes of it."""
    axis = int(np.argmax(scan.spacing))
    scale = np.eye(4)
    scale[axis, axis] = TOO_THICK
    voxel_to_ras = scan.voxel_to_ras @ scale
    bent = voxel_to_ras @ np.linalg.inv(scan.voxel_to_ras) @ pose
    rotation = orthonormalise(torch.from_numpy(bent[:3, :3])).numpy()
    return Misleading("stretched", replace(scan, voxel_to_ras=voxel_to_ras), [rigid(rotation, bent[:3, 3])])


def shuffled(scan: Volume) -> Misleading:
    """The scan with its slices in the order in which an interleaved acquisition takes them."""
    axis = int(np.argmax(scan.spacing))
    n = scan.shape[axis]
    order = np.concatenate([np.arange(0, n, 2), np.arange(1, n, 2)])
    return Misleading("shuffled", replace(scan, array=scan.array.take(order, axis)), [])


def misleading(scans: Path, labels: Path, truth: Path, count: int) -> Iterator[Misleading]:
    """All kinds of the first scans of a folder."""
    for number, case in enumerate(read_truth(truth)[:count]):
        scan, label = (read_volume(folder / f"{case.frame_id}.nii.gz") for folder in (scans, labels))
        yield twins(scan, label, case.canonical_to_ras, heads_meet=number % 2 == 0)
        yield mirrored(scan, case.canonical_to_ras)
        yield stretched(scan, case.canonical_to_ras)
        yield shuffled(scan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("truth", type=Path, help="a CSV of canonical_to_ras by frame_id")
    parser.add_argument("--model", default="default", help="name or .safetensors file")
    parser.add_argument("--count", type=int, default=100, help="of scans that each kind is made of")
    options = parser.parse_args()
    estimator = PoseEstimator(load_model(options.model), "cpu")
    answers: dict[str, list[tuple[str, bool, bool]]] = {}
    for case in misleading(options.scans, options.labels, options.truth, options.count):
        try:
            estimate = estimator.estimate(case.scan)
        except E3PoseError:
            answer = ("refused", False, False)
        else:
            differences = [pose_difference(estimate.canonical_to_ras, pose) for pose in case.poses]
            right = any(np.less_equal(difference, SUCCESS).all() for difference in differences)
            answer = (estimate.confidence.level, right, estimate.confidence.another_head_mm is not None)
        answers.setdefault(case.kind, []).append(answer)
    for kind, of_kind in answers.items():
        noticed = sum(another for *_, another in of_kind)
        print(f"{kind} ({len(of_kind)}): another head noticed in {noticed}")
        for level in ("high", "moderate", "low", "refused"):
            right = [of_case for of_level, of_case, _ in of_kind if of_level == level]
            print(f"    {level}: {len(right)}, of which wrong {len(right) - sum(right)}")


if __name__ == "__main__":
    main()
