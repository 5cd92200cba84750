"""Two scans for Slicer's Sample Data module: a clinical one by download, and a phantom that needs no network."""

from pathlib import Path

import slicer
from slicer.i18n import tr as _

CATEGORY = "E3Pose"

SCOUT_NAME = "FetalEPIScout"
SCOUT_URL = "https://github.com/mu40/fetal-align/raw/HEAD/data/ep2d_13.nii.gz"
SCOUT_SHA256 = "39a538b720972b617de6a8be54ae3836451ec672140948a164365ad678519d9c"
SCOUT_ATTRIBUTION = (
    "Clinical fetal EPI scout from the public data of Hoffmann M et al., Rapid head-pose detection for automated slice "
    "prescription of fetal-brain MRI, Int J Imaging Syst Technol 31(3):1136-1154, 2021, doi 10.1002/ima.22563 "
    "(github.com/mu40/fetal-align, BSD-2-Clause)."
)

PHANTOM_NAME = "FetalHeadPhantom"
PHANTOM_ATTRIBUTION = "Synthetic: a phantom of a fetal head in the uterus, drawn by this module; needs no network."

ICONS = Path(__file__).resolve().parent.parent / "Resources" / "Icons"


def registerSampleData() -> None:
    """Add both scans to the Sample Data module."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SCOUT_NAME,
        thumbnailFileName=str(ICONS / f"{SCOUT_NAME}.png"),
        uris=SCOUT_URL,
        fileNames="E3Pose-ep2d_13.nii.gz",
        nodeNames=SCOUT_NAME,
        checksums=f"SHA256:{SCOUT_SHA256}",
        customDownloader=downloadScout,
    )
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=PHANTOM_NAME,
        thumbnailFileName=str(ICONS / f"{PHANTOM_NAME}.png"),
        uris="",
        fileNames=f"{PHANTOM_NAME}.nii.gz",
        nodeNames=PHANTOM_NAME,
        customDownloader=lambda source: addPhantom(),
    )
    selector = slicer.util.moduleSelector() if slicer.util.mainWindow() is not None else None
    if selector is not None:
        selector.connect("moduleSelected(QString)", describeButtons)


def downloadScout(source):
    """Download the scout (checked against its SHA-256, cached), load it, and say in the node where it is from."""
    import SampleData

    nodes = SampleData.SampleDataLogic().downloadFromSource(source)
    for node in nodes:
        node.SetDescription(SCOUT_ATTRIBUTION)
    return nodes


def addPhantom():
    """A volume node with the phantom."""
    from E3PosePanel.phantom import headPhantom

    array, voxel_to_ras = headPhantom()
    node = slicer.mrmlScene.AddNewNodeByClass(
        "vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(PHANTOM_NAME)
    )
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(voxel_to_ras))
    slicer.util.updateVolumeFromArray(node, array.transpose(2, 1, 0))
    node.SetDescription(PHANTOM_ATTRIBUTION)
    node.CreateDefaultDisplayNodes()
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


def describeButtons(moduleName: str) -> None:
    """Give the Sample Data module's buttons, made when it is first opened, their tool tips."""
    if moduleName != "SampleData":
        return
    panel = slicer.modules.sampledata.widgetRepresentation()
    for name, text in ((SCOUT_NAME, SCOUT_ATTRIBUTION), (PHANTOM_NAME, PHANTOM_ATTRIBUTION)):
        for button in slicer.util.findChildren(panel, name=f"{name}PushButton"):
            button.toolTip = _(text)
