"""The section Setup: what Slicer's Python has, and the button that installs the rest."""

import qt
import slicer
from slicer.i18n import tr as _

from E3PoseLib import dependencies
from E3PoseLib.errors import E3PoseError


class SetupSection:
    """Shows the packages; ``onChanged()`` is called after an installation.

    ``missing`` are the requirements not met when last looked.
    """

    def __init__(self, ui, showMessage, onChanged):
        self._ui = ui
        self._showMessage = showMessage
        self._onChanged = onChanged
        self._installing = False
        ui.installButton.connect("clicked(bool)", self.onInstallButton)
        self.refresh()

    def refresh(self) -> None:
        """Look again; open the section where something is missing."""
        lines = []
        for package in dependencies.packages():
            note = "" if package.satisfied or package.version is None else _(" (too old)")
            lines.append(f"{package.requirement}: {package.version or _('not installed')}{note}")
        self._ui.packagesLabel.text = "\n".join(lines)
        self.missing = dependencies.missing()
        self._ui.installButton.enabled = bool(self.missing) and not self._installing
        self._ui.installButton.toolTip = (
            _("Install what is missing into Slicer's Python; asks first.")
            if self.missing
            else _("Everything that the method needs is installed.")
        )
        if self.missing:
            self._ui.setupCollapsibleButton.collapsed = False

    def onInstallButton(self, checked=False) -> None:
        """Ask, then install; the outcome goes to the status line.

        Slicer handles events while pip runs, so the button could be pressed again.
        """
        if self._installing:
            return
        try:
            dependencies.check_can_install(self.missing)
        except E3PoseError as error:
            self._showMessage(_("Not installed: {error}").format(error=error))
            return
        names = "\n".join(f"  {package.requirement}" for package in self.missing)
        question = _(
            "These Python packages will be downloaded and installed into Slicer:\n\n{names}\n\n"
            "With PyTorch this can take several minutes. Continue?"
        ).format(names=names)
        if not slicer.util.confirmOkCancelDisplay(question, _("E3-Pose: install packages")):
            return
        self._installing = True
        self._ui.installButton.enabled = False
        slicer.app.setOverrideCursor(qt.Qt.WaitCursor)
        try:
            dependencies.install(self.missing)
            self._showMessage(_("Everything is installed."))
        except E3PoseError as error:
            self._showMessage(_("Not installed: {error}").format(error=error))
        finally:
            slicer.app.restoreOverrideCursor()
            self._installing = False
            self.refresh()
            self._onChanged()
