"""A planned stack of slices as a model: in a slice view it is a line for each slice, as on a scanner's console."""

import json

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from E3PoseLib.mrml.outputs import mark_result

SLICES_CLASS = "vtkMRMLModelNode"

SLICES_ATTRIBUTE = "E3Pose.Slices"
"""Of a model that `write_slices` has written: how many points it has, and between which bounds, as JSON."""

SLICES_COLOR = (0.2, 0.8, 1.0)

_BOX_FACES = ((0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))
"""Of a box with the corners of one slice, then those of another."""


def write_slices(model_node, frames: np.ndarray, thickness: np.ndarray, volume_node) -> None:
    """Make a model node a stack of slices of a scan; it lies under the scan's transform, and remembers the scan.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
    frames : np.ndarray
        Shape ``[n_slices, 4, 3]``: the corners of the slices in turn about each, mm, in the scan's own coordinates
        (RAS, without the transforms that it sits under).
    thickness : np.ndarray
        Shape ``[3]``, mm: from one face of a slice to the other. The first slice is drawn as thick as it is, by which
        it is known.
    volume_node : vtkMRMLScalarVolumeNode
    """
    points, faces = vtk.vtkPoints(), vtk.vtkCellArray()
    first = np.concatenate([frames[0] - thickness / 2, frames[0] + thickness / 2])
    corners = np.concatenate([first, frames[1:].reshape(-1, 3)])
    for corner in corners:
        points.InsertNextPoint(*corner)
    others = [range(index, index + 4) for index in range(8, len(corners), 4)]
    for face in (*_BOX_FACES, *others):
        faces.InsertNextCell(4, list(face))
    surface = vtk.vtkPolyData()
    surface.SetPoints(points)
    surface.SetPolys(faces)
    model_node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    model_node.SetAndObservePolyData(surface)
    model_node.SetAttribute(SLICES_ATTRIBUTE, json.dumps(_shape(model_node)))
    mark_result(model_node, volume_node.GetID())
    if model_node.GetDisplayNode() is None:
        _display(model_node)


def is_edited_slices(model_node) -> bool:
    """Whether a model is no stack of slices as `write_slices` has written it."""
    text = model_node.GetAttribute(SLICES_ATTRIBUTE)
    now = _shape(model_node)
    return text is None or len(now) != len(json.loads(text)) or not np.allclose(now, json.loads(text), atol=1e-2)


def _shape(model_node) -> list[float]:
    surface = model_node.GetPolyData()
    if surface is None or surface.GetNumberOfPoints() == 0:
        return []
    points = vtk_to_numpy(surface.GetPoints().GetData())
    return [len(points), *points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def _display(model_node) -> None:
    model_node.CreateDefaultDisplayNodes()
    display = model_node.GetDisplayNode()
    display.SetColor(*SLICES_COLOR)
    display.SetRepresentation(display.WireframeRepresentation)  # surfaces would hide the head
    display.SetLighting(False)
    display.SetVisibility2D(True)
    display.SetSliceDisplayModeToIntersection()
    display.SetSliceIntersectionThickness(1)
