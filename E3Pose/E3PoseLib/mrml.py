"""The one room that knows vtkMRML nodes: scans in; transforms, segmentations and resliced volumes out.

Matrices are numpy, 4x4, and map column vectors in RAS millimetres. "World" is the scene's RAS; "parent" is
the frame of a node's parent transform (world where it has none): a volume's IJKToRAS matrix leads to its
parent frame.
"""

import json
from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from E3PoseLib.errors import TransformError, VolumeError
from E3PoseLib.geometry import transform_points

ALIGN_VOLUME = "align"
"""Direction of a pose transform: ras_to_canonical; a volume put under it stands upright."""

PLACE_AXES = "place"
"""Direction of a pose transform: canonical_to_ras; what is drawn in the head's frame lands in the scan."""

RESULT_ATTRIBUTE = "E3Pose.Result"
DIRECTION_ATTRIBUTE = "E3Pose.Direction"
GRID_ATTRIBUTE = "E3Pose.VoxelToWorld"
VOLUME_REFERENCE = "E3Pose.InputVolume"

SEGMENT_ID = "Brain"
SEGMENT_COLOR = (0.95, 0.75, 0.25)

SCAN_EVENTS = (
    vtk.vtkCommand.ModifiedEvent,
    slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
    slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
)
"""What a volume node invokes when it may have become another scan."""

HEAD_MM = 180.0
"""Edge of the cube about the head's centre that is resliced: a term fetus's head and what surrounds it."""

LARGEST_GRID = 2**26
"""Voxels of the largest grid that a warped volume is resampled to."""


@dataclass(frozen=True)
class Scan:
    """A volume node as it was when read; the node may change or go while its pose is computed.

    ``volume`` lies in world RAS. Its mask belongs at ``grid_to_parent`` under the transform node
    ``parent_id``; a volume that a warp or a shear moved was resampled, and its mask lies in the world, under
    no transform.
    """

    volume: object
    volume_id: str
    grid_to_parent: np.ndarray
    parent_id: str | None


def to_numpy(matrix) -> np.ndarray:
    """A vtkMatrix4x4 as numpy [4, 4]."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def to_vtk(matrix: np.ndarray):
    """numpy [4, 4] as a vtkMatrix4x4."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, dtype=float).ravel().tolist())
    return result


def is_set(node) -> bool:
    """Whether ``node`` is a node of a scene still."""
    return node is not None and node.GetScene() is not None


def check_volume_node(node) -> None:
    """Whether ``node`` can be a scan.

    Raises
    ------
    VolumeError
        None, a label map, a vector or tensor volume, one without voxels, or by DICOM of another modality than MR.
    """
    if not is_set(node):
        raise VolumeError("no input volume: select the scan")
    name = f"volume '{node.GetName()}'"
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise VolumeError(f"{name} is a label map: select the scan itself")
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        raise VolumeError(f"'{node.GetName()}' is not a volume: select the scan")
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise VolumeError(f"{name} is empty: load the scan's voxels first")
    if image.GetNumberOfScalarComponents() != 1:
        raise VolumeError(
            f"{name} has {image.GetNumberOfScalarComponents()} values a voxel: select a volume with one "
            "(of a vector or colour volume, extract a component; of a 4-D scan, load it as a sequence)"
        )
    modality = dicom_modality(node)
    if modality not in ("", "MR"):
        raise VolumeError(f"{name} is of modality {modality}: the models are made for MR scans")


def dicom_modality(node) -> str:
    """The modality that DICOM gave a node's series, such as "MR" or "CT"; empty where it did not come from DICOM."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item = hierarchy.GetItemByDataNode(node)
    if item == slicer.vtkMRMLSubjectHierarchyNode.GetInvalidItemID():
        return ""
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    return hierarchy.GetItemAttribute(item, attribute)


def voxels(node) -> np.ndarray:
    """The voxels [I, J, K] of a scalar volume node; a view of the node's own memory."""
    image = node.GetImageData()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions(), order="F")


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


