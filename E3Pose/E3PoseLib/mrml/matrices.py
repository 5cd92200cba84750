"""The matrices and voxels of MRML nodes as numpy, and the nodes themselves as a list."""

import zlib

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from E3PoseLib.errors import TransformError
from E3PoseLib.imaging.geometry import check_rigid

LOOKED_AT = 2**16
"""Voxels in a fingerprint: so many are looked at in some milliseconds, however large the volume."""

SCATTERED = 2654435761
"""A prime, by whose multiples voxels are picked: they lie all over the volume, nearly whatever its shape."""


def to_numpy(matrix) -> np.ndarray:
    """A vtkMatrix4x4 as numpy [4, 4]."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def to_vtk(matrix: np.ndarray):
    """numpy [4, 4] as a vtkMatrix4x4."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, dtype=float).ravel().tolist())
    return result


def nearest_rigid(matrix: np.ndarray) -> np.ndarray:
    """A 4x4 matrix with the nearest rotation in place of its linear part: no scaling can be part of a pose."""
    rigid = np.array(matrix)
    left, _, right = np.linalg.svd(rigid[:3, :3])
    rigid[:3, :3] = left @ right
    return rigid


def is_rigid(matrix: np.ndarray) -> bool:
    """Whether a 4x4 matrix neither scales nor shears nor mirrors, see `check_rigid`."""
    try:
        check_rigid(matrix)
    except TransformError:
        return False
    return True


def is_set(node) -> bool:
    """Whether ``node`` is a node of a scene still."""
    return node is not None and node.GetScene() is not None


def nodes_of_class(scene, class_name: str) -> list:
    """All nodes of a class and of those derived from it, in the scene's order."""
    return [scene.GetNthNodeByClass(index, class_name) for index in range(scene.GetNumberOfNodesByClass(class_name))]


def voxels(node) -> np.ndarray:
    """The voxels [I, J, K] of a scalar volume node; a view of the node's own memory."""
    image = node.GetImageData()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions(), order="F")


def has_voxels(node) -> bool:
    """Whether a volume node has any: not where the file that a scene names is gone."""
    image = node.GetImageData()
    return image is not None and image.GetPointData().GetScalars() is not None


def fingerprint(node) -> int:
    """A number that tells one image from another by many of its voxels, wherever they lie.

    It is the same after a scene was saved and loaded again. Where few voxels were changed it may be the same too.
    """
    scalars = vtk_to_numpy(node.GetImageData().GetPointData().GetScalars()).ravel()
    if scalars.size > LOOKED_AT:
        scalars = scalars[np.arange(LOOKED_AT, dtype=np.int64) * SCATTERED % scalars.size]
    return zlib.crc32(np.ascontiguousarray(scalars))


def voxel_to_parent(node) -> np.ndarray:
    """A volume node's own matrix, voxel indices -> RAS of its parent frame."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return to_numpy(matrix)


def parent_to_world(node) -> np.ndarray | None:
    """The matrix of the transforms that a node sits under; None where they are not linear."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        return None
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return to_numpy(matrix)


def voxel_to_world(node) -> np.ndarray | None:
    """Voxel indices -> world RAS of a volume node; None where it sits under a warp."""
    outer = parent_to_world(node)
    return None if outer is None else outer @ voxel_to_parent(node)
