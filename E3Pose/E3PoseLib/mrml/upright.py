"""Resliced volumes out: the scan along the head's axes."""

import json
import zlib

import numpy as np
from vtk.util.numpy_support import vtk_to_numpy

from E3PoseLib.errors import OutputError, TransformError, VolumeError
from E3PoseLib.imaging.geometry import transform_points
from E3PoseLib.mrml.head_now import head_pose, moved_pose
from E3PoseLib.mrml.masks.segment import copy_mask, mask_to_world, note_places
from E3PoseLib.mrml.matrices import has_voxels, is_set, to_vtk, voxel_to_parent, voxel_to_world
from E3PoseLib.mrml.outputs import MASK_REFERENCE, VOLUME_REFERENCE, check_output, is_result_of, mark_result
from E3PoseLib.mrml.resampling import Reslicing
from E3PoseLib.mrml.scan import SAME_PLACE_MM, check_volume_node, place

GRID_ATTRIBUTE = "E3Pose.GridToHead"
"""Of an upright volume: its voxel indices -> the head's frame, as JSON."""

VOXELS_ATTRIBUTE = "E3Pose.UprightVoxels"
"""Of an upright volume: how many voxels it had along each axis when it was written, and their checksum, as JSON."""

POSE_ATTRIBUTE = "E3Pose.UprightPose"
"""Of an upright volume: the canonical_to_world pose that it was resliced by, and where its scan lay then, as JSON."""

MOST_CHECKED = 2**24
"""Voxels in a checksum: the window waits for it."""

HEAD_MM = 180.0
"""Edge of the cube about the head's centre that is resliced: a term fetus's head and what surrounds it."""


class UprightReslicing:
    """A scan on its way into an upright volume: begun, gone on with, and written when it is done.

    The grid is a cube of edge ``extent`` mm about the head's centre at ``spacing`` mm; with None it covers the whole
    scan. It lies in the head's own frame, whichever way the pose transform leads: any program that opens it shows the
    head upright.

    Attributes
    ----------
    pose : np.ndarray
        The canonical_to_world pose that it is resliced by.

    Raises
    ------
    VolumeError, TransformError
        The scan or the pose cannot be used.
    """

    def __init__(self, volume_node, transform_node, spacing: float, extent: float | None = HEAD_MM):
        check_volume_node(volume_node)
        self._volume_node = volume_node
        self.pose = head_pose(transform_node)
        self._grid_to_canonical, shape = upright_grid(volume_node, self.pose, spacing, extent)
        self._reslicing = Reslicing(volume_node, self.pose @ self._grid_to_canonical, shape)
        self._state = scan_state(volume_node)

    @property
    def fraction(self) -> float:
        """How much is done, in [0, 1]."""
        return self._reslicing.fraction

    def go_on(self, seconds: float) -> None:
        """Compute for about ``seconds``, or to the end where that comes first."""
        self._reslicing.go_on(seconds)

    def check_scan(self) -> None:
        """Whether the scan is still there as it was when its reslicing began.

        Raises
        ------
        VolumeError
            It was deleted or has changed.
        """
        if not is_set(self._volume_node) or scan_state(self._volume_node) != self._state:
            name = self._volume_node.GetName()
            raise VolumeError(f"volume '{name}' changed while it was resliced: reslice it again")

    def write(self, output_node) -> None:
        """Write the volume, which is done, into a volume node.

        Raises
        ------
        VolumeError
            See `check_scan`.
        OutputError
            The node holds what is no upright volume of this scan, or what somebody has gone on with.
        """
        self.check_scan()
        scan_node = self._volume_node
        try:
            check_output(output_node, scan_node)
        except OutputError as error:
            raise OutputError(f"the scan cannot be resliced there, {error}: choose an empty volume, or none") from error
        # First how it is displayed: Slicer would look for a window in voxels that are shown in that of the scan.
        output_node.CreateDefaultDisplayNodes()
        source_display, display = scan_node.GetDisplayNode(), output_node.GetDisplayNode()
        # Once: the window that it has later may be a person's.
        if source_display is not None and display is not None and not is_result_of(output_node, scan_node):
            display.SetAutoWindowLevel(False)
            display.SetWindowLevel(source_display.GetWindow(), source_display.GetLevel())
        output_node.SetIJKToRASMatrix(to_vtk(self._grid_to_canonical))
        output_node.SetAndObserveTransformNodeID(None)
        output_node.SetAndObserveImageData(self._reslicing.image)
        output_node.SetAttribute(GRID_ATTRIBUTE, json.dumps(self._grid_to_canonical.tolist()))
        output_node.SetAttribute(VOXELS_ATTRIBUTE, json.dumps(_checksum(output_node)))
        resliced_by = {"canonical_to_world": self.pose.tolist(), "scan": place(scan_node)}
        output_node.SetAttribute(POSE_ATTRIBUTE, json.dumps(resliced_by))
        mark_result(output_node, scan_node.GetID())


