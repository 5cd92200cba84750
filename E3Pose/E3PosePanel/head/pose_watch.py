"""Notices that others change the selected pose transform: scripts, other modules, the transform's own handles."""

import qt
import slicer


class PoseWatch:
    """Calls ``onChanged()`` after the selected pose transform was changed, once the program has time for it.

    `refresh` is called with every refresh of the panel, which makes one that waits needless.
    """

    def __init__(self, onChanged):
        self._parameterNode = None
        self._transform = self._tag = None
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
        transform = self._parameterNode.outputTransform if self._parameterNode else None
        if transform == self._transform:
            return
        if self._tag is not None:
            self._transform.RemoveObserver(self._tag)
        event = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        self._tag = transform.AddObserver(event, self._onModified) if transform else None
        self._transform = transform

    def _onModified(self, caller, event) -> None:
        self._timer.start()
