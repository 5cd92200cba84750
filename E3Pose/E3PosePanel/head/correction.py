"""The section Check: the pose looked at, corrected by hand, taken back to the estimate, saved."""

import re
from pathlib import Path

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from E3PoseLib import mrml
from E3PoseLib.errors import E3PoseError
from E3PosePanel.observed import Observed

REST_MS = 300
"""Once the handles have rested for so long, the pose follows them; meanwhile only the arrows do."""

UNFIT_FOR_FILES = r'[<>:"/\\|?*\x00-\x1f]'
"""What some system forbids in the name of a file; nodes that come from DICOM are called "3: T2/HASTE"."""


def fileName(name: str) -> str:
    """A node's name as that of a file."""
    return re.sub(UNFIT_FOR_FILES, "_", name).strip(" .") or "pose"


class Correction:
    """Lets a person move the head's axes by handles and say that the pose is right.

    ``onChanged()`` is called when the pose or what is said of it has changed, ``onFailed(error)`` where a button can do
    nothing; ``isBusy()`` tells whether an answer is under way, which would take the pose from under the hand.
    """

    def __init__(self, ui, logic, views, axes, showMessage, onChanged, onFailed, isBusy):
        self._ui = ui
        self._logic = logic
        self._views = views
        self._axes = axes
        self._showMessage = showMessage
        self._onChanged = onChanged
        self._onFailed = onFailed
        self._isBusy = isBusy
        self._parameterNode = None
        self._corrected = None
        self._observed = Observed(self._onHandles, slicer.vtkMRMLTransformableNode.TransformModifiedEvent)
        self._heldIn = None
        self._savedIn = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST_MS)
        self._timer.connect("timeout()", self._onRest)
        ui.correctButton.connect("toggled(bool)", self.onCorrectButton)
        ui.checkedCheckBox.connect("clicked(bool)", self.onCheckedCheckBox)
        ui.resetPoseButton.connect("clicked(bool)", self.onResetPoseButton)
        ui.savePoseButton.connect("clicked(bool)", self.onSavePoseButton)

    def setParameterNode(self, parameterNode) -> None:
        """Follow another parameter node, or none."""
        self._parameterNode = parameterNode
        self.refresh()

    def refresh(self) -> None:
        """Show what was said of the selected pose; handles of another pose go."""
        transform = self._transform()
        isBusy = self._isBusy()
        isLost = transform != self._corrected or self._views.shownPose() is None
        if self._corrected is not None and (isBusy or isLost):
            self.stop()
        result, scan = mrml.told_result(transform), self._parameterNode.inputVolume if self._parameterNode else None
        state = mrml.review_state(result) if result else mrml.ESTIMATED
        isKnown = result is not None and self._views.scanPose() is not None
        # Nobody sees what is changed beside another scan; and of a time point of many it would be lost at the next one.
        isOwn = result is not None and scan is not None and not mrml.is_of_another(transform, scan)
        mayChange = isKnown and isOwn and not mrml.is_in_sequence(transform) and not isBusy
        self._ui.savePoseButton.enabled = isKnown
        self._ui.correctButton.enabled = mayChange
        self._ui.checkedCheckBox.enabled = mayChange and state != mrml.CORRECTED
        self._ui.checkedCheckBox.checked = state in (mrml.CHECKED, mrml.CORRECTED)
        self._ui.resetPoseButton.enabled = isOwn and state in (mrml.CORRECTED, mrml.EDITED) and not isBusy

    def stop(self) -> None:
        """Let go of the handles."""
        self._ui.correctButton.checked = False

    def onCorrectButton(self, checked: bool) -> None:
        """Show the handles of the axes, in the head's planes; hide them again."""
        if not checked:
            self._letGo()
            return
        self._corrected = self._transform()
        if not self._ui.standardPlanesButton.checked:
            self._ui.standardPlanesButton.checked = True
        self._axes.place(slicer.mrmlScene, self._views.shownPose())
        self._axes.show_handles(True)
        self._observed.take(self._axes.transform)
        self._showMessage(_("Drag the handles until the head is upright; the planes follow when they rest."))

    def onCheckedCheckBox(self, checked: bool) -> None:
        """Note that the pose was looked at and is right."""
        with mrml.one_step(slicer.mrmlScene, [self._transform()]):
            mrml.mark_checked(self._transform(), checked)
        self._onChanged()

    def onResetPoseButton(self, checked=False) -> None:
        """Go back to the estimate."""
        with mrml.one_step(slicer.mrmlScene, [self._transform()]):
            mrml.reset_pose(self._transform())
        self._showMessage(_("Back to the estimate."))
        self._onChanged()

    def onSavePoseButton(self, checked=False) -> None:
        """Ask for a file, where the last pose was saved or where Slicer saves scenes, and save the pose."""
        transform = self._transform()
        scan = transform.GetNodeReference(mrml.VOLUME_REFERENCE)
        proposed = f"{fileName(scan.GetName() if scan is not None else transform.GetName())}.json"
        name = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(),
            _("Save the pose as .json, with .tfm and .npy beside it"),
            str(Path(self._savedIn or slicer.mrmlScene.GetRootDirectory(), proposed)),
            _("Pose") + " (*.json)",
        )
        if name:
            self.saveTo(Path(name))

    def saveTo(self, file: Path) -> None:
        """Save the pose: all of it as JSON, the matrix alone as ``.tfm`` and ``.npy`` beside it.

        The dialog has asked about the file that was named alone; of the others that are there it is asked here.
        """
        others = [path for path in self._logic.poseFiles(file) if path != file and path.exists()]
        if others:
            names = ", ".join(path.name for path in others)
            if not slicer.util.confirmOkCancelDisplay(_("Replace {names} too?").format(names=names)):
                return
        try:
            written, changes = self._logic.savePose(self._transform(), file)
        except E3PoseError as error:
            self._onFailed(error)
            return
        self._savedIn = file.parent
        words = [_("Saved: {files}.").format(files=", ".join(path.name for path in written))]
        self._showMessage(" ".join([*words, *(f"{change[:1].upper()}{change[1:]}." for change in changes)]))

    def _transform(self):
        return self._parameterNode.outputTransform if self._parameterNode else None

    def _letGo(self) -> None:
        if self._timer.isActive():
            self._timer.stop()
            self._apply()
        self._observed.take()
        self._corrected = None
        self._axes.is_held = False
        if self._axes.transform is not None and (shown := self._views.shownPose()) is not None:
            self._axes.place(slicer.mrmlScene, shown)
        self._axes.show_handles(False)

    def _onHandles(self, caller=None, event=None) -> None:
        shown = self._views.shownPose()
        if shown is not None and not np.allclose(self._axes.pose(), shown, atol=1e-6):
            if not self._axes.is_held:
                self._axes.is_held, self._heldIn = True, shown
            self._timer.start()

    def _onRest(self) -> None:
        if qt.QApplication.mouseButtons() & qt.Qt.LeftButton:
            self._timer.start()  # somebody holds a handle still
        else:
            self._apply()

    def _apply(self) -> None:
        """Take what the handles say for the pose."""
        self._axes.is_held = False
        scanPose = self._views.scanPose()
        if self._corrected != self._transform() or scanPose is None or self._views.shownPose() is None:
            return
        # In the upright volume the handles move the head as seen there; views or scan may have moved meanwhile.
        pose = scanPose @ np.linalg.inv(self._heldIn) @ self._axes.pose()
        if np.allclose(pose, scanPose, atol=1e-6):
            return  # put back
        try:
            with mrml.one_step(slicer.mrmlScene, [self._corrected]):
                mrml.correct_pose(self._corrected, pose)
        except E3PoseError as error:
            self._onFailed(error)
            return
        if self._parameterNode.reslicedVolume:
            self._showMessage(_("Corrected. The upright volume is of the pose before: reslice again."))
        else:
            self._showMessage(_("Corrected."))
        self._onChanged()
