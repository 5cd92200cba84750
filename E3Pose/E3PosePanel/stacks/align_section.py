"""The section Align stacks: from the click to a transform and a mask for each stack, and back."""

import qt
import slicer
from slicer.i18n import tr as _

from E3PoseLib import mrml
from E3PoseLib.errors import E3PoseError
from E3PosePanel.result_text import howToTurnUpright
from E3PosePanel.stacks.comparison import Comparison
from E3PosePanel.stacks.stack_list import StackList

FEWEST = 2

DOUBLE_CLICK_MS = 500
"""Within which systems take two clicks for one."""


class AlignSection:
    """Has the stacks that are checked brought together in the worker, and writes what comes of it.

    ``panel`` gives the parts that it works with, ``run`` is the `BackgroundRun`. ``onBusy()`` is called when it has
    begun.
    """

    def __init__(self, panel, run, onBusy):
        self._panel = panel
        self._run = run
        self._onBusy = onBusy
        self._parameterNode = None
        ui = panel.ui
        self._list = StackList(ui.stacksListWidget, self._onChanged)
        self._comparison = Comparison(ui.compareStacksButton, panel.views)
        ui.alignButton.connect("clicked(bool)", self.onAlignButton)
        ui.removeAlignmentButton.connect("clicked(bool)", self.onRemoveAlignmentButton)
        # The second click of a double click is not meant for the alignment before.
        self._rest = qt.QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(DOUBLE_CLICK_MS)
        self._rest.connect("timeout()", self.refresh)

    def setParameterNode(self, parameterNode) -> None:
        """Follow another parameter node, or none."""
        self._parameterNode = parameterNode
        self._list.setParameterNode(parameterNode)
        self._comparison.setParameterNode(parameterNode)
        self._panel.ui.alignmentLabel.text = ""
        for button in (self._panel.ui.alignButton, self._panel.ui.removeAlignmentButton):
            button.enabled = False
        self.refresh()

    def refresh(self) -> None:
        """Say what can be done, and what became of the stacks that were aligned last."""
        if self._parameterNode is None:
            return
        ui, found = self._panel.ui, mrml.alignments(slicer.mrmlScene)
        self._list.refresh()
        self._comparison.refresh()
        reason = self._whyNot()
        ui.alignButton.enabled = reason is None
        ui.alignButton.toolTip = reason or _("Bring the stacks that are checked into the head's frame.")
        ui.removeAlignmentButton.enabled = bool(found) and not self._rest.active
        ui.alignmentLabel.text = _described(found[-1]) if found else ""

    def onAlignButton(self, checked=False) -> None:
        """Begin; what comes of it is written by `_write`."""
        panel = self._panel
        try:
            scans = [panel.logic.readScan(volume) for volume in self._list.checked()]
            self._run.align(
                scans,
                panel.modelSection.arguments(),
                panel.logic.estimatorOptions(self._parameterNode),
                onFinished=lambda answer, *masks: self._write(scans, answer, masks),
                onFailed=panel.status.sayFailed,
                isWanted=lambda: [panel.logic.checkStillThere(scan) for scan in scans],
            )
        except (E3PoseError, MemoryError) as error:
            panel.status.sayFailed(error)
            return
        panel.status.say("")
        panel.status.showProgress(_("Starting"), 0.0)
        self._onBusy()

    def onRemoveAlignmentButton(self, checked=False) -> None:
        """Take the latest alignment back: the scene is as it was before it, but for what a person has gone on with."""
        self._comparison.end()
        scene, found = slicer.mrmlScene, mrml.alignments(slicer.mrmlScene)
        if not found:  # its nodes were deleted meanwhile
            self.refresh()
            return
        names = [stack.volume.GetName() for stack in found[-1].stacks if stack.volume is not None]
        with mrml.one_step(scene, list(found[-1].nodes)):
            staying = mrml.remove_alignment(scene, found[-1])
        self._rest.start()
        words = [_("The alignment of {names} was removed.").format(names=", ".join(names) or _("deleted stacks"))]
        if staying:
            words.append(_("What was changed by hand or is in use stays: {names}.").format(names=", ".join(staying)))
        self._panel.status.say(" ".join(words))
        self._panel.outputs.selectThoseOf(self._parameterNode.inputVolume)
        self.refresh()

    def onUndone(self) -> None:
        """An alignment may have been undone, or done again."""
        mrml.tend_folders(slicer.mrmlScene)
        self.refresh()

    def endComparison(self) -> None:
        """Go back to the layout before, where stacks are compared."""
        self._comparison.end()

    def stop(self) -> None:
        """Go back, and follow the scene no longer."""
        self._rest.stop()
        self._comparison.stop()
        self._list.stop()

    def _onChanged(self) -> None:
        self.refresh()

    def _whyNot(self) -> str | None:
        """Why the stacks cannot be aligned now, or None."""
        checked = self._list.checked()
        try:
            self._panel.estimation.checkPackages()
            self._panel.modelSection.arguments()
            for volume in checked:
                mrml.check_volume_node(volume)
        except E3PoseError as error:
            return str(error)
        if len(checked) < FEWEST:
            return _("Check at least two stacks of one fetus.")
        return _("An estimation or a reslicing is under way.") if self._panel.isBusy else None

    def _write(self, scans, answer: dict, masks) -> None:
        """Write an alignment into new nodes, all or none of them; one step of Slicer's *Undo*."""
        panel, scene = self._panel, slicer.mrmlScene
        if self._parameterNode is None:
            panel.initializeParameterNode()
        notWritten = _("The stacks were aligned, but could not be written to the scene.")
        panel.status.say(notWritten)
        with slicer.util.tryWithErrorDisplay(notWritten):
            with mrml.one_step(scene, []) as made:
                mrml.write_alignment(scene, scans, answer, masks, made)
            self._rest.stop()
            for scan, one in zip(scans, answer["stacks"], strict=True):
                if one["kept"]:
                    panel.outputs.forgetLast(scan.volume_id, ("outputTransform", "outputSegmentation"))
            panel.outputs.selectThoseOf(self._parameterNode.inputVolume)
            self.refresh()
            panel.views.whenOpen(self._comparison.show)
            left_out = [one for one in answer["stacks"] if not one["kept"]]
            words = [
                _("Done: {count} of {all} stacks aligned.").format(count=len(scans) - len(left_out), all=len(scans))
            ]
            words += [remark.rstrip(".") + "." for remark in answer["remarks"]]
            words += [
                _("{name}: {changes}.").format(name=node.GetName(), changes="; ".join(changes))
                for node in made
                if mrml.pose_direction(node) and (changes := mrml.changes_since(node))
            ]
            if how := howToTurnUpright(slicer.mrmlScene.GetNodeByID(scan.volume_id) for scan in scans):
                words.append(how)
            panel.status.say(" ".join(words))


def _described(alignment) -> str:
    """What became of each stack, in words: best first, then those that were left out."""
    lines = []
    for stack in alignment.stacks:
        name = stack.volume.GetName() if stack.volume is not None else _("(deleted)")
        words = _(
            "{order}. {name}: likeness {likeness:.2f}, {coverage:.0%} of the brain, {slices:.0%} of slices at place"
        )
        lines.append(
            words.format(
                order=stack.numbers["order"],
                name=name,
                likeness=stack.numbers["likeness"],
                coverage=stack.numbers["coverage"],
                slices=stack.numbers["slices_at_place"],
            )
        )
        note = (mrml.read_result(stack.transform) or {}).get("alignment", [])
        lines += [f"    {sentence}" for sentence in note]
    lines += [_("{name}: left out: {reason}").format(name=name, reason=why) for name, why in alignment.left_out]
    return "\n".join(lines)
