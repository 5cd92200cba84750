"""How well stacks of one fetus are brought together: `python Testing/benchmarks/alignment.py [DATA] [--fetuses 20]`.

DATA is the folder of the real stacks (`stack_*.nii.gz`, with manual brain masks `…_brain`). Of each set it tells the
mean overlap of the manual masks in the common frame and seconds; as estimated, and registered. Of synthetic fetuses,
six stacks each, two in each plane of the head, which moves between them by up to 20° and 10 mm: how far the stacks are
apart, in the median and in nine of ten, and in how many the one whose pose was spoiled (turned by 60° or more) is
mended or left out; and how often a stack of the next fetus is kept among them, where distance does not tell it. The
level of confidence plays no part. Twenty fetuses can be measured in pieces:
`… --first 0 --fetuses 5 --results FILE`, then `--first 5`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, islice
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from E3PoseLib import PoseEstimator, load_model, read_volume
from E3PoseLib.alignment.consensus import Placed, brought_together
from E3PoseLib.alignment.registration import registered
from E3PoseLib.alignment.stack import PosedStack, sampled
from E3PoseLib.errors import AlignmentError, E3PoseError
from E3PoseLib.imaging.geometry import pose_difference, rigid
from E3PoseLib.imaging.masks import dice_overlap
from E3PoseLib.imaging.volume import Volume
from E3PoseTraining.synthesis.anatomy.drawn_brain import ParametricBrain
from E3PoseTraining.synthesis.anatomy.fetus import draw_fetus
from E3PoseTraining.synthesis.kinds import KINDS
from E3PoseTraining.synthesis.kinds.stack import Stack
from E3PoseTraining.synthesis.scanner.grid import Grid
from E3PoseTraining.synthesis.scanner.motion import draw_trajectory, interleaved_times
from E3PoseTraining.synthesis.scanning import take_picture

REAL_SETS = {
    "a1 a2 a5 a6": ("a1", "a2", "a5", "a6"),
    "all six of a": ("a1", "a2", "a3", "a4", "a5", "a6"),
    "the three of b": ("b_axial", "b_coronal", "b_sagittal"),
    "b's axial one among a's": ("a1", "a2", "a5", "a6", "b_axial"),
}
PLANES = ([0, 1, 2], [0, 2, 1], [1, 2, 0])
"""Axes of the head along the rows, along the columns and across the slices: axial, coronal, sagittal."""

SPACING_MM, WIDTH_MM = np.array([1.2, 1.2, 3.3]), 200.0
WAYS = {"as estimated": None, "registered": registered}


def posed(name: str, volume: Volume, estimator: PoseEstimator) -> PosedStack:
    """A stack with the pose that is estimated in it."""
    estimate = estimator.estimate(volume)
    return PosedStack(name, volume, estimate.canonical_to_ras, estimate.mask)


def real(folder: Path, estimator: PoseEstimator) -> None:
    """Print what becomes of the real stacks."""
    stacks, brains = {}, {}
    for name in {name for names in REAL_SETS.values() for name in names}:
        begun = time.perf_counter()
        stacks[name] = posed(name, read_volume(folder / f"stack_{name}.nii.gz"), estimator)
        print(f"{name}: pose in {time.perf_counter() - begun:.1f} s")
        brains[name] = read_volume(folder / f"stack_{name}_brain.nii.gz").array
    for title, names in REAL_SETS.items():
        for way, register in WAYS.items():
            begun = time.perf_counter()
            placed = brought_together([stacks[name] for name in names], register)
            seconds = time.perf_counter() - begun
            kept = [one for one in placed if one.is_kept]
            shown = [sampled(replace(one.stack, brain=brains[one.stack.name]), one.frame_to_ras) for one in kept]
            overlaps = [dice_overlap(a.brain > 0.5, b.brain > 0.5) for a, b in combinations(shown, 2)]
            out = ", ".join(one.stack.name for one in placed if not one.is_kept) or "none"
            mended = ", ".join(one.stack.name for one in kept if one.notes) or "none"
            print(
                f"{title}, {way}: Dice {np.mean(overlaps):.3f} (least {min(overlaps):.2f}), mended {mended}, left out "
                f"{out}, {seconds:.1f} s"
            )


def synthetic_stacks(seed: int) -> Iterator[tuple[Volume, np.ndarray]]:
    """Six stacks of one fetus, and where its head lies in each."""
    rng = np.random.default_rng(seed)
    kind = KINDS["t2-stack"]
    assert isinstance(kind, Stack)
    age = float(rng.uniform(22, 36))
    fetus = draw_fetus(age, ParametricBrain(), kind.head_spacing(SPACING_MM), rng, 7.6)
    contrast = kind.draw_contrast(rng)
    for number in range(6):
        turn = Rotation.from_rotvec(rng.normal(0, 7, 3).clip(-11, 11), degrees=True).as_matrix()
        moved = replace(fetus, canonical_to_ras=fetus.canonical_to_ras @ rigid(turn, rng.normal(0, 4, 3).clip(-6, 6)))
        axes = moved.canonical_to_ras[:3, :3] @ np.eye(3)[:, PLANES[number % 3]]
        axes[:, 2] *= np.sign(np.linalg.det(axes))
        oblique = Rotation.from_rotvec(rng.normal(0, 5, 3), degrees=True).as_matrix() @ axes
        through = 1.25 * fetus.head.size.occipitofrontal_diameter
        shape = np.ceil(np.array([WIDTH_MM, WIDTH_MM, through]) / SPACING_MM).astype(int)
        grid = Grid.about(moved.canonical_to_ras[:3, 3], oblique, shape, SPACING_MM)
        trajectory = draw_trajectory(interleaved_times(grid.shape[2], 2, rng), 0.5, rng)
        picture = take_picture(moved, contrast, grid, trajectory, kind.displacement, kind.stride(SPACING_MM), rng)
        image = kind.corrupt(picture.signal, grid, trajectory, rng)
        yield Volume(image, grid.voxel_to_ras, name=f"{seed}-{number}"), moved.canonical_to_ras


def posed_fetus(seed: int, stacks: int, estimator: PoseEstimator) -> list[tuple[PosedStack, np.ndarray]]:
    """The first stacks of a fetus, of those in which a head is found, and where it truly lies."""
    found = []
    for volume, truth in islice(synthetic_stacks(seed), stacks):
        try:
            found.append((posed(volume.name, volume, estimator), truth))
        except E3PoseError as error:
            print(error)
    return found


def measured(seed: int, estimator: PoseEstimator) -> dict:
    """How the stacks of a fetus are brought together, the last with a pose that is spoiled, and one of the next fetus
    among them."""
    found, rng = posed_fetus(seed, 6, estimator), np.random.default_rng([seed, 1])
    stacks, truths = [stack for stack, _ in found], {stack.name: truth for stack, truth in found}
    turn = Rotation.from_rotvec(rng.uniform(60, 180) * _direction(rng), degrees=True).as_matrix()
    spoiled = stacks[-1]
    stacks[-1] = replace(spoiled, canonical_to_ras=truths[spoiled.name] @ rigid(turn, rng.normal(0, 15, 3)))
    stacks += [stack for stack, _ in posed_fetus(seed + 1, 1, estimator)]
    answers: dict = {"seed": seed, "stacks": len(truths)}
    for way, register in WAYS.items():
        begun = time.perf_counter()
        try:
            placed = brought_together(stacks, register, furthest_mm=np.inf)
        except AlignmentError as error:
            answers[way] = {"error": str(error)}
            continue
        own = [one for one in placed if one.stack.name in truths]
        answers[way] = {
            "seconds": time.perf_counter() - begun,
            "likeness": {one.stack.name: one.likeness for one in placed},
            "kept": sum(one.is_kept for one in own),
            "marked": not own[-1].is_kept or own[-1].is_mended,
            "others kept": [one.stack.name for one in placed if one.is_kept and one.stack.name not in truths],
            "apart": _apart(own, truths),
        }
    return answers


def synthetic(seeds: Sequence[int], results: Path | None, estimator: PoseEstimator) -> None:
    """Print how synthetic stacks are brought together; what stands in the file of results is not measured again."""
    known: dict[int, dict] = {}
    if results is not None and results.exists():
        known = {line["seed"]: line for line in map(json.loads, results.read_text(encoding="utf-8").splitlines())}
    for seed in seeds:
        if seed not in known:
            known[seed] = measured(seed, estimator)
            line = json.dumps(known[seed])
            print(line, flush=True)
            if results is not None:
                with results.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
    for way in WAYS:
        refused = sorted(seed for seed, answers in known.items() if "error" in answers[way])
        found = [answers[way] for seed, answers in known.items() if seed not in refused]
        if not found:
            print(f"{len(known)} fetuses, {way}: no two stacks alike in any")
            continue
        degrees, mm = np.array([pair for one in found for pair in one["apart"]]).T
        foreign = sum(bool(one["others kept"]) for one in found)
        print(
            f"{len(known)} fetuses, {way}: {np.median(degrees):.1f}° and {np.median(mm):.1f} mm apart in the median, "
            f"{np.quantile(degrees, 0.9):.1f}° and {np.quantile(mm, 0.9):.1f} mm in nine of ten, at most "
            f"{degrees.max():.0f}° and {mm.max():.0f} mm; kept {sum(one['kept'] for one in found)} of "
            f"{sum(answers['stacks'] for answers in known.values())} stacks; spoiled ones marked "
            f"{sum(one['marked'] for one in found)}; another fetus kept {foreign} times; no two alike: "
            f"{refused or 'never'}; {np.median([one['seconds'] for one in found]):.1f} s"
        )


def _direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def _apart(placed: Sequence[Placed], truths: dict[str, np.ndarray]) -> list[tuple[float, float]]:
    """Of each two stacks that were kept: how far the head is apart in the common frame."""
    heads = [np.linalg.inv(one.frame_to_ras) @ truths[one.stack.name] for one in placed if one.is_kept]
    return [pose_difference(one, other) for one, other in combinations(heads, 2)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="folder of the real stacks")
    parser.add_argument("--fetuses", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="seed of the first fetus")
    parser.add_argument("--results", type=Path, help="file of JSON lines that what is measured is added to")
    parser.add_argument("--model", default="default", help="name or .safetensors file")
    options = parser.parse_args()
    estimator = PoseEstimator(load_model(options.model), "cpu")
    if options.data is not None:
        real(options.data, estimator)
    if options.fetuses:
        synthetic(range(options.first, options.first + options.fetuses), options.results, estimator)


if __name__ == "__main__":
    main()
