"""Scans in: which volume nodes can be one, and their voxels in world RAS."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import slicer
import vtk

from E3PoseLib.errors import VolumeError
from E3PoseLib.imaging.geometry import MINIMUM_EDGE_VOXELS, has_orthogonal_axes, transform_points
from E3PoseLib.mrml.matrices import fingerprint, is_set, voxel_to_parent, voxel_to_world, voxels
from E3PoseLib.mrml.resampling import landmarks_in_world, resample_to_world

SCAN_EVENTS = (
    vtk.vtkCommand.ModifiedEvent,
    slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
    slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
)
"""What a volume node invokes when it may have become another scan."""

SAME_PLACE_MM = 0.01
"""A scan whose voxels lie within this of where they lay has not been moved."""


@dataclass(frozen=True)
class Scan:
    """A volume node as it was when read; the node may change or go while its pose is computed.

    Parameters
    ----------
    array : np.ndarray
        The voxels [I, J, K], in the node's own memory where they need not be resampled: whoever reads them later, or
        while others run, asks `check_unchanged` afterwards.
    grid_to_world : np.ndarray
        Their indices -> world RAS.
    name, volume_id : str
        Of the node.
    grid_to_parent : np.ndarray
        Where the mask belongs, under the transform node ``parent_id``. A volume that a warp or a shear moved was
        resampled, and its mask lies in the world, under no transform.
    parent_id : str or None
    place : dict
        Of the node's own voxels, which are not these where it was resampled; see `place`. And their `fingerprint`,
        ``voxels``.
    file : str or None
        That the node was loaded from.
    scalars : vtkDataArray or None
        That ``array`` is a view of.
    scalars_time : int
        When it was last modified before it was read.
    """

    array: np.ndarray
    grid_to_world: np.ndarray
    name: str
    volume_id: str
    grid_to_parent: np.ndarray
    parent_id: str | None
    place: dict
    file: str | None
    scalars: object = None
    scalars_time: int = 0

    @property
    def voxel_to_ras(self) -> np.ndarray:
        """Voxel indices -> world RAS, as a worker asks for it."""
        return self.grid_to_world

    @property
    def notes(self) -> tuple[str, ...]:
        """None: a worker finds out itself what there is to say of the file, which takes time."""
        return ()

    doubts = notes

    def check_unchanged(self) -> None:
        """Whether the voxels are those that were there when the node was read.

        Raises
        ------
        VolumeError
            They were written over since. (A node that got others instead left these as they were.)
        """
        if self.scalars is not None and self.scalars.GetMTime() != self.scalars_time:
            raise VolumeError(f"volume '{self.name}' was changed while it was read: estimate again when it is still")

    @cached_property
    def volume(self):
        """The scan as the `Volume` that is estimated; this needs the packages of the section Setup.

        Raises
        ------
        VolumeError
            Too few voxels, or an impossible geometry.
        """
        from E3PoseLib.imaging.file_doubts import file_doubts
        from E3PoseLib.imaging.volume import Volume

        doubts = file_doubts(self.file) if self.file else ()
        return Volume(self.array, self.grid_to_world, self.name, doubts=doubts)


def check_volume_node(node) -> None:
    """Whether ``node`` can be a scan.

    Raises
    ------
    VolumeError
        None, a label map, a vector or tensor volume, one without voxels, or by DICOM of another modality than MR.
    """
    if not is_set(node):
        raise VolumeError("no input volume: select the scan")
    check_voxels(node, f"volume '{node.GetName()}'")
    check_modality(node)


def check_voxels(node, name: str) -> None:
    """Whether a node's voxels can be those of a scan, which errors call by a ``name``.

    Raises
    ------
    VolumeError
        A label map, a vector or tensor volume, or one without or with too few voxels.
    """
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise VolumeError(f"{name} is a label map: select the scan itself")
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        raise VolumeError(f"{name} is not a volume: select the scan")
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise VolumeError(f"{name} is empty: load the scan's voxels first")
    if image.GetNumberOfScalarComponents() != 1:
        raise VolumeError(
            f"{name} has {image.GetNumberOfScalarComponents()} values a voxel: select a volume with one "
            "(of a vector or colour volume, extract a component; of a 4-D scan, load it as a sequence)"
        )
    if min(image.GetDimensions()) < MINIMUM_EDGE_VOXELS:
        shape = " × ".join(map(str, image.GetDimensions()))
        raise VolumeError(f"{name} has {shape} voxels: each edge of a scan needs at least {MINIMUM_EDGE_VOXELS}")


def check_modality(node) -> None:
    """Raise VolumeError where a node is by DICOM of another modality than MR."""
    modality = dicom_modality(node)
    if modality not in ("", "MR"):
        raise VolumeError(f"volume '{node.GetName()}' is of modality {modality}: the models are made for MR scans")


def dicom_modality(node) -> str:
    """The modality that DICOM gave a node's series, such as "MR" or "CT"; empty where it did not come from DICOM."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item = hierarchy.GetItemByDataNode(node)
    if item == slicer.vtkMRMLSubjectHierarchyNode.GetInvalidItemID():
        return ""
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    return hierarchy.GetItemAttribute(item, attribute)


