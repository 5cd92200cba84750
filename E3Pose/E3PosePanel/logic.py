"""What the panel does, callable without it."""

import math
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from E3PoseLib import dependencies, mrml
from E3PoseLib.errors import DependencyError, VolumeError
from E3PoseLib.imaging.geometry import write_itk, write_json, write_npy
from E3PosePanel.parameters import E3PoseParameterNode, resetUnreadable

TRANSFORM, SEGMENTATION, VOLUME = "vtkMRMLLinearTransformNode", "vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode"
RESULT_NAMES = {TRANSFORM: _("head pose"), SEGMENTATION: _("brain mask"), VOLUME: _("upright")}
"""The classes of nodes that results go into, and what follows the scan's name in theirs."""


class E3PoseLogic(ScriptedLoadableModuleLogic):
    """What the panel does, callable without it.

    Example::

        logic = E3PoseLogic()
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        estimate = logic.estimatePose(slicer.util.getNode("scan"), transform)
        upright = logic.resliceVolume(slicer.util.getNode("scan"), transform)
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._session = None
        self._unreadable = []

    def getParameterNode(self) -> E3PoseParameterNode:
        """The scene's settings; those that cannot be read are the defaults again, see `takeUnreadable`."""
        parameterNode = super().getParameterNode()
        self._unreadable += resetUnreadable(parameterNode)
        return E3PoseParameterNode(parameterNode)

    def takeUnreadable(self) -> list[str]:
        """The names of the settings that could not be read since this was last asked."""
        names, self._unreadable = self._unreadable, []
        return names

    def estimatePose(
        self,
        volumeNode,
        transformNode,
        segmentationNode=None,
        model="default",
        direction=mrml.ALIGN_VOLUME,
        progress=None,
        **options,
    ):
        """Estimate the pose in this process, write it into the nodes given, and return the `PoseEstimate`.

        ``model`` is a name or a model file; ``progress(stage, fraction)`` is called on the way; ``options`` are
        ``device``, ``thresholds`` and ``precision`` of `Session.estimate`. The last model stays loaded. Raises an
        E3PoseError, and leaves the nodes as they were, where it cannot.
        """
        self.checkPackages()
        scan = self.readScan(volumeNode, transformNode)
        session = self._warmSession()
        estimate = session.estimate(scan.volume, {"model": str(model)}, progress=progress, **options)
        summary = session.summary(estimate, scan.file, **options)
        self.writeEstimate(scan, summary, estimate.mask, direction, transformNode, segmentationNode)
        return estimate

    def _warmSession(self):
        if self._session is None:
            from E3PoseLib.running.session import Session

            self._session = Session()
        return self._session

    def checkPackages(self) -> None:
        """Raise DependencyError where Slicer's Python lacks packages that the method needs."""
        missing = ", ".join(package.name for package in dependencies.missing())
        if missing:
            raise DependencyError(f"not installed: {missing}; install them in the panel's section Setup")

    def readScan(self, volumeNode, transformNode=None) -> mrml.Scan:
        """The scan in a volume node, once both nodes are found fit: TransformError or VolumeError otherwise."""
        mrml.check_volume_node(volumeNode)
        if transformNode is not None:
            mrml.check_transform_node(transformNode, volumeNode)
        return mrml.read_scan(volumeNode)

    def checkStillThere(self, scan: mrml.Scan) -> None:
        """Raise VolumeError where the scan's node was deleted since it was read."""
        if slicer.mrmlScene.GetNodeByID(scan.volume_id) is None:
            raise VolumeError(f"volume '{scan.name}' was deleted during the estimation")

    def estimatorOptions(self, parameters: E3PoseParameterNode) -> dict:
        """The panel's choices as arguments of `Session.estimate`."""
        options = {"device": parameters.device.value, "precision": parameters.precision.value}
        if not parameters.useModelThresholds:
            options["thresholds"] = [parameters.backgroundThreshold, parameters.brainThreshold]
        return options

    def addOutput(self, kind: str, volumeNode):
        """A new node for a result of a scan, named after it; ``kind`` is its class, one of those above.

        In the subject hierarchy it lies beside the scan, with its patient and study.
        """
        name = slicer.mrmlScene.GenerateUniqueName(f"{volumeNode.GetName()} {RESULT_NAMES[kind]}")
        node = slicer.mrmlScene.AddNewNodeByClass(kind, name)
        mrml.place_beside(node, volumeNode)
        return node

    def writeEstimate(
        self, scan, result: dict, mask, direction: str, transformNode, segmentationNode, imageTime=None
    ) -> None:
        """Write an estimate's dictionary form and mask into nodes; ``segmentationNode`` may be None."""
        mrml.write_pose(transformNode, result, direction, scan, imageTime)
        if segmentationNode is not None:
            mrml.write_mask(segmentationNode, mask, scan)

    def resliceVolume(self, volumeNode, transformNode, outputNode=None, spacing=1.0, extent=mrml.HEAD_MM):
        """Reslice a scan along the head's axes and return the volume node; made where ``outputNode`` is None.

        ``spacing`` and ``extent``, the edge of the cube about the head's centre (None: the whole scan), in mm.
        """
        reslicing = mrml.UprightReslicing(volumeNode, transformNode, spacing, extent)
        reslicing.go_on(math.inf)
        return self.writeUpright(reslicing, volumeNode, outputNode)

    def writeUpright(self, reslicing, volumeNode, outputNode=None):
        """Write a `mrml.UprightReslicing` that is done, and return the volume node; made where ``outputNode`` is
        None.
        """
        target = outputNode
        if target is None:
            target = self.addOutput(VOLUME, volumeNode)
        try:
            reslicing.write(target)
        except Exception:
            if outputNode is None:
                mrml.remove_node(target)
            raise
        return target

    def writeUprightMask(self, reslicing, uprightNode, segmentationNode) -> None:
        """Put a copy of the scan's mask to where the head lies in the upright volume; None is no mask."""
        if segmentationNode is None:
            return
        target = mrml.upright_mask(uprightNode)
        if target is None or mrml.is_edited_mask(target):
            target = self.addOutput(SEGMENTATION, uprightNode)
        if not mrml.write_upright_mask(segmentationNode, uprightNode, target, reslicing.pose):
            mrml.remove_node(target)

    @staticmethod
    def poseFiles(file) -> list:
        """The files that `savePose` writes: with ``.npy``, ``.tfm`` and ``.json`` behind a name that may have dots."""
        file, endings = Path(file), (".npy", ".tfm", ".json")
        stem = file.stem if file.suffix.lower() in endings else file.name
        return [file.with_name(stem + ending) for ending in endings]

    def savePose(self, transformNode, file) -> tuple:
        """Save a pose: with all that is known of it as JSON, and the matrix alone as ``.tfm`` and ``.npy`` beside it.

        It is in the scan's own coordinates, as its file has them. Returns the files, and what has changed since the
        estimate, in sentences. The JSON says by its ``review`` whether the pose is as estimated, checked by eye or
        corrected by hand. Raises TransformError where there is no pose, OutputError where a file cannot be written.
        """
        result, files = mrml.saved_result(transformNode), self.poseFiles(file)
        pose = np.array(result["canonical_to_ras"])
        volume = transformNode.GetNodeReference(mrml.VOLUME_REFERENCE)
        storage = volume.GetStorageNode() if volume is not None else None
        document = {
            "name": volume.GetName() if volume is not None else None,
            "input": storage.GetFileName() if storage is not None else None,
            **result,
        }
        for path, write, content in zip(files, (write_npy, write_itk, write_json), (pose, pose, document), strict=True):
            write(path, content)
        return files, result["changes"]

    def showStandardPlanes(self, transformNode) -> dict:
        """Turn the slice views to the head's planes; returns what `mrml.restore_planes` turns back with."""
        return mrml.show_standard_planes(slicer.mrmlScene, mrml.head_pose(transformNode))
