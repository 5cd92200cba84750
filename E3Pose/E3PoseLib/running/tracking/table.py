"""The motion of a head as a table with the column names of fMRIPrep's confounds."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...imaging.files import whole_file
from ...method.tracking.motion import Motion
from .followed import FollowedFrame

COLUMNS = {
    "trans_x": "mm, by how much the brain's centre has moved to the patient's right",
    "trans_y": "mm, to anterior",
    "trans_z": "mm, to superior",
    "rot_x": "radians about the right axis through the brain's centre, of R = Rz Ry Rx",
    "rot_y": "radians about the anterior axis",
    "rot_z": "radians about the superior axis",
    "framewise_displacement": "mm, sum of the absolute changes from the frame before, rotations on a radius of 30 mm",
    "confidence": "probability that the pose is within 15 degrees and 10 mm; n/a where the model has no calibration",
    "confidence_level": "high, moderate or low",
    "bound_degrees": "the rotation is off by no more 9 times in 10, by hand-set landmarks; n/a as above",
    "bound_mm": "the centre is off by no more 9 times in 10, by hand-set landmarks; n/a as above",
    "doubtful": "1 where the frame has a mark",
    "marks": "failed (no pose), doubtful (low confidence), jump (farther than a head can move meanwhile)",
}
"""Of the table, with what they hold."""

NOT_KNOWN = "n/a"
"""As BIDS writes it."""


def write_table(path: Path, motion: Motion, frames: Sequence[FollowedFrame]) -> None:
    """Write the table.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        for index, frame in enumerate(frames):
            numbers = [*motion.translations[index], *motion.rotations[index], motion.displacement[index]]
            confidence = frame.confidence
            writer.writerow(
                [
                    *map(_as_text, numbers),
                    _as_text(confidence.get("probability")),
                    confidence.get("level", NOT_KNOWN),
                    _as_text(confidence.get("bound_degrees")),
                    _as_text(confidence.get("bound_mm")),
                    int(bool(frame.marks)),
                    ";".join(frame.marks) or NOT_KNOWN,
                ]
            )


def write_smooth_table(path: Path, motion: Motion) -> None:
    """Write the columns of motion alone, of a smooth trajectory.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(list(COLUMNS)[:7])
        for numbers in np.column_stack([motion.translations, motion.rotations, motion.displacement]):
            writer.writerow(map(_as_text, numbers))


def _as_text(number: float | None) -> str:
    return NOT_KNOWN if number is None or not np.isfinite(number) else f"{number:.6f}"
