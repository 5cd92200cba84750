"""Layouts: Slicer's own layout logic makes the view nodes, and each slice view that is shown gets its logic."""

import slicer


class Layouts:
    """What ``qMRMLLayoutManager`` does without its windows."""

    def __init__(self, application_logic, scene):
        self._application_logic = application_logic
        self._scene = scene
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLScene(scene)
        node = self._logic.GetLayoutNode()
        node.SetViewArrangement(node.SlicerLayoutConventionalView)
        node.AddObserver("ModifiedEvent", lambda caller, event: self._follow())

    def _follow(self) -> None:
        """Mark the views of the layout as shown, and give slice views that are new what belongs to them."""
        views = self._logic.GetViewNodes()
        shown = [views.GetItemAsObject(index) for index in range(views.GetNumberOfItems())]
        logics = self._application_logic.GetSliceLogics()
        known = [logics.GetItemAsObject(index).GetSliceNode() for index in range(logics.GetNumberOfItems())]
        for node in shown:
            if node.IsA("vtkMRMLSliceNode") and node not in known:
                logic = slicer.vtkMRMLSliceLogic()
                logic.SetMRMLApplicationLogic(self._application_logic)
                logic.SetMRMLScene(self._scene)
                logic.SetSliceNode(node)
                logics.AddItem(logic)
        for index in range(self._scene.GetNumberOfNodesByClass("vtkMRMLAbstractViewNode")):
            node = self._scene.GetNthNodeByClass(index, "vtkMRMLAbstractViewNode")
            if node.IsMappedInLayout() != (node in shown):
                node.SetMappedInLayout(node in shown)