def has_orthogonal_axes(voxel_to_ras: np.ndarray, tolerance: float = 1e-4) -> bool:
    """Whether a grid's axes are at right angles, within ``tolerance`` of the cosine."""
    axes = voxel_to_ras[:3, :3] / np.linalg.norm(voxel_to_ras[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() < tolerance)


def read_scan(node) -> Scan:
    """The scan in a volume node, in world RAS, whatever transforms the node sits under.

    Raises
    ------
    VolumeError
        The node is no scan, see `check_volume_node`.
    """
    from E3PoseLib.volume import Volume

    check_volume_node(node)
    grid_to_world = voxel_to_world(node)
    if grid_to_world is not None and has_orthogonal_axes(grid_to_world):
        # A copy: the node's voxels may change (a sequence plays on) while the pose is computed.
        volume = Volume(voxels(node).copy(), grid_to_world, node.GetName())
        return Scan(volume, node.GetID(), voxel_to_parent(node), node.GetTransformNodeID())
    array, grid_to_world = resample_to_world(node)
    return Scan(Volume(array, grid_to_world, node.GetName()), node.GetID(), grid_to_world, None)


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
    transform_node.SetAttribute(GRID_ATTRIBUTE, json.dumps(scan.volume.voxel_to_ras.tolist()))
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
        Not a transform that `write_pose` has written, or no longer a rigid one.
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
    now = voxel_to_world(scan_node) if scan_node is not None else None
    if now is None:
        return pose
    then = np.array(json.loads(transform_node.GetAttribute(GRID_ATTRIBUTE)))
    if not has_orthogonal_axes(now) or np.allclose(now, then, atol=1e-6):
        return pose
    moved = now @ np.linalg.inv(then) @ pose
    # Scaling cannot be part of a pose: keep the directions, take the nearest rotation.
    left, _, right = np.linalg.svd(moved[:3, :3])
    moved[:3, :3] = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    return moved


def write_mask(segmentation_node, mask: np.ndarray, scan: Scan) -> None:
    """Make a segmentation node hold the brain mask, uint8 [I, J, K] on the scan's grid, as its one segment
    ``Brain``.
    """
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(mask.shape)
    values = numpy_to_vtk(np.ascontiguousarray(mask, dtype=np.uint8).ravel(order="F"), deep=True)
    values.SetName("ImageScalars")
    image.GetPointData().SetScalars(values)
    image.SetGeometryFromImageToWorldMatrix(to_vtk(scan.grid_to_parent))
    segmentation = segmentation_node.GetSegmentation()
    if segmentation.GetSegment(SEGMENT_ID) is not None:
        segmentation.RemoveSegment(SEGMENT_ID)
    binary = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation.SetSourceRepresentationName(binary)
    segment = slicer.vtkSegment()
    segment.SetName(SEGMENT_ID)
    segment.SetColor(*SEGMENT_COLOR)
    segment.AddRepresentation(binary, image)
    segmentation.AddSegment(segment, SEGMENT_ID)
    segmentation_node.CreateDefaultDisplayNodes()
    segmentation_node.SetAndObserveTransformNodeID(scan.parent_id)
    volume_node = segmentation_node.GetScene().GetNodeByID(scan.volume_id)
    if volume_node is not None:
        segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)


def has_mask(segmentation_node) -> bool:
    """Whether `write_mask` has filled a segmentation node."""
    return segmentation_node.GetSegmentation().GetSegment(SEGMENT_ID) is not None


def show_mask(segmentation_node, in_slices: bool, in_3d: bool) -> None:
    """Show or hide the brain mask in the slice views and, as a surface, in the 3-D views."""
    segmentation_node.CreateDefaultDisplayNodes()
    display_node = segmentation_node.GetDisplayNode()
    display_node.SetVisibility(in_slices or in_3d)
    display_node.SetVisibility2D(in_slices)
    display_node.SetVisibility3D(in_3d)
    if in_3d:
        segmentation_node.CreateClosedSurfaceRepresentation()


def reslice_upright(volume_node, transform_node, output_node, spacing: float, extent: float | None = HEAD_MM) -> None:
    """Reslice a scan along the head's axes, at ``spacing`` mm, into a volume node.

    The grid is a cube of edge ``extent`` mm about the head's centre, the one of `resampling.reslice`; with None it
    covers the whole scan. The result lies where the pose transform leads: in the head's own frame where the transform
    aligns the volume to it, in the scan, aslant, where it places the head's axes there.

    Raises
    ------
    VolumeError, TransformError
        The scan or the pose cannot be used.
    """
    check_volume_node(volume_node)
    if output_node == volume_node:
        raise VolumeError(f"reslicing into '{volume_node.GetName()}' would overwrite the scan: choose another volume")
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


def time_point(volume_node) -> tuple[int, int] | None:
    """Which time point of how many (from 1) a volume node shows, where a sequence browser drives it; else
    None.
    """
    scene = volume_node.GetScene()
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = scene.GetNthNodeByClass(index, "vtkMRMLSequenceBrowserNode")
        if browser.GetSequenceNode(volume_node) is not None:
            return browser.GetSelectedItemNumber() + 1, browser.GetNumberOfItems()
    return None
