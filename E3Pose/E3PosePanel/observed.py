"""Nodes that are observed until others are."""


class Observed:
    """Calls ``receiver(node, event)`` at some events of the nodes that it has, until it is given others.

    Slicer's ``VTKObservationMixin`` keeps each node, and so its voxels, for as long as the panel lives; nodes are let
    go here. Receivers of a higher priority are called first; Slicer's own have 0.
    """

    def __init__(self, receiver, *events, priority=0.0):
        self._receiver = receiver
        self._events = events
        self._priority = priority
        self._tags = []
        self.nodes = []

    @property
    def node(self):
        """The first of the nodes, or None."""
        return self.nodes[0] if self.nodes else None

    def take(self, *nodes) -> None:
        """Observe other nodes, or none; None is no node, and those that it has already stay as they are."""
        wanted = [node for node in nodes if node is not None]
        if wanted == self.nodes:
            return
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        self.nodes = wanted
        self._tags = [
            (node, node.AddObserver(event, self._receiver, self._priority))
            for node in self.nodes
            for event in self._events
        ]
