"""Poses out: linear transform nodes that hold a pose, the scan it is of, and the whole result."""

import json

import numpy as np
import vtk

from E3PoseLib.errors import TransformError
from E3PoseLib.mrml.matrices import is_set, to_numpy, to_vtk
from E3PoseLib.mrml.outputs import is_in_sequence, mark_result, moves_something
from E3PoseLib.mrml.scan import Scan

ALIGN_VOLUME = "align"
"""Direction of a pose transform: ras_to_canonical; a volume put under it stands upright."""

PLACE_AXES = "place"
"""Direction of a pose transform: canonical_to_ras; what is drawn in the head's frame lands in the scan."""

RESULT_ATTRIBUTE = "E3Pose.Result"
DIRECTION_ATTRIBUTE = "E3Pose.Direction"
PLACE_ATTRIBUTE = "E3Pose.ScanPlace"

CONFIDENCE_ATTRIBUTE = "E3Pose.Confidence"
"""Of a pose transform: the level of the estimate, "high", "moderate" or "low"."""

MARKS_ATTRIBUTE = "E3Pose.Marks"
"""Of a doubtful pose: "doubtful" (low confidence), "jump" (farther than a head can move), or both; others have none."""

IMAGE_TIME_ATTRIBUTE = "E3Pose.ImageTime"
"""Of the pose of an image that was followed: when that image came, ISO 8601."""

OUTDATED_ATTRIBUTE = "E3Pose.Outdated"
"""Of a transform that does not hold the pose of the image that its scan shows, but one before: why."""

LEAST_DETERMINANT = 1e-9
"""A matrix with a smaller one is singular; that of a pose has 1."""

NO_POSE_ATTRIBUTE = "E3Pose.NoPose"
"""Of a transform that shows a time point without a pose: why it has none."""


def is_under(node, transform_node) -> bool:
    """Whether ``node`` sits under ``transform_node``, directly or through other transforms."""
    parent = node.GetParentTransformNode()
    while parent is not None:
        if parent == transform_node:
            return True
        parent = parent.GetParentTransformNode()
    return False


def check_transform_node(transform_node, volume_node) -> None:
    """Whether a pose of ``volume_node`` can be written to ``transform_node``.

    Raises
    ------
    TransformError
        No linear transform node, or the scan already sits under it, so that writing it moves
        the scan.
    """
    if not is_set(transform_node) or not transform_node.IsA("vtkMRMLLinearTransformNode"):
        raise TransformError("no output transform: select or create a linear transform")
    if is_under(volume_node, transform_node):
        raise TransformError(
            f"volume '{volume_node.GetName()}' sits under the output transform '{transform_node.GetName()}': "
            "take it out or choose another output transform"
        )


def write_pose(transform_node, result: dict, direction: str, scan: Scan, image_time: str | None = None) -> None:
    """Set a linear transform node to a pose; it remembers the scan, the direction and the whole result.

    ``result`` is an estimate's summary, with ``canonical_to_ras`` in world RAS; ``image_time`` is when the image came,
    of one that was followed.
    """
    pose = np.array(result["canonical_to_ras"])
    attributes = {
        DIRECTION_ATTRIBUTE: direction,
        RESULT_ATTRIBUTE: json.dumps(result),
        PLACE_ATTRIBUTE: json.dumps(scan.place),
        CONFIDENCE_ATTRIBUTE: result.get("confidence", {}).get("level"),
        MARKS_ATTRIBUTE: ";".join(marks_of(result)) or None,
        IMAGE_TIME_ATTRIBUTE: image_time,
        OUTDATED_ATTRIBUTE: None,
    }
    was_modifying = transform_node.StartModify()  # whoever is told of the new matrix finds all else new too
    transform_node.SetAndObserveTransformNodeID(None)
    transform_node.SetMatrixTransformToParent(to_vtk(np.linalg.inv(pose) if direction == ALIGN_VOLUME else pose))
    for name, value in attributes.items():
        transform_node.SetAttribute(name, value)
    mark_result(transform_node, scan.volume_id)
    transform_node.EndModify(was_modifying)


