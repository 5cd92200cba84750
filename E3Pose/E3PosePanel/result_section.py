"""The section Result: the pose in words, the views turned to it, the mask shown, the scan resliced."""

import numpy as np
import slicer
from slicer.i18n import tr as _

from E3PoseLib import mrml
from E3PoseLib.errors import E3PoseError
from E3PosePanel import result_text


class ResultSection:
    """Shows what the selected output nodes hold; ``onFailed(error)`` is called where a button can do nothing."""

    def __init__(self, ui, logic, outputs, showMessage, onFailed):
        self._ui = ui
        self._logic = logic
        self._outputs = outputs
        self._showMessage = showMessage
        self._onFailed = onFailed
        self._parameterNode = None
        self._viewsBefore = None
        self._poseInViews = None
        self._segmentation = self._maskTag = None
        self._maskShown = None
        ui.standardPlanesButton.connect("toggled(bool)", self.onStandardPlanesButton)
        ui.resliceButton.connect("clicked(bool)", self.onResliceButton)
        self.clear()

    def setParameterNode(self, parameterNode) -> None:
        """Show the result that a parameter node names; a hidden mask stays so. With None nothing changes yet."""
        self._parameterNode = parameterNode
        self._observeMask(None)
        self.refresh()

    def refresh(self) -> None:
        """Show what the selected nodes hold now."""
        if self._parameterNode is None:
            return
        transform = self._parameterNode.outputTransform
        result = mrml.read_result(transform)
        if result is not None and "warnings" in result:
            result["warnings"] += mrml.changes_since(transform)
        self._show(result)
        self._turnViewsAlong()
        self._followMaskControls()

    def clear(self) -> None:
        """Show no result, and turn the views back."""
        self._show(None)

    def showMask(self) -> None:
        """Show the mask as its controls want it."""
        segmentation, self._maskShown = self._parameterNode.outputSegmentation, self._maskWanted()
        if segmentation and mrml.has_mask(segmentation):
            self._observeMask(None)  # what it says while it is half changed is not to be read
            mrml.show_mask(segmentation, *self._maskShown)
            self._observeMask(segmentation)

    def reslice(self, volume) -> None:
        """Reslice a scan along the head's axes."""
        parameters = self._parameterNode
        target, reason = self._outputs.place("reslicedVolume", volume)
        try:
            upright = self._logic.resliceVolume(volume, parameters.outputTransform, target, parameters.reslicedSpacing)
        except (E3PoseError, MemoryError) as error:
            self._onFailed(error)
            return
        self._outputs.select("reslicedVolume", upright)
        name, pose = upright.GetName(), parameters.outputTransform
        if mrml.is_of_another(pose, volume):
            words = _("Resliced into {name}, by the pose of another scan: {pose}.")
        elif changes := mrml.changes_since(pose):
            words = _("Resliced into {name}; {changes}.").replace("{changes}", "; ".join(changes))
        else:
            words = _("Resliced into {name}.")
        if reason:
            words += " " + _("It is a new volume: {reason}.").replace("{reason}", reason)
        self._showMessage(words.format(name=name, pose=pose.GetName()))

    def onResliceButton(self, checked=False) -> None:
        self.reslice(self._parameterNode.inputVolume)

    def onStandardPlanesButton(self, checked: bool) -> None:
        """Turn the slice views to the head's planes, and back."""
        if not checked:
            self.turnViewsBack()
            return
        try:
            self._poseInViews = mrml.head_pose(self._parameterNode.outputTransform)
        except E3PoseError as error:
            self._ui.standardPlanesButton.checked = False
            self._onFailed(error)
            return
        self._viewsBefore = mrml.show_standard_planes(slicer.mrmlScene, self._poseInViews)

    def turnViewsBack(self) -> None:
        """Turn the slice views to where they were before they showed the head's planes."""
        if self._viewsBefore is not None:
            mrml.restore_planes(slicer.mrmlScene, self._viewsBefore)
        self._viewsBefore = self._poseInViews = None

    def _show(self, result: dict | None) -> None:
        isComplete = result is not None and "confidence" in result
        for name in ("position", "rotation", "confidence", "warnings", "computed"):
            getattr(self._ui, f"{name}Label").text = getattr(result_text, name)(result) if isComplete else "–"
        if result is None:
            self._ui.standardPlanesButton.checked = False  # turns the views back
        self._ui.standardPlanesButton.enabled = result is not None
        self._ui.resliceButton.enabled = result is not None

    def _turnViewsAlong(self) -> None:
        """Follow the pose, where the views show its planes; while it stays, so do views that a person has turned."""
        if self._poseInViews is None:
            return
        try:
            pose = mrml.head_pose(self._parameterNode.outputTransform)
        except E3PoseError:
            self._ui.standardPlanesButton.checked = False  # turns the views back
            return
        if not np.allclose(pose, self._poseInViews):
            mrml.show_standard_planes(slicer.mrmlScene, pose)
            self._poseInViews = pose

    def _followMaskControls(self) -> None:
        """Show the mask as its controls want it where they were changed; of another mask they tell how it is shown."""
        if self._parameterNode.outputSegmentation != self._segmentation:
            self._observeMask(self._parameterNode.outputSegmentation)
            self._readMaskControls()
        elif self._maskShown != self._maskWanted():
            self.showMask()

    def _readMaskControls(self, caller=None, event=None) -> None:
        """Let the check boxes tell where the selected mask is shown, whoever has shown or hidden it."""
        if self._segmentation and mrml.is_put_aside(self._segmentation):
            return
        if self._segmentation and mrml.has_mask(self._segmentation):
            parameters = self._parameterNode
            in2D, in3D = mrml.mask_visibility(self._segmentation)
            self._maskShown = in2D, in3D, parameters.maskOpacity
            parameters.showMask2D, parameters.showMask3D = in2D, in3D
        else:
            self._maskShown = self._maskWanted()

    def _observeMask(self, segmentation) -> None:
        """Follow how another mask is shown, or none."""
        if self._maskTag is not None:
            self._segmentation.RemoveObserver(self._maskTag)
        self._segmentation, self._maskTag = segmentation, None
        if segmentation:
            event = slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent
            self._maskTag = segmentation.AddObserver(event, self._readMaskControls)

    def _maskWanted(self) -> tuple[bool, bool, float]:
        """Whether in slices and in 3-D, and how opaque."""
        return self._parameterNode.showMask2D, self._parameterNode.showMask3D, self._parameterNode.maskOpacity
