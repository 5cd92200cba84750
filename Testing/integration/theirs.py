"""A person's own nodes, and whether they still hold what they did, bit for bit."""

import numpy as np
import pytest

from .conftest import add_phantom

vtk_support = pytest.importorskip("vtk.util.numpy_support", reason="needs VTK")
numpy_to_vtk, vtk_to_numpy = vtk_support.numpy_to_vtk, vtk_support.vtk_to_numpy

LABEL_MAP = "Binary labelmap"


def content(node) -> dict:
    """Everything in a node that a person could miss, bit for bit."""
    import slicer

    from E3PoseLib import mrml

    roles = [node.GetNthNodeReferenceRole(index) for index in range(node.GetNumberOfNodeReferenceRoles())]
    found = {
        "name": node.GetName(),
        "description": node.GetDescription(),
        "hidden": node.GetHideFromEditors(),
        "attributes": {name: node.GetAttribute(name) for name in node.GetAttributeNames()},
        "references": {role: node.GetNodeReferenceID(role) for role in roles if node.GetNodeReferenceID(role)},
    }
    if node.IsA("vtkMRMLLinearTransformNode"):
        found["matrix"] = slicer.util.arrayFromTransformMatrix(node).tobytes()
    if node.IsA("vtkMRMLVolumeNode"):
        found["voxel_to_parent"] = mrml.voxel_to_parent(node).tobytes()
        found["voxels"] = mrml.voxels(node).tobytes() if node.GetImageData() else None
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        for segment_id in segmentation.GetSegmentIDs():
            segment = segmentation.GetSegment(segment_id)
            scalars = segment.GetRepresentation(LABEL_MAP).GetPointData().GetScalars()
            found[segment_id] = (segment.GetName(), segment.GetColor(), vtk_to_numpy(scalars).tobytes())
    return found


def add_segment(segmentation_node, name: str, volume_node) -> None:
    """A cube of the volume's voxels as a segment."""
    import slicer

    from E3PoseLib import mrml

    image = slicer.vtkOrientedImageData()
    mask = np.zeros(volume_node.GetImageData().GetDimensions(), np.uint8)
    mask[5:15, 5:15, 5:15] = 1
    image.SetDimensions(mask.shape)
    image.GetPointData().SetScalars(numpy_to_vtk(mask.ravel(order="F"), deep=True))
    image.SetGeometryFromImageToWorldMatrix(mrml.to_vtk(mrml.voxel_to_parent(volume_node)))
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(0.8, 0.3, 0.2)  # one of its own: Slicer gives another to a segment that has none
    segment.AddRepresentation(LABEL_MAP, image)
    segmentation_node.GetSegmentation().AddSegment(segment)


def clone(node, name: str):
    """As the subject hierarchy clones: with a display node of its own."""
    scene = node.GetScene()
    copy = scene.AddNewNodeByClass(node.GetClassName())
    copy.CopyContent(node)
    copy.Copy(node)
    copy.SetName(name)
    display = scene.AddNewNodeByClass(node.GetDisplayNode().GetClassName())
    copy.SetAndObserveDisplayNodeID(display.GetID())
    display.SetVisibility(True)
    return copy


class Theirs:
    """The nodes of a person: two scans, a registration, a segmentation of the placenta."""

    def __init__(self, scene, folder):
        import slicer

        self.scene, self.folder = scene, folder
        self.a, self.b = add_phantom(scene, "A", step=3), add_phantom(scene, "B", 30.0, step=3)
        self.transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "registration")
        matrix = np.eye(4)
        matrix[:3, 3] = 3, 4, 5
        slicer.util.updateTransformMatrixFromArray(self.transform, matrix)
        self.segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "placenta")
        self.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(self.b)
        add_segment(self.segmentation, "Placenta", self.b)
        self.segmentation.CreateDefaultDisplayNodes()
        self.nodes = [self.a, self.b, self.transform, self.segmentation]
        self.before = {}

    def file(self, name: str) -> str:
        """A file of the test's own."""
        return str(self.folder / name)

    def find_again(self) -> None:
        """After the scene was closed and loaded, the nodes are others."""
        self.nodes = [self.scene.GetFirstNodeByName(name) for name in ("A", "B", "registration", "placenta")]
        self.a, self.b, self.transform, self.segmentation = self.nodes

    def remember(self, *more) -> None:
        """What the nodes hold now is what they are to hold at the end; ``more`` are a person's nodes too."""
        self.nodes += more
        self.before = {node.GetID(): content(node) for node in self.nodes if node.GetScene()}

    def changed(self) -> list[tuple]:
        """The names of the nodes that no longer hold what they did, and what of it has changed."""
        now = {node.GetID(): content(node) for node in self.nodes if node.GetScene()}
        return [
            (was["name"], [key for key in was if now[node_id].get(key) != was[key]] if node_id in now else "gone")
            for node_id, was in self.before.items()
            if now.get(node_id) != was
        ]
