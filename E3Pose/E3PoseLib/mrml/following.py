"""The brain mask where its scan goes: put under a transform, taken out of it, or with it hardened."""

import json

import numpy as np
import vtk

from E3PoseLib.errors import OutputError
from E3PoseLib.mrml.mask import FOLLOWED_ATTRIBUTE, has_surface, make_surface, mask_to_world, note_places
from E3PoseLib.mrml.matrices import is_set, parent_to_world, to_vtk
from E3PoseLib.mrml.outputs import VOLUME_REFERENCE
from E3PoseLib.mrml.pose import motion
from E3PoseLib.mrml.scan import SAME_PLACE_MM, place


def follow_scan(segmentation_node) -> None:
    """Move a mask along with its scan, if that has moved since the two were last seen together.

    A mask that somebody has moved meanwhile stays where it is.

    Raises
    ------
    TransformError
        The scan has changed in a way that does not tell where the mask belongs now, see `pose.head_pose`.
    OutputError
        The segmentation holds other segments, which would move too.
    """
    text = segmentation_node.GetAttribute(FOLLOWED_ATTRIBUTE) if is_set(segmentation_node) else None
    scan_node = segmentation_node.GetNodeReference(VOLUME_REFERENCE) if text else None
    here = mask_to_world(segmentation_node) if scan_node is not None and scan_node.GetImageData() else None
    if here is None:
        return
    then = json.loads(text)
    moved = motion(then["scan"], scan_node)
    if np.array_equal(moved, np.eye(4)):
        return
    if np.allclose(here, then["mask"], atol=SAME_PLACE_MM):
        _move_to(segmentation_node, scan_node, moved @ here)
    note_places(segmentation_node, place(scan_node), mask_to_world(segmentation_node))


def _move_to(segmentation_node, scan_node, to_world: np.ndarray) -> None:
    """Bring a mask to a place in the world, under the transform that its scan sits under."""
    if segmentation_node.GetSegmentation().GetNumberOfSegments() > 1:
        raise OutputError(f"the mask stays where the scan was: '{segmentation_node.GetName()}' holds other segments")
    segmentation = segmentation_node.GetSegmentation()
    had_surface = has_surface(segmentation_node)
    segmentation_node.SetAndObserveTransformNodeID(scan_node.GetTransformNodeID())
    outer, now = parent_to_world(segmentation_node), mask_to_world(segmentation_node)
    change = np.linalg.inv(outer) @ to_world @ np.linalg.inv(now) @ outer
    if not np.allclose(change, np.eye(4), atol=1e-9):
        transform = vtk.vtkTransform()
        transform.SetMatrix(to_vtk(change))
        segmentation.ApplyLinearTransform(transform)
    if had_surface:
        make_surface(segmentation_node)
