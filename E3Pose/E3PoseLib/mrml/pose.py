"""Poses out: linear transform nodes that hold a pose, the scan it is of, and the whole result."""

import json

import numpy as np
import vtk

from E3PoseLib.errors import TransformError
from E3PoseLib.imaging.geometry import has_orthogonal_axes
from E3PoseLib.mrml.matrices import is_set, parent_to_world, to_numpy, to_vtk, voxel_to_parent
from E3PoseLib.mrml.outputs import VOLUME_REFERENCE, is_in_sequence, mark_result, moves_something
from E3PoseLib.mrml.scan import SAME_PLACE_MM, Scan, place, time_point

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


def is_edited_pose(transform_node) -> bool:
    """Whether a transform that `write_pose` has written was changed since."""
    result = read_result(transform_node)
    return result is not None and not np.allclose(stored_pose(transform_node), result["canonical_to_ras"], atol=1e-4)


def stored_pose(transform_node) -> np.ndarray:
    """canonical_to_ras of the scan where it lay when the pose was written, as the transform says it."""
    matrix = vtk.vtkMatrix4x4()
    transform_node.GetMatrixTransformToParent(matrix)
    pose = to_numpy(matrix)
    return np.linalg.inv(pose) if transform_node.GetAttribute(DIRECTION_ATTRIBUTE) == ALIGN_VOLUME else pose


def head_pose(transform_node) -> np.ndarray:
    """The canonical_to_world pose that a pose transform stands for now.

    It follows the scan: where the scan was moved since (the transform applied to it, hardened or not, or
    another one), so did the head in it. A pose transform that was edited by hand counts as edited.

    Raises
    ------
    TransformError
        Not a transform that `write_pose` has written, or no longer a rigid one; or the scan has changed in a way that
        does not tell where the head is now: its grid, or a warp, a shear or a mirroring of it.
    """
    if not is_set(transform_node) or transform_node.GetAttribute(DIRECTION_ATTRIBUTE) is None:
        raise TransformError("no head pose: estimate the pose first, or select the transform that holds it")
    pose = stored_pose(transform_node)
    if not np.allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-4):
        raise TransformError(f"transform '{transform_node.GetName()}' is no longer rigid: estimate the pose again")
    scan_node = transform_node.GetNodeReference(VOLUME_REFERENCE)
    if scan_node is None or scan_node.GetImageData() is None:
        return pose
    moved = motion(noted_place(transform_node), scan_node) @ pose
    # Scaling cannot be part of a pose: keep the directions, take the nearest rotation.
    left, _, right = np.linalg.svd(moved[:3, :3])
    moved[:3, :3] = left @ right
    return moved


def world_to_scan(volume_node) -> np.ndarray:
    """World RAS -> the scan's own coordinates, those of its file and of the scanner: without the transforms that it
    sits under. 4x4, rigid.

    Raises
    ------
    TransformError
        It sits under a transform that is not rigid.
    """
    outer = parent_to_world(volume_node)
    if outer is None or not np.allclose(outer[:3, :3].T @ outer[:3, :3], np.eye(3), atol=1e-4):
        raise TransformError(
            f"volume '{volume_node.GetName()}' sits under a transform that is not rigid: what is planned in it would "
            "have another size at the scanner; take it out"
        )
    if np.linalg.det(outer[:3, :3]) < 0:
        raise TransformError(f"volume '{volume_node.GetName()}' sits under a mirroring: take it out")
    return np.linalg.inv(outer)


def has_left_scanner(transform_node) -> bool:
    """Whether the scan of a pose got other coordinates of its own since, as by hardening a transform: then they are the
    scanner's no longer.
    """
    scan_node = transform_node.GetNodeReference(VOLUME_REFERENCE)
    then = noted_place(transform_node).get("to_parent")
    if scan_node is None or then is None or scan_node.GetImageData() is None:
        return False
    return not np.allclose(then, voxel_to_parent(scan_node), atol=SAME_PLACE_MM)


def noted_place(transform_node) -> dict:
    """The scan's `place` as it was when a pose was written to a transform node.

    Raises
    ------
    TransformError
        None was noted, as by earlier versions.
    """
    text = transform_node.GetAttribute(PLACE_ATTRIBUTE)
    if text is None:
        raise TransformError(f"transform '{transform_node.GetName()}' is of another version: estimate the pose again")
    return json.loads(text)


def changes_since(transform_node) -> list[str]:
    """What has changed since a pose was written to a transform node, in plain sentences; empty where nothing has."""
    try:
        pose, then = head_pose(transform_node), noted_place(transform_node)["time_point"]
    except TransformError as error:
        return [str(error)]
    changes = []
    outdated = why_outdated(transform_node)
    if outdated is not None:
        changes.append(f"the pose is of an image before the one shown: {outdated}")
    if not np.allclose(pose, read_result(transform_node)["canonical_to_ras"], atol=1e-3):
        changes.append(
            "the scan or the transform has been moved since: planes and reslicing follow, what is told here does not"
        )
    scan_node = transform_node.GetNodeReference(VOLUME_REFERENCE)
    now = None if scan_node is None else time_point(scan_node)
    if then is not None and now is not None and then[0] != now[0]:
        changes.append(f"the pose is of time point {then[0]}, the scan shows time point {now[0]}")
    return changes


def motion(then: dict, scan_node) -> np.ndarray:
    """How a scan has moved in the world, and grown along its axes, since its `place` was noted.

    Raises
    ------
    TransformError
        See `head_pose`.
    """
    now = place(scan_node)
    same_voxels = then["shape"] == now["shape"]
    if same_voxels and np.allclose(then["landmarks"], now["landmarks"], atol=SAME_PLACE_MM):
        return np.eye(4)
    if same_voxels and then["to_world"] and now["to_world"]:
        to_world_then, to_world_now = np.array(then["to_world"]), np.array(now["to_world"])
        moved = to_world_now @ np.linalg.inv(to_world_then)
        if has_orthogonal_axes(to_world_then) and has_orthogonal_axes(to_world_now) and np.linalg.det(moved) > 0:
            return moved
    raise TransformError(
        f"volume '{scan_node.GetName()}' has changed since its pose was estimated (cropped, warped, sheared or "
        "mirrored): estimate the pose again"
    )
