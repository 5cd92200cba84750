"""What becomes of stacks that were brought together: of each a transform and a mask, and one folder with all of them.

The nodes are results of their stacks as any other, so pose, planes and reslicing work with them; but nothing else is
ever written into them. What they belong to together is noted in the nodes themselves, so a saved scene brings it back;
the folder in the subject hierarchy, which Slicer's *Undo* knows nothing of, follows them.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import slicer
import vtk

from E3PoseLib.mrml.head_now import is_edited_pose
from E3PoseLib.mrml.hierarchy import common_parent
from E3PoseLib.mrml.masks.following import is_edited_mask
from E3PoseLib.mrml.masks.segment import holds_other_segments, write_mask
from E3PoseLib.mrml.matrices import nodes_of_class
from E3PoseLib.mrml.outputs import ALIGNMENT_ATTRIBUTE, SELF_REFERENCE, VOLUME_REFERENCE, remove_node
from E3PoseLib.mrml.pose import ALIGN_VOLUME, write_pose
from E3PoseLib.mrml.review import is_reviewed

CLASSES = ("vtkMRMLLinearTransformNode", "vtkMRMLSegmentationNode")
FOLDER_NAME = "Aligned stacks"

PARENT_REFERENCE = "E3Pose.StackParent"
"""Role of the node reference by which an aligned transform knows the transform that its stack sat under before."""


@dataclass(frozen=True)
class AlignedStack:
    """A stack of an alignment, with what was made for it.

    Parameters
    ----------
    volume, transform, segmentation : vtkMRMLNode or None
        None for one that was deleted since.
    numbers : dict
        ``order`` (from 1, best first), ``likeness`` (-1 to 1), ``coverage`` and ``slices_at_place`` (0 to 1).
    """

    volume: object
    transform: object
    segmentation: object
    numbers: dict


@dataclass(frozen=True)
class Alignment:
    """Stacks that were brought together at once.

    Parameters
    ----------
    id : str
    stacks : list of AlignedStack
        Best first; at least one.
    left_out : list
        Name of each of the others, and why it was left out; several may have one name.
    """

    id: str
    stacks: list
    left_out: list

    @property
    def nodes(self) -> Iterator:
        """The transforms and segmentations that are there still."""
        return (node for stack in self.stacks for node in (stack.transform, stack.segmentation) if node is not None)


def write_alignment(scene, scans, answer: dict, masks, made: list) -> None:
    """Make a transform and a segmentation for each stack that was kept, and the folder; no node of the scene changes.

    Parameters
    ----------
    scene : vtkMRMLScene
    scans : list of Scan
    answer : dict
        See `align_volumes` of `running.align`.
    masks : list of np.ndarray or None
        Of each scan.
    made : list
        Takes the nodes that were made; where one cannot be written they go again, and the error is raised.
    """
    stacks = list(zip(scans, answer["stacks"], masks, strict=True))
    left_out = [[scan.name, one["reason"]] for scan, one, _ in stacks if not one["kept"]]
    identity = uuid.uuid4().hex
    kept = [stack for stack in stacks if stack[1]["kept"]]
    try:
        for scan, one, mask in sorted(kept, key=lambda stack: stack[1]["order"]):
            numbers = {name: one[name] for name in ("order", "likeness", "coverage", "slices_at_place")}
            note = json.dumps({"id": identity, **numbers, "left_out": left_out})
            transform = _make(scene, CLASSES[0], f"{scan.name} aligned", note, made)
            write_pose(transform, one["result"], ALIGN_VOLUME, scan)
            # Of a stack under a warp too, whose mask sits elsewhere.
            parent_id = scene.GetNodeByID(scan.volume_id).GetTransformNodeID()
            transform.SetNodeReferenceID(PARENT_REFERENCE, parent_id)
            if mask is not None:
                segmentation = _make(scene, CLASSES[1], f"{scan.name} aligned brain", note, made)
                write_mask(segmentation, mask, scan)
    except Exception:
        for node in made:
            remove_node(node)
        raise
    tend_folders(scene)


def alignments(scene) -> list[Alignment]:
    """All alignments of a scene, the latest last."""
    found: list[tuple[str, list]] = []
    for node in _nodes(scene):
        identity = _note(node)["id"]
        # Where a scene was added to itself, each alignment is there twice.
        fitting = (nodes for one, nodes in reversed(found) if one == identity and _belongs(node, nodes))
        nodes = next(fitting, None)
        if nodes is None:
            found.append((identity, nodes := []))
        nodes.append(node)
    return [_alignment(identity, nodes) for identity, nodes in found]


def _belongs(node, nodes: list) -> bool:
    """Whether a node of the alignment that some nodes are of is no copy of one of them, nor of a copy's stack."""
    order, stack = _note(node)["order"], node.GetNodeReferenceID(VOLUME_REFERENCE)
    alike = [other for other in nodes if _note(other)["order"] == order]
    return all(
        other.GetClassName() != node.GetClassName() and other.GetNodeReferenceID(VOLUME_REFERENCE) == stack
        for other in alike
    )


