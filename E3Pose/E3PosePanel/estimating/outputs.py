"""Which nodes the results of a scan go into: those made for it, and those that somebody chose for it."""

import slicer
from slicer.i18n import tr as _

from E3PoseLib import mrml
from E3PoseLib.errors import E3PoseError, OutputError
from E3PosePanel.logic import SEGMENTATION, TRANSFORM, VOLUME

KINDS = {"outputTransform": TRANSFORM, "outputSegmentation": SEGMENTATION, "reslicedVolume": VOLUME}
"""The parameters that name outputs, and the classes of their nodes."""


class Outputs:
    """Keeps the output selectors to what belongs to the selected scan, and says what may be written into.

    That a selector shows a node proves nothing: where the selected node is removed or hidden, Slicer's selectors jump
    to another one of its class, and the bound parameter node stores that. So the parameters let go of a node before it
    is removed, and what they name counts as chosen only where it was named while its predecessor was still on offer.
    """

    def __init__(self):
        self._parameterNode = None
        self._seen = {}
        self._chosen = {}
        self._allowed = set()
        self._last = {}

    def setParameterNode(self, parameterNode) -> None:
        """Follow another parameter node, or none; what it names already was chosen by nobody: a scene brought it."""
        self._parameterNode = parameterNode
        self._chosen.clear()
        self._allowed.clear()
        self._last.clear()
        self._seen = {name: self._selectedId(name) for name in KINDS} if parameterNode else {}

    def letGoOf(self, node) -> None:
        """Select nothing where a node is selected that is about to be removed."""
        for name in ("inputVolume", *KINDS) if self._parameterNode else ():
            if getattr(self._parameterNode, name) == node:
                self.select(name, None)

    def select(self, name: str, node) -> None:
        """Select a node in a parameter without anybody having chosen it."""
        self._seen[name] = node.GetID() if node else None
        self._chosen.pop(name, None)
        setattr(self._parameterNode, name, node)

    def noteChoices(self) -> None:
        """Look what has been selected since; to be called when the parameters have changed."""
        for name in KINDS:
            before, now = self._seen.get(name), self._selectedId(name)
            if now == before:
                continue
            self._seen[name] = now
            self._chosen.pop(name, None)
            previous = slicer.mrmlScene.GetNodeByID(before) if before else None
            if before and (previous is None or previous.GetHideFromEditors()):
                self.select(name, None)  # the selector has jumped
            elif now and self._parameterNode.inputVolume:
                self._chosen[name] = (now, self._parameterNode.inputVolume.GetID())

    def selectThoseOf(self, volume) -> None:
        """Select a scan's own results, those that were selected last, or none; what is empty and selected stays."""
        for name, kind in KINDS.items():
            node = getattr(self._parameterNode, name)
            if node is not None:
                self._last[node.GetNodeReferenceID(mrml.VOLUME_REFERENCE), name] = node.GetID()
            if volume is None:
                self.select(name, None)
            elif node is None or not (mrml.is_of(node, volume) or mrml.is_empty(node)):
                last = slicer.mrmlScene.GetNodeByID(self._last.get((volume.GetID(), name), ""))
                isItsOwn = last is not None and mrml.is_of(last, volume)
                self.select(name, last if isItsOwn else mrml.result_of(volume, kind))

    def forgetLast(self, volumeId: str, names=KINDS) -> None:
        """Let a scan's newest results be selected with it, as they were just made, and not those selected last."""
        for name in names:
            self._last.pop((volumeId, name), None)

    def ask(self) -> None:
        """Ask, once, before a transform is written over that was chosen for the selected scan and holds something else.

        Where the answer is no, a new one will be made.
        """
        name, volume = "outputTransform", self._parameterNode.inputVolume
        node = getattr(self._parameterNode, name)
        key = (node.GetID(), volume.GetID()) if node and volume else None
        if key is None or self._chosen.get(name) != key or key in self._allowed:
            return
        if self._fits(node, volume, chosen=False) or not self.mayHold(node, volume):
            return  # nobody need say so, or nobody can
        question = _(
            "The transform '{name}' holds something else. Write the head pose of '{scan}' over it?\n\n"
            "Cancel puts the pose into a new transform."
        ).format(name=node.GetName(), scan=volume.GetName())
        if slicer.util.confirmOkCancelDisplay(question):
            self._allowed.add(key)
        else:
            self.select(name, None)

    def place(self, name: str, volume, parentId: str | None = None) -> tuple:
        """The node that an output of a scan goes into, None for a new one; and why not into the one that is selected.

        ``parentId`` is where the mask belongs.
        """
        isSelected = self._parameterNode.inputVolume == volume
        self.forgetLast(volume.GetID(), [name])
        node = getattr(self._parameterNode, name) if isSelected else mrml.result_of(volume, KINDS[name])
        if node is None:
            return None, None
        try:
            self._check(name, node, volume, parentId)
        except E3PoseError as error:
            return None, str(error)
        return node, None

    def _check(self, name: str, node, volume, parentId: str | None) -> None:
        """Raise an E3PoseError where a result of a scan may not or cannot go into a node."""
        key = (node.GetID(), volume.GetID())
        chosen, isEdited = self._chosen.get(name) == key, False
        if name == "outputTransform":
            chosen = key in self._allowed
            mrml.check_transform_node(node, volume)
            isEdited = mrml.is_edited_pose(node) or mrml.is_reviewed(node)
        elif name == "outputSegmentation":
            mrml.check_mask_node(node, parentId)
            isEdited = mrml.is_edited_mask(node)
        else:
            isEdited = mrml.is_edited_upright(node)
        mrml.check_output(node, volume, chosen)
        if isEdited:
            raise OutputError(_("'{name}' was checked or changed by hand").format(name=node.GetName()))

    def mayHold(self, node, volume) -> bool:
        """Whether a result of a scan may be written into a node at all, should a person choose it for the scan."""
        return self._fits(node, volume, chosen=True)

    @staticmethod
    def _fits(node, volume, chosen: bool) -> bool:
        """Whether a result of a scan may be written into a node, chosen for it or not."""
        try:
            mrml.check_output(node, volume, chosen)
        except E3PoseError:
            return False
        return True

    def _selectedId(self, name: str) -> str | None:
        node = getattr(self._parameterNode, name)
        return node.GetID() if node else None
