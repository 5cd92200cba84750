"""What the slice and 3-D views show, and from where: nothing here knows the application, only a scene."""

import json

import numpy as np

from E3PoseLib.mrml.matrices import nodes_of_class, to_numpy, to_vtk
from E3PoseLib.mrml.outputs import is_of
from E3PoseLib.mrml.upright import HEAD_MM

STANDARD_PLANES = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}
PLANE_FIELD_OF_VIEW_MM = HEAD_MM

COMPARISON_VIEW = "E3PoseStack"
"""What the names of the slice views begin with in which aligned stacks are compared, see `mrml.stacks.comparison`."""

HEAD_IN_3D_MM = 0.55 * HEAD_MM
"""Radius of the ball that a 3-D view shows when it looks at a head."""


def slice_nodes(scene) -> dict:
    """The red, yellow and green slice nodes of a scene, by name; those that exist."""
    found = {name: scene.GetSingletonNode(name, "vtkMRMLSliceNode") for name in STANDARD_PLANES}
    return {name: node for name, node in found.items() if node is not None}


def slice_composites(scene) -> dict:
    """The nodes that say which volumes each slice view shows, by the view's name; without those of a comparison."""
    nodes = nodes_of_class(scene, "vtkMRMLSliceCompositeNode")
    found = {node.GetLayoutName(): node for node in nodes}
    return {name: node for name, node in found.items() if not (name or "").startswith(COMPARISON_VIEW)}


def volume_in_views(scene):
    """The volume behind the red view, or else behind another one; None where no view shows any."""
    composites = slice_composites(scene)
    in_order = [composites.pop("Red")] if "Red" in composites else []
    shown = (scene.GetNodeByID(node.GetBackgroundVolumeID() or "") for node in [*in_order, *composites.values()])
    return next((volume for volume in shown if volume is not None), None)


def show_scan(scene, volume_node, previous=None) -> list[str]:
    """Show a scan, or its upright volume, in the slice views instead of ``previous``; the names of the views that show
    it now and did not before.

    What a person has arranged stays: a view that shows a volume other than ``previous``, its results and the volume
    loaded last; one that does not follow the selection of volumes (``DoPropagateVolumeSelection``); and one that shows
    a result of the scan itself.
    """
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    loaded_last = selection.GetActiveVolumeID() if selection is not None else None
    changed = []
    for name, node in slice_composites(scene).items():
        shown = scene.GetNodeByID(node.GetBackgroundVolumeID() or "")
        replaceable = shown is None or shown.GetID() == loaded_last
        if previous is not None and shown is not None:
            replaceable = replaceable or shown == previous or is_of(shown, previous)
        if shown != volume_node and replaceable and node.GetDoPropagateVolumeSelection():
            node.SetBackgroundVolumeID(volume_node.GetID())
            changed.append(name)
    if selection is not None:
        selection.SetActiveVolumeID(volume_node.GetID())
    return changed


def views_of_others(scene, volume_node) -> dict[str, str]:
    """The slice views of the layout that show neither a scan nor a result of it: by name, what they show instead."""
    others = {}
    for name, node in slice_composites(scene).items():
        view = scene.GetSingletonNode(name, "vtkMRMLSliceNode")
        shown = scene.GetNodeByID(node.GetBackgroundVolumeID() or "")
        if view is None or not view.IsMappedInLayout():
            continue
        if shown is None:
            others[name] = ""
        elif shown != volume_node and not is_of(shown, volume_node):
            others[name] = shown.GetName()
    return others


def jump_to(scene, point, volume_node) -> None:
    """Move the slice views that show a volume to a point in world RAS, and centre them there."""
    for name, composite in slice_composites(scene).items():
        view = scene.GetSingletonNode(name, "vtkMRMLSliceNode")
        if view is not None and composite.GetBackgroundVolumeID() == volume_node.GetID():
            view.JumpSliceByCentering(*point)


