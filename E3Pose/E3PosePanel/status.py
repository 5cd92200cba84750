"""What is being done, in the bar, and what was done or not, in the line under the button."""

import logging

from slicer.i18n import tr as _


class Status:
    """The progress bar with *Cancel*, and the status line."""

    def __init__(self, ui):
        self._ui = ui

    def say(self, text: str) -> None:
        """Say something in the line; what stood there goes."""
        self._ui.statusLabel.text = text

    def sayFailed(self, error: Exception) -> None:
        """Say why something was not done, in the log too."""
        reason = str(error) or type(error).__name__
        logging.error(f"E3Pose: {reason}")
        self.say(_("Not done: {reason}.").format(reason=reason.rstrip(".")))

    def sayUnreadable(self, names: list[str]) -> None:
        """Say which settings of a scene could not be read, if any."""
        if names:
            self.say(_("Not readable in this scene, so as at first: {names}.").format(names=", ".join(names)))

    def showBusy(self, isBusy: bool) -> None:
        """Show the bar and *Cancel*, or hide them."""
        self._ui.progressBar.visible = self._ui.cancelButton.visible = isBusy

    def showProgress(self, stage: str, fraction: float) -> None:
        """Show in the bar what is being done, and how much of it is, in [0, 1]."""
        self.showBusy(True)
        self._ui.progressBar.value = round(100 * fraction)
        self._ui.progressBar.format = f"{stage}… %p%"
