"""The controls of the brain mask: where it is shown, and how opaque."""

import slicer

from E3PoseLib import mrml
from E3PosePanel.observed import Observed


class MaskControls:
    """Ties the check boxes and the slider, by the parameters, to the mask that goes with what the `Views` show."""

    def __init__(self, views):
        self._views = views
        self._parameterNode = None
        self._observed = Observed(self._read, slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent)
        self._shown = None

    def setParameterNode(self, parameterNode) -> None:
        """Follow another parameter node, or none."""
        self._parameterNode = parameterNode
        self._observed.take()
        self.refresh()

    def show(self) -> None:
        """Show the mask as its controls want it."""
        segmentation, self._shown = self._views.mask(), self._wanted()
        if segmentation and mrml.has_mask(segmentation):
            self._observed.take()  # what it says while it is half changed is not to be read
            mrml.show_mask(segmentation, *self._shown)
            self._observed.take(segmentation)

    def showAsWanted(self, segmentation) -> None:
        """Show a mask that was just made as the controls want it, before they tell how it is shown itself."""
        if segmentation and mrml.has_mask(segmentation):
            mrml.show_mask(segmentation, *self._wanted())

    def refresh(self) -> None:
        """Show the mask as its controls want it where they were changed; of another mask they tell how it is shown."""
        if self._parameterNode is None:
            return
        if self._views.mask() != self._segmentation:
            self._observed.take(self._views.mask())
            self._read()
        elif self._shown != self._wanted():
            self.show()
        elif self._segmentation and self._shown[1] and mrml.is_in_sequence(self._segmentation):
            mrml.make_surface(self._segmentation)  # a saved sequence has none

    def _read(self, caller=None, event=None) -> None:
        """Let the controls tell where the mask is shown and how opaque, whoever has changed it."""
        if self._segmentation and (
            mrml.is_put_aside(self._segmentation) or slicer.mrmlScene.IsUndoing() or slicer.mrmlScene.IsRedoing()
        ):
            return
        if self._segmentation and mrml.has_mask(self._segmentation):
            parameters = self._parameterNode
            in2D, in3D = mrml.mask_visibility(self._segmentation)
            opacity = mrml.mask_opacity(self._segmentation)
            self._shown = in2D, in3D, opacity
            with slicer.util.NodeModify(parameters.parameterNode):  # all at once, or one would be shown as it was
                parameters.showMask2D, parameters.showMask3D, parameters.maskOpacity = in2D, in3D, opacity
        else:
            self._shown = self._wanted()

    @property
    def _segmentation(self):
        """The mask whose controls these are, or None."""
        return self._observed.node

    def _wanted(self) -> tuple[bool, bool, float]:
        """Whether in slices and in 3-D, and how opaque."""
        return self._parameterNode.showMask2D, self._parameterNode.showMask3D, self._parameterNode.maskOpacity
