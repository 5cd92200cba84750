"""``qSlicerModulePanel``: the scrolled column that holds the open module's widget under its help."""

from PySide6 import QtCore, QtWidgets

from host.ctk_widgets import ctkCollapsibleButton
from host.pythonqt import shaped


class Column(QtWidgets.QVBoxLayout):
    """The layout of what is scrolled.

    Slicer's does not ask how high its contents are at the width that they have: a word-wrapped label was seen there
    with 59 of the 94 pixels that it needs.
    """

    def hasHeightForWidth(self):
        return False


class ModulePanel(shaped(QtWidgets.QScrollArea)):
    """Set up as in Slicer's ``qSlicerModulePanel.ui``: scrolls up and down only, and fits its contents to its width."""

    def __init__(self):
        super().__init__()
        policy = QtWidgets.QSizePolicy.Policy
        self.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidgetResizable(True)
        contents = QtWidgets.QWidget()
        contents.setSizePolicy(policy.Minimum, policy.Preferred)
        column = Column(contents)
        column.setSizeConstraint(QtWidgets.QLayout.SizeConstraint.SetMinAndMaxSize)
        column.setContentsMargins(0, 0, 0, 0)
        self._help_text = QtWidgets.QTextBrowser()
        self._help = ctkCollapsibleButton()
        self._help.setText("Help && Acknowledgement")
        self._help.setSizePolicy(policy.Ignored, policy.Fixed)
        QtWidgets.QVBoxLayout(self._help).addWidget(self._help_text)
        self._help.collapsed = True
        column.addWidget(self._help)
        column.addItem(QtWidgets.QSpacerItem(0, 0, policy.Minimum, policy.MinimumExpanding))
        self.setWidget(contents)

    @property
    def help_button(self) -> ctkCollapsibleButton:
        return self._help

    def show_module(self, widget: QtWidgets.QWidget, help_text: str) -> None:
        """Put a module's widget into the column."""
        policy = QtWidgets.QSizePolicy.Policy
        QtWidgets.QWidget.layout(widget).setContentsMargins(0, 0, 0, 0)
        QtWidgets.QWidget.layout(QtWidgets.QScrollArea.widget(self)).insertWidget(1, widget, 1)
        widget.setSizePolicy(policy.Minimum, policy.Preferred)
        self._help_text.setHtml(help_text)
