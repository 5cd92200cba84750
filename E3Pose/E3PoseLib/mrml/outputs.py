"""Whose an output node is: what a result may be written into, and what must stay as it is.

A result knows its scan and itself by node references. A copy of a result refers to the original, so it counts as the
person's own; where a scene is added to another one and nodes get new numbers, both references follow.
"""

import numpy as np
import slicer
import vtk

from E3PoseLib.errors import OutputError
from E3PoseLib.mrml.matrices import is_set, nodes_of_class, to_numpy

VOLUME_REFERENCE = "E3Pose.InputVolume"
"""Role of the node reference by which each result knows its scan."""

SELF_REFERENCE = "E3Pose.Self"
"""Role of the node reference by which a result knows itself, and is told from its copies."""

MASK_REFERENCE = "E3Pose.UprightMask"
"""Role of the node reference by which an upright volume knows its brain mask, which is made anew with it."""

ALIGNMENT_ATTRIBUTE = "E3Pose.Alignment"
"""Of a result that is one of aligned stacks: which stack of which alignment, as JSON; see `mrml.stacks`."""

SHOWS = ("vtkMRMLDisplayNode", "vtkMRMLSliceCompositeNode", "vtkMRMLSelectionNode", "vtkMRMLSequenceBrowserNode")
"""Classes of nodes that refer to a volume to show it; any other that does works on it."""


def remove_node(node) -> None:
    """Take a node out of its scene with its display nodes, which `RemoveNode` alone leaves behind."""
    scene = node.GetScene()
    displays = []
    if isinstance(node, slicer.vtkMRMLDisplayableNode):
        displays = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    scene.RemoveNode(node)
    for display in displays:
        if display is not None and display.GetScene() is not None:
            scene.RemoveNode(display)


def mark_result(node, volume_id: str) -> None:
    """Note in a node that what it holds now is a result of a scan."""
    node.SetNodeReferenceID(VOLUME_REFERENCE, volume_id)
    node.SetNodeReferenceID(SELF_REFERENCE, node.GetID())


def is_result_of(node, volume_node) -> bool:
    """Whether `mark_result` has marked this very node for a scan; a copy of it was not marked."""
    return is_of(node, volume_node) and _is_original(node)


def _is_original(node) -> bool:
    return node.GetNodeReferenceID(SELF_REFERENCE) == node.GetID()


def is_of(node, volume_node) -> bool:
    """Whether a node holds a result of a scan, or a copy of one."""
    return node.GetNodeReferenceID(VOLUME_REFERENCE) == volume_node.GetID()


def is_of_another(node, volume_node) -> bool:
    """Whether a node holds a result, or a copy of one, of another scan than this."""
    return node.GetNodeReferenceID(VOLUME_REFERENCE) not in (None, volume_node.GetID())


def result_of(volume_node, class_name: str):
    """The latest node of a class that holds a result of a scan, or None; a copy only where there is no original."""
    scene = volume_node.GetScene()
    nodes = (scene.GetNthNodeByClass(index, class_name) for index in range(scene.GetNumberOfNodesByClass(class_name)))
    found = [node for node in nodes if is_of(node, volume_node)]
    originals = [node for node in found if is_result_of(node, volume_node)]
    return (originals or found or [None])[-1]


def show_only(scene, class_name: str, shown) -> None:
    """Hide all results of a class but one, which may be None; copies of results are a person's own, and stay."""
    for node in nodes_of_class(scene, class_name):
        if _is_original(node) and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility(node == shown)


def is_shown(node) -> bool:
    """Whether a result is in the scene and nobody has hidden it."""
    return is_set(node) and node.GetDisplayNode() is not None and bool(node.GetDisplayNode().GetVisibility())


def is_empty(node) -> bool:
    """Whether nothing is lost by writing into a node: an identity that moves nothing, no segment, no voxel."""
    if node.IsA("vtkMRMLSegmentationNode"):
        return node.GetSegmentation().GetNumberOfSegments() == 0
    if node.IsA("vtkMRMLVolumeNode"):
        image = node.GetImageData()
        return (image is None or image.GetNumberOfPoints() == 0) and node.GetStorageNode() is None
    matrix = vtk.vtkMatrix4x4()
    node.GetMatrixTransformToParent(matrix)
    return np.array_equal(to_numpy(matrix), np.eye(4)) and not moves_something(node)


def check_output(node, volume_node, chosen: bool = False) -> None:
    """Whether a result of a scan may be written into a node.

    It may where the node is empty, or holds a result of this scan already. Where a person has chosen it for this scan
    (``chosen``) it may also where it holds something else, other than voxels or a result.

    Raises
    ------
    OutputError
        It may not; the message is a clause that says why.
    """
    name = f"'{node.GetName()}'"
    if node == volume_node:
        raise OutputError(f"{name} is the scan itself")
    if is_in_sequence(node):
        raise OutputError(f"{name} shows an item of a sequence")
    if node.GetAttribute(ALIGNMENT_ATTRIBUTE):
        raise OutputError(f"{name} belongs to aligned stacks")
    if is_result_of(node, volume_node):
        user = user_of(node) if node.IsA("vtkMRMLVolumeNode") else None
        if user is not None:
            raise OutputError(f"{name} is what '{user.GetName()}' was made from")
    elif is_of_another(node, volume_node):
        raise OutputError(f"{name} is a result of another scan")
    elif is_of(node, volume_node):
        raise OutputError(f"{name} is a copy of a result")
    elif not is_empty(node) and (node.IsA("vtkMRMLVolumeNode") or not chosen):
        raise OutputError(f"{name} holds something else")


def is_in_sequence(node) -> bool:
    """Whether a sequence browser drives a node: what is written into it may go into the sequence."""
    scene = node.GetScene()
    count = scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")
    browsers = (scene.GetNthNodeByClass(index, "vtkMRMLSequenceBrowserNode") for index in range(count))
    return any(browser.IsProxyNodeID(node.GetID()) for browser in browsers)


def user_of(volume_node):
    """A node that works on a volume: a result of it, a segmentation drawn on it, another module's parameters; or None.

    The panel's own parameters, an upright volume's mask, and whatever only shows the volume do not count.
    """
    scene, volume_id = volume_node.GetScene(), volume_node.GetID()
    spared = {volume_id, volume_node.GetNodeReferenceID(MASK_REFERENCE)}
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        if node.GetID() in spared or any(node.IsA(name) for name in SHOWS) or not _refers(node, volume_id):
            continue
        if not (node.IsA("vtkMRMLScriptedModuleNode") and node.GetSingletonTag() == "E3Pose"):
            return node
    return None


def _refers(node, node_id: str) -> bool:
    roles = [node.GetNthNodeReferenceRole(index) for index in range(node.GetNumberOfNodeReferenceRoles())]
    return any(
        node.GetNthNodeReferenceID(role, index) == node_id
        for role in roles
        for index in range(node.GetNumberOfNodeReferences(role))
    )


def moves_something(transform_node) -> bool:
    """Whether nodes sit under a transform."""
    scene = transform_node.GetScene()
    count = scene.GetNumberOfNodesByClass("vtkMRMLTransformableNode")
    nodes = (scene.GetNthNodeByClass(index, "vtkMRMLTransformableNode") for index in range(count))
    return any(node.GetTransformNodeID() == transform_node.GetID() for node in nodes)