def marks_of(result: dict) -> tuple[str, ...]:
    """Why a pose is doubtful: the marks that following a series has given it, and "doubtful" of low confidence; empty
    where it is not.
    """
    marks = tuple(result.get("marks", ()))
    is_low = result.get("confidence", {}).get("level") == "low"
    return ("doubtful", *marks) if is_low and "doubtful" not in marks else marks


def pose_direction(transform_node) -> str | None:
    """Which way a pose transform leads; None of any other transform, and of None."""
    return transform_node.GetAttribute(DIRECTION_ATTRIBUTE) if is_set(transform_node) else None


def set_direction(transform_node, direction: str) -> None:
    """Let a pose transform lead the other way; the pose stays the same, corrected by hand or not.

    Raises
    ------
    TransformError
        Nodes sit under it, which it would move, or it is one of many in a sequence.
    """
    if transform_node.GetAttribute(DIRECTION_ATTRIBUTE) == direction:
        return
    if is_in_sequence(transform_node):
        raise TransformError(
            f"'{transform_node.GetName()}' shows an item of a sequence, of which the others would not follow: estimate "
            "all time points again"
        )
    if moves_something(transform_node):
        raise TransformError(f"nodes sit under '{transform_node.GetName()}', which would be moved: take them out")
    matrix = vtk.vtkMatrix4x4()
    transform_node.GetMatrixTransformToParent(matrix)
    matrix.Invert()
    transform_node.SetAttribute(DIRECTION_ATTRIBUTE, direction)
    transform_node.SetMatrixTransformToParent(matrix)


def read_result(transform_node) -> dict | None:
    """What `write_pose` stored beside the pose, also after the scene was saved and loaded; None in other
    transforms.
    """
    text = transform_node.GetAttribute(RESULT_ATTRIBUTE) if is_set(transform_node) else None
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def why_no_pose(transform_node) -> str | None:
    """Why a transform that shows results over time has no pose at the time point shown; None where that is not so."""
    return transform_node.GetAttribute(NO_POSE_ATTRIBUTE) if is_set(transform_node) else None


def note_outdated(transform_node, reason: str) -> None:
    """Note that a pose is of an image before the one that its scan shows; ``reason`` is a clause that says why.

    Nobody is told that the node has changed: a connector would send the old pose once more, with the time of now.
    """
    was_disabled = transform_node.GetDisableModifiedEvent()
    transform_node.SetDisableModifiedEvent(True)
    transform_node.SetAttribute(OUTDATED_ATTRIBUTE, reason)
    transform_node.SetDisableModifiedEvent(was_disabled)


def why_outdated(transform_node) -> str | None:
    """What `note_outdated` has noted, or None; the next pose takes it away."""
    return transform_node.GetAttribute(OUTDATED_ATTRIBUTE) if is_set(transform_node) else None


def has_other_matrix(transform_node) -> bool:
    """Whether a transform that `write_pose` has written has another matrix now; `is_edited_pose` tells what that is."""
    result = read_result(transform_node)
    return result is not None and not np.allclose(stored_pose(transform_node), result["canonical_to_ras"], atol=1e-4)


def stored_pose(transform_node) -> np.ndarray:
    """canonical_to_ras of the scan where it lay when the pose was written, as the transform says it.

    A matrix that somebody has made singular is returned as it is: it is rigid neither way.
    """
    matrix = vtk.vtkMatrix4x4()
    transform_node.GetMatrixTransformToParent(matrix)
    pose = to_numpy(matrix)
    is_aligning = transform_node.GetAttribute(DIRECTION_ATTRIBUTE) == ALIGN_VOLUME
    return np.linalg.inv(pose) if is_aligning and abs(np.linalg.det(pose)) > LEAST_DETERMINANT else pose
