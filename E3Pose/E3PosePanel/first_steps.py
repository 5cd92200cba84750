"""For newcomers: a scan to try, and what the module does, one click away."""

import qt
import slicer
from slicer.i18n import tr as _

from E3PosePanel.sample_data import loadSyntheticScan


class FirstSteps:
    """The buttons *Sample scan* and *What is this?*; ``page`` is the file that the latter opens in the browser.

    ``onLoaded(volume)`` is called with the scan.
    """

    def __init__(self, ui, page: str, showMessage, onLoaded):
        self._page = page
        self._showMessage = showMessage
        self._onLoaded = onLoaded
        ui.sampleScanButton.connect("clicked(bool)", self.onSampleScanButton)
        ui.firstStepsButton.connect("clicked(bool)", self.onFirstStepsButton)

    def onSampleScanButton(self, checked=False) -> None:
        with slicer.util.tryWithErrorDisplay(_("The sample scan cannot be loaded.")):
            self._onLoaded(loadSyntheticScan())

    def onFirstStepsButton(self, checked=False) -> None:
        if not qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(self._page)):
            self._showMessage(_("No browser opens {page}.").format(page=self._page))
