"""Poses and masks of all time points: two sequences in the scan's browser, which play with it."""

import json
from dataclasses import dataclass

import numpy as np

from E3PoseLib.mrml.head_now import noted_place
from E3PoseLib.mrml.masks.segment import write_mask
from E3PoseLib.mrml.matrices import fingerprint, has_voxels, is_set, nodes_of_class
from E3PoseLib.mrml.outputs import VOLUME_REFERENCE, mark_result, remove_node
from E3PoseLib.mrml.pose import NO_POSE_ATTRIBUTE, PLACE_ATTRIBUTE, read_result, write_pose
from E3PoseLib.mrml.series.time_points import TimePoints

ROLE_ATTRIBUTE = "E3Pose.Series"
"""Of a sequence: whether it holds a scan's "poses" or "masks"."""

SETTINGS_ATTRIBUTE = "E3Pose.SeriesSettings"
"""Of the sequence of poses: what all of them were estimated with."""

IMAGE_ATTRIBUTE = "E3Pose.Voxels"
"""Of a time point that has no pose: the fingerprint of the image in which none was found."""

NOT_YET = "not estimated yet"


@dataclass(frozen=True)
class SeriesResults:
    """The results of a scan's time points, and the nodes that show those of the time point that is shown.

    Each time point has an item from the beginning: for one without, a browser would show the pose of the one before.

    Parameters
    ----------
    points : TimePoints
    poses, masks : vtkMRMLSequenceNode
    transform_node, segmentation_node : vtkMRMLNode
        What the browser writes the selected items into.
    """

    points: TimePoints
    poses: object
    masks: object
    transform_node: object
    segmentation_node: object

    @property
    def settings(self) -> str:
        """What the poses were estimated with, see `settings_text`."""
        return settings_text(**json.loads(self.poses.GetAttribute(SETTINGS_ATTRIBUTE)))

    def results(self) -> list[dict | None]:
        """The results of all time points; None where there is no pose."""
        return [read_result(self.poses.GetDataNodeAtValue(self.points.value(i))) for i in range(len(self.points))]

    def poses_in_scan(self) -> np.ndarray:
        """canonical_to_ras of all time points in the scan's own coordinates, whatever transform it was under when each
        was estimated, [T, 4, 4]; NaN where there is no pose.
        """
        found = np.full((len(self.points), 4, 4), np.nan)
        for index, result in enumerate(self.results()):
            if result is not None:
                lay = noted_place(self.poses.GetDataNodeAtValue(self.points.value(index)))
                found[index] = result["canonical_to_ras"]
                if lay["to_world"] is not None:  # else it was under a warp
                    found[index] = np.array(lay["to_parent"]) @ np.linalg.inv(lay["to_world"]) @ found[index]
        return found

    def missing(self) -> list[int]:
        """The time points that were not looked at yet, nor failed; and those whose image was replaced since."""
        items = [self.poses.GetDataNodeAtValue(self.points.value(index)) for index in range(len(self.points))]
        return [
            index
            for index, item in enumerate(items)
            if item is None or item.GetAttribute(NO_POSE_ATTRIBUTE) == NOT_YET or self._was_replaced(index, item)
        ]

    def _was_replaced(self, index: int, pose_item) -> bool:
        image = self.points.sequence.GetNthDataNode(index)
        noted = pose_item.GetAttribute(IMAGE_ATTRIBUTE)
        if noted is None and pose_item.GetAttribute(PLACE_ATTRIBUTE) is not None:
            noted = noted_place(pose_item).get("voxels")
        # Earlier versions did not note it.
        return noted is not None and has_voxels(image) and fingerprint(image) != int(noted)

    def write(self, index: int, scan, result: dict, mask: np.ndarray, direction: str) -> None:
        """Write the result of a time point."""
        item = self._new_transform()
        write_pose(item, result, direction, scan)
        self._put(index, item, mask, scan)

    def write_failure(self, index: int, reason: str) -> None:
        """Note why a time point has no pose; it has no mask then."""
        item = self._new_transform()
        item.SetAttribute(NO_POSE_ATTRIBUTE, reason)
        image = self.points.sequence.GetNthDataNode(index)
        if reason != NOT_YET and has_voxels(image):
            item.SetAttribute(IMAGE_ATTRIBUTE, str(fingerprint(image)))
        self._put(index, item, None, None)

    def start_anew(self, settings: str) -> None:
        """Forget all results."""
        both = (self.poses, self.masks)
        was_modifying = [sequence.StartModify() for sequence in both]  # or the browser would play each of them
        self.poses.SetAttribute(SETTINGS_ATTRIBUTE, settings)
        for index in range(len(self.points)):
            self.write_failure(index, NOT_YET)
        for sequence, was in zip(both, was_modifying, strict=True):
            sequence.EndModify(was)

    def _new_transform(self):
        node = self.poses.GetScene().CreateNodeByClass("vtkMRMLLinearTransformNode")
        node.UnRegister(None)
        return node

    def _put(self, index: int, pose_item, mask: np.ndarray | None, scan) -> None:
        scene, value = self.poses.GetScene(), self.points.value(index)
        mask_item = scene.CreateNodeByClass("vtkMRMLSegmentationNode")
        mask_item.UnRegister(None)
        if mask is not None:
            # It needs a scene for a moment, in which nothing else sees it.
            mask_item.SetHideFromEditors(True)
            mask_item.SetSaveWithScene(False)
            mask_item.SetUndoEnabled(False)
            scene.AddNode(mask_item)
            mask_item.CreateDefaultDisplayNodes()
            mask_item.GetDisplayNode().SetVisibility(False)
            try:
                write_mask(mask_item, mask, scan)
                if mask.any():
                    mask_item.CreateClosedSurfaceRepresentation()
                self.masks.SetDataNodeAtValue(mask_item, value)
            finally:
                remove_node(mask_item)
        else:
            self.masks.SetDataNodeAtValue(mask_item, value)
        self.poses.SetDataNodeAtValue(pose_item, value)


