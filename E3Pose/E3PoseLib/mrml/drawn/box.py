"""The head's box: a region of interest along the head's axes, for cropping, rendering and planning."""

import numpy as np

from E3PoseLib.imaging.geometry import transform_points
from E3PoseLib.mrml.drawn.placing import placing_kept
from E3PoseLib.mrml.masks.segment import outermost_points
from E3PoseLib.mrml.matrices import to_numpy, to_vtk
from E3PoseLib.mrml.outputs import mark_result

BOX_CLASS = "vtkMRMLMarkupsROINode"

SKULL_AND_SCALP_MM = 12.0
"""What lies around the brain: a box about the head is so much larger on each side."""

BOX_WITHOUT_MASK_MM = 130.0
"""Edge of the box where no mask tells the size of the head: one at term fits in."""


def add_box(scene, name: str):
    """A new region of interest, which does not take the points that a person goes on placing."""
    with placing_kept(scene):
        return scene.AddNewNodeByClass(BOX_CLASS, name)


def write_box(roi_node, canonical_to_world: np.ndarray, segmentation_node, volume_node) -> None:
    """Make a region of interest the box of a head; it remembers the scan.

    Its axes are the head's. It holds the brain mask of ``segmentation_node``, which may be None, with skull and scalp
    around.
    """
    points = outermost_points(segmentation_node) if segmentation_node is not None else None
    if points is None or not len(points):
        centre, size = np.zeros(3), np.full(3, BOX_WITHOUT_MASK_MM)
    else:
        in_head = transform_points(np.linalg.inv(canonical_to_world), points)
        low, high = in_head.min(axis=0) - SKULL_AND_SCALP_MM, in_head.max(axis=0) + SKULL_AND_SCALP_MM
        centre, size = (low + high) / 2, high - low
    roi_node.SetAndObserveTransformNodeID(None)
    roi_node.SetSize(*size)
    _set_place(roi_node, canonical_to_world, centre)
    mark_result(roi_node, volume_node.GetID())
    roi_node.CreateDefaultDisplayNodes()
    display = roi_node.GetDisplayNode()
    display.SetFillVisibility(False)
    display.SetHandlesInteractive(False)
    display.SetPropertiesLabelVisibility(False)
    display.SetPointLabelsVisibility(False)


def move_box(roi_node, before: np.ndarray, after: np.ndarray) -> None:
    """Move a head's box along with the head, from one canonical_to_world pose to another; its size stays."""
    box_to_world = to_numpy(roi_node.GetObjectToWorldMatrix())
    moved = after @ np.linalg.inv(before) @ box_to_world
    roi_node.SetAndObserveTransformNodeID(None)
    _set_place(roi_node, moved, np.zeros(3))


def _set_place(roi_node, axes_to_world: np.ndarray, centre) -> None:
    """Put the middle of a box at a point of a frame, its axes along the frame's."""
    matrix = np.array(axes_to_world)
    matrix[:3, 3] = (axes_to_world @ [*centre, 1])[:3]
    roi_node.SetAndObserveObjectToNodeMatrix(to_vtk(matrix))
