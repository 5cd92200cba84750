"""Where results stand in the subject hierarchy: with the patient and the study of their scan."""

import slicer


def place_beside(node, volume_node) -> None:
    """Put a node's item beside the item of a volume; a node or volume without one stays as it is.

    Not under it: the Data module moves and deletes what lies under an item along with it. A pose would count its scan's
    motion twice, and a correction would go with the scan.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item, volume_item = hierarchy.GetItemByDataNode(node), hierarchy.GetItemByDataNode(volume_node)
    if item and volume_item:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(volume_item))


def common_parent(scene, nodes) -> int:
    """The item under which the items of all nodes lie; the scene's own where they lie apart."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    parents = {hierarchy.GetItemParent(item) for node in nodes if (item := hierarchy.GetItemByDataNode(node))}
    return parents.pop() if len(parents) == 1 else hierarchy.GetSceneItemID()