def reslice_upright(volume_node, transform_node, output_node, spacing: float, extent: float | None = HEAD_MM) -> None:
    """Reslice a scan along the head's axes into a volume node, see `UprightReslicing`."""
    reslicing = UprightReslicing(volume_node, transform_node, spacing, extent)
    reslicing.go_on(np.inf)
    reslicing.write(output_node)


def write_upright_mask(mask_node, upright_node, upright_mask_node, canonical_to_world: np.ndarray) -> bool:
    """Write a copy of a scan's mask to where the head lies in an upright volume, which remembers the node.

    ``canonical_to_world`` is the pose that the volume was resliced by. Returns False where there is no mask, or it lies
    under a warp.
    """
    if not copy_mask(mask_node, upright_mask_node, np.linalg.inv(canonical_to_world)):
        return False
    mark_result(upright_mask_node, upright_node.GetID())
    note_places(upright_mask_node, place(upright_node), mask_to_world(upright_mask_node))
    upright_node.SetNodeReferenceID(MASK_REFERENCE, upright_mask_node.GetID())
    return True


def upright_mask(upright_node):
    """The segmentation node that `write_upright_mask` has written for an upright volume, or None."""
    return upright_node.GetNodeReference(MASK_REFERENCE)


def is_edited_upright(upright_node) -> bool:
    """Whether somebody has gone on with an upright volume: changed its voxels, or moved it, cropped or not."""
    grid, written = upright_node.GetAttribute(GRID_ATTRIBUTE), upright_node.GetAttribute(VOXELS_ATTRIBUTE)
    if grid is None:
        return False
    if written is None or not has_voxels(upright_node) or upright_node.GetTransformNodeID() is not None:
        return True
    is_in_place = np.allclose(voxel_to_parent(upright_node), json.loads(grid), atol=SAME_PLACE_MM)
    return not is_in_place or json.loads(written) != _checksum(upright_node)


def _checksum(volume_node) -> dict:
    """How many voxels there are along each axis, and a checksum of them, or of every n-th of very many."""
    image = volume_node.GetImageData()
    scalars = vtk_to_numpy(image.GetPointData().GetScalars())
    every = scalars[:: max(1, scalars.size // MOST_CHECKED)]
    return {"shape": list(image.GetDimensions()), "crc32": zlib.crc32(np.ascontiguousarray(every))}


def head_in_upright(upright_node) -> np.ndarray | None:
    """The canonical_to_world pose of the head in a volume that was resliced upright, wherever it was moved since.

    None in another volume, in one under a warp, and in one whose grid is another now, as by cropping.
    """
    text, to_world = upright_node.GetAttribute(GRID_ATTRIBUTE), voxel_to_world(upright_node)
    if text is None or to_world is None or not has_voxels(upright_node):
        return None
    written = upright_node.GetAttribute(VOXELS_ATTRIBUTE)
    if written is not None and json.loads(written)["shape"] != list(upright_node.GetImageData().GetDimensions()):
        return None
    pose = to_world @ np.linalg.inv(np.array(json.loads(text)))
    return pose if np.allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-4) else None


def pose_of_upright(upright_node) -> np.ndarray | None:
    """The canonical_to_world pose that an upright volume was resliced by, in its scan where that lies now.

    None where nobody can tell: an earlier version has written it, or its scan has gone or is another now.
    """
    text, scan_node = upright_node.GetAttribute(POSE_ATTRIBUTE), upright_node.GetNodeReference(VOLUME_REFERENCE)
    if text is None or scan_node is None or not has_voxels(scan_node):
        return None
    noted = json.loads(text)
    try:
        return moved_pose(np.array(noted["canonical_to_world"]), noted["scan"], scan_node)
    except TransformError:
        return None


def pose_in_upright(upright_node, canonical_to_world: np.ndarray | None) -> np.ndarray | None:
    """Where a pose of the scan lies in an upright volume, which may be of another pose; None where nobody can tell."""
    head, of_upright = head_in_upright(upright_node), pose_of_upright(upright_node)
    if head is None or of_upright is None or canonical_to_world is None:
        return None
    return head @ np.linalg.inv(of_upright) @ canonical_to_world


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


def scan_state(volume_node) -> tuple:
    """What changes when a volume node's voxels do, or their place."""
    image = volume_node.GetImageData()
    if image is None:
        return ()
    return image.GetAddressAsString(""), image.GetMTime(), place(volume_node)


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
