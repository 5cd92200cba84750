"""The views that compare aligned stacks: shown by a button, and followed while they are."""

import numpy as np
import slicer
import vtk
from slicer.util import VTKObservationMixin

from E3PoseLib import mrml
from E3PosePanel.observed import Observed


def registerLayouts() -> None:
    """Let Slicer know the layouts before a scene is loaded that was saved in one: without them no view would show."""
    mrml.register_layouts(slicer.mrmlScene)


class Comparison(VTKObservationMixin):
    """Shows the latest alignment in a layout of its own, and the layout before again.

    The layout before is kept in the scene, so one that was saved while stacks were compared leads back too. Where a
    person changes the layout otherwise, the comparison is over. ``views`` are the panel's `Views`, whose masks show
    again when it is.
    """

    def __init__(self, button, views):
        VTKObservationMixin.__init__(self)
        self._button = button
        self._views = views
        self._parameterNode = None
        self._stacks = []
        self._poses = None
        self._observed = Observed(self._onMoved, slicer.vtkMRMLTransformableNode.TransformModifiedEvent)
        registerLayouts()  # where the module is loaded after the start
        if (layout := mrml.layout_node(slicer.mrmlScene)) is not None:
            self.addObserver(layout, vtk.vtkCommand.ModifiedEvent, self._onLayout)
        button.connect("toggled(bool)", self._onButton)

    def setParameterNode(self, parameterNode) -> None:
        """Follow another parameter node; with it comes a comparison that its scene was saved in."""
        self._parameterNode = parameterNode
        self._take([])
        if parameterNode is None:
            return
        if parameterNode.layoutBefore and mrml.is_compared(slicer.mrmlScene) and self._latest():
            self._show()
        elif parameterNode.layoutBefore:
            self.end()

    def refresh(self) -> None:
        """Follow the stacks, and end where there is nothing to compare any more."""
        latest = self._latest()
        self._button.enabled = bool(latest) and mrml.layout_node(slicer.mrmlScene) is not None
        if not self._stacks:
            return
        if not mrml.is_compared(slicer.mrmlScene) or not latest:
            self.end()
        elif latest != self._stacks:
            self._show()
        else:
            mrml.show_compared_masks(slicer.mrmlScene, self._stacks)

    def show(self) -> None:
        """Compare the latest alignment."""
        self._button.checked = True

    def end(self) -> None:
        """Go back to the layout before."""
        parameters, scene = self._parameterNode, slicer.mrmlScene
        self._take([])
        if parameters is not None and parameters.layoutBefore:
            before, parameters.layoutBefore = parameters.layoutBefore, 0
            mrml.end_comparison(scene, mrml.alignments(scene), before)
            self._views.showMasks()
            self._views.refresh()
        self._press(False)

    def stop(self) -> None:
        """Go back, and follow the layout no longer."""
        self.end()
        self.removeObservers()

    def _latest(self) -> list:
        found = mrml.alignments(slicer.mrmlScene)
        return mrml.compared_stacks(found[-1]) if found else []

    def _onButton(self, checked: bool) -> None:
        if checked and self._latest():
            self._parameterNode.layoutBefore = mrml.layout_node(slicer.mrmlScene).GetViewArrangement()
            self._show()
        elif not checked:
            self.end()

    def _show(self) -> None:
        self._take([])  # before the layout changes, which ends what is shown
        stacks = self._latest()
        mrml.show_comparison(slicer.mrmlScene, stacks)
        self._take(stacks)
        self._press(True)
        self._views.refresh()  # which tells what the views show that are seen

    def _take(self, stacks: list) -> None:
        """Follow other stacks where they are moved, or none."""
        self._observed.take(*(stack.volume for stack in stacks))
        self._stacks = stacks
        self._poses = mrml.poses_of(stacks) if stacks else None

    def _onMoved(self, caller, event) -> None:
        stacks = self._latest()
        if stacks != self._stacks:
            self.refresh()
        elif not np.allclose(poses := mrml.poses_of(stacks), self._poses):
            self._poses = poses
            mrml.turn_comparison(slicer.mrmlScene, stacks)

    def _onLayout(self, caller, event) -> None:
        if self._stacks and not mrml.is_compared(slicer.mrmlScene):
            self.end()

    def _press(self, checked: bool) -> None:
        wasBlocked = self._button.blockSignals(True)
        self._button.checked = checked
        self._button.blockSignals(wasBlocked)
