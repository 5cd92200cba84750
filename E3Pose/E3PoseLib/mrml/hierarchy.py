"""Where results stand in the subject hierarchy: with the patient and the study of their scan."""

import slicer


def place_beside(node, volume_node) -> None:
    """Put a node's item beside the item of a volume; a node or volume without one stays as it is."""
    hierarchy, item, volume_item = _items(node, volume_node)
    if item and volume_item:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(volume_item))


def place_under(node, volume_node) -> None:
    """Put a node's item under the item of a volume, as what belongs to it alone."""
    hierarchy, item, volume_item = _items(node, volume_node)
    if item and volume_item:
        hierarchy.SetItemParent(item, volume_item)


def common_parent(scene, nodes) -> int:
    """The item under which the items of all nodes lie; the scene's own where they lie apart."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    parents = {hierarchy.GetItemParent(item) for node in nodes if (item := hierarchy.GetItemByDataNode(node))}
    return parents.pop() if len(parents) == 1 else hierarchy.GetSceneItemID()


def _items(node, volume_node):
    """The subject hierarchy, and the items of both nodes, 0 where there is none."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    return hierarchy, hierarchy.GetItemByDataNode(node), hierarchy.GetItemByDataNode(volume_node)
