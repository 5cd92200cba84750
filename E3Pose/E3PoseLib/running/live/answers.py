"""From an OpenIGTLink image to a volume, and from what was found to messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyigtl

from ...errors import E3PoseError, VolumeError
from ...imaging.geometry import LPS_TO_RAS
from ...imaging.volume import Volume
from ...method.tracking.tracker import PoseTracker, TrackedFrame
from ..results.record import encoded

TRANSFORM, REPORT = "HeadToRAS", "HeadPose"
"""Device names of the answers; transforms for a client's second device are called HeadToRAS2."""


def volume_of(message: Any) -> Volume:
    """The volume of an IMAGE message.

    Raises
    ------
    VolumeError
        If it is none that can be used.
    """
    image = message.image
    name = message.device_name or "image"
    if image is None or image.ndim != 3:
        shape = "nothing" if image is None else " × ".join(map(str, image.shape))
        raise VolumeError(f"{name}: an image of one value a voxel is needed, this one holds {shape}")
    matrix = np.asarray(message.ijk_to_world_matrix, dtype=np.float64)
    if message.world_coordinate_system == "lps":
        matrix = LPS_TO_RAS @ matrix
    # pyigtl has the axes (k, j, i), in the sender's order of bytes.
    array = image.transpose(2, 1, 0)
    return Volume(array.astype(array.dtype.newbyteorder("=")), matrix, name=name)


def no_image(message: Any) -> Any:
    """The answer to a message that is no image."""
    return _report(message, {"error": f"{message.message_type} {message.device_name}: is no image; send IMAGE"})


def answer(message: Any, arrived: float, tracker: PoseTracker, number: int = 1) -> list[Any]:
    """The messages that answer an image.

    Parameters
    ----------
    message : pyigtl message
    arrived : float
        When it came, seconds: what a head can move is reckoned by that.
    tracker : PoseTracker
        Of its device.
    number : int
        Of its device among those with poses, from 1: a receiver keeps one transform for each name, and must not mix two
        heads in it.

    Returns
    -------
    list
        A TRANSFORM where the pose is believed, and always a STRING, a JSON text; both with the time of the image.
    """
    try:
        found = tracker.add(volume_of(message), arrived)
    except E3PoseError as error:
        return [_report(message, {"error": str(error)})]
    answers = [_report(message, _in_numbers(found))]
    if found.estimate is not None and not found.marks:
        pose = found.estimate.canonical_to_ras
        name = TRANSFORM if number == 1 else f"{TRANSFORM}{number}"
        answers.insert(0, pyigtl.TransformMessage(pose, timestamp=message.timestamp, device_name=name))
    return answers


def _in_numbers(found: TrackedFrame) -> dict[str, Any]:
    report: dict[str, Any] = {"marks": found.marks, "searched": found.was_searched, "seconds": found.seconds}
    if found.estimate is None:
        return {**report, "error": str(found.error)}
    estimate = found.estimate
    return {
        **report,
        "canonical_to_ras": estimate.canonical_to_ras,
        "confidence": estimate.confidence.as_dict(),
        "warnings": estimate.warnings,
    }


def _report(message: Any, content: dict[str, Any]) -> Any:
    text = encoded({"image": message.device_name, "timestamp": message.timestamp, **content})
    return pyigtl.StringMessage(text, timestamp=message.timestamp, device_name=REPORT)
