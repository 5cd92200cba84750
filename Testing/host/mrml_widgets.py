"""The qMRML widgets that the panel uses, on a real MRML scene, with Slicer's property, slot and signal names."""

from PySide6 import QtCore, QtWidgets

from host.node_combo_box import qMRMLNodeComboBox
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