def series_results_of(volume_node, points: TimePoints | None) -> SeriesResults | None:
    """The results of a scan's time points, where all of their nodes are there still."""
    if points is None:
        return None
    found = {}
    for sequence in nodes_of_class(volume_node.GetScene(), "vtkMRMLSequenceNode"):
        role = sequence.GetAttribute(ROLE_ATTRIBUTE)
        if role and sequence.GetNodeReferenceID(VOLUME_REFERENCE) == volume_node.GetID():
            shown_by = points.browser.GetProxyNode(sequence)
            if is_set(shown_by):
                found[role] = (sequence, shown_by)
    if set(found) != {"poses", "masks"}:
        return None
    (poses, transform_node), (masks, segmentation_node) = found["poses"], found["masks"]
    return SeriesResults(points, poses, masks, transform_node, segmentation_node)


def make_series_results(points: TimePoints, transform_node, segmentation_node, settings: str) -> SeriesResults:
    """Sequences for the results of all time points, in the scan's browser; both nodes are to show them."""
    volume_node = points.volume_node
    poses = _add_sequence(points, transform_node, "poses")
    # By itself Slicer would save the matrices alone, and not what is known of them.
    storage = poses.GetScene().AddNewNodeByClass("vtkMRMLSequenceStorageNode")
    poses.SetAndObserveStorageNodeID(storage.GetID())
    masks = _add_sequence(points, segmentation_node, "masks")
    results = SeriesResults(points, poses, masks, transform_node, segmentation_node)
    results.start_anew(settings)
    transform_node.SetAndObserveTransformNodeID(None)
    segmentation_node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    segmentation_node.CreateDefaultDisplayNodes()
    segmentation_node.GetDisplayNode().SetVisibility2DFill(False)  # of a segment alone it would be lost at each step
    for sequence, node in ((poses, transform_node), (masks, segmentation_node)):
        mark_result(node, volume_node.GetID())
        points.browser.AddSynchronizedSequenceNode(sequence)
        points.browser.AddProxyNode(node, sequence, False)
    return results


def _add_sequence(points: TimePoints, shown_by, role: str):
    scene, source = points.volume_node.GetScene(), points.sequence
    name = scene.GenerateUniqueName(f"{shown_by.GetName()} sequence")
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName(source.GetIndexName())
    sequence.SetIndexUnit(source.GetIndexUnit())
    sequence.SetIndexType(source.GetIndexType())
    sequence.SetAttribute(ROLE_ATTRIBUTE, role)
    mark_result(sequence, points.volume_node.GetID())
    return sequence


def settings_text(options: dict, **settings) -> str:
    """What poses are estimated with, so that it can be compared; but for the device, as another one gives the same."""
    options = {name: value for name, value in options.items() if name != "device"}
    return json.dumps({**settings, "options": options}, sort_keys=True, default=str)
