"""A pose as a file tells it: in the scan's own coordinates, whatever transforms the scan sits under in the scene."""

import numpy as np

from E3PoseLib.errors import TransformError
from E3PoseLib.imaging.geometry import invert_rigid, pose_difference, transform_points
from E3PoseLib.mrml.head_now import (
    EDITED_SINCE,
    has_left_scanner,
    head_pose,
    is_edited_pose,
    motion,
    noted_place,
    scan_with_voxels,
    why_of_another_image,
    world_to_scan,
)
from E3PoseLib.mrml.matrices import nearest_rigid
from E3PoseLib.mrml.outputs import VOLUME_REFERENCE
from E3PoseLib.mrml.review import posed, told_result


def saved_result(transform_node) -> dict:
    """The result in a pose transform with all that lies in space as it is now, in the scan's own coordinates.

    ``changes`` are sentences on what these are, and on what has changed since the estimate.

    Raises
    ------
    TransformError
        See `head_pose`.
    """
    pose, result = head_pose(transform_node), told_result(transform_node)
    to_scan, changes = _world_to_file(transform_node)
    scan_node = scan_with_voxels(transform_node)
    carry = to_scan if scan_node is None else to_scan @ motion(noted_place(transform_node), scan_node)
    saved = {**result, **posed(nearest_rigid(to_scan @ pose))}
    saved["ras_to_canonical"] = invert_rigid(np.array(saved["canonical_to_ras"])).tolist()
    if result.get("eyes"):
        points = transform_points(carry, np.array([result["eyes"]["left"], result["eyes"]["right"]]))
        saved["eyes"] = {**result["eyes"], "left": points[0].tolist(), "right": points[1].tolist()}
    if estimated := result.get("review", {}).get("estimated"):
        then = nearest_rigid(carry @ np.array(estimated["canonical_to_ras"]))
        degrees, millimetres = pose_difference(np.array(saved["canonical_to_ras"]), then)
        differ = {"rotation_degrees": degrees, "translation_mm": millimetres}
        saved["review"] = {**result["review"], **differ, "estimated": posed(then)}
    if is_edited_pose(transform_node):
        changes.append(EDITED_SINCE)
    if other := why_of_another_image(transform_node):
        changes.append(f"the pose is not of the image shown: {other}")
    return {**saved, "changes": changes}


def _world_to_file(transform_node) -> tuple[np.ndarray, list[str]]:
    """From the world to the coordinates that a pose is saved in, and sentences on what they are."""
    scan_node = transform_node.GetNodeReference(VOLUME_REFERENCE)
    if scan_node is None:
        return np.eye(4), []
    try:
        to_scan = world_to_scan(scan_node)
    except TransformError:
        return np.eye(4), [
            "the scan sits under a transform that is no rigid motion: the pose is in the world of the scene, not in "
            "the coordinates of the scan's file"
        ]
    sentences = []
    if scan_node.GetTransformNodeID():
        sentences.append("the scan sits under a transform: the pose is in the scan's own coordinates, without it")
    if has_left_scanner(transform_node):
        sentences.append("the scan got other coordinates since its pose was estimated: the pose is in these")
    return to_scan, sentences
