"""Brain masks out: one segment of a segmentation node, which a person may have changed since."""

import json

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from E3PoseLib.errors import OutputError
from E3PoseLib.imaging.geometry import outermost_voxels, transform_points
from E3PoseLib.mrml.matrices import parent_to_world, to_numpy, to_vtk, voxel_to_parent
from E3PoseLib.mrml.outputs import mark_result
from E3PoseLib.mrml.scan import Scan

SEGMENT_NAME = "Brain"
SEGMENT_TAG = "E3Pose.Mask"
"""Tag of the segment that `write_mask` makes; a segment of another origin may bear the same name."""

BRAIN_TERMINOLOGY = (
    "Segmentation category and type - 3D Slicer General Anatomy list"
    "~SCT^123037004^Anatomical Structure~SCT^12738006^Brain~^^"
    "~Anatomic codes - DICOM master list~^^~^^"
)
"""SNOMED CT's codes of the brain, as Slicer writes an entry of its general anatomy list."""

BRAIN_COLOR = (250 / 255, 250 / 255, 225 / 255)
"""Of the brain in that list."""

DRAWN = ("Visibility2DOutline", "Visibility3D", "Opacity2DOutline", "Opacity3D")
"""What a display node keeps of each segment, by the names of its methods."""

HIDDEN_ATTRIBUTE = "E3Pose.MaskHidden"
"""Of a segmentation whose mask `show_only_masks_of` has hidden, and not a person."""

FOLLOWED_ATTRIBUTE = "E3Pose.FollowedPlaces"
"""Of a segmentation with a mask: where its scan and the mask lay when they were last seen together, as JSON."""

SHAPE_TAG = "E3Pose.MaskShape"
"""Tag that says what `_shape` the mask had when it was written."""


def check_mask_node(segmentation_node, parent_id: str | None) -> None:
    """Whether a mask that lies under the transform ``parent_id`` can be written to a segmentation node.

    Raises
    ------
    OutputError
        The node holds other segments, which the mask would move under another transform, or which lose their shape
        as the node is kept in another form than label maps (surfaces, contours).
    """
    segmentation = segmentation_node.GetSegmentation()
    if not holds_other_segments(segmentation_node):
        return
    binary = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if segmentation.GetSourceRepresentationName() != binary:
        problem = "holds other segments that are no label maps"
    elif segmentation_node.GetTransformNodeID() != parent_id:
        problem = "holds other segments, under another transform than the scan"
    else:
        return
    raise OutputError(f"segmentation '{segmentation_node.GetName()}' {problem}: choose or create another brain mask")


def write_mask(segmentation_node, mask: np.ndarray, scan: Scan) -> None:
    """Write the brain mask, uint8 [I, J, K] on the scan's grid, as a segment; the mask written before goes.

    Raises
    ------
    OutputError
        See `check_mask_node`.
    """
    check_mask_node(segmentation_node, scan.parent_id)
    box = _box(mask)
    image = slicer.vtkOrientedImageData()
    # The box of the mask alone, as Slicer's own editor keeps a segment: a scan may have fifty times its voxels.
    image.SetExtent(*(edge for edges in box for edge in (edges.start, edges.stop - 1)))
    values = numpy_to_vtk(np.ascontiguousarray(mask[box], dtype=np.uint8).ravel(order="F"), deep=True)
    values.SetName("ImageScalars")
    image.GetPointData().SetScalars(values)
    image.SetGeometryFromImageToWorldMatrix(to_vtk(scan.grid_to_parent))
    _put_segment(segmentation_node, image)
    segmentation_node.SetAndObserveTransformNodeID(scan.parent_id)
    mark_result(segmentation_node, scan.volume_id)
    note_places(segmentation_node, scan.place, scan.grid_to_world)
    volume_node = segmentation_node.GetScene().GetNodeByID(scan.volume_id)
    if volume_node is None or holds_other_segments(segmentation_node):  # theirs may be of a finer grid
        return
    if np.allclose(scan.grid_to_parent, voxel_to_parent(volume_node)):
        segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    else:  # it was resampled; on the grid of the volume, saving would resample the mask
        converter = slicer.vtkSegmentationConverter
        grid = slicer.vtkOrientedImageData()
        grid.SetDimensions(mask.shape)
        grid.SetGeometryFromImageToWorldMatrix(to_vtk(scan.grid_to_parent))
        segmentation_node.GetSegmentation().SetConversionParameter(
            converter.GetReferenceImageGeometryParameterName(), converter.SerializeImageGeometry(grid)
        )


