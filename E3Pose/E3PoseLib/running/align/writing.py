"""What `align` writes: stacks and masks in the common frame, transforms, a table, the commands to go on with."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np

from ...alignment.consensus import Placed
from ...alignment.quality import Quality, common_brain, slice_axis
from ...alignment.stack import Sample
from ...imaging.geometry import direction_cosines, invert_rigid, pose_difference, write_itk
from ...imaging.resampling import reslice
from ...imaging.volume import ALIGNED_CODE, Volume, write_volume
from ..results.tables import plain
from .next_steps import Input, next_steps
from .reading import ReadStack

COLUMNS = (
    *("order", "name", "kept", "confidence", "likeness", "coverage", "slices_at_place", "interleave_ratio"),
    *("plane", "thickness_mm", "moved_degrees", "moved_mm", "remarks", "input"),
)

_PLANE_ACROSS = ("sagittal", "coronal", "axial")
"""By the axis of the head across which a plane lies."""


@dataclass(frozen=True, eq=False)
class Aligned:
    """A stack, what became of it, and what it is worth; no quality for one that was left out.

    Parameters
    ----------
    read : ReadStack
    placed : Placed
    quality : Quality or None
    thickness_mm : float
    """

    read: ReadStack
    placed: Placed
    quality: Quality | None
    thickness_mm: float

    @property
    def plane(self) -> str:
        """Of the head, along which the slices lie most nearly."""
        axes = invert_rigid(self.placed.frame_to_ras)[:3, :3] @ direction_cosines(self.read.posed.volume.voxel_to_ras)
        return _PLANE_ACROSS[int(np.abs(axes[:, slice_axis(self.placed)]).argmax())]


def ordered(stacks: Sequence[Aligned]) -> list[Aligned]:
    """Best first; those that were left out come last."""
    return sorted(stacks, key=lambda one: -one.quality.worth if one.quality else 1.0)


def files_of_stacks(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Where everything goes, by kind; those of one stack begin with the kind and a slash."""
    files = {}
    for name in names:
        files[f"stack/{name}"] = folder / "stacks" / f"{name}.nii.gz"
        files[f"mask/{name}"] = folder / "masks" / f"{name}_mask.nii.gz"
        files[f"tfm/{name}"] = folder / "transforms" / f"{name}.tfm"
        files[f"txt/{name}"] = folder / "transforms" / f"{name}.txt"
    return {
        **files,
        "csv": folder / "alignment.csv",
        "next": folder / "next_steps.txt",
        "png": folder / "alignment.png",
        "json": folder / "alignment.json",
    }


def write_stack(parts: Mapping[str, Path], one: Aligned, together: Sample, spacing: float | None) -> None:
    """Write a stack and its mask in the common frame, moved or resampled, and its transform.

    Parameters
    ----------
    parts : mapping of str to Path
        See `files_of_stacks`.
    one : Aligned
    together : Sample
        What all stacks show.
    spacing : float or None
        Of resampled voxels, mm; None moves the header alone.
    """
    name, volume, place = one.read.task.name, one.read.posed.volume, one.placed.frame_to_ras
    brain = Volume(common_brain(one.placed, together), volume.voxel_to_ras, name=f"mask of {volume.name}")
    if spacing is None:
        moved, mask = volume.in_frame(place), brain.in_frame(place)
    else:
        moved = reslice(volume, place, spacing)
        blurred = reslice(replace(brain, array=brain.array.astype(np.float32)), place, spacing)
        mask = replace(blurred, array=(blurred.array > 0.5).astype(np.uint8))
    write_volume(parts[f"stack/{name}"], moved, ALIGNED_CODE)
    write_volume(parts[f"mask/{name}"], mask, ALIGNED_CODE)
    write_itk(parts[f"tfm/{name}"], place)
    rows = [" ".join(f"{value:.12g}" for value in row) for row in invert_rigid(place)]
    heading = f"# 4x4, column vectors: from RAS mm of {name} to RAS mm of the common frame, which is the head's"
    parts[f"txt/{name}"].write_text("\n".join([heading, *rows, ""]), encoding="utf-8")


def table(stacks: Sequence[Aligned], failed: Mapping[str, str]) -> str:
    """The table as CSV: stacks in their order, then those that were left out, then those that cannot be used."""
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, one in enumerate(stacks, 1):
        numbers = stack_numbers(one)
        row = {
            **numbers,
            "order": number if one.placed.is_kept else "",
            "name": one.read.task.name,
            "kept": "yes" if one.placed.is_kept else "no",
            "remarks": "; ".join(remarks(one)),
            "input": str(one.read.task.real_path),
        }
        writer.writerow(["" if row[column] is None else plain(_short(row[column])) for column in COLUMNS])
    for name, reason in failed.items():
        row = {"name": name, "kept": "no", "remarks": f"left out: {reason}"}
        writer.writerow([plain(row.get(column, "")) for column in COLUMNS])
    return stream.getvalue()


def remarks(one: Aligned) -> list[str]:
    """Why a stack was left out, or what else is to be said of it."""
    return [f"left out: {one.placed.reason}"] if one.placed.reason else list(one.placed.notes)


def stack_numbers(one: Aligned) -> dict:
    """What is known of a stack, in numbers."""
    degrees, mm = pose_difference(one.read.posed.canonical_to_ras, one.placed.frame_to_ras)
    kept = one.quality
    return {
        "confidence": one.read.estimate.confidence.level,
        "likeness": one.placed.likeness,
        "coverage": kept.coverage if kept else None,
        "slices_at_place": kept.slices_at_place if kept else None,
        "interleave_ratio": one.read.estimate.confidence.interleave_ratio,
        "plane": one.plane if kept else None,
        "thickness_mm": one.thickness_mm,
        "moved_degrees": degrees if kept else None,
        "moved_mm": mm if kept else None,
    }


def steps_text(
    folder: Path, kept: Sequence[Aligned], thickness_is_known: bool, spacing: float | None, remarks: Sequence[str]
) -> str:
    """The text of ``next_steps.txt``; ``remarks`` are those of `Together`."""
    if spacing is not None:
        return (
            "The stacks were resampled. Programs that reconstruct a volume from slices want the slices themselves: run "
            "align without --resample, and this file will hold their commands.\n"
        )
    files = files_of_stacks(folder, [one.read.task.name for one in kept])

    def relative(kind: str, one: Aligned) -> str:
        return files[f"{kind}/{one.read.task.name}"].relative_to(folder).as_posix()

    inputs = [Input(relative("stack", one), relative("mask", one), one.thickness_mm, one.plane) for one in kept]
    return next_steps(inputs, thickness_is_known, remarks)


def _short(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value
