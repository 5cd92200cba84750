"""``slicer.app.coreIOManager()``: volumes through Slicer's own reader, scenes through MRML, nodes through
their storages.
"""

from pathlib import Path


class IOManager:
    """What ``slicer.util.loadVolume``, ``loadScene``, ``saveNode`` and ``saveScene`` call."""

    def __init__(self, application_logic):
        self._logic = application_logic

    def fileType(self, name) -> str:
        return "SceneFile" if Path(name).suffix.lower() in (".mrml", ".mrb") else "VolumeFile"

    def loadNodes(self, file_type: str, properties: dict, loaded, messages=None) -> bool:
        path = properties["fileName"]
        if file_type == "SceneFile":
            return self._load_scene(path)
        name = properties.get("name") or Path(path).name.partition(".")[0]
        labelmap = 1 if properties.get("labelmap") else 0
        node = self._logic.GetModuleLogic("Volumes").AddArchetypeVolume(path, name, labelmap)
        if node is None:
            return False
        loaded.AddItem(node)
        if properties.get("show", True):  # as Slicer does it: behind every slice view that follows the selection
            selection = self._logic.GetSelectionNode()
            select = selection.SetActiveLabelVolumeID if labelmap else selection.SetActiveVolumeID
            select(node.GetID())
            self._logic.PropagateVolumeSelection()
        return True

    def _load_scene(self, path: str) -> bool:
        scene = self._logic.GetMRMLScene()
        if path.endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, False))
        scene.SetURL(path)
        return bool(scene.Import())

    def saveNodes(self, file_type: str, properties: dict, messages=None) -> bool:
        scene = self._logic.GetMRMLScene()
        path = str(properties["fileName"])
        if file_type == "SceneFile":
            if path.endswith(".mrb"):
                return bool(scene.WriteToMRB(path))
            scene.SetURL(path)
            return bool(scene.Commit())
        node = scene.GetNodeByID(properties["nodeID"])
        storage = node.CreateDefaultStorageNode()
        storage.SetScene(scene)
        storage.SetFileName(path)
        return bool(storage.WriteData(node))

    def fileWriterFileType(self, node, extension: str = "") -> str:
        return "NodeFile"
