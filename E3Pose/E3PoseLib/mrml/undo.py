"""One step back for what is written into several nodes at once, where the scene can undo at all."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_step(scene, nodes: list) -> Iterator[list]:
    """Let Slicer's *Undo* take back at once what is written within; ``nodes`` are the ones there already.

    Yields a list that takes the nodes that are made within: undone, they go. Where undo is off, as it is by default,
    nothing happens.
    """
    made: list = []
    if not scene.GetUndoFlag():
        yield made
        return
    for node in nodes:
        _let_undo(node)
    scene.SaveStateForUndo()
    yield made
    for node in made:
        _let_undo(node)


def _let_undo(node) -> None:
    node.SetUndoEnabled(True)
    for index in range(node.GetNumberOfDisplayNodes()):
        display_node = node.GetNthDisplayNode(index)
        if display_node is not None:
            display_node.SetUndoEnabled(True)