def copy_mask(source_node, target_node, world_to_target: np.ndarray) -> bool:
    """Write the mask of one segmentation node into another, moved: its voxels stay, the grid that they lie on is moved.

    ``world_to_target`` leads from where the mask lies in the world to where its copy is to lie. Returns False, with
    nothing written, where there is no mask or it lies under a warp.
    """
    to_world = mask_to_world(source_node)
    if to_world is None:
        return False
    image = slicer.vtkOrientedImageData()
    source_node.GetBinaryLabelmapRepresentation(mask_id(source_node.GetSegmentation()), image)
    image.SetGeometryFromImageToWorldMatrix(to_vtk(world_to_target @ to_world))
    _put_segment(target_node, image)
    target_node.SetAndObserveTransformNodeID(None)
    return True


def note_places(segmentation_node, scan_place: dict, mask_to_world: np.ndarray) -> None:
    """Note where a mask belongs while its scan lies at a place (see `scan.place`): its voxel indices -> world RAS."""
    places = {"scan": scan_place, "mask": mask_to_world.tolist()}
    segmentation_node.SetAttribute(FOLLOWED_ATTRIBUTE, json.dumps(places))


def mask_voxels(segmentation_node) -> tuple[np.ndarray, np.ndarray] | None:
    """The box of the mask's voxels that is kept, bool [I, J, K], and its voxel indices -> world RAS, 4x4; None where
    `mask_to_world` is.
    """
    to_world = mask_to_world(segmentation_node)
    if to_world is None:
        return None
    segmentation = segmentation_node.GetSegmentation()
    segment = segmentation.GetSegment(mask_id(segmentation))
    image = segment.GetRepresentation(slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName())
    corner = np.eye(4)
    corner[:3, 3] = image.GetExtent()[::2]
    return _labels(image) == segment.GetLabelValue(), to_world @ corner


def outermost_points(segmentation_node) -> np.ndarray | None:
    """The mask's `outermost_voxels` as points [N, 3] in world RAS; None where `mask_to_world` is."""
    found = mask_voxels(segmentation_node)
    return None if found is None else transform_points(found[1], outermost_voxels(found[0]))


def mask_to_world(segmentation_node) -> np.ndarray | None:
    """The mask's voxel indices -> world RAS, 4x4; None where there is no mask as a label map, or it lies under a
    warp.
    """
    segmentation, to_world = segmentation_node.GetSegmentation(), parent_to_world(segmentation_node)
    segment = segmentation.GetSegment(mask_id(segmentation) or "")
    binary = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    image = segment.GetRepresentation(binary) if segment is not None else None
    if image is None or to_world is None:
        return None
    to_parent = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(to_parent)
    return to_world @ to_numpy(to_parent)


