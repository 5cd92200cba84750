"""Brain masks out: segmentation nodes with one segment, and where it is shown."""

import numpy as np
import slicer
from vtk.util.numpy_support import numpy_to_vtk

from E3PoseLib.mrml.matrices import to_vtk
from E3PoseLib.mrml.scan import Scan

SEGMENT_ID = "Brain"
SEGMENT_COLOR = (0.95, 0.75, 0.25)


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
