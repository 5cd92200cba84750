"""Follow: the pose is estimated whenever the selected scan changes, as a scanner or another program sends images."""

import collections
import dataclasses
import time

import numpy as np
import qt
from slicer.i18n import tr as _

from E3PoseLib import mrml
from E3PoseLib.errors import E3PoseError, NoHeadFoundError, VolumeError

RATE_OVER = 10
"""Poses over which the rate is taken."""


class Follow:
    """Estimates the newest image of the selected scan; those that came in between are passed over.

    The transform is an ordinary node: where it is an outgoing node of an OpenIGTLink connector, each pose is sent.
    ``panel`` gives the parts that it works with, ``run`` is the `BackgroundRun`; ``onBusy()`` is called when following
    begins and when it ends.
    """

    def __init__(self, panel, run, onBusy):
        self._panel = panel
        self._run = run
        self._onBusy = onBusy
        self._parameterNode = None
        self._volume = None
        self._tags: list = []
        self._state: tuple = ()
        self._changedAt = 0.0
        self._isWaiting = self._isAsking = self._isShown = False
        self._nSkipped = self._nNew = 0
        self._ends: collections.deque = collections.deque(maxlen=RATE_OVER)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self.goOn)
        panel.ui.followButton.connect("toggled(bool)", self.onFollowButton)

    @property
    def active(self) -> bool:
        return self._volume is not None

    def setParameterNode(self, parameterNode) -> None:
        """Follow another parameter node, or none."""
        self._parameterNode = parameterNode
        self.refresh()

    def refresh(self) -> None:
        """End where another scan is selected, or none; say whether one can be followed."""
        if self.active and not (self._parameterNode and self._parameterNode.inputVolume == self._volume):
            self.stop()
            self._panel.status.say(_("Following has ended: the scan is no longer selected."))
        button, estimateButton = self._panel.ui.followButton, self._panel.ui.estimateButton
        button.enabled = self.active or estimateButton.enabled
        button.toolTip = (
            _("Estimate the pose whenever the scan changes; the newest image wins.")
            if button.enabled
            else estimateButton.toolTip
        )

    def onFollowButton(self, checked: bool) -> None:
        """Begin with the image that is there, or follow no longer."""
        if not checked:
            self._leave()
            return
        try:
            self._panel.outputs.ask()
            mrml.check_volume_node(self._parameterNode.inputVolume)
        except E3PoseError as error:
            self._panel.ui.followButton.checked = False
            self._panel.status.sayFailed(error)
            return
        self._volume = self._parameterNode.inputVolume
        self._tags = [self._volume.AddObserver(event, self._onVolumeChanged) for event in mrml.SCAN_EVENTS]
        self._state, self._isShown, self._nSkipped, self._nNew = (), False, 0, 0
        self._isAsking = False  # one that was cancelled has not answered
        self._ends.clear()
        self._panel.status.say("")
        self._panel.ui.followLabel.text = _("Following.")
        self._onVolumeChanged()
        self._onBusy()

    def stop(self) -> None:
        """Follow no longer."""
        self._panel.ui.followButton.checked = False

    def goOn(self) -> None:
        """Estimate the newest image, where there is one and the worker is free."""
        if not self.active or not self._isWaiting or self._isAsking or self._run.busy or self._panel.series.busy:
            return
        panel, parameters = self._panel, self._parameterNode
        self._isWaiting = False
        self._nSkipped, self._nNew = self._nSkipped + max(self._nNew - 1, 0), 0
        since = self._changedAt
        try:
            scan = panel.logic.readScan(self._volume)
            # A copy: the next image may be written into the same memory while this one is handed over.
            scan = dataclasses.replace(scan, array=np.array(scan.array), scalars=None)
            self._run.estimate(
                scan,
                panel.modelSection.arguments(),
                panel.logic.estimatorOptions(parameters),
                onFinished=lambda answer, mask: self._onFinished(scan, answer, mask, since),
                onFailed=self._onFailed,
                isWanted=lambda: panel.logic.checkStillThere(scan),
            )
            self._isAsking = True
        except (E3PoseError, MemoryError) as error:
            self._onFailed(error)

    def goOnLater(self) -> None:
        """`goOn` after what is being done now."""
        self._timer.start()
        if self.active and not self._isAsking:
            self._panel.status.showProgress(_("Waiting for an image"), 0.0)

    def _leave(self) -> None:
        if not self.active:
            return
        for tag in self._tags:
            self._volume.RemoveObserver(tag)
        self._volume, self._tags = None, []
        self._isWaiting = False
        self._panel.ui.followLabel.text = ""
        self._onBusy()

    def _onVolumeChanged(self, caller=None, event=None) -> None:
        state = mrml.scan_state(self._volume)
        if state == self._state:
            return  # its name, or how it is displayed
        self._nNew += state[:2] != self._state[:2]  # else its place alone has changed
        self._state, self._isWaiting, self._changedAt = state, True, time.monotonic()
        self.goOnLater()

    def _onFinished(self, scan, answer: dict, mask, since: float) -> None:
        self._isAsking = False
        self._panel.estimation.write(scan, answer, mask, onWritten=self._onWritten, isUndoable=False)
        self._ends.append(time.monotonic())
        self._tell(time.monotonic() - since)
        self.goOnLater()

    def _onWritten(self, volume, words: list[str]) -> None:
        if words[1:]:
            self._panel.status.say(" ".join(words[1:]))
        self._panel.showWritten(volume, isFirst=not self._isShown)
        self._isShown = True

    def _onFailed(self, error: Exception) -> None:
        """The pose stands for an image before this one; where the cause is not the image, following ends."""
        self._isAsking = False
        transform = self._parameterNode.outputTransform if self._parameterNode else None
        if self.active and isinstance(error, VolumeError | NoHeadFoundError):
            if transform and mrml.is_result_of(transform, self._volume):
                mrml.note_outdated(transform, str(error).rstrip("."))
            self._panel.ui.followLabel.text = _("No pose of the newest image: {reason}.").format(
                reason=str(error).rstrip(".")
            )
            self._panel.showWritten(self._volume, isFirst=False)
            self.goOnLater()
        else:
            self.stop()
            self._panel.status.sayFailed(error)

    def _tell(self, latency: float) -> None:
        if not self.active:
            return
        words = [_("Following: {seconds:.2f} s behind").format(seconds=latency)]
        if len(self._ends) > 1:
            rate = (len(self._ends) - 1) / max(self._ends[-1] - self._ends[0], 1e-3)
            words.append(_("{rate:.1f} poses a second").format(rate=rate))
        if self._nSkipped:
            words.append(_("{count} images passed over").format(count=self._nSkipped))
        self._panel.ui.followLabel.text = ", ".join(words) + "."
