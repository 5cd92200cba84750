"""What Slicer's subject hierarchy plugins do as nodes come and go: each data node gets an item, at the scene's root."""

import slicer
from vtkmodules.util.misc import calldata_type
from vtkmodules.vtkCommonCore import VTK_OBJECT

DATA_CLASS = "vtkMRMLDisplayableNode"
"""Volumes, transforms, segmentations, models, markups."""

BEFORE_OTHERS = 10.0
"""Priority with which Slicer's plugins look at a scene that was read."""


def follow(scene) -> None:
    """Keep the scene's subject hierarchy."""

    def hierarchy():
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)

    def add(node) -> None:
        tree = hierarchy()
        is_data = node.IsA(DATA_CLASS) and not node.GetHideFromEditors()
        if is_data and tree.GetItemByDataNode(node) == tree.GetInvalidItemID():
            tree.CreateItem(tree.GetSceneItemID(), node)

    @calldata_type(VTK_OBJECT)
    def on_added(caller, event, node) -> None:
        if not scene.IsImporting():
            add(node)

    @calldata_type(VTK_OBJECT)
    def on_about_to_be_removed(caller, event, node) -> None:
        tree = hierarchy()
        item = tree.GetItemByDataNode(node)
        if not scene.IsClosing() and item != tree.GetInvalidItemID():
            tree.RemoveItem(item, False, False)  # neither the data, which is on its way, nor the children

    def resolve(caller, event) -> None:
        """Make the scene's tree anew after a close, and merge that of a scene that was read into it."""
        slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)

    def on_imported(caller, event) -> None:
        resolve(caller, event)
        for index in range(scene.GetNumberOfNodesByClass(DATA_CLASS)):
            add(scene.GetNthNodeByClass(index, DATA_CLASS))

    scene.AddObserver(scene.NodeAddedEvent, on_added)
    scene.AddObserver(scene.NodeAboutToBeRemovedEvent, on_about_to_be_removed)
    scene.AddObserver(scene.EndImportEvent, on_imported, BEFORE_OTHERS)
    scene.AddObserver(scene.EndCloseEvent, resolve)
