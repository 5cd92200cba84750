"""Poses out: linear transform nodes that hold a pose, the scan it is of, and the whole result."""

import json

import numpy as np
import vtk

from E3PoseLib.errors import TransformError
from E3PoseLib.geometry import has_orthogonal_axes
from E3PoseLib.mrml.matrices import is_set, to_numpy, to_vtk, voxel_to_world
from E3PoseLib.mrml.scan import Scan

ALIGN_VOLUME = "align"
"""Direction of a pose transform: ras_to_canonical; a volume put under it stands upright."""

PLACE_AXES = "place"
"""Direction of a pose transform: canonical_to_ras; what is drawn in the head's frame lands in the scan."""

RESULT_ATTRIBUTE = "E3Pose.Result"
DIRECTION_ATTRIBUTE = "E3Pose.Direction"
GRID_ATTRIBUTE = "E3Pose.ScanGrid"
VOLUME_REFERENCE = "E3Pose.InputVolume"


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


def write_pose(transform_node, result: dict, direction: str, scan: Scan) -> None:
    """Set a linear transform node to a pose; it remembers the scan, the direction and the whole result.

    ``result`` is an estimate's summary, with ``canonical_to_ras`` in world RAS.
    """
    pose = np.array(result["canonical_to_ras"])
    transform_node.SetAndObserveTransformNodeID(None)
    transform_node.SetMatrixTransformToParent(to_vtk(np.linalg.inv(pose) if direction == ALIGN_VOLUME else pose))
    transform_node.SetAttribute(DIRECTION_ATTRIBUTE, direction)
    transform_node.SetAttribute(RESULT_ATTRIBUTE, json.dumps(result))
    to_world = None if scan.node_to_world is None else scan.node_to_world.tolist()
    transform_node.SetAttribute(GRID_ATTRIBUTE, json.dumps({"to_world": to_world, "shape": scan.node_shape}))
    transform_node.SetNodeReferenceID(VOLUME_REFERENCE, scan.volume_id)


def read_result(transform_node) -> dict | None:
    """What `write_pose` stored beside the pose, also after the scene was saved and loaded; None in other
    transforms.
    """
    text = transform_node.GetAttribute(RESULT_ATTRIBUTE) if is_set(transform_node) else None
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


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
    matrix = vtk.vtkMatrix4x4()
    transform_node.GetMatrixTransformToParent(matrix)
    pose = to_numpy(matrix)
    if transform_node.GetAttribute(DIRECTION_ATTRIBUTE) == ALIGN_VOLUME:
        pose = np.linalg.inv(pose)
    if not np.allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-4):
        raise TransformError(f"transform '{transform_node.GetName()}' is no longer rigid: estimate the pose again")
    scan_node = transform_node.GetNodeReference(VOLUME_REFERENCE)
    if scan_node is None or scan_node.GetImageData() is None:
        return pose
    grid = json.loads(transform_node.GetAttribute(GRID_ATTRIBUTE))
    moved = motion(grid, scan_node) @ pose
    # Scaling cannot be part of a pose: keep the directions, take the nearest rotation.
    left, _, right = np.linalg.svd(moved[:3, :3])
    moved[:3, :3] = left @ right
    return moved


def motion(grid: dict, scan_node) -> np.ndarray:
    """How a scan has moved in the world, and grown along its axes, since `write_pose` noted its ``grid``.

    Raises
    ------
    TransformError
        See `head_pose`.
    """
    same_voxels = tuple(grid["shape"]) == tuple(scan_node.GetImageData().GetDimensions())
    now = voxel_to_world(scan_node)
    then = None if grid["to_world"] is None else np.array(grid["to_world"])
    if same_voxels and now is None and then is None:
        return np.eye(4)
    if same_voxels and now is not None and then is not None:
        if np.allclose(now, then, atol=1e-6):
            return np.eye(4)
        moved = now @ np.linalg.inv(then)
        if has_orthogonal_axes(now) and has_orthogonal_axes(then) and np.linalg.det(moved) > 0:
            return moved
    raise TransformError(
        f"volume '{scan_node.GetName()}' has changed since its pose was estimated (cropped, warped, sheared or "
        "mirrored): estimate the pose again"
    )
