"""Where the head of a pose is now, and what has changed since the pose was written."""

import json

import numpy as np

from E3PoseLib.errors import TransformError
from E3PoseLib.imaging.geometry import has_orthogonal_axes
from E3PoseLib.mrml.matrices import (
    fingerprint,
    has_voxels,
    is_rigid,
    is_set,
    nearest_rigid,
    parent_to_world,
    voxel_to_parent,
)
from E3PoseLib.mrml.outputs import VOLUME_REFERENCE
from E3PoseLib.mrml.pose import (
    DIRECTION_ATTRIBUTE,
    PLACE_ATTRIBUTE,
    has_other_matrix,
    read_result,
    stored_pose,
    why_outdated,
)
from E3PoseLib.mrml.scan import SAME_PLACE_MM, place, time_point

EDITED_SINCE = "the pose transform was changed outside the panel since"
"""What is said of a pose that somebody has set outside the panel."""


def head_pose(transform_node) -> np.ndarray:
    """The canonical_to_world pose that a pose transform stands for now.

    It follows the scan: where the scan was moved since (the transform applied to it, hardened or not, or
    another one), so did the head in it. A pose transform that was edited by hand counts as edited; one that was
    hardened along with its scan does not, or the motion would count twice.

    Raises
    ------
    TransformError
        Not a transform that `write_pose` has written, or no longer a rigid one; or the scan has changed in a way that
        does not tell where the head is now: its grid, or a warp, a shear or a mirroring of it; or both were changed,
        and nobody can tell whether the one is part of the other.
    """
    if not is_set(transform_node) or transform_node.GetAttribute(DIRECTION_ATTRIBUTE) is None:
        raise TransformError("no head pose: estimate the pose first, or select the transform that holds it")
    scan_node = scan_with_voxels(transform_node)
    moved = np.eye(4) if scan_node is None else motion(noted_place(transform_node), scan_node)
    pose = stored_pose(transform_node)
    if has_other_matrix(transform_node):
        if _went_along(transform_node, moved):
            pose = np.array(read_result(transform_node)["canonical_to_ras"])
        elif has_left_scanner(transform_node):
            raise TransformError(
                f"transform '{transform_node.GetName()}' and the coordinates of its scan were both changed, each in "
                "its own way: estimate the pose again, or press Back to the estimate"
            )
    if not is_rigid(pose):
        raise TransformError(f"transform '{transform_node.GetName()}' is no longer rigid: estimate the pose again")
    return pose if scan_node is None else nearest_rigid(moved @ pose)


def scan_with_voxels(transform_node):
    """The scan of a pose; None where it is gone, or has no voxels, as where the file that a scene names is gone."""
    scan_node = transform_node.GetNodeReference(VOLUME_REFERENCE)
    return scan_node if scan_node is not None and has_voxels(scan_node) else None


def is_edited_pose(transform_node) -> bool:
    """Whether a transform that `write_pose` has written was changed since, other than along with its scan."""
    if not has_other_matrix(transform_node):
        return False
    scan_node = scan_with_voxels(transform_node)
    if scan_node is None:
        return True
    try:
        return not _went_along(transform_node, motion(noted_place(transform_node), scan_node))
    except TransformError:
        return True


def _went_along(transform_node, moved: np.ndarray) -> bool:
    """Whether a pose transform got the motion of its scan too, as where both were hardened: the Data module does so
    with all that lies in a study.

    The motion came after the transform's own matrix; which way that led may have been changed since. Of the scan's
    motion it may be the hardened part alone: what the scan was put under later it does not have.
    """
    pose, stored = np.array(read_result(transform_node)["canonical_to_ras"]), stored_pose(transform_node)
    scan_node, then = transform_node.GetNodeReference(VOLUME_REFERENCE), noted_place(transform_node).get("to_parent")
    hardened = np.eye(4) if then is None or scan_node is None else voxel_to_parent(scan_node) @ np.linalg.inv(then)
    along = [places for one in (moved, hardened) for places in (one @ pose, pose @ np.linalg.inv(one))]
    return any(np.allclose(stored, one, atol=1e-4) for one in along)


