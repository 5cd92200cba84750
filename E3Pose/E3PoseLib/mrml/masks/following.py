"""The brain mask where its scan goes: put under a transform, taken out of it, or with it hardened."""

import json

import numpy as np
import vtk

from E3PoseLib.errors import OutputError, TransformError
from E3PoseLib.mrml.head_now import motion
from E3PoseLib.mrml.masks.segment import (
    FOLLOWED_ATTRIBUTE,
    has_edited_voxels,
    has_surface,
    holds_other_segments,
    make_surface,
    mask_to_world,
    note_places,
)
from E3PoseLib.mrml.matrices import is_set, parent_to_world, to_vtk
from E3PoseLib.mrml.outputs import VOLUME_REFERENCE
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
    found = _places(segmentation_node)
    if found is None:
        return
    scan_node, then, here = found
    moved = motion(then["scan"], scan_node)
    if np.array_equal(moved, np.eye(4)):
        return
    if np.allclose(here, then["mask"], atol=SAME_PLACE_MM):
        _move_to(segmentation_node, scan_node, moved @ here)
    elif not np.allclose(here, moved @ then["mask"], atol=SAME_PLACE_MM):
        return
    note_places(segmentation_node, place(scan_node), mask_to_world(segmentation_node))


def is_edited_mask(segmentation_node) -> bool:
    """Whether somebody has changed a mask since it was written, or moved it other than with its scan."""
    if has_edited_voxels(segmentation_node):
        return True
    found = _places(segmentation_node)
    if found is None:
        return False
    scan_node, then, here = found
    if np.allclose(here, then["mask"], atol=SAME_PLACE_MM):
        return False
    try:
        moved = motion(then["scan"], scan_node)
    except TransformError:  # what both lie under was sheared, for example
        return segmentation_node.GetTransformNodeID() != scan_node.GetTransformNodeID()
    return not np.allclose(here, moved @ then["mask"], atol=SAME_PLACE_MM)


def _places(segmentation_node) -> tuple | None:
    """A mask's scan, where both were seen together, and where the mask is now; None where that is not known."""
    text = segmentation_node.GetAttribute(FOLLOWED_ATTRIBUTE) if is_set(segmentation_node) else None
    scan_node = segmentation_node.GetNodeReference(VOLUME_REFERENCE) if text else None
    here = mask_to_world(segmentation_node) if scan_node is not None and scan_node.GetImageData() else None
    return None if here is None else (scan_node, json.loads(text), here)


def _move_to(segmentation_node, scan_node, to_world: np.ndarray) -> None:
    """Bring a mask to a place in the world, under the transform that its scan sits under."""
    if holds_other_segments(segmentation_node):
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
