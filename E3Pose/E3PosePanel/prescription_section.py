"""The section Slice prescription: slices along the head's planes, in the words of a scanner's console."""

import numpy as np
import slicer
from slicer.i18n import tr as _

from E3PoseLib import mrml
from E3PoseLib.errors import E3PoseError, PrescriptionError
from E3PosePanel import result_text

MAX_SLICES = 256
"""More than any console takes: how many there are is read off the text."""


class PrescriptionSection:
    """Plans a stack by the selected scan's pose and mask, tells it as text, and draws it.

    Nothing is planned while the section is folded away and nothing is drawn.
    """

    def __init__(self, ui, views, showMessage):
        self._ui = ui
        self._views = views
        self._showMessage = showMessage
        self._parameterNode = None
        self._model = None
        ui.prescriptionCollapsibleButton.connect("contentsCollapsed(bool)", self.onCollapsed)
        ui.copyPrescriptionButton.connect("clicked(bool)", self.onCopyPrescriptionButton)

    def setParameterNode(self, parameterNode) -> None:
        """Follow another parameter node, or none."""
        self._parameterNode = parameterNode
        self._model = None
        self.refresh()

    def refresh(self) -> None:
        """Plan anew, as pose, mask and choices are now."""
        parameters = self._parameterNode
        if parameters is None:
            return
        if self._model is not None and not mrml.is_shown(self._model):
            self._model, parameters.showStack = None, False  # deleted or hidden: it does not come again unasked
        stack, text = None, ""
        if parameters.showStack or not self._ui.prescriptionCollapsibleButton.collapsed:
            try:
                stack, text = self._plan()
            except E3PoseError as error:
                text = _("No slices: {reason}.").format(reason=str(error).rstrip("."))
        if self._ui.prescriptionText.plainText != text:
            self._ui.prescriptionText.plainText = text
        self._ui.copyPrescriptionButton.enabled = stack is not None
        self._draw(stack if parameters.showStack and not self._views.showsUpright else None)

    def onCollapsed(self, collapsed: bool) -> None:
        self.refresh()

    def onCopyPrescriptionButton(self, checked=False) -> None:
        """Put the text on the clipboard, with what speaks against the pose before all numbers."""
        self.refresh()  # pose and mask may have been changed by other modules
        slicer.app.clipboard().setText(self._ui.prescriptionText.plainText)
        self._showMessage(_("The prescription was copied. Not for clinical use."))

    def _plan(self):
        """The stack, in the scan's own coordinates, and its text."""
        from E3PoseLib.prescription import CUT_BRAIN, StackSettings, plan_stack, prescription_text

        parameters, volume = self._parameterNode, self._parameterNode.inputVolume
        transform, segmentation = parameters.outputTransform, parameters.outputSegmentation
        pose = mrml.head_pose(transform)
        if volume is None or mrml.is_of_another(transform, volume):
            raise PrescriptionError(_("the selected pose is of another scan"))
        mask = mrml.mask_voxels(segmentation) if segmentation and mrml.is_of(segmentation, volume) else None
        if mask is None:
            raise PrescriptionError(_("the scan has no brain mask: estimate the pose with one"))
        toScan = mrml.world_to_scan(volume)
        voxels, voxelToWorld = mask
        side = parameters.stackFieldOfView
        settings = StackSettings(
            field_of_view=(side, side),
            thickness=parameters.stackThickness,
            gap=parameters.stackGap,
            margin=parameters.stackMargin,
            max_slices=MAX_SLICES,
        )
        isCut = mrml.read_result(transform)["confidence"].get("border_share", 0) > 0
        place = toScan @ pose, voxels, toScan @ voxelToWorld
        stack = plan_stack(parameters.stackPlane.value, *place, settings, isCut)
        level, sentences, ofFile = self._doubts(transform, volume)
        sentences = [CUT_BRAIN, *sentences] if isCut else sentences
        return stack, prescription_text(volume.GetName(), [stack], level, sentences, ofFile)

    @staticmethod
    def _doubts(transform, volume) -> tuple[str, list[str], list[str]]:
        """The level of a pose's confidence, all that is to be known before it is used, and the doubts of the file.

        Where a person has checked or corrected the pose, its confidence says nothing any more; where somebody has
        changed it outside the panel, nobody knows anything of it. Of how the scan lies in the patient no eye can tell.
        """
        result = {**mrml.told_result(transform), "changes": mrml.changes_since(transform)}
        ofFile = [result["coordinates"]] if result.get("coordinates") else []
        if mrml.review_state(result) == mrml.ESTIMATED:
            level = "low" if mrml.marks_of(result) else result["confidence"]["level"]
            sentences = result_text.all_warnings(result)
        else:
            level, sentences = "high", [result_text.verdict(result).rstrip("."), *result["changes"]]
            if result["confidence"].get("orientation_doubtful"):
                ofFile += [_("of the estimate: {warning}").format(warning=one) for one in result["warnings"]]
        if mrml.why_of_another_image(transform) or mrml.review_state(result) == mrml.EDITED:
            level = "low"
        if mrml.has_left_scanner(transform):
            level = "low"
            sentences.append(_("the scan got other coordinates since its pose was estimated: the scanner has its own"))
        if volume.GetTransformNodeID():
            sentences.append(_("the scan sits under a transform; the numbers are those of the scan without it"))
        return level, sentences, ofFile

    def _draw(self, stack) -> None:
        """Draw a stack, or none; those of other scans are hidden."""
        volume = self._parameterNode.inputVolume
        model = None
        if stack is not None:
            model = mrml.result_of(volume, mrml.SLICES_CLASS)
            if model is None or mrml.is_edited_slices(model) or not self._mayWrite(model, volume):
                model = self._makeModel(volume)
            frames = stack.slice_centres[:, None] + _corners(stack)
            mrml.write_slices(model, frames, stack.thickness * stack.normal, volume)
        self._model = model
        mrml.show_only(slicer.mrmlScene, mrml.SLICES_CLASS, model)

    @staticmethod
    def _mayWrite(model, volume) -> bool:
        try:
            mrml.check_output(model, volume)
        except E3PoseError:
            return False
        return True

    @staticmethod
    def _makeModel(volume):
        name = slicer.mrmlScene.GenerateUniqueName(f"{volume.GetName()} {_('slices')}")
        model = slicer.mrmlScene.AddNewNodeByClass(mrml.SLICES_CLASS, name)
        mrml.place_beside(model, volume)
        return model


def _corners(stack) -> np.ndarray:
    """From the middle of a slice to its corners, [4, 3]."""
    row, column = stack.row * stack.field_of_view[0] / 2, stack.column * stack.field_of_view[1] / 2
    return np.stack([row + column, row - column, -row - column, column - row])
