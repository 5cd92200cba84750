"""``qt.QUiLoader``: builds the panel from its ``.ui`` file with the host's widget classes."""

from xml.etree import ElementTree

from PySide6 import QtCore, QtUiTools

from host import ctk_widgets, mrml_widgets
from host.pythonqt import shape


class UiLoader(QtUiTools.QUiLoader):
    """Qt's own loader; it makes its connections in Python, as the qMRML signals carry Python objects here."""

    def createWidget(self, class_name, parent=None, name=""):
        for module in (mrml_widgets, ctk_widgets):
            if class_name in module.WIDGETS:
                widget = module.WIDGETS[class_name](parent)
                break
        else:
            widget = shape(class_name)(parent)
        widget.setObjectName(name)
        self._created[name] = widget
        return widget

    def load(self, device, parent=None):
        form = ElementTree.fromstring(bytes(device.readAll()))
        connections = form.find("connections")
        form.remove(connections)
        self._created = {}
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(form))
        buffer.open(QtCore.QBuffer.OpenModeFlag.ReadOnly)
        widget = super().load(buffer, parent)
        for connection in connections:
            sender, signal, receiver, slot = (
                connection.findtext(tag) for tag in ("sender", "signal", "receiver", "slot")
            )
            method = getattr(self._created[receiver], slot.partition("(")[0])
            getattr(self._created[sender], signal.partition("(")[0]).connect(method)
        return widget
