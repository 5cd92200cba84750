"""Room for text that is wrapped: labels as high as their width asks for."""

import qt
import slicer


class WrappedLabels(qt.QObject):
    """Keeps each label of a widget that wraps its words from being cut.

    A form layout in Slicer's module panel gives such a label the height of its size hint, as if it were as wide as it
    likes. Here the label's minimum height is what its real width asks for, whenever that or the text changes.
    """

    def __init__(self, widget):
        qt.QObject.__init__(self)
        self._labels = [label for label in slicer.util.findChildren(widget, className="QLabel") if label.wordWrap]
        self._fitted = {}
        for label in self._labels:
            label.installEventFilter(self)
        # A label whose text has changed asks the widget around it for another layout.
        for label in self._labels:
            label.parentWidget().installEventFilter(self)

    def eventFilter(self, watched, event) -> bool:
        if event.type() in (qt.QEvent.Resize, qt.QEvent.LayoutRequest):
            self.fit()
        return False

    def fit(self) -> None:
        """Give all labels the height that they need now."""
        for label in self._labels:
            shown = (label.width, label.text)
            if self._fitted.get(label.objectName) != shown:
                self._fitted[label.objectName] = shown
                label.minimumHeight = 0  # what a label asks for is never less than its minimum
                label.minimumHeight = max(0, label.heightForWidth(label.width))
