"""What is drawn over the head on request: its axes as arrows, its box as a region of interest."""

import json

import numpy as np
import slicer
from slicer.i18n import tr as _

from E3PoseLib import mrml

POSE_ATTRIBUTE = "E3Pose.BoxPose"
"""Of a head's box: the canonical_to_world pose that it was last put at, as JSON."""


class Overlays:
    """Keeps arrows and box on the head that the `Views` show, where their check boxes want them.

    The box is a result of the scan, with which it is shown and hidden; arrows are the panel's own.
    """

    def __init__(self, views):
        self.axes = mrml.HeadAxes()
        self._views = views
        self._parameterNode = None
        self._box = None

    def setParameterNode(self, parameterNode) -> None:
        """Follow another parameter node, or none."""
        self._parameterNode = parameterNode
        self._box = None
        self.refresh()

    def refresh(self) -> None:
        """Follow the pose, the scan and the check boxes."""
        if self._parameterNode is None:
            return
        self._placeAxes(self._views.shownPose())
        self._placeBox(self._views.scanPose())

    def remove(self) -> None:
        """Take the arrows out of the scene."""
        self.axes.remove()

    def _placeAxes(self, pose: np.ndarray | None) -> None:
        if pose is None:
            self.axes.show_arrows(False)
        elif self._parameterNode.showAxes or self.axes.transform is not None:
            self.axes.place(slicer.mrmlScene, pose)
            self.axes.show_arrows(self._parameterNode.showAxes)

    def _placeBox(self, pose: np.ndarray | None) -> None:
        parameters = self._parameterNode
        if self._box is not None and not mrml.is_shown(self._box):
            self._box, parameters.showBox = None, False  # deleted or hidden: it does not come again unasked
        volume = parameters.inputVolume
        if pose is not None and volume is not None and parameters.showBox and not self._views.showsUpright:
            box = mrml.result_of(volume, mrml.BOX_CLASS)
            # A copy is a person's own.
            self._box = box if box is not None and mrml.is_result_of(box, volume) else self._makeBox(volume, pose)
            self._followHead(self._box, pose)
        else:
            self._box = None
        mrml.show_only(slicer.mrmlScene, mrml.BOX_CLASS, self._box)

    def _makeBox(self, volume, pose: np.ndarray):
        name = slicer.mrmlScene.GenerateUniqueName(f"{volume.GetName()} {_('head box')}")
        box = mrml.add_box(slicer.mrmlScene, name)
        mrml.place_beside(box, volume)
        mrml.write_box(box, pose, self._parameterNode.outputSegmentation, volume)
        box.SetAttribute(POSE_ATTRIBUTE, json.dumps(pose.tolist()))
        return box

    def _followHead(self, box, pose: np.ndarray) -> None:
        """Move the box along with the head; one that somebody has resized keeps its size."""
        before = np.array(json.loads(box.GetAttribute(POSE_ATTRIBUTE) or json.dumps(pose.tolist())))
        if not np.allclose(before, pose):
            mrml.move_box(box, before, pose)
            box.SetAttribute(POSE_ATTRIBUTE, json.dumps(pose.tolist()))
