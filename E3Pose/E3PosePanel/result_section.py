"""The verdict, the section Result with the pose in words, and the scan resliced by it."""

from slicer.i18n import tr as _

from E3PoseLib import mrml
from E3PoseLib.errors import E3PoseError
from E3PosePanel import result_text
from E3PosePanel.head.verdict import Verdict


class ResultSection:
    """Says what the selected output nodes hold; ``onFailed(error)`` is called where a button can do nothing.

    ``run`` is the `ReslicingRun` that reslices, ``views`` the `Views` that show it, with the mask that
    the `MaskControls` ``masks`` control; ``isFollowing()`` tells whether one image after another comes.
    """

    def __init__(self, ui, logic, outputs, run, views, masks, isFollowing, showMessage, onFailed):
        self._ui = ui
        self._logic = logic
        self._outputs = outputs
        self._run = run
        self._views = views
        self._masks = masks
        self._isFollowing = isFollowing
        self._showMessage = showMessage
        self._onFailed = onFailed
        self._parameterNode = None
        self._verdict = Verdict(ui)
        ui.resliceButton.connect("clicked(bool)", self.onResliceButton)
        self.clear()

    def setParameterNode(self, parameterNode) -> None:
        """Tell of the result that a parameter node names. With None nothing changes yet, but a reslicing ends."""
        self._parameterNode = parameterNode
        if parameterNode is None:
            self._run.stop()
        self.refresh()

    def refresh(self) -> None:
        """Tell what the selected nodes hold now."""
        if self._parameterNode is None:
            return
        transform = self._parameterNode.outputTransform
        result = mrml.told_result(transform)
        if result is not None and "warnings" in result:
            changes = mrml.changes_since(transform)
            result["changes"] = changes + [note for note in self._moveMaskAlong() if note not in changes]
        scan = self._parameterNode.inputVolume
        if result is not None and scan is not None and mrml.is_of_another(transform, scan):
            other = transform.GetNodeReference(mrml.VOLUME_REFERENCE)
            name = f": {other.GetName()}" if other is not None else ""
            self._show(result, _("THE POSE IS OF ANOTHER SCAN{name}.").format(name=name))
        elif reason := self._whyOfAnotherImage(transform):
            self._show(result, _("NOT OF THE IMAGE SHOWN: {reason}.").format(reason=reason))
        elif reason := mrml.why_no_pose(transform):
            self._show(None, _("No pose at this time point: {reason}.").format(reason=reason))
        else:
            self._show(result)

    def _whyOfAnotherImage(self, transform) -> str | None:
        """In a clause, why a pose is not of the image that is shown; None where it is."""
        if mrml.pose_direction(transform) is None:
            return None
        # The newest of the images that are followed has its pose in a moment, and how old that is stands beside it.
        isAwaited = self._isFollowing() and mrml.why_outdated(transform) is None
        return None if isAwaited else mrml.why_of_another_image(transform)

    def _moveMaskAlong(self) -> list[str]:
        """Move the scan's mask to where the scan is now; why it could not, if it could not."""
        try:
            if self._parameterNode.outputSegmentation:
                mrml.follow_scan(self._parameterNode.outputSegmentation)
        except E3PoseError as error:
            return [str(error)]
        return []

    def clear(self) -> None:
        """Show no result."""
        self._show(None)

    def reslice(self, volume, said: str = "") -> None:
        """Reslice a scan along the head's axes; the upright volume is shown when it is done.

        What is ``said`` already, of the estimate before, stays in the message.
        """
        parameters, pose = self._parameterNode, self._parameterNode.outputTransform
        try:
            reslicing = mrml.UprightReslicing(volume, pose, parameters.reslicedSpacing)
        except (E3PoseError, MemoryError) as error:
            self._fail(error, said)
            return
        self._run.start(reslicing, lambda done: self._onResliced(done, volume, pose, said))

    def onResliceButton(self, checked=False) -> None:
        self.reslice(self._parameterNode.inputVolume)

    def _onResliced(self, reslicing, volume, pose, said: str) -> None:
        parameters = self._parameterNode
        isSelected = parameters.inputVolume == volume
        try:
            reslicing.check_scan()
            target, reason = self._outputs.place("reslicedVolume", volume)
            upright = self._logic.writeUpright(reslicing, volume, target)
        except (E3PoseError, MemoryError) as error:
            self._fail(error, said)
            return
        words = [said] if said else []
        words.append(self._outcome(volume, pose).format(name=upright.GetName(), pose=pose.GetName()))
        if reason:
            words.append(_("It is a new volume: {reason}.").format(reason=reason))
        if isSelected:
            self._logic.writeUprightMask(reslicing, upright, parameters.outputSegmentation)
            self._masks.showAsWanted(mrml.upright_mask(upright))
            self._outputs.select("reslicedVolume", upright)
            self._views.showUpright()
            self._masks.show()
        self._showMessage(" ".join(words))

    def _fail(self, error: Exception, said: str) -> None:
        """Say why nothing was resliced, and what was said before."""
        self._onFailed(error)
        if said:
            self._showMessage(said + " " + _("Not resliced: {reason}.").format(reason=str(error).rstrip(".")))

    def _outcome(self, volume, pose) -> str:
        """What was done, in words."""
        if mrml.is_of_another(pose, volume):
            return _("Resliced into {name}, by the pose of another scan: {pose}.")
        if changes := mrml.changes_since(pose):
            return _("Resliced into {name}; {changes}.").replace("{changes}", "; ".join(changes))
        return _("Resliced into {name}.")

    def _show(self, result: dict | None, whyNone: str | None = None) -> None:
        """Show a result; or why it is not of what is shown, with what speaks against it."""
        isComplete = result is not None and "confidence" in result
        isOfImage = isComplete and not whyNone
        for name in ("position", "rotation", "confidence", "warnings", "computed"):
            isTold = isOfImage or (isComplete and name == "warnings")
            getattr(self._ui, f"{name}Label").text = getattr(result_text, name)(result) if isTold else "–"
        self._verdict.show(result if isOfImage else None, whyNone)
        self._ui.resliceButton.enabled = result is not None and not self._run.busy
