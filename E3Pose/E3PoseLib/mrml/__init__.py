"""The one room that knows vtkMRML nodes: scans in; transforms, segmentations and resliced volumes out; views turned.

Matrices are numpy, 4x4, and map column vectors in RAS millimetres. "World" is the scene's RAS; "parent" is
the frame of a node's parent transform (world where it has none): a volume's IJKToRAS matrix leads to its
parent frame. Nothing here needs more than Slicer itself brings, `Scan.volume` aside.
"""

from E3PoseLib.mrml.following import follow_scan
from E3PoseLib.mrml.mask import (
    check_mask_node,
    has_mask,
    is_edited_mask,
    is_put_aside,
    mask_to_world,
    mask_visibility,
    show_mask,
    show_only_masks_of,
    write_mask,
)
from E3PoseLib.mrml.matrices import is_set, to_numpy, to_vtk, voxel_to_parent, voxel_to_world, voxels
from E3PoseLib.mrml.outputs import (
    VOLUME_REFERENCE,
    check_output,
    is_empty,
    is_of,
    is_of_another,
    is_result_of,
    result_of,
)
from E3PoseLib.mrml.pose import (
    ALIGN_VOLUME,
    PLACE_AXES,
    RESULT_ATTRIBUTE,
    changes_since,
    check_transform_node,
    head_pose,
    is_edited_pose,
    read_result,
    write_pose,
)
from E3PoseLib.mrml.resampling import reslice
from E3PoseLib.mrml.scan import (
    SCAN_EVENTS,
    Scan,
    check_volume_node,
    parent_id,
    read_scan,
    time_point,
)
from E3PoseLib.mrml.upright import (
    HEAD_MM,
    UprightReslicing,
    head_in_upright,
    reslice_upright,
    upright_mask,
    write_upright_mask,
)
from E3PoseLib.mrml.views import (
    jump_to,
    look_at,
    restore_planes,
    show_scan,
    show_standard_planes,
    slice_composites,
    slice_nodes,
    slice_planes,
    views_of_others,
    volume_in_views,
)

__all__ = [
    "ALIGN_VOLUME",
    "HEAD_MM",
    "PLACE_AXES",
    "RESULT_ATTRIBUTE",
    "SCAN_EVENTS",
    "VOLUME_REFERENCE",
    "Scan",
    "UprightReslicing",
    "changes_since",
    "check_mask_node",
    "check_output",
    "check_transform_node",
    "check_volume_node",
    "follow_scan",
    "has_mask",
    "head_in_upright",
    "head_pose",
    "is_edited_mask",
    "is_edited_pose",
    "is_empty",
    "is_of",
    "is_of_another",
    "is_put_aside",
    "is_result_of",
    "is_set",
    "jump_to",
    "look_at",
    "mask_to_world",
    "mask_visibility",
    "parent_id",
    "read_result",
    "read_scan",
    "reslice",
    "reslice_upright",
    "restore_planes",
    "result_of",
    "show_mask",
    "show_only_masks_of",
    "show_scan",
    "show_standard_planes",
    "slice_composites",
    "slice_nodes",
    "slice_planes",
    "time_point",
    "to_numpy",
    "to_vtk",
    "upright_mask",
    "views_of_others",
    "volume_in_views",
    "voxel_to_parent",
    "voxel_to_world",
    "voxels",
    "write_mask",
    "write_pose",
    "write_upright_mask",
]
