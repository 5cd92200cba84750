"""``qMRMLNodeComboBox``: what it selects when nodes come, go, hide or are renamed.

The rows are those of Slicer: *None*, the nodes in the scene's order, the actions. When the selected row is removed,
Qt's combo box **selects the row above** (Qt 5; the one below in the latest Qt 6), which may be another node of the
class, and whoever is bound to the selector is told of it as of a person's choice.
"""

from PySide6 import QtCore, QtGui, QtWidgets
from slicer import vtkMRMLScene
from vtkmodules.util.misc import calldata_type
from vtkmodules.vtkCommonCore import VTK_OBJECT, vtkCommand

from host.pythonqt import shaped

NODE_ID = QtCore.Qt.ItemDataRole.UserRole

BEFORE_REMOVAL, AFTER_ADDITION = -10.0, 10.0
"""Priorities at which Slicer's selectors observe a scene: whoever observes it at 0 comes before a row is removed."""


def flag(name: str, default: bool = False):
    """A Boolean Qt property of `qMRMLNodeComboBox` that changes what it offers."""

    def write(combo_box, value):
        combo_box._flags[name] = value
        combo_box._rebuild()

    return QtCore.Property(bool, lambda combo_box: combo_box._flags.get(name, default), write)


class qMRMLNodeComboBox(shaped(QtWidgets.QWidget)):
    """Chooses a node of given classes; below the nodes are actions that rename, create and delete one."""

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeAddedByUser = QtCore.Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None
        self._observations = []
        self._node_observations = {}
        self._node_types = []
        self._base_name = ""
        self._flags = {}
        self._none_display = "None"
        self._rows = QtGui.QStandardItemModel(self)
        self._combo_box = QtWidgets.QComboBox()
        self._combo_box.setModel(self._rows)
        self._combo_box.currentIndexChanged.connect(self._on_current_changed)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo_box)

    showHidden = flag("showHidden")
    showChildNodeTypes = flag("showChildNodeTypes", True)
    noneEnabled = flag("noneEnabled")
    addEnabled = flag("addEnabled", True)
    removeEnabled = flag("removeEnabled", True)
    editEnabled = flag("editEnabled")
    renameEnabled = flag("renameEnabled")
    selectNodeUponCreation = flag("selectNodeUponCreation", True)

    def _set_node_types(self, names) -> None:
        self._node_types = list(names)
        self._rebuild()

    nodeTypes = QtCore.Property("QStringList", lambda self: self._node_types, _set_node_types)

    def _set_base_name(self, name: str) -> None:
        self._base_name = name

    baseName = QtCore.Property(str, lambda self: self._base_name, _set_base_name)

    def _set_none_display(self, text: str) -> None:
        self._none_display = text
        self._rebuild()

    noneDisplay = QtCore.Property(str, lambda self: self._none_display, _set_none_display)

    def setMRMLScene(self, scene) -> None:
        for tag in self._observations:
            self._scene.RemoveObserver(tag)
        self._scene = scene

        @calldata_type(VTK_OBJECT)
        def remove_row(caller, event, node):
            if not scene.IsClosing():
                self._remove_row_of(node.GetID())

        # While a scene is imported its nodes have no valid numbers yet: their rows come when it is over.
        observers = (
            (vtkMRMLScene.NodeAddedEvent, lambda caller, event: scene.IsImporting() or self._sync(), AFTER_ADDITION),
            (vtkMRMLScene.NodeAboutToBeRemovedEvent, remove_row, BEFORE_REMOVAL),
            (vtkMRMLScene.EndCloseEvent, lambda caller, event: self._fill_anew(), 0.0),
            (vtkMRMLScene.EndImportEvent, lambda caller, event: self._fill_anew(), 0.0),
        )
        self._observations = [scene.AddObserver(*observer) for observer in observers]
        self._rebuild()

    def _offered(self) -> list:
        """The scene's nodes that the selector may show, in the scene's order."""
        if self._scene is None:
            return []
        found = []
        for name in self._node_types:
            for index in range(self._scene.GetNumberOfNodesByClass(name)):
                node = self._scene.GetNthNodeByClass(index, name)
                exact = self.showChildNodeTypes or node.GetClassName() == name
                if exact and (self.showHidden or not node.GetHideFromEditors()):
                    found.append(node)
        return found

    def nodes(self) -> list:
        """The nodes on offer, in the scene's order."""
        return [node for row in range(self._rows.rowCount()) if (node := self._node_in(row)) is not None]

    def nodeCount(self) -> int:
        return len(self.nodes())

    def currentNode(self):
        return self._node_in(self._combo_box.currentIndex())

    @property
    def currentNodeID(self) -> str:
        node = self.currentNode()
        return node.GetID() if node is not None else ""

    def setCurrentNode(self, node) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id: str | None) -> None:
        row = self._row_of(node_id) if node_id else None
        self._combo_box.setCurrentIndex(self._none_row() if row is None else row)

    def addNode(self, class_name: str = ""):
        class_name = class_name or self._node_types[0]
        node = self._scene.AddNewNodeByClass(class_name, self._scene.GenerateUniqueName(self._base_name or class_name))
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        """The action *Delete current*: it removes the node from the scene, and the scene tells of it."""
        self._scene.RemoveNode(self.currentNode())

    def _none_row(self) -> int:
        return 0 if self.noneEnabled else -1

    def _row_of(self, node_id: str) -> int | None:
        rows = range(self._rows.rowCount())
        return next((row for row in rows if self._rows.item(row).data(NODE_ID) == node_id), None)

    def _node_in(self, row: int):
        item = self._rows.item(row) if row >= 0 else None
        node_id = item.data(NODE_ID) if item is not None else None
        return self._scene.GetNodeByID(node_id) if node_id else None

    def _actions(self) -> list[str]:
        offered = ((self.renameEnabled, "Rename"), (self.addEnabled, "Create new"), (self.removeEnabled, "Delete"))
        return [f"{text}…" for enabled, text in offered if enabled]

    def _rebuild(self) -> None:
        """All rows anew, as the properties say; what was selected is selected again."""
        selected = self.currentNodeID
        was_blocked = self._combo_box.blockSignals(True)
        self._rows.clear()
        if self.noneEnabled:
            self._rows.appendRow(QtGui.QStandardItem(self._none_display))
        for text in self._actions():
            item = QtGui.QStandardItem(text)
            item.setFlags(QtCore.Qt.ItemFlag.ItemIsEnabled)  # but cannot be selected
            self._rows.appendRow(item)
        self._sync()
        self.setCurrentNodeID(selected)
        self._combo_box.blockSignals(was_blocked)

    def _fill_anew(self) -> None:
        """All nodes' rows go and come again; for a moment nothing is selected, and who is bound is told so."""
        for node_id in list(self._node_observations):
            self._unfollow(node_id)
        first = self._none_row() + 1
        self._remove_rows(first, self._rows.rowCount() - first - len(self._actions()))
        self._sync()

    def _sync(self) -> None:
        """Rows for the nodes that have come or have been shown, none for those that have been hidden; names as now."""
        offered = self._offered()
        kept = {node.GetID() for node in offered}
        for row in reversed(range(self._rows.rowCount())):
            node_id = self._rows.item(row).data(NODE_ID)
            if node_id and node_id not in kept:
                self._remove_rows(row, 1)
        for row, node in enumerate(offered, self._none_row() + 1):
            item = self._rows.item(row)
            if item is None or item.data(NODE_ID) != node.GetID():
                item = QtGui.QStandardItem(node.GetName())
                item.setData(node.GetID(), NODE_ID)
                self._rows.insertRow(row, item)
                self._follow(node)
            elif item.text() != node.GetName():
                item.setText(node.GetName())

    def _follow(self, node) -> None:
        if node.GetID() not in self._node_observations:
            tag = node.AddObserver(vtkCommand.ModifiedEvent, lambda caller, event: self._on_node_modified())
            self._node_observations[node.GetID()] = tag

    def _unfollow(self, node_id: str) -> None:
        tag = self._node_observations.pop(node_id, None)
        node = self._scene.GetNodeByID(node_id)
        if node is not None and tag is not None:
            node.RemoveObserver(tag)

    def _on_node_modified(self) -> None:
        if not (self._scene.IsImporting() or self._scene.IsClosing()):
            self._sync()

    def _remove_row_of(self, node_id: str) -> None:
        self._unfollow(node_id)
        row = self._row_of(node_id)
        if row is not None:
            self._remove_rows(row, 1)

    def _remove_rows(self, first: int, count: int) -> None:
        before = self._combo_box.currentIndex()
        was_blocked = self._combo_box.blockSignals(True)
        self._rows.removeRows(first, count)
        if before >= first + count:
            after = before - count
        elif before >= first:
            after = before - 1 if before > 0 else -1  # as Qt 5 does it; the latest Qt 6 stays in the row
            after = min(after, self._rows.rowCount() - 1)
        else:
            after = before
        self._combo_box.setCurrentIndex(after)
        self._combo_box.blockSignals(was_blocked)
        if after != before:
            self._on_current_changed(after)
        if self.currentNode() is None:
            self.setCurrentNodeID(None)

    def _on_current_changed(self, row: int) -> None:
        node = self.currentNode()
        if node is None and row != self._none_row():  # an action's row is no choice
            nodes = self.nodes()
            if nodes:
                self.setCurrentNode(nodes[-1])
            return
        self.currentNodeChanged.emit(node)
        self.currentNodeIDChanged.emit(self.currentNodeID)
