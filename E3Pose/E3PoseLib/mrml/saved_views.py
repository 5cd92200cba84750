"""Views for a scene that a program saves without a window: what the window would have made, turned to the head."""

import numpy as np
import slicer

from E3PoseLib.mrml.views import STANDARD_PLANES, look_at, show_standard_planes

THREE_D_VIEW = "1"
"""Layout name of Slicer's first 3-D view."""


def open_on_head(scene, volume_node, canonical_to_world: np.ndarray) -> dict:
    """Let a scene, when it is loaded, show a scan in the standard planes of its head, and the head in 3-D.

    Returns what `restore_planes` needs to turn the slice views back.
    """
    if _lacks_presets(scene):
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)  # the patient's right on the left
    for name, orientation in STANDARD_PLANES.items():
        of_layout(scene, "vtkMRMLSliceCompositeNode", name).SetBackgroundVolumeID(volume_node.GetID())
        if scene.GetSingletonNode(name, "vtkMRMLSliceNode") is None:
            of_layout(scene, "vtkMRMLSliceNode", name).SetOrientation(orientation)
    of_layout(scene, "vtkMRMLViewNode", THREE_D_VIEW)
    of_layout(scene, "vtkMRMLCameraNode", THREE_D_VIEW)
    before = show_standard_planes(scene, canonical_to_world)
    look_at(scene, canonical_to_world[:3, 3])
    return before


def _lacks_presets(scene) -> bool:
    """Whether slice views made in a scene know no axial plane, as before the application has made its window."""
    node = scene.CreateNodeByClass("vtkMRMLSliceNode")
    node.UnRegister(None)
    return not node.HasSliceOrientationPreset("Axial")


def of_layout(scene, class_name: str, layout_name: str):
    """The node of a class that belongs to a view; made where there is none."""
    node = scene.GetSingletonNode(layout_name, class_name)
    if node is None:
        node = scene.CreateNodeByClass(class_name)
        node.UnRegister(None)  # it comes with a reference of its own
        node.SetSingletonTag(layout_name)
        node.SetLayoutName(layout_name)
        node = scene.AddNode(node)
    return node
