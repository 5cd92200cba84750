"""The qMRML widgets that the panel uses, on a real MRML scene, with Slicer's property, slot and signal names."""

from PySide6 import QtCore, QtWidgets
from slicer import vtkMRMLScene

from host.pythonqt import shaped


class qMRMLWidget(shaped(QtWidgets.QWidget)):
    """A widget that hands its scene to the widgets in it."""

    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)


def flag(name: str, default: bool = False):
    """A Boolean Qt property of `qMRMLNodeComboBox` that changes what it offers."""

    def write(combo_box, value):
        combo_box._flags[name] = value
        combo_box._refill()

    return QtCore.Property(bool, lambda combo_box: combo_box._flags.get(name, default), write)


class qMRMLNodeComboBox(shaped(QtWidgets.QWidget)):
    """Chooses a node of given classes; where addition is enabled, the last entries create and rename one."""

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeAddedByUser = QtCore.Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None
        self._observations = []
        self._current_id = ""
        self._node_types = []
        self._base_name = ""
        self._flags = {}
        self._none_display = "None"
        self._combo_box = QtWidgets.QComboBox()
        self._combo_box.activated.connect(self._on_activated)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo_box)
        self._refill()

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
        self._refill()

    nodeTypes = QtCore.Property("QStringList", lambda self: self._node_types, _set_node_types)

    def _set_base_name(self, name: str) -> None:
        self._base_name = name

    baseName = QtCore.Property(str, lambda self: self._base_name, _set_base_name)

    def _set_none_display(self, text: str) -> None:
        self._none_display = text
        self._refill()

    noneDisplay = QtCore.Property(str, lambda self: self._none_display, _set_none_display)

    def setMRMLScene(self, scene) -> None:
        for tag in self._observations:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        events = (
            vtkMRMLScene.NodeAddedEvent,
            vtkMRMLScene.NodeRemovedEvent,
            vtkMRMLScene.EndCloseEvent,
        )
        self._observations = [scene.AddObserver(event, self._on_scene_changed) for event in events]
        self._observations.append(scene.AddObserver(vtkMRMLScene.EndImportEvent, self._on_import))
        self._refill()

    def nodes(self) -> list:
        """The nodes on offer, in the scene's order."""
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

    def nodeCount(self) -> int:
        return len(self.nodes())

    def currentNode(self):
        return self._scene.GetNodeByID(self._current_id) if self._scene and self._current_id else None

    @property
    def currentNodeID(self) -> str:
        return self._current_id

    def setCurrentNode(self, node) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id: str | None) -> None:
        offered = {node.GetID() for node in self.nodes()}
        node_id = node_id if node_id in offered else ""
        changed = node_id != self._current_id
        self._current_id = node_id
        self._refill()
        if changed:
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(node_id)

    def addNode(self, class_name: str = ""):
        class_name = class_name or self._node_types[0]
        node = self._scene.AddNewNodeByClass(class_name, self._scene.GenerateUniqueName(self._base_name or class_name))
        self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def _on_import(self, caller, event) -> None:
        # In Slicer all rows go and come again, and for a moment nothing is selected.
        self.setCurrentNodeID("")
        self._on_scene_changed(caller, event)

    def _on_scene_changed(self, caller, event) -> None:
        nodes = self.nodes()
        offered = [node.GetID() for node in nodes]
        if self._current_id not in offered:
            first = offered[0] if offered and not self.noneEnabled else ""
            self.setCurrentNodeID(first)
        else:
            self._refill()

    def _on_activated(self, index: int) -> None:
        data = self._combo_box.itemData(index)
        if data == "add":
            self.addNode()
        elif data == "rename" and (node := self.currentNode()):
            name, accepted = QtWidgets.QInputDialog.getText(self, "Rename", "New name:", text=node.GetName())
            if accepted:
                node.SetName(name)
            self._refill()
        else:
            self.setCurrentNodeID(data)

    def _refill(self) -> None:
        box = self._combo_box
        box.clear()
        if self.noneEnabled or not self._current_id:
            box.addItem(self._none_display if self.noneEnabled else "", "")
        for node in self.nodes():
            box.addItem(node.GetName(), node.GetID())
        if self.addEnabled and self._node_types:
            box.insertSeparator(box.count())
            box.addItem("Create new…", "add")
            if self.renameEnabled:
                box.addItem("Rename current…", "rename")
        box.setCurrentIndex(max(0, box.findData(self._current_id)))


WIDGETS = {cls.__name__: cls for cls in (qMRMLWidget, qMRMLNodeComboBox)}
"""By the class names of the ``.ui`` file."""

COMPARED_AGAINST = ("qMRMLSliderWidget", "qMRMLSpinBox", "qMRMLRangeWidget", "qMRMLCheckableNodeComboBox")
"""Widgets that Slicer's parameter node wrapper names and the panel does not use."""


def install(slicer) -> None:
    """Add the widgets to the ``slicer`` module."""
    for name, widget in WIDGETS.items():
        setattr(slicer, name, widget)
    for name in COMPARED_AGAINST:
        setattr(slicer, name, type(name, (shaped(QtWidgets.QWidget),), {}))