def look_at(scene, point, radius: float = HEAD_IN_3D_MM) -> None:
    """Centre the 3-D views on a point in world RAS, so that a ball of ``radius`` mm about it fills them.

    Each keeps the direction that it looks in.
    """
    point = np.asarray(point, dtype=float)
    for camera in nodes_of_class(scene, "vtkMRMLCameraNode"):
        direction = np.subtract(camera.GetPosition(), camera.GetFocalPoint())
        length = np.linalg.norm(direction)
        direction = direction / length if length > 0 else np.array([0.0, 1.0, 0.0])
        was_modifying = camera.StartModify()
        camera.SetFocalPoint(*point)
        camera.SetPosition(*(point + direction * radius / np.sin(np.deg2rad(camera.GetViewAngle() / 2))))
        camera.SetParallelScale(radius)
        camera.EndModify(was_modifying)
        camera.ResetClippingRange()


def show_standard_planes(scene, canonical_to_world: np.ndarray) -> dict:
    """Turn the red, yellow and green views to the head's axial, sagittal and coronal planes through its
    centre.

    Returns what `restore_planes` needs to turn them back.
    """
    before = slice_planes(scene)
    for name, node in slice_nodes(scene).items():
        turn_to_plane(node, name, canonical_to_world)
    return before


def turn_to_plane(node, name: str, canonical_to_world: np.ndarray) -> None:
    """Turn a slice view to the plane of a head that the view of a ``name`` in `STANDARD_PLANES` shows."""
    preset = node.GetSliceOrientationPreset(STANDARD_PLANES[name])
    slice_to_canonical = np.eye(4)
    slice_to_canonical[:3, :3] = [[preset.GetElement(i, j) for j in range(3)] for i in range(3)]
    width, height, depth = node.GetFieldOfView()
    zoom = PLANE_FIELD_OF_VIEW_MM / min(width, height)
    set_plane(node, canonical_to_world @ slice_to_canonical, (width * zoom, height * zoom, depth), (0, 0, 0))


def slice_planes(scene) -> dict:
    """Where the red, yellow and green views are, for `restore_planes`."""
    return {
        name: {
            "slice_to_ras": to_numpy(node.GetSliceToRAS()),
            "field_of_view": node.GetFieldOfView(),
            "xyz_origin": node.GetXYZOrigin(),
        }
        for name, node in slice_nodes(scene).items()
    }


def planes_to_text(planes: dict) -> str:
    """What `slice_planes` returns as JSON."""
    return json.dumps({name: {**one, "slice_to_ras": one["slice_to_ras"].tolist()} for name, one in planes.items()})


def planes_from_text(text: str) -> dict:
    """The inverse of `planes_to_text`; raises KeyError, TypeError, AttributeError or ValueError for any other text."""
    return {
        name: {
            "slice_to_ras": np.array(one["slice_to_ras"], dtype=float).reshape(4, 4),
            "field_of_view": tuple(np.array(one["field_of_view"], dtype=float).reshape(3).tolist()),
            "xyz_origin": tuple(np.array(one["xyz_origin"], dtype=float).reshape(3).tolist()),
        }
        for name, one in json.loads(text).items()
    }


def restore_planes(scene, before: dict) -> None:
    """Turn the slice views back to where `show_standard_planes` found them, in the shape that they have now."""
    for name, node in slice_nodes(scene).items():
        if name in before:
            plane = before[name]
            _, height, depth = plane["field_of_view"]
            columns, rows, _ = node.GetDimensions()
            width = height * columns / max(rows, 1)  # a view that is shut has none
            set_plane(node, plane["slice_to_ras"], (width, height, depth), plane["xyz_origin"])


def set_plane(node, slice_to_ras: np.ndarray, field_of_view, xyz_origin) -> None:
    """Put a slice view on a plane, all at once."""
    was_modifying = node.StartModify()
    node.GetSliceToRAS().DeepCopy(to_vtk(slice_to_ras))
    node.SetFieldOfView(*field_of_view)
    node.SetXYZOrigin(*xyz_origin)
    node.UpdateMatrices()
    node.EndModify(was_modifying)
