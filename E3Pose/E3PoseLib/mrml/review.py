"""What a person has said of a pose: checked by eye, or corrected by hand; it is kept with the result."""

import json

import numpy as np

from E3PoseLib.imaging.geometry import pose_difference
from E3PoseLib.mrml.head_now import motion, note_image_estimated, note_image_shown, noted_place
from E3PoseLib.mrml.matrices import nearest_rigid, to_vtk
from E3PoseLib.mrml.outputs import VOLUME_REFERENCE
from E3PoseLib.mrml.pose import ALIGN_VOLUME, DIRECTION_ATTRIBUTE, RESULT_ATTRIBUTE, read_result

ESTIMATED, CHECKED, CORRECTED = "estimated", "checked by eye", "corrected by hand"
"""The states of a pose, in the words that the result's ``review`` has for them."""


def review_state(result: dict) -> str:
    """Which of the three states a result is in."""
    return result.get("review", {}).get("state", ESTIMATED)


def is_reviewed(transform_node) -> bool:
    """Whether a person has checked or corrected the pose in a transform node."""
    return review_state(read_result(transform_node) or {}) != ESTIMATED


def mark_checked(transform_node, checked: bool) -> None:
    """Note that a person has looked at a pose and found it right, or take that back."""
    result = read_result(transform_node)
    if review_state(result) != CORRECTED:
        result["review"] = {"state": CHECKED if checked else ESTIMATED}
        was_modifying = transform_node.StartModify()
        transform_node.SetAttribute(RESULT_ATTRIBUTE, json.dumps(result))
        (note_image_shown if checked else note_image_estimated)(transform_node)
        transform_node.EndModify(was_modifying)


def correct_pose(transform_node, canonical_to_world: np.ndarray) -> None:
    """Replace a pose by the one that a person has set; the estimate is kept beside it.

    Raises
    ------
    TransformError
        The scan has changed in a way that does not tell where the head was when the pose was written.
    """
    result = read_result(transform_node)
    review = result.get("review", {})
    estimated = review.get("estimated", {name: result[name] for name in ("canonical_to_ras", "euler_xyz_degrees")})
    scan_node = transform_node.GetNodeReference(VOLUME_REFERENCE)
    moved = np.eye(4) if scan_node is None else motion(noted_place(transform_node), scan_node)
    # Handles that are dragged long leave rounding, a scaled scan its size.
    pose = nearest_rigid(np.linalg.inv(moved) @ canonical_to_world)
    degrees, millimetres = pose_difference(pose, np.array(estimated["canonical_to_ras"]))
    result["review"] = {
        "state": CORRECTED,
        "rotation_degrees": degrees,
        "translation_mm": millimetres,
        "estimated": estimated,
    }
    was_modifying = transform_node.StartModify()
    _set_pose(transform_node, result, pose)
    note_image_shown(transform_node)
    transform_node.EndModify(was_modifying)


def reset_pose(transform_node) -> None:
    """Go back to the estimate, which nobody has checked or corrected."""
    result = read_result(transform_node)
    estimated = result.get("review", {}).get("estimated", result)
    result["review"] = {"state": ESTIMATED}
    was_modifying = transform_node.StartModify()
    _set_pose(transform_node, result, np.array(estimated["canonical_to_ras"]))
    note_image_estimated(transform_node)
    transform_node.EndModify(was_modifying)


def _set_pose(transform_node, result: dict, pose: np.ndarray) -> None:
    """Set transform and result to a pose, in the frame that the scan had when the pose was written."""
    result["canonical_to_ras"] = pose.tolist()
    result["euler_xyz_degrees"] = euler_xyz_degrees(pose[:3, :3]).tolist()
    was_modifying = transform_node.StartModify()
    transform_node.SetAttribute(RESULT_ATTRIBUTE, json.dumps(result))
    is_aligning = transform_node.GetAttribute(DIRECTION_ATTRIBUTE) == ALIGN_VOLUME
    transform_node.SetMatrixTransformToParent(to_vtk(np.linalg.inv(pose) if is_aligning else pose))
    transform_node.EndModify(was_modifying)


def euler_xyz_degrees(rotation: np.ndarray) -> np.ndarray:
    """Angles in degrees about the fixed axes x, then y, then z (R = Rz·Ry·Rx), as `imaging.rotations` has them."""
    x = np.arctan2(rotation[2, 1], rotation[2, 2])
    y = np.arcsin(np.clip(-rotation[2, 0], -1, 1))
    z = np.arctan2(rotation[1, 0], rotation[0, 0])
    return np.rad2deg([x, y, z])
