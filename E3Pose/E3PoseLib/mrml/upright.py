"""Resliced volumes out: the scan along the head's axes."""

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from E3PoseLib.errors import OutputError
from E3PoseLib.imaging.geometry import transform_points
from E3PoseLib.mrml.matrices import to_vtk, voxel_to_world
from E3PoseLib.mrml.outputs import check_output, mark_result
from E3PoseLib.mrml.pose import DIRECTION_ATTRIBUTE, PLACE_AXES, head_pose
from E3PoseLib.mrml.resampling import reslice
from E3PoseLib.mrml.scan import check_volume_node

HEAD_MM = 180.0
"""Edge of the cube about the head's centre that is resliced: a term fetus's head and what surrounds it."""


def reslice_upright(volume_node, transform_node, output_node, spacing: float, extent: float | None = HEAD_MM) -> None:
    """Reslice a scan along the head's axes, at ``spacing`` mm, into a volume node.

    The grid is a cube of edge ``extent`` mm about the head's centre, the one of `resampling.reslice`; with None it
    covers the whole scan. The result lies where the pose transform leads: in the head's own frame where the transform
    aligns the volume to it, in the scan, aslant, where it places the head's axes there.

    Raises
    ------
    VolumeError, TransformError
        The scan or the pose cannot be used.
    OutputError
        The output node holds what is no upright volume of this scan, or what somebody has gone on with.
    """
    check_volume_node(volume_node)
    try:
        check_output(output_node, volume_node)
    except OutputError as error:
        raise OutputError(f"the scan cannot be resliced there, {error}: choose an empty volume, or none") from error
    pose = head_pose(transform_node)
    grid_to_canonical, shape = upright_grid(volume_node, pose, spacing, extent)
    array = reslice(volume_node, pose @ grid_to_canonical, shape)
    image = vtk.vtkImageData()
    image.SetDimensions(array.shape)
    image.GetPointData().SetScalars(numpy_to_vtk(array.ravel(order="F"), deep=True))
    output_node.SetAndObserveImageData(image)
    places_axes = transform_node.GetAttribute(DIRECTION_ATTRIBUTE) == PLACE_AXES
    output_node.SetIJKToRASMatrix(to_vtk(pose @ grid_to_canonical if places_axes else grid_to_canonical))
    output_node.SetAndObserveTransformNodeID(None)
    mark_result(output_node, volume_node.GetID())
    output_node.CreateDefaultDisplayNodes()
    source_display, display = volume_node.GetDisplayNode(), output_node.GetDisplayNode()
    if source_display is not None and display is not None:
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(source_display.GetWindow(), source_display.GetLevel())


def upright_grid(volume_node, pose: np.ndarray, spacing: float, extent: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Voxel -> canonical matrix and shape (3,) of a grid along the head's axes, see `reslice_upright`."""
    if extent is not None:
        last = np.full(3, (round(extent / spacing) - 1) / 2)
        first = -last
    else:
        corners = transform_points(np.linalg.inv(pose), world_corners(volume_node))
        first = np.floor(corners.min(axis=0) / spacing)
        last = np.ceil(corners.max(axis=0) / spacing)
    grid_to_canonical = np.diag([spacing, spacing, spacing, 1.0])
    grid_to_canonical[:3, 3] = first * spacing
    return grid_to_canonical, np.round(last - first + 1).astype(int)


def world_corners(volume_node) -> np.ndarray:
    """The eight outer corners [8, 3] of a volume in world RAS; of its bounding box where it sits under a
    warp.
    """
    to_world = voxel_to_world(volume_node)
    if to_world is None:
        to_world, edges = np.eye(4), np.zeros(6)
        volume_node.GetRASBounds(edges)
    else:
        edges = [edge for count in volume_node.GetImageData().GetDimensions() for edge in (-0.5, count - 0.5)]
    box = np.array([[x, y, z] for x in edges[:2] for y in edges[2:4] for z in edges[4:]])
    return transform_points(to_world, box)