def moved_pose(pose: np.ndarray, then: dict, scan_node) -> np.ndarray:
    """A pose carried along with its scan since the scan's `place` was noted; raises as `head_pose`."""
    return nearest_rigid(motion(then, scan_node) @ pose)


def world_to_scan(volume_node) -> np.ndarray:
    """World RAS -> the scan's own coordinates, those of its file and of the scanner: without the transforms that it
    sits under. 4x4, rigid.

    Raises
    ------
    TransformError
        It sits under a transform that is not rigid.
    """
    outer = parent_to_world(volume_node)
    if outer is None or not is_rigid(outer):
        raise TransformError(
            f"volume '{volume_node.GetName()}' sits under a transform that is not rigid: what is planned in it would "
            "have another size or side at the scanner; take it out"
        )
    return np.linalg.inv(outer)


def has_left_scanner(transform_node) -> bool:
    """Whether the scan of a pose got other coordinates of its own since, as by hardening a transform: then they are the
    scanner's no longer.
    """
    scan_node, then = scan_with_voxels(transform_node), noted_place(transform_node).get("to_parent")
    if scan_node is None or then is None:
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
        pose = head_pose(transform_node)
    except TransformError as error:
        return [str(error)]
    changes, told = [], read_result(transform_node)["canonical_to_ras"]
    if is_edited_pose(transform_node):
        changes.append(EDITED_SINCE)
        told = stored_pose(transform_node)
    if not np.allclose(pose, told, atol=1e-3):
        changes.append("the scan has been moved since: planes and reslicing follow, what is told here does not")
    other = why_of_another_image(transform_node)
    return [*changes, f"the pose is not of the image shown: {other}"] if other else changes


def why_of_another_image(transform_node) -> str | None:
    """In a clause, why a pose is not of the image that its scan shows, wherever that lies; None where it is, or nobody
    can tell.
    """
    is_the_same = is_of_image_shown(transform_node)
    if is_the_same:
        return None  # also where a time point before it was taken out of the sequence
    if outdated := why_outdated(transform_node):
        return outdated
    scan_node, text = transform_node.GetNodeReference(VOLUME_REFERENCE), transform_node.GetAttribute(PLACE_ATTRIBUTE)
    if scan_node is not None and text is not None:
        then, now = json.loads(text)["time_point"], time_point(scan_node)
        if then is not None and now is not None and then[0] != now[0]:
            return f"it is of time point {then[0]}, the scan shows time point {now[0]}"
    return None if is_the_same is None else "the scan shows other voxels than those that it was estimated from"


def is_of_image_shown(transform_node) -> bool | None:
    """Whether the scan of a pose shows the voxels that the pose was estimated from; None where nobody can tell: of a
    pose without a scan, or written by an earlier version.
    """
    scan_node, text = scan_with_voxels(transform_node), transform_node.GetAttribute(PLACE_ATTRIBUTE)
    then = None if text is None else json.loads(text).get("voxels")
    if then is None or scan_node is None:
        return None
    return fingerprint(scan_node) == then


def note_image_shown(transform_node) -> None:
    """Note that a pose is of the image that its scan shows now, as a person says who has looked at it.

    The image that it was estimated from is kept, see `note_image_estimated`.
    """
    scan_node, text = scan_with_voxels(transform_node), transform_node.GetAttribute(PLACE_ATTRIBUTE)
    if text is None or scan_node is None:
        return
    shown, noted = time_point(scan_node), json.loads(text)
    noted.setdefault("estimated_from", {name: noted.get(name) for name in ("voxels", "time_point")})
    noted.update(voxels=fingerprint(scan_node), time_point=None if shown is None else list(shown))
    transform_node.SetAttribute(PLACE_ATTRIBUTE, json.dumps(noted))


def note_image_estimated(transform_node) -> None:
    """Note that a pose is of the image that it was estimated from, as nobody says any more that it is of another."""
    noted = json.loads(transform_node.GetAttribute(PLACE_ATTRIBUTE) or "{}")
    if "estimated_from" in noted:
        noted.update(noted.pop("estimated_from"))
        transform_node.SetAttribute(PLACE_ATTRIBUTE, json.dumps(noted))


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
