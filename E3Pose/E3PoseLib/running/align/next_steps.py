"""The commands that reconstruct a volume from aligned stacks, with files and slice thicknesses filled in."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_STACKS = 3
RECONSTRUCTION_MM = 0.8


@dataclass(frozen=True)
class Input:
    """A stack as a reconstruction takes it.

    Parameters
    ----------
    stack, mask : str
        Files, by their paths from the folder of the results.
    thickness_mm : float
        Of a slice.
    plane : str
        Of the head, along which the slices lie most nearly.
    """

    stack: str
    mask: str
    thickness_mm: float
    plane: str


def next_steps(inputs: Sequence[Input], thickness_is_known: bool, remarks: Sequence[str] = ()) -> str:
    """A text with one command for each of three reconstruction programs.

    Parameters
    ----------
    inputs : sequence of Input
        Best first.
    thickness_is_known : bool
        False where the distance between slices stands for it.
    remarks : sequence of str
        What else is to be known of the stacks.
    """
    stacks, masks = [one.stack for one in inputs], [one.mask for one in inputs]
    thicknesses = [f"{one.thickness_mm:.3g}" for one in inputs]
    resolution = f"{RECONSTRUCTION_MM:g}"
    commands = {
        "NeSVoR (needs an NVIDIA GPU)": [
            ["nesvor", "reconstruct"],
            ["--input-stacks", *stacks],
            ["--stack-masks", *masks],
            ["--thicknesses", *thicknesses],
            ["--output-volume", "nesvor.nii.gz"],
            ["--output-resolution", resolution],
        ],
        "SVRTK (the first stack, which is the best, is the template; the mask is its own)": [
            ["mirtk", "reconstruct", "svrtk.nii.gz", str(len(inputs)), *stacks],
            ["-template", stacks[0]],
            ["-mask", masks[0]],
            ["-thickness", *thicknesses],
            ["-resolution", resolution],
            ["-iterations", "3"],
        ],
        "NiftyMIC": [
            ["niftymic_reconstruct_volume"],
            ["--filenames", *stacks],
            ["--filenames-masks", *masks],
            ["--slice-thicknesses", *thicknesses],
            ["--isotropic-resolution", resolution],
            ["--output", "niftymic.nii.gz"],
        ],
    }
    lines = ["Run one of these in this folder. The stacks stand in the head's frame, the best one first.", ""]
    lines += [f"NOTE: {note}" for note in (*remarks, *_notes(inputs, thickness_is_known))]
    for program, parts in commands.items():
        lines += ["", f"# {program}", " \\\n    ".join(shlex.join(part) for part in parts)]
    lines += ["", "# What comes of it, upright", "e3pose reorient nesvor.nii.gz -o upright", ""]
    return "\n".join(lines)


def _notes(inputs: Sequence[Input], thickness_is_known: bool) -> list[str]:
    notes = []
    if not thickness_is_known:
        notes.append(
            "NIfTI does not hold the thickness of a slice: the distance between slices stands for it. Where slices "
            "overlap or have gaps, give it to align: --thickness MM."
        )
    if len(inputs) < LEAST_STACKS:
        notes.append(f"{len(inputs)} stack(s): a reconstruction wants {LEAST_STACKS} or more.")
    planes = {one.plane for one in inputs}
    if len(planes) == 1:
        notes.append(f"all slices lie near the head's {planes.pop()} plane: a reconstruction wants other planes too.")
    return notes
