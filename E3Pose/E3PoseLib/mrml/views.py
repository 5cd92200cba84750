"""The slice views, turned to the head and back."""

import numpy as np

from E3PoseLib.mrml.matrices import to_numpy, to_vtk

STANDARD_PLANES = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}
PLANE_FIELD_OF_VIEW_MM = 180.0


def slice_nodes(scene) -> dict:
    """The red, yellow and green slice nodes of a scene, by name; those that exist."""
    found = {name: scene.GetSingletonNode(name, "vtkMRMLSliceNode") for name in STANDARD_PLANES}
    return {name: node for name, node in found.items() if node is not None}


def show_standard_planes(scene, canonical_to_world: np.ndarray) -> dict:
    """Turn the red, yellow and green views to the head's axial, sagittal and coronal planes through its
    centre.

    Returns what `restore_planes` needs to turn them back.
    """
    before = {}
    for name, node in slice_nodes(scene).items():
        before[name] = {
            "slice_to_ras": to_numpy(node.GetSliceToRAS()),
            "field_of_view": node.GetFieldOfView(),
            "xyz_origin": node.GetXYZOrigin(),
        }
        preset = node.GetSliceOrientationPreset(STANDARD_PLANES[name])
        slice_to_canonical = np.eye(4)
        slice_to_canonical[:3, :3] = [[preset.GetElement(i, j) for j in range(3)] for i in range(3)]
        width, height, depth = node.GetFieldOfView()
        zoom = PLANE_FIELD_OF_VIEW_MM / min(width, height)
        set_plane(node, canonical_to_world @ slice_to_canonical, (width * zoom, height * zoom, depth), (0, 0, 0))
    return before


def restore_planes(scene, before: dict) -> None:
    """Turn the slice views back to where `show_standard_planes` found them, in the shape that they have now."""
    for name, node in slice_nodes(scene).items():
        if name in before:
            plane = before[name]
            _, height, depth = plane["field_of_view"]
            columns, rows, _ = node.GetDimensions()
            set_plane(node, plane["slice_to_ras"], (height * columns / rows, height, depth), plane["xyz_origin"])


def set_plane(node, slice_to_ras: np.ndarray, field_of_view, xyz_origin) -> None:
    """Put a slice view on a plane, all at once."""
    was_modifying = node.StartModify()
    node.GetSliceToRAS().DeepCopy(to_vtk(slice_to_ras))
    node.SetFieldOfView(*field_of_view)
    node.SetXYZOrigin(*xyz_origin)
    node.UpdateMatrices()
    node.EndModify(was_modifying)