def remove_alignment(scene, alignment: Alignment) -> list[str]:
    """Remove the nodes and the folder of an alignment; the names of the nodes that stay.

    Stacks that were put under their transforms come back under those that they sat under before. What a person has
    corrected, checked or painted on stays, and so does a transform that moves other nodes than its stack and its mask:
    they are the person's from now on, in the folder.
    """
    staying = []
    for node in list(alignment.nodes):
        if _is_used(node):
            node.RemoveAttribute(ALIGNMENT_ATTRIBUTE)
            staying.append(node.GetName())
            continue
        before = node.GetNodeReferenceID(PARENT_REFERENCE)
        for stack in _under(node) if before else ():
            stack.SetAndObserveTransformNodeID(before)
        remove_node(node)
    tend_folders(scene)
    return staying


def tend_folders(scene) -> None:
    """Make the folders that alignments lack, as after *Redo*, and remove those that are empty, as after *Undo*."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folders, nodes = _folders(hierarchy), _nodes(scene)
    for node in nodes:
        identity, item = _note(node)["id"], hierarchy.GetItemByDataNode(node)
        if not item or hierarchy.GetItemParent(item) != hierarchy.GetSceneItemID():
            continue  # it is in the folder, or where a person has put it
        if identity not in folders:
            volumes = [other.GetNodeReference(VOLUME_REFERENCE) for other in nodes if _note(other)["id"] == identity]
            parent = common_parent(scene, [volume for volume in volumes if volume is not None])
            folders[identity] = hierarchy.CreateFolderItem(parent, hierarchy.GenerateUniqueItemName(FOLDER_NAME))
            hierarchy.SetItemAttribute(folders[identity], ALIGNMENT_ATTRIBUTE, identity)
        hierarchy.SetItemParent(item, folders[identity])
    for folder in folders.values():
        if hierarchy.GetNumberOfItemChildren(folder) == 0:
            hierarchy.RemoveItem(folder)


def _make(scene, class_name: str, name: str, note: str, made: list):
    node = scene.AddNewNodeByClass(class_name, scene.GenerateUniqueName(name))
    made.append(node)
    node.SetAttribute(ALIGNMENT_ATTRIBUTE, note)
    return node


def _nodes(scene) -> list:
    """The nodes of all alignments in the scene's order; copies of them are none."""
    nodes = (node for class_name in CLASSES for node in nodes_of_class(scene, class_name))
    ids = {
        node.GetID()
        for node in nodes
        if node.GetAttribute(ALIGNMENT_ATTRIBUTE) and node.GetNodeReferenceID(SELF_REFERENCE) == node.GetID()
    }
    every = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes() if ids else 0))
    return [node for node in every if node.GetID() in ids]


def _note(node) -> dict:
    return json.loads(node.GetAttribute(ALIGNMENT_ATTRIBUTE))


def _alignment(identity: str, nodes: list) -> Alignment:
    by_order: dict[int, dict] = {}
    for node in nodes:
        by_order.setdefault(_note(node)["order"], {})[node.GetClassName()] = node
    stacks, left_out = [], []
    for order in sorted(by_order):
        transform, segmentation = (by_order[order].get(name) for name in CLASSES)
        node = transform or segmentation
        numbers = _note(node)
        left_out = numbers.pop("left_out")
        del numbers["id"]
        stacks.append(AlignedStack(node.GetNodeReference(VOLUME_REFERENCE), transform, segmentation, numbers))
    return Alignment(identity, stacks, left_out)


def _is_used(node) -> bool:
    """Whether a person has gone on with a node of an alignment."""
    if node.IsA("vtkMRMLSegmentationNode"):
        return is_edited_mask(node) or holds_other_segments(node)
    if is_edited_pose(node) or is_reviewed(node):
        return True
    stack_id = node.GetNodeReferenceID(VOLUME_REFERENCE)  # of a stack that was deleted its own still, or none
    known = ((other.GetID(), other.GetNodeReferenceID(VOLUME_REFERENCE)) for other in _under(node))
    return any(stack_id is None or stack_id not in ids for ids in known)


def _under(transform_node) -> list:
    """The nodes right under a transform."""
    nodes = nodes_of_class(transform_node.GetScene(), "vtkMRMLTransformableNode")
    return [node for node in nodes if node.GetTransformNodeID() == transform_node.GetID()]


def _folders(hierarchy) -> dict[str, int]:
    """The folders of alignments, by the alignments' IDs."""
    found = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), found, True)
    ids = (found.GetId(index) for index in range(found.GetNumberOfIds()))
    return {
        hierarchy.GetItemAttribute(item, ALIGNMENT_ATTRIBUTE): item
        for item in ids
        if hierarchy.HasItemAttribute(item, ALIGNMENT_ATTRIBUTE)
    }
