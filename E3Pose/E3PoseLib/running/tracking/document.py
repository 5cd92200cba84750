"""The JSON document of a series: what was found, in numbers, and what it was made from."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...imaging.motion import RADIUS_MM
from ...method.tracking.motion import Motion, away_from, rest_periods
from .followed import Followed
from .table import COLUMNS

FORMAT = "e3pose-motion-1"


def found_in_numbers(followed: Followed, motion: Motion) -> dict[str, Any]:
    """What was found in a series."""
    believed, poses = followed.believed, followed.poses
    times, frames = followed.times, followed.frames
    away = away_from(poses[believed], poses[motion.reference])
    after_each_other = believed & np.concatenate([[False], believed[:-1]])
    displacement = motion.displacement[after_each_other]
    rests = rest_periods(poses, believed, times.tolist())
    resting = sum(last - first + 1 for first, last in rests)
    return {
        "n_frames": len(frames),
        "seconds_between_frames": followed.series.seconds,
        "notes": list(followed.series.notes),
        "reference_frame": motion.reference,
        "reference_canonical_to_ras": poses[motion.reference],
        "radius_mm": RADIUS_MM,
        "share_doubtful": float(np.mean(~believed)),
        "marked": [
            {"frame": index, "marks": list(frame.marks), "reasons": list(frame.reasons)}
            for index, frame in enumerate(frames)
            if frame.marks
        ],
        "from_reference": {
            "median_degrees": _or_none(np.median, away[:, 0]),
            "largest_degrees": _or_none(np.max, away[:, 0]),
            "median_mm": _or_none(np.median, away[:, 1]),
            "largest_mm": _or_none(np.max, away[:, 1]),
        },
        "framewise_displacement_mm": {
            "median": _or_none(np.median, displacement),
            "largest": _or_none(np.max, displacement),
        },
        "rest_periods": [
            {"first_frame": first, "last_frame": last, "seconds": float(times[last] - times[first])}
            for first, last in rests
        ],
        "share_at_rest": resting / len(frames),
        "columns": COLUMNS,
        "searched_frames": [index for index, frame in enumerate(frames) if frame.was_searched],
        "seconds_a_frame": {
            "median": float(np.median([frame.seconds for frame in frames])),
            "largest": float(max(frame.seconds for frame in frames)),
        },
        "device": followed.device,
        "precision": followed.precision,
    }


def _or_none(statistic: Any, values: np.ndarray) -> float | None:
    return float(statistic(values)) if len(values) else None
