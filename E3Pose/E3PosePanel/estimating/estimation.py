"""From the click on Estimate Pose to the nodes that hold the result."""

import contextlib

import slicer
from slicer.i18n import tr as _

from E3PoseLib import mrml
from E3PoseLib.errors import DependencyError, E3PoseError
from E3PosePanel.logic import SEGMENTATION, TRANSFORM
from E3PosePanel.result_text import howToTurnUpright


class Estimation:
    """Says whether the selected scan can be estimated, has it estimated, and writes the result.

    ``panel`` gives the parts that it works with, ``run`` is the `BackgroundRun`. ``onWritten(volume, words)`` is called
    when a result has been written, with what there is to say of it; ``onFailed(error)`` where there is none.
    """

    def __init__(self, panel, run, showMessage, onWritten, onFailed):
        self._panel = panel
        self._run = run
        self._showMessage = showMessage
        self._onWritten = onWritten
        self._onFailed = onFailed
        self._parameterNode = None

    def setParameterNode(self, parameterNode) -> None:
        """Work with another parameter node, or none."""
        self._parameterNode = parameterNode

    def refresh(self, isBusy: bool) -> None:
        """Enable the button, or say in its tool tip why not."""
        try:
            self._check()
        except E3PoseError as error:
            reason = str(error)
        else:
            reason = _("An estimation or a reslicing is under way.") if isBusy else None
        button = self._panel.ui.estimateButton
        button.enabled = reason is None
        button.toolTip = reason or _("Find how the fetal head lies in the scan.")

    def start(self) -> bool:
        """Begin; whether that was possible."""
        panel, parameters = self._panel, self._parameterNode
        try:
            self._check()  # again: the nodes may have changed since the button was enabled
            panel.outputs.ask()
            scan = panel.logic.readScan(parameters.inputVolume)
            self._run.estimate(
                scan,
                panel.modelSection.arguments(),
                panel.logic.estimatorOptions(parameters),
                onFinished=lambda answer, mask: self.write(scan, answer, mask),
                onFailed=self._onFailed,
                isWanted=lambda: panel.logic.checkStillThere(scan),
            )
        except (E3PoseError, MemoryError) as error:
            self._onFailed(error)
            return False
        return True

    def write(self, scan, answer: dict, mask) -> None:
        """Write an answer into nodes of its scan, and say so; a box says why it could not be written."""
        notWritten = _("The pose was found, but could not be written to the scene.")
        self._showMessage(notWritten)
        with slicer.util.tryWithErrorDisplay(notWritten):
            volume, words = self.put(scan, answer, mask)
            self._onWritten(volume, " ".join(words))

    def put(self, scan, answer: dict, mask, isUndoable: bool = True, imageTime=None) -> tuple:
        """Put an answer into nodes of its scan; nodes that may not or cannot take it give way to new ones.

        ``imageTime`` is when the image came, of one that was followed. Returned are the scan's node and, as a list,
        what there is to say.
        """
        if self._parameterNode is None:
            self._panel.initializeParameterNode()
        outputs, volume = self._panel.outputs, slicer.mrmlScene.GetNodeByID(scan.volume_id)
        # Where the person has selected another scan in the meantime, what is selected for that one is left alone.
        isSelected = self._parameterNode.inputVolume == volume
        words = [_("Done.")] if isSelected else [_("Done. The result is of '{name}'.").format(name=scan.name)]
        transform, reason = outputs.place("outputTransform", volume)
        if reason:
            words.append(_("The pose is in a new transform: {reason}.").format(reason=reason))
        segmentation, reason = outputs.place("outputSegmentation", volume, scan.parent_id)
        if reason:
            words.append(_("The mask is in a new segmentation: {reason}.").format(reason=reason))
        if self._parameterNode.direction.value == mrml.ALIGN_VOLUME and (how := howToTurnUpright([volume])):
            words.append(how)
        nodes = transform, segmentation
        transform, segmentation = self._fill(scan, answer, mask, volume, *nodes, isUndoable, imageTime)
        if isSelected:
            outputs.select("outputTransform", transform)
            outputs.select("outputSegmentation", segmentation)
        return volume, words

    def _fill(self, scan, answer, mask, volume, transform, segmentation, isUndoable: bool, imageTime) -> tuple:
        """Fill both nodes and return them; those made for it, where one is None, go again where that fails."""
        logic, direction = self._panel.logic, self._parameterNode.direction.value
        nodes = [node for node in (transform, segmentation) if node]
        with mrml.one_step(slicer.mrmlScene, nodes) if isUndoable else contextlib.nullcontext([]) as made:
            try:
                if transform is None:
                    made.append(transform := logic.addOutput(TRANSFORM, volume))
                if segmentation is None:
                    made.append(segmentation := logic.addOutput(SEGMENTATION, volume))
                logic.writeEstimate(scan, answer, mask, direction, transform, segmentation, imageTime)
                if segmentation in made and self._parameterNode.inputVolume == volume:
                    self._panel.maskControls.showAsWanted(segmentation)
            except Exception:
                for node in made:
                    mrml.remove_node(node)
                raise
        return transform, segmentation

    def checkPackages(self) -> None:
        """Raise DependencyError where packages are missing that the method needs."""
        missing = self._panel.setupSection.missing
        if missing:
            names = ", ".join(package.name for package in missing)
            raise DependencyError(_("Not installed: {names}. Install them in the section Setup.").format(names=names))

    def _check(self) -> None:
        """Raise an E3PoseError where what is selected cannot be estimated, or nothing can."""
        parameters = self._parameterNode
        self.checkPackages()
        mrml.check_volume_node(parameters.inputVolume if parameters else None)
        transform = parameters.outputTransform
        if transform and self._panel.outputs.mayHold(transform, parameters.inputVolume):  # else a new one is made
            mrml.check_transform_node(transform, parameters.inputVolume)
        if parameters.outputSegmentation:
            mrml.check_mask_node(parameters.outputSegmentation, mrml.parent_id(parameters.inputVolume))
        self._panel.modelSection.arguments()
