"""The list of volumes in which the stacks of one fetus are checked."""

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from E3PoseLib import mrml
from E3PosePanel.observed import Observed

ROLE = "alignedStack"
"""Of the references by which the parameter node knows the volumes that are checked, so that a scene keeps them."""


class StackList(VTKObservationMixin):
    """Offers the scans of the scene but for upright volumes; ``onChanged()`` is called when others are checked."""

    def __init__(self, listWidget, onChanged):
        VTKObservationMixin.__init__(self)
        self._list = listWidget
        self._onChanged = onChanged
        self._parameterNode = None
        self._observed = Observed(self._onModified, vtk.vtkCommand.ModifiedEvent)
        listWidget.connect("itemChanged(QListWidgetItem*)", self._onItemChanged)

    def setParameterNode(self, parameterNode) -> None:
        """Show what a parameter node has checked; nothing with None."""
        self._parameterNode = parameterNode.parameterNode if parameterNode else None
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            if self.hasObserver(scene, event, self.refresh):
                self.removeObserver(scene, event, self.refresh)
            if self._parameterNode is not None:
                self.addObserver(scene, event, self.refresh)
        if self._parameterNode is None:
            self._observed.take()  # also while the scene closes, whose volumes are to go
        self.refresh()

    def checked(self) -> list:
        """The volumes that are checked, in the scene's order."""
        node = self._parameterNode
        count = node.GetNumberOfNodeReferences(ROLE) if node is not None else 0
        chosen = [node.GetNthNodeReference(ROLE, index) for index in range(count)]
        return [volume for volume in self._offered() if volume in chosen]

    def refresh(self, caller=None, event=None) -> None:
        """Offer the scans that are there now."""
        if slicer.mrmlScene.IsImporting() or slicer.mrmlScene.IsClosing():
            return
        offered, checked = self._offered(), self.checked()
        wasBlocked = self._list.blockSignals(True)
        while self._list.count > len(offered):
            self._list.takeItem(self._list.count - 1)
        while self._list.count < len(offered):
            self._list.addItem("")
        for row, volume in enumerate(offered):
            item = self._list.item(row)
            item.setText(volume.GetName())
            item.setData(qt.Qt.UserRole, volume.GetID())
            item.setCheckState(qt.Qt.Checked if volume in checked else qt.Qt.Unchecked)
        self._list.blockSignals(wasBlocked)
        self._observed.take(*offered)

    def stop(self) -> None:
        """Follow the scene no longer."""
        self._observed.take()
        self.removeObservers()

    def _onModified(self, volume, event) -> None:
        """Hear of new names."""
        names = [self._list.item(row).text() for row in range(self._list.count)]
        if names != [one.GetName() for one in self._observed.nodes]:
            self._onChanged()

    def _onItemChanged(self, item) -> None:
        if self._parameterNode is None:
            return
        ids = [
            one.data(qt.Qt.UserRole)
            for one in (self._list.item(row) for row in range(self._list.count))
            if one.checkState() == qt.Qt.Checked
        ]
        wasModifying = self._parameterNode.StartModify()
        self._parameterNode.RemoveNodeReferenceIDs(ROLE)
        for nodeId in ids:
            self._parameterNode.AddNodeReferenceID(ROLE, nodeId)
        self._parameterNode.EndModify(wasModifying)
        self._onChanged()

    def _offered(self) -> list:
        if self._parameterNode is None:
            return []
        volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        return [
            node
            for node in volumes
            if node.GetClassName() == "vtkMRMLScalarVolumeNode"  # no label maps
            and not node.GetHideFromEditors()
            and mrml.head_in_upright(node) is None
        ]
