"""Follow: the pose is estimated whenever the selected scan changes, as a scanner or another program sends images."""

import dataclasses

import numpy as np
import qt
from slicer.i18n import tr as _

from E3PoseLib import mrml
from E3PoseLib.errors import E3PoseError, NoHeadFoundError, VolumeError
from E3PosePanel import result_text
from E3PosePanel.estimating.follow_report import FollowReport
from E3PosePanel.observed import Observed

TELL_INTERVAL_MS = 1000


class Follow:
    """Follows the head through the images of the selected scan: the newest is estimated, others are passed over.

    The transform is an ordinary node: where it is an outgoing node of an OpenIGTLink connector, each pose that is
    written into it is sent. So a doubtful one is not written, unless the person asks for it: the last one stays, and
    the panel and the node's attributes say that it is not of the newest image.

    ``panel`` gives the parts that it works with, ``run`` is the `BackgroundRun`; ``onBusy()`` is called when following
    begins and when it ends.
    """

    def __init__(self, panel, run, onBusy):
        self._panel = panel
        self._run = run
        self._onBusy = onBusy
        self._parameterNode = None
        self._observed = Observed(self._onVolumeChanged, *mrml.SCAN_EVENTS)
        self._state: tuple = ()
        self._isWaiting = self._isAsking = self._isShown = False
        self._report = FollowReport()
        self._withheld: tuple | None = None
        self._series = ""
        self._count = 0
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self.goOn)
        self._teller = qt.QTimer()
        self._teller.setInterval(TELL_INTERVAL_MS)
        self._teller.connect("timeout()", self._tell)
        panel.ui.followButton.connect("toggled(bool)", self.onFollowButton)

    @property
    def active(self) -> bool:
        return self._volume is not None

    @property
    def _volume(self):
        """The scan that is followed, or None."""
        return self._observed.node

    def setParameterNode(self, parameterNode) -> None:
        """Follow another parameter node, or none."""
        self._parameterNode = parameterNode
        self.refresh()

    def refresh(self) -> None:
        """End where another scan is selected, or none; say whether one can be followed."""
        if self.active and not (self._parameterNode and self._parameterNode.inputVolume == self._volume):
            self.stop()
            self._panel.status.say(_("Following has ended: the scan is no longer selected."))
        if self.active and self._withheld is not None and self._parameterNode.sendDoubtful:
            self._send(*self._withheld)
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
        self._observed.take(self._parameterNode.inputVolume)
        self._state, self._isShown, self._withheld = (), False, None
        self._isAsking = False  # one that was cancelled has not answered
        self._report = FollowReport()
        self._count += 1
        self._series = f"followed {self._count}"
        self._panel.status.say("")
        self._teller.start()
        self._onVolumeChanged()
        self._tell()
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
        came = self._report.asked()
        try:
            scan = panel.logic.readScan(self._volume)
            # A copy: the next image may be written into the same memory while this one is handed over.
            scan = dataclasses.replace(scan, array=np.array(scan.array), scalars=None)
            self._run.estimate(
                scan,
                panel.modelSection.arguments(),
                panel.logic.estimatorOptions(parameters),
                onFinished=lambda answer, mask: self._onFinished(scan, answer, mask, came),
                onFailed=lambda error: self._onFailed(error, came),
                isWanted=lambda: panel.logic.checkStillThere(scan),
                # A sequence is played at another pace than its scans were taken at.
                series=(self._series, None if mrml.is_in_sequence(self._volume) else came),
            )
            self._isAsking = True
        except (E3PoseError, MemoryError) as error:
            self._onFailed(error, came)

    def goOnLater(self) -> None:
        """`goOn` after what is being done now."""
        self._timer.start()
        if self.active and not self._isAsking:
            self._panel.status.showProgress(_("Waiting for an image"), 0.0)

    def _leave(self) -> None:
        if not self.active:
            return
        if self._isWaiting or self._isAsking:
            self._noteOutdated(_("following has ended before the newest image was looked at"))
        self._observed.take()
        self._withheld = None
        self._isWaiting = False
        self._teller.stop()
        self._panel.ui.followLabel.text = ""
        self._onBusy()

    def _onVolumeChanged(self, caller=None, event=None) -> None:
        state = mrml.scan_state(self._volume)
        if state == self._state:
            return  # its name, or how it is displayed
        self._report.came(isNew=state[:2] != self._state[:2])  # else its place alone has changed
        self._state, self._isWaiting = state, True
        self.goOnLater()

    def _onFinished(self, scan, answer: dict, mask, came: float) -> None:
        self._isAsking = False
        if mrml.marks_of(answer) and not self._parameterNode.sendDoubtful:
            self._withhold(scan, answer, mask, came)
        else:
            self._send(scan, answer, mask, came)
        self.goOnLater()

    def _send(self, scan, answer: dict, mask, came: float) -> None:
        """Write a pose into the transform, from where it may go on to others."""
        self._withheld = None
        time = self._report.imageTime(came)
        try:
            self._onWritten(*self._panel.estimation.put(scan, answer, mask, isUndoable=False, imageTime=time))
        except Exception as error:  # whatever MRML raises: no box, behind which each further image would fail too
            self._noteOutdated(_("the newest pose could not be written"))
            self._onFailed(error, came)
            return
        self._report.sent(came, result_text.doubt(answer) if mrml.marks_of(answer) else "")
        self._tell()

    def _withhold(self, scan, answer: dict, mask, came: float) -> None:
        """Leave the pose before in the transform, and say so; the doubtful one is kept, should the person want it."""
        self._withheld = scan, answer, mask, came
        self._keepBefore(
            came,
            _("the newest pose is doubtful ({reason})."),
            _("the newest pose is doubtful and not sent, since {time} ({reason})"),
            result_text.doubt(answer),
        )

    def _keepBefore(self, came: float, said: str, noted: str, reason: str) -> None:
        """Say in the panel and note in the transform that it is not of the newest image, both with a ``reason``."""
        self._report.withheld(came, said.format(reason=reason))
        self._noteOutdated(noted.format(time=self._report.withheldSince(), reason=reason))
        self._panel.showWritten(self._volume, isFirst=False)
        self._tell()

    def _noteOutdated(self, reason: str) -> None:
        transform = self._parameterNode.outputTransform if self._parameterNode else None
        if not (transform and mrml.is_set(self._volume) and self._panel.outputs.mayHold(transform, self._volume)):
            return  # it would not get the newest pose either
        # The image that is there when following begins may be the one whose pose the transform holds.
        if mrml.is_result_of(transform, self._volume) and not mrml.is_of_image_shown(transform):
            mrml.note_outdated(transform, reason)

    def _onWritten(self, volume, words: list[str]) -> None:
        if words[1:]:
            self._panel.status.say(" ".join(words[1:]))
        self._panel.showWritten(volume, isFirst=not self._isShown)
        self._isShown = True

    def _onFailed(self, error: Exception, came: float) -> None:
        """The pose stands for an image before this one; where the cause is not the image, following ends."""
        if self.active and isinstance(error, VolumeError | NoHeadFoundError):
            self._isAsking, self._withheld = False, None
            self._keepBefore(
                came,
                _("the newest image has no pose ({reason})."),
                _("no pose of the image shown, since {time} ({reason})"),
                str(error).rstrip("."),
            )
            self.goOnLater()
        else:
            self.stop()
            self._isAsking = False
            self._panel.status.sayFailed(error)

    def _tell(self) -> None:
        label, text = self._panel.ui.followLabel, self._report.text()
        if self.active and label.text != text:
            label.text = text
