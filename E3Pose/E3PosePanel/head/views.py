"""What the views show: the selected scan or its upright volume, and from where."""

import numpy as np
import slicer
import vtk

from E3PoseLib import mrml
from E3PoseLib.errors import E3PoseError
from E3PosePanel.head.views_text import viewsText
from E3PosePanel.observed import Observed


class Views:
    """Brings the selected scan before the eye: as it was acquired, in the head's standard planes, or resliced upright.

    With it goes its mask. Masks of other scans are hidden, not deleted: selecting their scan shows them again. What a
    person has arranged stays, and the panel says which view shows something else; what comes while another module is
    open is shown when the panel is opened again. ``onShown()`` is called when the volume shown is another,
    ``onFailed(error)`` where a button can do nothing.
    """

    def __init__(self, ui, onShown, onFailed):
        self._ui = ui
        self._onShown = onShown
        self._onFailed = onFailed
        self._parameterNode = None
        self._volume = None
        self._uprightPose = None
        self._observed = Observed(self._followUpright, *mrml.SCAN_EVENTS)
        self._observedViews = Observed(self._onViewChanged, vtk.vtkCommand.ModifiedEvent)
        self._planesBefore = None
        self._poseInViews = None
        self._isOpen, self._showLater = True, None
        ui.standardPlanesButton.connect("toggled(bool)", self.onStandardPlanesButton)
        ui.showUprightButton.connect("toggled(bool)", self.onShowUprightButton)

    def setParameterNode(self, parameterNode) -> None:
        """Take over what was selected before the panel came, as in a loaded scene: its views stay as they are.

        Those that show nothing show the scan.
        """
        self._parameterNode = parameterNode
        self._volume = parameterNode.inputVolume if parameterNode else None
        if parameterNode:
            self._takeOverPlanes()
        if self._volume and not any(node.GetBackgroundVolumeID() for node in self._composites()):
            self._show(self._volume)
        elif self._volume:
            self.showMasks()
        self.refresh()

    def select(self, volume) -> None:
        """Show another scan where the one selected before was shown."""
        previous, self._volume = self._volume, volume
        if volume:
            self._present(previous)
        else:
            self.turnBack()
        self.refresh()

    def enter(self) -> None:
        """The panel was opened: show what came meanwhile."""
        self._isOpen, later, self._showLater = True, self._showLater, None
        if later is not None and later[1] == self._volume:
            later[0]()
        self.refresh()

    def leave(self) -> None:
        """Another module was opened, to which the views belong now."""
        self._isOpen = False

    def whenOpen(self, show) -> None:
        """Call what changes the views: now, or once the panel is opened again and the same scan is selected."""
        if self._isOpen:
            show()
        else:
            self._showLater = show, self._volume

    def showResult(self) -> None:
        """Show the selected scan with the result that has just come."""
        self.whenOpen(self._showResult)

    def _showResult(self) -> None:
        self._present()
        self.refresh()

    def showUpright(self) -> None:
        """Show the upright volume that has just come in its own planes instead of the scan, its mask in its place."""
        self.whenOpen(self._showUpright)

    def _showUpright(self) -> None:
        volume = self._parameterNode.reslicedVolume
        if not self._isUpright(volume):  # it has gone, or changed, before it could be shown
            self._press(planes=self._poseInViews is not None, upright=False)
            return
        self._rememberPlanes(self._planesBefore or mrml.slice_planes(slicer.mrmlScene))
        self._poseInViews = None
        self._takeUpright(volume)
        self._show(volume, previous=self._volume)
        self._followUpright()
        mrml.look_at(slicer.mrmlScene, mrml.head_in_upright(volume)[:3, 3])
        self._press(planes=False, upright=True)
        self.refresh()

    def turnBack(self) -> None:
        """Turn the slice views to where they were before they showed the head's planes, and back to the scan."""
        before, upright = self._planesBefore, self._upright
        self._poseInViews = None
        self._takeUpright(None)
        self._rememberPlanes(None)
        self._press(planes=False, upright=False)
        if upright is not None and mrml.is_set(self._volume):
            self._show(self._volume, previous=upright)
            pose = self.scanPose()
            if pose is not None:
                mrml.look_at(slicer.mrmlScene, pose[:3, 3])
        if before is not None:
            mrml.restore_planes(slicer.mrmlScene, before)

    def showMasks(self) -> None:
        """Of all brain masks in the scene leave visible that of the volume shown."""
        mrml.show_only_masks_of(slicer.mrmlScene, self._upright or self._volume)

    def mask(self):
        """The segmentation node whose mask goes with the volume shown, or None."""
        if self._upright is not None:
            return mrml.upright_mask(self._upright)
        return self._parameterNode.outputSegmentation

    @property
    def showsUpright(self) -> bool:
        """Whether the views show the upright volume, not the scan."""
        return self._upright is not None

    @property
    def _upright(self):
        """The upright volume that the views show, or None."""
        return self._observed.node

    def scanPose(self) -> np.ndarray | None:
        """The canonical_to_world pose of the head in the selected scan, or None."""
        try:
            return mrml.head_pose(self._parameterNode.outputTransform if self._parameterNode else None)
        except E3PoseError:
            return None

    def shownPose(self) -> np.ndarray | None:
        """The canonical_to_world pose of the head in what the views show, scan or upright volume, or None."""
        return self.scanPose() if self._upright is None else mrml.pose_in_upright(self._upright, self.scanPose())

    def stop(self) -> None:
        """Turn the views back, and follow them no longer."""
        self.turnBack()
        self._volume = self._parameterNode = None
        self._observedViews.take()
        self.refresh()

    def refresh(self, caller=None, event=None) -> None:
        """Follow the pose and the upright volume, and say which views show something else than the selected scan."""
        parameters = self._parameterNode
        pose, upright = (parameters.outputTransform, parameters.reslicedVolume) if parameters else (None, None)
        self._ui.standardPlanesButton.enabled = mrml.read_result(pose) is not None
        self._ui.showUprightButton.enabled = self._isUpright(upright)
        if parameters:
            isShown = self._upright is None or (upright == self._upright and self._isUpright(upright))
            if not isShown and (self._isOpen or not mrml.is_set(self._upright)):
                self.turnBack()
            self._turnAlong()
        self._tellOthers()

    def onStandardPlanesButton(self, checked: bool) -> None:
        """Turn the slice views to the head's planes, and back."""
        if not checked:
            self.turnBack()
            return
        try:
            pose = mrml.head_pose(self._parameterNode.outputTransform)
        except E3PoseError as error:
            self._press(planes=False, upright=self._upright is not None)
            self._onFailed(error)
            return
        if self._upright is not None:
            self.turnBack()
        self._showPlanes(pose)

    def onShowUprightButton(self, checked: bool) -> None:
        """Show the upright volume, and the scan again."""
        if checked:
            self._showUpright()
        else:
            self.turnBack()

    def _show(self, volume, previous=None) -> None:
        """Show a volume and its mask, and fit the views to it that showed another one."""
        for name in mrml.show_scan(slicer.mrmlScene, volume, previous):
            logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName(name)
            if logic is not None:
                logic.FitSliceToBackground()
        self.showMasks()
        self._onShown()

    def _present(self, previous=None) -> None:
        """Show the selected scan, and its head, if it is known, in the middle of all views that show the scan.

        Views that were in the head's planes are so again, in those of this head.
        """
        wereTurned = self._poseInViews is not None
        self.turnBack()
        self._show(self._volume, previous)
        pose = self.scanPose()
        if pose is None:
            return
        mrml.jump_to(slicer.mrmlScene, pose[:3, 3], self._volume)
        mrml.look_at(slicer.mrmlScene, pose[:3, 3])
        if wereTurned:
            self._showPlanes(pose)

    def _showPlanes(self, pose: np.ndarray) -> None:
        """Turn the views to the planes of a head."""
        self._poseInViews = pose
        self._rememberPlanes(mrml.show_standard_planes(slicer.mrmlScene, pose))
        self._press(planes=True, upright=False)

    def _takeUpright(self, volume) -> None:
        """Show and observe another upright volume, or none."""
        self._observed.take(volume)
        self._uprightPose = None

    def _followUpright(self, caller=None, event=None) -> None:
        """Where the upright volume has moved, turn the views to where it is now, and move its mask along."""
        pose = mrml.head_in_upright(self._upright)
        if pose is None:
            self.turnBack()
            return
        if self._uprightPose is None or not np.allclose(pose, self._uprightPose):
            mrml.show_standard_planes(slicer.mrmlScene, pose)
            self._uprightPose = pose
        try:
            if mrml.upright_mask(self._upright):
                mrml.follow_scan(mrml.upright_mask(self._upright))
        except E3PoseError as error:
            self._onFailed(error)

    def _rememberPlanes(self, before: dict | None) -> None:
        """Keep where the views were, also in the scene: saved with it, they come back with the button pressed."""
        self._planesBefore = before
        if self._parameterNode:
            self._parameterNode.planesBefore = mrml.planes_to_text(before) if before else ""

    def _takeOverPlanes(self) -> None:
        """Press the button for what the views of a scene show that was saved so."""
        parameters = self._parameterNode
        self._planesBefore = mrml.planes_from_text(parameters.planesBefore) if parameters.planesBefore else None
        isTurned, upright = self._planesBefore is not None, parameters.reslicedVolume
        isShown = self._isUpright(upright) and mrml.volume_in_views(slicer.mrmlScene) == upright
        self._takeUpright(upright if isTurned and isShown else None)
        self._uprightPose = mrml.head_in_upright(upright) if self._upright is not None else None
        self._poseInViews = self.scanPose() if isTurned and not isShown else None
        self._press(planes=self._poseInViews is not None, upright=self._upright is not None)

    def _turnAlong(self) -> None:
        """Follow the pose, where the views show its planes; while it stays, so do views that a person has turned."""
        if self._poseInViews is None:
            return
        pose = self.scanPose()
        if pose is None:
            if mrml.why_no_pose(self._parameterNode.outputTransform) is None:  # else the next time point may have one
                self.turnBack()
        elif not np.allclose(pose, self._poseInViews):
            mrml.show_standard_planes(slicer.mrmlScene, pose)
            self._poseInViews = pose

    def _tellOthers(self) -> None:
        """Say where the views do not show the selected scan with its pose, now and whenever that changes."""
        text = ""
        if mrml.is_set(self._volume):
            self._observedViews.take(*self._composites())
            text = viewsText(self._volume, self._upright, self.scanPose())
        self._ui.viewsLabel.visible, self._ui.viewsLabel.text = bool(text), text

    def _onViewChanged(self, caller, event) -> None:
        self._tellOthers()

    def _isUpright(self, volume) -> bool:
        """Whether a volume is the selected scan resliced upright, and under no warp."""
        if not volume or not self._volume or not mrml.is_of(volume, self._volume):
            return False
        return mrml.head_in_upright(volume) is not None

    def _press(self, planes: bool, upright: bool) -> None:
        """Press and release the two buttons, without what that does otherwise."""
        for button, checked in ((self._ui.standardPlanesButton, planes), (self._ui.showUprightButton, upright)):
            wasBlocked = button.blockSignals(True)
            button.checked = checked
            button.blockSignals(wasBlocked)

    @staticmethod
    def _composites() -> list:
        return list(mrml.slice_composites(slicer.mrmlScene).values())
