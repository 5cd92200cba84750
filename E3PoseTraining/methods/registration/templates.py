"""Templates: what heads of an age show in the head's frame, the mean of scans whose pose is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from E3PoseLib.alignment.likeness import mean_of
from E3PoseLib.alignment.stack import PosedStack, Sample, grid_to_frame, sampled
from E3PoseLib.errors import DatasetError, MethodError, TransformError
from E3PoseLib.imaging.geometry import read_json, write_json
from E3PoseLib.imaging.volume import Volume, read_volume, write_volume

from ...augmentation.grid import OBJECT_LABEL

INDEX = "templates.json"
WEEKS_APART = 1.0
"""A template of an age is made of scans so many weeks from it at most."""


@dataclass(frozen=True)
class PosedScan:
    """A scan whose pose and brain are known, for `make_templates`.

    Parameters
    ----------
    image, label : Path
        Label 1 is the brain.
    canonical_to_ras : np.ndarray
        Shape ``[4, 4]``, rigid, mm.
    age_weeks : float
    """

    image: Path
    label: Path
    canonical_to_ras: np.ndarray
    age_weeks: float


@dataclass(frozen=True, eq=False)
class Template:
    """A head in its own frame.

    Parameters
    ----------
    age_weeks : float
    contrast : str
        Such as "epi": which scans it was made of.
    sample : Sample
        In the grid of `E3PoseLib.alignment.stack.grid_to_frame`.
    """

    age_weeks: float
    contrast: str
    sample: Sample


def make_templates(
    scans: dict[str, Sequence[PosedScan]], ages: Sequence[float], most: int, folder: Path
) -> list[tuple[str, float]]:
    """Write a template for each contrast and age of which there are scans.

    Parameters
    ----------
    scans : dict of str to sequence of PosedScan
        By the name of their contrast.
    ages : sequence of float
        Weeks.
    most : int
        So many scans of a contrast and age at most, those nearest in age.
    folder : Path
        ``CONTRAST_AGE.nii.gz``, ``CONTRAST_AGE_brain.nii.gz`` (share of heads whose brain is there) and `INDEX`,
        written last.

    Returns
    -------
    list of (str, float)
        Contrast and age of the templates that could not be made.

    Raises
    ------
    DatasetError
        If none can be made.
    VolumeError
        If a scan cannot be used.
    OutputError
        If a file cannot be written.
    """
    chosen = {
        (contrast, age): near
        for contrast, of_contrast in scans.items()
        for age in ages
        if (near := _nearest(of_contrast, age, most))
    }
    if not chosen:
        raise DatasetError(
            f"there are no scans within {WEEKS_APART:g} weeks of any of {', '.join(f'{a:g}' for a in ages)}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for (contrast, age), near in tqdm(chosen.items(), unit="template"):
        samples = [_sample_of(scan) for scan in near]
        mean = mean_of(samples)
        stem = f"{contrast}_{age:g}"
        write_volume(folder / f"{stem}.nii.gz", Volume(np.where(mean.covered, mean.values, 0), grid_to_frame()))
        write_volume(folder / f"{stem}_brain.nii.gz", Volume(mean.brain, grid_to_frame()))
        entries.append({"contrast": contrast, "age_weeks": float(age), "scans": len(near), "file": stem})
    write_json(folder / INDEX, {"templates": entries})
    return [(contrast, age) for contrast in scans for age in ages if (contrast, age) not in chosen]


def read_templates(folder: Path, age_weeks: float) -> list[Template]:
    """The template of each contrast whose age is nearest.

    Raises
    ------
    MethodError
        If the folder holds no templates.
    VolumeError
        If one cannot be read.
    """
    try:
        entries = [(str(e["contrast"]), float(e["age_weeks"]), str(e["file"])) for e in _entries(folder)]
    except (TransformError, KeyError, TypeError, ValueError) as error:
        raise MethodError(
            f"{folder}: holds no templates; make some with `python -m E3PoseTraining.make_templates`"
        ) from error
    templates = []
    for contrast in dict.fromkeys(contrast for contrast, *_ in entries):
        _, age, stem = min((e for e in entries if e[0] == contrast), key=lambda e: abs(e[1] - age_weeks))
        values = read_volume(folder / f"{stem}.nii.gz").array.astype(np.float32)
        brain = read_volume(folder / f"{stem}_brain.nii.gz").array.astype(np.float32)
        templates.append(Template(age, contrast, Sample(values, values != 0, brain)))
    return templates


def _entries(folder: Path) -> Iterable[dict]:
    entries = read_json(folder / INDEX)["templates"]
    if not entries:
        raise ValueError("an empty list")
    return entries


def _nearest(scans: Sequence[PosedScan], age: float, most: int) -> list[PosedScan]:
    near = [scan for scan in scans if abs(scan.age_weeks - age) <= WEEKS_APART]
    return sorted(near, key=lambda scan: abs(scan.age_weeks - age))[:most]


def _sample_of(scan: PosedScan) -> Sample:
    brain = read_volume(scan.label).array == OBJECT_LABEL
    stack = PosedStack(scan.image.name, read_volume(scan.image), scan.canonical_to_ras, brain, is_shaded=False)
    return sampled(stack, scan.canonical_to_ras)
