"""Where brain masks are shown: in which views, how opaque, and not with those of other scans."""

from E3PoseLib.mrml.masks.segment import HIDDEN_ATTRIBUTE, holds_other_segments, make_surface, mask_id
from E3PoseLib.mrml.matrices import nodes_of_class
from E3PoseLib.mrml.outputs import VOLUME_REFERENCE, is_in_sequence, is_result_of


def show_only_masks_of(scene, volume_node) -> None:
    """Hide the brain masks of all other scans; those of this scan that were hidden so are shown again.

    What else a segmentation holds stays as it is, and so does a mask that a person has hidden.
    """
    show_only_masks(scene, lambda segmentation_node, scan: scan == volume_node)


def show_only_masks(scene, is_wanted) -> None:
    """Hide the brain masks for which ``is_wanted(segmentation_node, scan)`` is false, as `show_only_masks_of` does."""
    for node in nodes_of_class(scene, "vtkMRMLSegmentationNode"):
        scan, display_node = node.GetNodeReference(VOLUME_REFERENCE), node.GetDisplayNode()
        segment_id = mask_id(node.GetSegmentation())
        if scan is None or display_node is None or segment_id is None or not is_result_of(node, scan):
            continue
        if not is_wanted(node, scan):
            if display_node.GetSegmentVisibility(segment_id):
                node.SetAttribute(HIDDEN_ATTRIBUTE, "1")
                display_node.SetSegmentVisibility(segment_id, False)
        elif node.GetAttribute(HIDDEN_ATTRIBUTE):
            node.RemoveAttribute(HIDDEN_ATTRIBUTE)
            display_node.SetSegmentVisibility(segment_id, True)


def is_put_aside(segmentation_node) -> bool:
    """Whether `show_only_masks_of` has hidden a mask with its scan."""
    return segmentation_node.GetAttribute(HIDDEN_ATTRIBUTE) is not None


def mask_visibility(segmentation_node) -> tuple[bool, bool]:
    """Whether the brain mask is shown in the slice views, and in the 3-D views."""
    display_node, segment_id = segmentation_node.GetDisplayNode(), mask_id(segmentation_node.GetSegmentation())
    if display_node is None or segment_id is None:
        return False, False
    in_slices, in_3d = display_node.GetVisibility2D(), display_node.GetVisibility3D()
    if holds_other_segments(segmentation_node):
        in_slices = in_slices and display_node.GetSegmentVisibility2DOutline(segment_id)
        in_3d = in_3d and display_node.GetSegmentVisibility3D(segment_id)
    is_shown = display_node.GetVisibility() and display_node.GetSegmentVisibility(segment_id)
    return bool(is_shown and in_slices), bool(is_shown and in_3d)


def mask_opacity(segmentation_node) -> float:
    """How opaque the brain mask is, in [0, 1]."""
    display_node, segment_id = segmentation_node.GetDisplayNode(), mask_id(segmentation_node.GetSegmentation())
    if display_node is None or segment_id is None:
        return 1.0
    if is_in_sequence(segmentation_node):
        return display_node.GetOpacity2DOutline()
    return display_node.GetSegmentOpacity2DOutline(segment_id)


def show_mask(segmentation_node, in_slices: bool, in_3d: bool, opacity: float = 1.0) -> None:
    """Show or hide the brain mask: its outline in the slice views, its surface in the 3-D views.

    Other segments in the node are not hidden with it. ``opacity``, in [0, 1], is that of the mask alone, too.
    """
    segmentation_node.CreateDefaultDisplayNodes()
    display_node = segmentation_node.GetDisplayNode()
    segment_id = mask_id(segmentation_node.GetSegmentation())
    if holds_other_segments(segmentation_node):
        display_node.SetSegmentVisibility2DOutline(segment_id, in_slices)
        display_node.SetSegmentVisibility3D(segment_id, in_3d)
        display_node.SetVisibility(display_node.GetVisibility() or in_slices or in_3d)
        display_node.SetVisibility2D(display_node.GetVisibility2D() or in_slices)
        display_node.SetVisibility3D(display_node.GetVisibility3D() or in_3d)
    else:
        display_node.SetVisibility(in_slices or in_3d)
        display_node.SetVisibility2D(in_slices)
        display_node.SetVisibility3D(in_3d)
    if is_in_sequence(segmentation_node):  # which brings a new segment at each time point; the node is the mask's alone
        display_node.SetOpacity2DOutline(opacity)
        display_node.SetOpacity3D(opacity)
    elif segment_id is not None:
        display_node.SetSegmentOpacity2DOutline(segment_id, opacity)
        display_node.SetSegmentOpacity3D(segment_id, opacity)
    if in_3d:
        make_surface(segmentation_node)
