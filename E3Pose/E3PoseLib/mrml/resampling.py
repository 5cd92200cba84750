"""Volume nodes on other grids, whatever transforms they sit under."""

import itertools
import time

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from E3PoseLib.imaging.geometry import transform_points
from E3PoseLib.mrml.matrices import to_vtk, voxel_to_parent, voxel_to_world

FINEST_MM, LARGEST_GRID = 1.5, 2**24
"""Spacing and voxels of the finest grid that a warped volume is resampled to, while the window stands still: networks
see 3 mm."""

FIRST_VOXELS_A_SECOND = 5e6
"""How quick resampling is taken to be before it has been timed; a warp takes longer than a matrix."""


def resample_to_world(node) -> tuple[np.ndarray, np.ndarray]:
    """The voxels [I, J, K] of a volume under a warp or shear, and voxel -> world RAS of the upright grid they
    lie on.
    """
    bounds = np.zeros(6)
    node.GetRASBounds(bounds)
    low, high = bounds[::2], bounds[1::2]
    spacing = max(min(node.GetSpacing()), FINEST_MM, (np.prod(high - low) / LARGEST_GRID) ** (1 / 3))
    shape = np.maximum(1, np.ceil((high - low) / spacing)).astype(int)
    grid_to_world = np.diag([spacing, spacing, spacing, 1.0])
    grid_to_world[:3, 3] = low + spacing / 2
    return reslice(node, grid_to_world, shape), grid_to_world


def reslice(node, grid_to_world: np.ndarray, shape) -> np.ndarray:
    """The voxels [I, J, K] of a volume node on another grid of the world, see `Reslicing`."""
    reslicing = Reslicing(node, grid_to_world, shape)
    reslicing.go_on(np.inf)
    return reslicing.array


class Reslicing:
    """The voxels of a volume node on another grid of the world, computed a few rows at a time.

    Trilinear; outside the scan its minimum. Any transform that the node sits under is honoured. A window stays alive
    where `go_on` is called by its timer.

    Parameters
    ----------
    node
        The volume.
    grid_to_world : np.ndarray
        The grid's indices -> world RAS, 4x4.
    shape : sequence of int
        Of the grid, (I, J, K).

    Attributes
    ----------
    image : vtkImageData
        What is computed; its geometry is that of indices.
    array : np.ndarray
        Its voxels [I, J, K]; they share their memory.
    """

    def __init__(self, node, grid_to_world: np.ndarray, shape):
        source = node.GetImageData()
        self.image = vtk.vtkImageData()
        self.image.SetDimensions([int(n) for n in shape])
        self.image.AllocateScalars(source.GetScalarType(), 1)
        self.array = vtk_to_numpy(self.image.GetPointData().GetScalars()).reshape(self.image.GetDimensions(), order="F")
        self._resampler = vtk.vtkImageReslice()
        self._resampler.SetInputData(source)
        self._resampler.SetResliceTransform(grid_to_voxel(node, grid_to_world))
        self._resampler.SetOutputSpacing(1, 1, 1)
        self._resampler.SetOutputOrigin(0, 0, 0)
        self._resampler.SetInterpolationModeToLinear()
        self._resampler.SetBackgroundLevel(source.GetScalarRange()[0])
        self._rows_done = 0
        self._rows_a_second = FIRST_VOXELS_A_SECOND / self.array.shape[0]

    @property
    def fraction(self) -> float:
        """How much is done, in [0, 1]."""
        return self._rows_done / (self.array.shape[1] * self.array.shape[2])

    def go_on(self, seconds: float) -> None:
        """Compute for about ``seconds``, at least one row, or to the end where that comes first."""
        end = time.monotonic() + seconds
        while self.fraction < 1:
            left = end - time.monotonic()
            if left <= 0 and self._rows_done:
                return
            self._compute_rows(max(1, int(min(self._rows_a_second * left, self.array[0].size))))

    def _compute_rows(self, count: int) -> None:
        """Compute the next rows: whole slices where ``count`` allows it, else within one slice."""
        n_rows = self.array.shape[1]
        k, j = divmod(self._rows_done, n_rows)
        if j == 0 and count >= n_rows:
            rows, slices = slice(0, n_rows), slice(k, min(k + count // n_rows, self.array.shape[2]))
        else:
            rows, slices = slice(j, min(j + count, n_rows)), slice(k, k + 1)
        begin = time.monotonic()
        extent = (0, self.array.shape[0] - 1, rows.start, rows.stop - 1, slices.start, slices.stop - 1)
        self._resampler.SetOutputExtent(*extent)
        self._resampler.Update()
        part = self._resampler.GetOutput()
        self.array[:, rows, slices] = vtk_to_numpy(part.GetPointData().GetScalars()).reshape(
            part.GetDimensions(), order="F"
        )
        n_done = (rows.stop - rows.start) * (slices.stop - slices.start)
        self._rows_done += n_done
        self._rows_a_second = n_done / max(time.monotonic() - begin, 1e-6)


def landmarks_in_world(node) -> np.ndarray:
    """Where 27 points spread over a volume node's grid lie in world RAS, [27, 3], whatever transforms it sits under."""
    shares = np.array(list(itertools.product((0.1, 0.5, 0.9), repeat=3)))
    in_parent = transform_points(voxel_to_parent(node), shares * (np.array(node.GetImageData().GetDimensions()) - 1))
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, to_world)
    return np.array([to_world.TransformPoint(point) for point in in_parent])


def grid_to_voxel(node, grid_to_world: np.ndarray):
    """Indices of a grid of the world -> voxel indices of a volume node, as a transform of VTK."""
    to_world = voxel_to_world(node)
    if to_world is not None:
        # One matrix: the resampler then steps along its rows instead of transforming every voxel.
        transform = vtk.vtkTransform()
        transform.SetMatrix(to_vtk(np.linalg.inv(to_world) @ grid_to_world))
        return transform
    world_to_parent = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, node.GetParentTransformNode(), world_to_parent)
    transform = vtk.vtkGeneralTransform()
    transform.PostMultiply()
    transform.Concatenate(to_vtk(grid_to_world))
    transform.Concatenate(world_to_parent)
    transform.Concatenate(to_vtk(np.linalg.inv(voxel_to_parent(node))))
    return transform