def _put_segment(segmentation_node, image) -> None:
    """Make an oriented image the segment of the brain, and a surface anew where one was; the one before goes, but its
    name, its colour, its tags and how it is drawn stay.
    """
    segmentation, had_surface = segmentation_node.GetSegmentation(), has_surface(segmentation_node)
    segment, segment_id = slicer.vtkSegment(), mask_id(segmentation)
    segmentation_node.CreateDefaultDisplayNodes()
    display_node = segmentation_node.GetDisplayNode()
    drawn = {what: getattr(display_node, f"GetSegment{what}")(segment_id) for what in DRAWN if segment_id is not None}
    if segment_id is None:
        segment_id = segmentation.GenerateUniqueSegmentID(SEGMENT_NAME)
        segment.SetName(SEGMENT_NAME)
        segment.SetTerminology(BRAIN_TERMINOLOGY)
        segment.SetColor(*BRAIN_COLOR)
    else:
        segment.DeepCopyMetadata(segmentation.GetSegment(segment_id))
        segment.SetLabelValue(1)  # as in the image; in a label map shared with others it had another
        segmentation.RemoveSegment(segment_id)
    binary = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if segmentation.GetNumberOfSegments() == 0:
        segmentation.SetSourceRepresentationName(binary)
    segment.SetTag(SEGMENT_TAG, "1")
    segment.SetTag(SHAPE_TAG, json.dumps(_shape(_labels(image) > 0)))
    segment.AddRepresentation(binary, image)
    segmentation.AddSegment(segment, segment_id)
    for what, value in drawn.items():
        getattr(display_node, f"SetSegment{what}")(segment_id, value)
    display_node.SetSegmentVisibility(segment_id, True)
    display_node.SetSegmentVisibility2DFill(segment_id, False)  # it would hide the anatomy
    segmentation_node.RemoveAttribute(HIDDEN_ATTRIBUTE)
    if had_surface:
        make_surface(segmentation_node)


def has_mask(segmentation_node) -> bool:
    """Whether `write_mask` has filled a segmentation node."""
    return mask_id(segmentation_node.GetSegmentation()) is not None


def holds_other_segments(segmentation_node) -> bool:
    """Whether a segmentation node has segments that `write_mask` has not made."""
    segmentation = segmentation_node.GetSegmentation()
    return not set(segmentation.GetSegmentIDs()) <= {mask_id(segmentation)}


def has_edited_voxels(segmentation_node) -> bool:
    """Whether the brain mask was painted on, or otherwise changed, since `write_mask` has written it."""
    segmentation = segmentation_node.GetSegmentation()
    segment = segmentation.GetSegment(mask_id(segmentation) or "")
    if segment is None:
        return False
    then = vtk.reference("")
    binary = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    image = segment.GetRepresentation(binary)
    if image is None or not segment.GetTag(SHAPE_TAG, then):
        return True
    return not np.allclose(_shape(_labels(image) == segment.GetLabelValue()), json.loads(str(then)), rtol=1e-6)


def _labels(image) -> np.ndarray:
    """The voxels [I, J, K] of a label map."""
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions(), order="F")


def _box(mask: np.ndarray) -> tuple[slice, slice, slice]:
    """The smallest box [I, J, K] that holds a mask; of an empty one its first voxel."""
    in_plane = mask.max(axis=0)  # first the axis whose voxels lie together in memory
    j, k = _extent(in_plane.max(axis=1)), _extent(in_plane.max(axis=0))
    return _extent(mask[:, j, k].max(axis=(1, 2))), j, k


def _extent(line: np.ndarray) -> slice:
    (where,) = line.nonzero()
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 1)


def _shape(mask: np.ndarray) -> list[float]:
    """How many voxels [I, J, K] a mask has, and how far they spread along each axis: the same where empty borders come
    or go, as saving and editing bring and take them."""
    count = int(np.count_nonzero(mask))
    spreads = []
    for axis in range(3):
        along = mask.sum(axis=tuple(other for other in range(3) if other != axis), dtype=float)
        places = np.arange(len(along))
        mean = (along @ places) / max(count, 1)
        spreads.append(float(along @ (places - mean) ** 2 / max(count, 1)))
    return [count, *spreads]


def mask_id(segmentation) -> str | None:
    """The ID of the segment that `write_mask` made, or None."""
    ids = segmentation.GetSegmentIDs()
    return next((one for one in ids if segmentation.GetSegment(one).HasTag(SEGMENT_TAG)), None)


def has_surface(segmentation_node) -> bool:
    """Whether there is a surface that 3-D views can show; it goes with any change of the mask."""
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    return segmentation_node.GetSegmentation().ContainsRepresentation(surface)


def make_surface(segmentation_node) -> None:
    """Make the surface that 3-D views show of a mask, where it has none."""
    found = mask_voxels(segmentation_node)
    if found is None or found[0].any():
        segmentation_node.CreateClosedSurfaceRepresentation()
