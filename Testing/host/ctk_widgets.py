"""The CTK widgets that the panel uses, with CTK's property and signal names."""

import types

from PySide6 import QtCore, QtGui, QtWidgets

from host.pythonqt import shaped


class ctkCollapsibleButton(shaped(QtWidgets.QAbstractButton)):
    """A section's header that hides its contents; the contents' layout is the button's own.

    Its heights are CTK's: of the layout with room for the header above it, and 14 pixels more than the header when
    closed.
    """

    COLLAPSED_HEIGHT = 14

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._collapsed = False
        self._closed_over = []
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(0, self._header_size().height(), 0, 0)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)
        self.toggled.connect(lambda opened: self._collapse(not opened))

    def _header_size(self) -> QtCore.QSize:
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        text = self.fontMetrics().size(QtCore.Qt.TextFlag.TextShowMnemonic, QtWidgets.QAbstractButton.text(self))
        indicator = self.style().pixelMetric(QtWidgets.QStyle.PixelMetric.PM_IndicatorHeight, option, self)
        contents = QtCore.QSize(text.width() + indicator, max(text.height(), indicator))
        return self.style().sizeFromContents(QtWidgets.QStyle.ContentsType.CT_PushButton, option, contents, self)

    def _collapse(self, collapsed: bool) -> None:
        self._collapsed = collapsed
        self.setChecked(not collapsed)
        # What the module itself has hidden stays so when the section opens.
        children = self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly)
        if collapsed:
            self._closed_over += [child for child in children if not child.isHidden()]
        for child in self._closed_over:
            child.setVisible(not collapsed)
        if not collapsed:
            self._closed_over.clear()
        self.setMaximumHeight(self.sizeHint().height() if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    collapsed = QtCore.Property(bool, lambda self: self._collapsed, _collapse)

    def showEvent(self, event):
        super().showEvent(event)
        if self._collapsed:
            self._collapse(True)

    def sizeHint(self):
        below = QtCore.QSize(0, self.COLLAPSED_HEIGHT)
        if self._collapsed:
            return self._header_size() + below
        return QtWidgets.QWidget.sizeHint(self).expandedTo(self._header_size() + below)

    def minimumSizeHint(self):
        if self._collapsed:
            return self.sizeHint()
        return QtWidgets.QWidget.minimumSizeHint(self).expandedTo(self._header_size())

    def paintEvent(self, event):
        painter = QtGui.QPainter(self)
        header = QtCore.QRect(0, 0, QtWidgets.QWidget.width(self), self._header_size().height())
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = header
        self.style().drawControl(QtWidgets.QStyle.ControlElement.CE_PushButtonBevel, option, painter, self)
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(6, header.center().y() - 5, 11, 11)
        element = QtWidgets.QStyle.PrimitiveElement
        shape = element.PE_IndicatorArrowRight if self._collapsed else element.PE_IndicatorArrowDown
        self.style().drawPrimitive(shape, arrow, painter, self)
        text = QtWidgets.QAbstractButton.text(self)
        painter.drawText(header.adjusted(24, 0, 0, 0), QtCore.Qt.AlignVCenter | QtCore.Qt.AlignLeft, text)


class ctkSliderWidget(shaped(QtWidgets.QWidget)):
    """A slider and a spin box that show one number."""

    STEPS = 1000

    valueChanged = QtCore.Signal(float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._spin_box = QtWidgets.QDoubleSpinBox()
        self._slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self._slider.setRange(0, self.STEPS)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        layout.addWidget(self._spin_box)
        self._spin_box.valueChanged.connect(self._on_spin_box)
        self._slider.sliderMoved.connect(self._on_slider)

    def _fraction(self, value: float) -> float:
        span = self._spin_box.maximum() - self._spin_box.minimum()
        return (value - self._spin_box.minimum()) / span if span else 0.0

    def _on_spin_box(self, value: float) -> None:
        self._slider.setValue(round(self._fraction(value) * self.STEPS))
        self.valueChanged.emit(value)

    def _on_slider(self, step: int) -> None:
        span = self._spin_box.maximum() - self._spin_box.minimum()
        self._spin_box.setValue(self._spin_box.minimum() + span * step / self.STEPS)

    def setValue(self, value: float) -> None:
        self._spin_box.setValue(value)

    value = QtCore.Property(float, lambda self: self._spin_box.value(), setValue)
    minimum = QtCore.Property(float, lambda s: s._spin_box.minimum(), lambda s, v: s._spin_box.setMinimum(v))
    maximum = QtCore.Property(float, lambda s: s._spin_box.maximum(), lambda s, v: s._spin_box.setMaximum(v))
    decimals = QtCore.Property(int, lambda s: s._spin_box.decimals(), lambda s, v: s._spin_box.setDecimals(v))
    singleStep = QtCore.Property(float, lambda s: s._spin_box.singleStep(), lambda s, v: s._spin_box.setSingleStep(v))
    suffix = QtCore.Property(str, lambda s: s._spin_box.suffix(), lambda s, v: s._spin_box.setSuffix(v))


class ctkMessageBox(shaped(QtWidgets.QMessageBox)):
    """Slicer's message boxes; tests answer them through `Application.message_box_answers`."""

    dontShowAgainSettingsKey = ""

    def exec_(self) -> int:
        return self.exec()


WIDGETS = {cls.__name__: cls for cls in (ctkCollapsibleButton, ctkSliderWidget, ctkMessageBox)}


def make_ctk_module() -> types.ModuleType:
    """The ``ctk`` module; a widget the panel does not use is an empty class, there to be compared against."""
    module = types.ModuleType("ctk", "CTK's widgets.")
    vars(module).update(WIDGETS)

    def unused(name: str) -> type:
        if not name.startswith("ctk"):
            raise AttributeError(f"module 'ctk' has no attribute {name!r}")
        setattr(module, name, type(name, (shaped(QtWidgets.QWidget),), {}))
        return getattr(module, name)

    module.__getattr__ = unused
    return module
