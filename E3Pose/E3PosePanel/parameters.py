"""What the panel remembers, in the scene: each name is bound to the widget of the ``.ui`` file that bears it."""

import enum
from typing import Annotated

from slicer import (
    vtkMRMLLinearTransformNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLScriptedModuleNode,
    vtkMRMLSegmentationNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from E3PoseLib import mrml


class Direction(enum.Enum):
    """Which way the output transform leads."""

    ALIGN = mrml.ALIGN_VOLUME
    PLACE = mrml.PLACE_AXES

    def label(self) -> str:
        return {
            Direction.ALIGN: _("Align volume to head axes"),
            Direction.PLACE: _("Place head axes in the scan"),
        }[self]


class Device(enum.Enum):
    """Where the networks run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"

    def label(self) -> str:
        return {
            Device.AUTO: _("Automatic"),
            Device.CPU: _("Processor (CPU)"),
            Device.CUDA: _("NVIDIA graphics card (CUDA)"),
        }[self]


class Precision(enum.Enum):
    """The networks' number format."""

    SINGLE = "float32"
    HALF = "bfloat16"

    def label(self) -> str:
        return {Precision.SINGLE: _("Single (float32)"), Precision.HALF: _("Half (bfloat16)")}[self]


class Plane(enum.Enum):
    """Of the head, in which slices are planned."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"

    def label(self) -> str:
        return {Plane.AXIAL: _("Axial"), Plane.CORONAL: _("Coronal"), Plane.SAGITTAL: _("Sagittal")}[self]


@parameterNodeWrapper
class E3PoseParameterNode:
    """
    inputVolume - the fetal scan
    model - name of the model
    outputTransform, outputSegmentation, reslicedVolume - where results go; None: made when needed
    reslicedSpacing - edge of the resliced voxels in mm
    direction - which way the output transform leads
    showMask2D, showMask3D - where the brain mask is shown
    maskOpacity - of its outline and its surface
    planesBefore - where the slice views were before they were turned to the head, as JSON; empty where they are not
    layoutBefore - Slicer's layout before that in which aligned stacks are compared; 0 where they are not
    showAxes, showBox - whether the head's axes and its box are drawn
    stackPlane, stackFieldOfView, stackThickness, stackGap, stackMargin - of slices that are planned, in mm
    showStack - whether they are drawn
    sendDoubtful - whether Follow writes doubtful poses into the transform too
    device, precision - how the networks run
    useModelThresholds - whether the two thresholds that follow are the model's own
    backgroundThreshold, brainThreshold - probabilities above which a voxel can be of that class
    """

    inputVolume: vtkMRMLScalarVolumeNode
    model: str = "default"
    outputTransform: vtkMRMLLinearTransformNode
    outputSegmentation: vtkMRMLSegmentationNode
    reslicedVolume: vtkMRMLScalarVolumeNode
    reslicedSpacing: Annotated[float, WithinRange(0.3, 5.0)] = 1.0
    direction: Direction = Direction.ALIGN
    showMask2D: bool = True
    showMask3D: bool = True
    maskOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 1.0
    planesBefore: str = ""
    layoutBefore: int = 0
    showAxes: bool = False
    showBox: bool = False
    stackPlane: Plane = Plane.AXIAL
    stackFieldOfView: Annotated[float, WithinRange(10.0, 1000.0)] = 256.0
    stackThickness: Annotated[float, WithinRange(0.1, 50.0)] = 3.0
    stackGap: Annotated[float, WithinRange(-50.0, 100.0)] = 0.0
    stackMargin: Annotated[float, WithinRange(0.0, 200.0)] = 10.0
    showStack: bool = False
    sendDoubtful: bool = False
    device: Device = Device.AUTO
    precision: Precision = Precision.SINGLE
    useModelThresholds: bool = True
    backgroundThreshold: Annotated[float, WithinRange(0.0, 1.0)] = 0.9
    brainThreshold: Annotated[float, WithinRange(0.0, 1.0)] = 0.8


def resetUnreadable(parameterNode: vtkMRMLScriptedModuleNode) -> list[str]:
    """Set to its default each setting that cannot be read, as of a later version's scene; returns their names.

    To be called before the node is wrapped: Slicer's wrapper reads all settings at once, and fails with any of them.
    """
    defaults = E3PoseParameterNode(vtkMRMLScriptedModuleNode())
    texts = {name: defaults.parameterNode.GetParameter(name) for name in defaults.parameterNode.GetParameterNames()}
    unreadable = []
    for name, default in texts.items():
        text, kind = parameterNode.GetParameter(name), type(getattr(defaults, name))
        if kind is type(None) or not parameterNode.HasParameter(name):
            continue  # a node, which is a reference; or not told by this scene
        try:
            # What is set is checked against the setting's range.
            setattr(defaults, name, kind[text] if issubclass(kind, enum.Enum) else kind(text))
            if name == "planesBefore" and text:
                mrml.planes_from_text(text)
        except Exception:  # whatever Slicer's checks raise
            parameterNode.SetParameter(name, default)
            unreadable.append(name)
    return unreadable
