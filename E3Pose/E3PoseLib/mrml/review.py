"""What a person has said of a pose: checked by eye, or corrected by hand; it is kept with the result."""

import json

import numpy as np

from E3PoseLib.imaging.geometry import pose_difference
from E3PoseLib.mrml.head_now import (
    head_pose,
    is_edited_pose,
    motion,
    note_image_estimated,
    note_image_shown,
    noted_place,
    scan_with_voxels,
)
from E3PoseLib.mrml.matrices import is_rigid, nearest_rigid, to_vtk
from E3PoseLib.mrml.pose import (
    ALIGN_VOLUME,
    DIRECTION_ATTRIBUTE,
    RESULT_ATTRIBUTE,
    read_result,
    stored_pose,
)

ESTIMATED, CHECKED, CORRECTED = "estimated", "checked by eye", "corrected by hand"
"""The states of a pose, in the words that the result's ``review`` has for them."""

EDITED = "changed outside the panel"
"""The state of a pose whose transform somebody has changed since, as `told_result` tells it: nobody stands for it."""


def review_state(result: dict) -> str:
    """Which of the states a result is in."""
    return result.get("review", {}).get("state", ESTIMATED)


def told_result(transform_node) -> dict | None:
    """The result in a pose transform as it is to be told; None in other transforms.

    Of a transform that was changed since, it is the pose that the transform holds now, in the state `EDITED`, with the
    state ``before`` and the estimate beside it.
    """
    result = read_result(transform_node)
    if result is None or not is_edited_pose(transform_node):
        return result
    review = {"state": EDITED, "before": review_state(result), "estimated": _estimate_of(result)}
    pose = stored_pose(transform_node)
    if not is_rigid(pose):
        return {**result, "review": review}
    return {**result, **posed(pose), "review": {**review, **_difference(pose, review["estimated"])}}


def is_reviewed(transform_node) -> bool:
    """Whether a person has checked or corrected the pose in a transform node."""
    return review_state(read_result(transform_node) or {}) != ESTIMATED


def mark_checked(transform_node, checked: bool) -> None:
    """Note that a person has looked at a pose and found it right, or take that back.

    A pose that was changed outside the panel is then one corrected by hand.

    Raises
    ------
    TransformError
        It was changed to what is no pose.
    """
    if checked and is_edited_pose(transform_node):
        correct_pose(transform_node, head_pose(transform_node))
        return
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
    estimated = _estimate_of(result)
    scan_node = scan_with_voxels(transform_node)
    moved = np.eye(4) if scan_node is None else motion(noted_place(transform_node), scan_node)
    # Handles that are dragged long leave rounding, a scaled scan its size.
    pose = nearest_rigid(np.linalg.inv(moved) @ canonical_to_world)
    result["review"] = {"state": CORRECTED, **_difference(pose, estimated), "estimated": estimated}
    was_modifying = transform_node.StartModify()
    _set_pose(transform_node, result, pose)
    note_image_shown(transform_node)
    transform_node.EndModify(was_modifying)


def reset_pose(transform_node) -> None:
    """Go back to the estimate, which nobody has checked or corrected."""
    result = read_result(transform_node)
    estimated = _estimate_of(result)
    result["review"] = {"state": ESTIMATED}
    was_modifying = transform_node.StartModify()
    _set_pose(transform_node, result, np.array(estimated["canonical_to_ras"]))
    note_image_estimated(transform_node)
    transform_node.EndModify(was_modifying)


def _set_pose(transform_node, result: dict, pose: np.ndarray) -> None:
    """Set transform and result to a pose, in the frame that the scan had when the pose was written."""
    result.update(posed(pose))
    was_modifying = transform_node.StartModify()
    transform_node.SetAttribute(RESULT_ATTRIBUTE, json.dumps(result))
    is_aligning = transform_node.GetAttribute(DIRECTION_ATTRIBUTE) == ALIGN_VOLUME
    transform_node.SetMatrixTransformToParent(to_vtk(np.linalg.inv(pose) if is_aligning else pose))
    transform_node.EndModify(was_modifying)


def posed(pose: np.ndarray) -> dict:
    """What a result says of a pose itself."""
    return {"canonical_to_ras": pose.tolist(), "euler_xyz_degrees": euler_xyz_degrees(pose[:3, :3]).tolist()}


def _estimate_of(result: dict) -> dict:
    """What was estimated, in a result that may have been corrected since."""
    estimated = {name: result[name] for name in ("canonical_to_ras", "euler_xyz_degrees") if name in result}
    return result.get("review", {}).get("estimated", estimated)


def _difference(pose: np.ndarray, estimated: dict) -> dict:
    degrees, millimetres = pose_difference(pose, np.array(estimated["canonical_to_ras"]))
    return {"rotation_degrees": degrees, "translation_mm": millimetres}


def euler_xyz_degrees(rotation: np.ndarray) -> np.ndarray:
    """Angles in degrees about the fixed axes x, then y, then z (R = Rz·Ry·Rx), as `imaging.rotations` has them."""
    x = np.arctan2(rotation[2, 1], rotation[2, 2])
    y = np.arcsin(np.clip(-rotation[2, 0], -1, 1))
    z = np.arctan2(rotation[1, 0], rotation[0, 0])
    return np.rad2deg([x, y, z])
