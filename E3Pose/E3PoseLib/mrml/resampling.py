"""Volume nodes on other grids, whatever transforms they sit under."""

import itertools

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from E3PoseLib.imaging.geometry import transform_points
from E3PoseLib.mrml.matrices import to_vtk, voxel_to_parent, voxel_to_world

LARGEST_GRID = 2**26
"""Voxels of the largest grid that a warped volume is resampled to."""


def resample_to_world(node) -> tuple[np.ndarray, np.ndarray]:
    """The voxels [I, J, K] of a volume under a warp or shear, and voxel -> world RAS of the upright grid they
    lie on.
    """
    bounds = np.zeros(6)
    node.GetRASBounds(bounds)
    low, high = bounds[::2], bounds[1::2]
    spacing = max(min(node.GetSpacing()), (np.prod(high - low) / LARGEST_GRID) ** (1 / 3))
    shape = np.maximum(1, np.ceil((high - low) / spacing)).astype(int)
    grid_to_world = np.diag([spacing, spacing, spacing, 1.0])
    grid_to_world[:3, 3] = low + spacing / 2
    return reslice(node, grid_to_world, shape), grid_to_world


def reslice(node, grid_to_world: np.ndarray, shape) -> np.ndarray:
    """The voxels [I, J, K] of a volume node on another grid of the world, trilinear; outside the scan its
    minimum.

    Any transform that the node sits under is honoured. ``grid_to_world`` maps the grid's indices to world
    RAS.
    """
    to_world = voxel_to_world(node)
    if to_world is not None:
        # One matrix: the resampler then steps along its rows instead of transforming every voxel.
        grid_to_voxel = vtk.vtkTransform()
        grid_to_voxel.SetMatrix(to_vtk(np.linalg.inv(to_world) @ grid_to_world))
    else:
        grid_to_voxel = warped_grid_to_voxel(node, grid_to_world)
    resampler = vtk.vtkImageReslice()
    resampler.SetInputData(node.GetImageData())
    resampler.SetResliceTransform(grid_to_voxel)
    resampler.SetOutputSpacing(1, 1, 1)
    resampler.SetOutputOrigin(0, 0, 0)
    resampler.SetOutputExtent(0, int(shape[0]) - 1, 0, int(shape[1]) - 1, 0, int(shape[2]) - 1)
    resampler.SetInterpolationModeToLinear()
    resampler.SetBackgroundLevel(node.GetImageData().GetScalarRange()[0])
    resampler.Update()
    image = resampler.GetOutput()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions(), order="F").copy()


def landmarks_in_world(node) -> np.ndarray:
    """Where 27 points spread over a volume node's grid lie in world RAS, [27, 3], whatever transforms it sits under."""
    shares = np.array(list(itertools.product((0.1, 0.5, 0.9), repeat=3)))
    in_parent = transform_points(voxel_to_parent(node), shares * (np.array(node.GetImageData().GetDimensions()) - 1))
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, to_world)
    return np.array([to_world.TransformPoint(point) for point in in_parent])


def warped_grid_to_voxel(node, grid_to_world: np.ndarray):
    """Indices of a grid of the world -> voxel indices of a volume node under a warp, as a
    vtkGeneralTransform.
    """
    world_to_parent = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, node.GetParentTransformNode(), world_to_parent)
    transform = vtk.vtkGeneralTransform()
    transform.PostMultiply()
    transform.Concatenate(to_vtk(grid_to_world))
    transform.Concatenate(world_to_parent)
    transform.Concatenate(to_vtk(np.linalg.inv(voxel_to_parent(node))))
    return transform
