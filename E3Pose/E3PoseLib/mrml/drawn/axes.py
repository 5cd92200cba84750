"""The head's axes as something to see and to take hold of: three arrows with letters, and a transform's handles.

They are helpers of the panel, for one head at a time: in no list of nodes, and not saved with the scene.
"""

import numpy as np
import vtk

from E3PoseLib.mrml.drawn.placing import placing_kept
from E3PoseLib.mrml.matrices import is_set, to_numpy, to_vtk
from E3PoseLib.mrml.outputs import remove_node

AXES = {"R": (0.9, 0.25, 0.25), "A": (0.3, 0.75, 0.3), "S": (0.35, 0.55, 1.0)}
"""Letter and colour of the head's right, anterior and superior axis."""

ARROW_MM = 65.0
"""Length of the arrows: from the centre of the brain to beyond the scalp, and within the head's standard planes."""


class HeadAxes:
    """Arrows and handles that lie where a head does."""

    def __init__(self):
        self._transform = None
        self._shown = []
        self.is_held = False
        """Whether somebody moves them, and they are not to be placed meanwhile."""

    @property
    def transform(self):
        """The linear transform node that the arrows lie under, or None where none was made yet."""
        return self._transform if is_set(self._transform) else None

    def pose(self) -> np.ndarray:
        """The canonical_to_world pose that arrows and handles stand for, also while somebody drags them."""
        matrix = vtk.vtkMatrix4x4()
        self._transform.GetMatrixTransformToParent(matrix)
        return to_numpy(matrix)

    def place(self, scene, canonical_to_world: np.ndarray) -> None:
        """Put arrows and handles where a head lies; they are made where there are none, and shown by the others."""
        if not is_set(self._transform):
            self._make(scene)
            self.is_held = False
        if not self.is_held and not np.allclose(self.pose(), canonical_to_world):
            self._transform.SetMatrixTransformToParent(to_vtk(canonical_to_world))

    def show_arrows(self, visible: bool) -> None:
        """Show or hide the arrows in the slice and 3-D views."""
        for node in self._shown if is_set(self._transform) else ():
            node.GetDisplayNode().SetVisibility(visible)

    def show_handles(self, visible: bool) -> None:
        """Show or hide handles that turn and move the axes, in the slice and 3-D views."""
        if not is_set(self._transform):
            return
        display = self._transform.GetDisplayNode()
        display.SetEditorVisibility(visible)
        display.SetEditorVisibility3D(visible)
        display.SetEditorSliceIntersectionVisibility(visible)

    def remove(self) -> None:
        """Take all of it out of the scene."""
        for node in [*self._shown, self._transform]:
            if is_set(node):
                remove_node(node)
        self._transform, self._shown = None, []

    def _make(self, scene) -> None:
        self._transform = _add_hidden(scene, "vtkMRMLLinearTransformNode", "Head axes")
        self._transform.CreateDefaultDisplayNodes()
        display = self._transform.GetDisplayNode()
        display.SetSaveWithScene(False)
        for enable in (
            display.SetEditorTranslationEnabled,
            display.SetEditorTranslationSliceEnabled,
            display.SetEditorRotationEnabled,
            display.SetEditorRotationSliceEnabled,
        ):
            enable(True)
        for enable in (display.SetEditorScalingEnabled, display.SetEditorScalingSliceEnabled):
            enable(False)
        self._shown = [_add_arrow(scene, axis, *entry) for axis, entry in enumerate(AXES.items())]
        self._shown.append(_add_letters(scene))
        for node in self._shown:
            node.SetAndObserveTransformNodeID(self._transform.GetID())
        self.show_handles(False)
        self.show_arrows(False)


def _add_hidden(scene, class_name: str, name: str):
    """A node that no selector offers and no scene file keeps."""
    node = scene.CreateNodeByClass(class_name)
    node.UnRegister(None)
    node.SetName(name)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node.SetUndoEnabled(False)
    return scene.AddNode(node)


def _add_arrow(scene, axis: int, letter: str, colour):
    """An arrow from the origin along one of the axes x, y, z."""
    arrow = vtk.vtkArrowSource()
    arrow.SetTipResolution(24)
    arrow.SetShaftResolution(24)
    arrow.SetShaftRadius(0.012)
    arrow.SetTipRadius(0.04)
    arrow.SetTipLength(0.15)
    matrix = np.eye(4)
    matrix[:3, :3] = ARROW_MM * np.roll(np.eye(3), -axis, axis=1)  # the source's arrow points along x
    turn = vtk.vtkTransform()
    turn.SetMatrix(to_vtk(matrix))
    turned = vtk.vtkTransformPolyDataFilter()
    turned.SetTransform(turn)
    turned.SetInputConnection(arrow.GetOutputPort())
    turned.Update()
    model = _add_hidden(scene, "vtkMRMLModelNode", f"Head axis {letter}")
    model.SetAndObservePolyData(turned.GetOutput())
    model.CreateDefaultDisplayNodes()
    display = model.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetColor(*colour)
    display.SetVisibility2D(True)
    display.SetSliceDisplayModeToProjection()  # an arrow that crosses the slice would be a dot
    return model


def _add_letters(scene):
    """The letters at the tips of the arrows."""
    with placing_kept(scene):
        node = _add_hidden(scene, "vtkMRMLMarkupsFiducialNode", "Head axes' letters")
    node.SetLocked(True)
    for axis, letter in enumerate(AXES):
        node.AddControlPoint(vtk.vtkVector3d(*(1.05 * ARROW_MM * np.eye(3)[axis])), letter)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetGlyphTypeFromString("Vertex2D")
    display.SetUseGlyphScale(True)
    display.SetGlyphScale(0.1)
    display.SetTextScale(4.5)
    display.SetSliceProjection(True)
    display.SetSliceProjectionOpacity(1.0)
    display.SetOccludedVisibility(True)
    display.SetOccludedOpacity(1.0)
    for set_colour in (display.SetColor, display.SetSelectedColor):
        set_colour(1.0, 1.0, 1.0)
    return node