def parent_id(node) -> str | None:
    """The transform node that a mask of a volume node belongs under: the volume's own, or none where `read_scan`
    resamples it.
    """
    return node.GetTransformNodeID() if _is_regular(voxel_to_world(node)) else None


def _is_regular(grid_to_world: np.ndarray | None) -> bool:
    """Whether a volume's own voxels can be taken as they are: under no warp and no shear."""
    return grid_to_world is not None and has_orthogonal_axes(grid_to_world)


def read_scan(node) -> Scan:
    """The scan in a volume node, in world RAS, whatever transforms the node sits under.

    Raises
    ------
    VolumeError
        The node is no scan, see `check_volume_node`.
    """
    check_volume_node(node)
    grid_to_world = voxel_to_world(node)
    scalars = None
    if _is_regular(grid_to_world):
        # No copy, which would take longer than a window may stand still.
        array, grid_to_parent = voxels(node), voxel_to_parent(node)
        scalars = node.GetImageData().GetPointData().GetScalars()
    else:
        array, grid_to_world = resample_to_world(node)
        grid_to_parent = grid_to_world
    storage = node.GetStorageNode()
    return Scan(
        array,
        grid_to_world,
        node.GetName(),
        node.GetID(),
        grid_to_parent,
        parent_id(node),
        {**place(node), "voxels": fingerprint(node)},
        storage.GetFullNameFromFileName() if storage is not None and storage.GetFileName() else None,
        scalars,
        scalars.GetMTime() if scalars is not None else 0,
    )


def place(node) -> dict:
    """Where the voxels of a volume node lie now, as JSON takes it.

    ``shape`` along i, j, k; ``landmarks``, see `landmarks_in_world`; ``to_world``, 4x4 from voxel indices to world RAS,
    None under a warp; ``to_parent``, the node's own, 4x4; ``time_point``, see `time_point`.
    """
    to_world, shown = voxel_to_world(node), time_point(node)
    return _described(node, landmarks_in_world(node), to_world, shown)


def place_of_item(item, outer: np.ndarray, shown: tuple[int, int]) -> dict:
    """The `place` that a volume node will have when it shows an item of its sequence.

    ``outer`` leads from the volume node's parent frame to the world, 4x4; ``shown`` is what `time_point` will be.
    """
    in_world = transform_points(outer, landmarks_in_world(item))  # an item sits under no transform
    return _described(item, in_world, outer @ voxel_to_parent(item), shown)


def _described(node, landmarks: np.ndarray, to_world: np.ndarray | None, shown: tuple[int, int] | None) -> dict:
    return {
        "shape": list(node.GetImageData().GetDimensions()),
        "landmarks": landmarks.tolist(),
        "to_world": None if to_world is None else to_world.tolist(),
        "to_parent": voxel_to_parent(node).tolist(),
        "time_point": None if shown is None else list(shown),
    }


def time_point(volume_node) -> tuple[int, int] | None:
    """Which time point of how many (from 1) a volume node shows, where a sequence browser drives it and has one
    selected; else None.
    """
    scene = volume_node.GetScene()
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = scene.GetNthNodeByClass(index, "vtkMRMLSequenceBrowserNode")
        if browser.GetSequenceNode(volume_node) is not None and browser.GetSelectedItemNumber() >= 0:
            return browser.GetSelectedItemNumber() + 1, browser.GetNumberOfItems()
    return None
