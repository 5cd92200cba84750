"""Notices that others change the selected pose transform: scripts, other modules, the transform's own handles."""

import qt
import slicer

from E3PosePanel.observed import Observed


class PoseWatch:
    """Calls ``onChanged()`` after the selected pose transform was changed, once the program has time for it.

    `refresh` is called with every refresh of the panel, which makes one that waits needless.
    """

    def __init__(self, onChanged):
        self._parameterNode = None
        event = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        self._observed = Observed(lambda caller, event: self._timer.start(), event)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", onChanged)

    def setParameterNode(self, parameterNode) -> None:
        """Follow another parameter node, or none."""
        self._parameterNode = parameterNode
        self.refresh()

    def refresh(self) -> None:
        """Watch the transform that is selected now; what it holds has just been told."""
        self._timer.stop()
        self._observed.take(self._parameterNode.outputTransform if self._parameterNode else None)
