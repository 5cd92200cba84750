"""Which node takes the points that a person places: never one that is drawn by us."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def placing_kept(scene) -> Iterator[None]:
    """Leave the node that takes placed points, and the kind of the next one, as they are while markups are added.

    Slicer's Markups module lets every markups node that comes into a scene take the points from then on.
    """
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    if selection is None:  # without the application there is nobody who places points
        yield
        return
    node_id, class_name = selection.GetActivePlaceNodeID(), selection.GetActivePlaceNodeClassName()
    try:
        yield
    finally:
        selection.SetReferenceActivePlaceNodeClassName(class_name)
        selection.SetReferenceActivePlaceNodeID(node_id)
