"""Two scans for Slicer's Sample Data module: a clinical one by download, and a synthetic one that needs no network."""

import functools
import json

import numpy as np
import slicer
from slicer.i18n import tr as _

from E3PoseLib.models.catalog import resources, sample_scan

CATEGORY = "E3Pose"

SCOUT_NAME = "FetalEPIScout"
SCOUT_URL = "https://github.com/mu40/fetal-align/raw/7697a1c546ad72e0f21789a8834b20b24341025c/data/ep2d_13.nii.gz"
"""Of one commit, so that the address gives the same file for ever."""

SCOUT_SHA256 = "39a538b720972b617de6a8be54ae3836451ec672140948a164365ad678519d9c"
SCOUT_ATTRIBUTION = (
    "Clinical fetal EPI scout from the public data of Hoffmann M et al., Rapid head-pose detection for automated slice "
    "prescription of fetal-brain MRI, Int J Imaging Syst Technol 31(3):1136-1154, 2021, doi 10.1002/ima.22563 "
    "(github.com/mu40/fetal-align, BSD-2-Clause)."
)

SYNTHETIC_FILE = sample_scan()
SYNTHETIC_NAME = SYNTHETIC_FILE.name.removesuffix(".nii.gz")
SYNTHETIC_SHA256 = "ce66ae773d8b0f48961170a6eb9be235c100f544de55c3f88413ed89946296ce"
SYNTHETIC_ATTRIBUTION = (
    "Synthetic EPI scout of a fetus at 29 weeks, drawn by this project's own generator: nobody was scanned. "
    "It comes with the module and needs no network."
)

ATTRIBUTIONS = {SCOUT_NAME: SCOUT_ATTRIBUTION, SYNTHETIC_NAME: SYNTHETIC_ATTRIBUTION}


def registerSampleData() -> None:
    """Add both scans to the Sample Data module."""
    import SampleData

    for name, uri, checksum in (
        (SCOUT_NAME, SCOUT_URL, SCOUT_SHA256),
        (SYNTHETIC_NAME, SYNTHETIC_FILE.as_uri(), SYNTHETIC_SHA256),
    ):
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=name,
            thumbnailFileName=str(resources() / "Icons" / f"{name}.png"),
            uris=uri,
            fileNames=f"E3Pose-{name}.nii.gz",
            nodeNames=name,
            checksums=f"SHA256:{checksum}",
            customDownloader=functools.partial(downloadWithAttribution, ATTRIBUTIONS[name]),
        )
    selector = slicer.util.moduleSelector() if slicer.util.mainWindow() is not None else None
    if selector is not None:
        selector.connect("moduleSelected(QString)", describeButtons)


def downloadWithAttribution(attribution: str, source):
    """Fetch a scan (checked against its SHA-256, cached), load it, and say in the node where it is from."""
    import SampleData

    # Where the module is open, its own log tells how the download goes.
    panel = getattr(slicer.modules, "SampleDataWidget", None)
    nodes = SampleData.SampleDataLogic(panel.logMessage if panel is not None else None).downloadFromSource(source)
    for node in nodes:
        if node is not None:  # a file that could not be loaded
            node.SetDescription(attribution)
    return nodes


def loadSyntheticScan():
    """Load the synthetic scan, show it, and say in the node where it is from."""
    node = slicer.util.loadVolume(str(SYNTHETIC_FILE), {"name": SYNTHETIC_NAME})
    node.SetDescription(SYNTHETIC_ATTRIBUTION)
    return node


def syntheticPose() -> np.ndarray:
    """The synthetic scan's true pose, canonical_to_ras [4, 4]."""
    document = json.loads(SYNTHETIC_FILE.with_name(f"{SYNTHETIC_NAME}.json").read_text(encoding="utf-8"))
    return np.array(document["canonical_to_ras"])


def describeButtons(moduleName: str) -> None:
    """Give the Sample Data module's buttons, made when it is first opened, their tool tips."""
    if moduleName != "SampleData":
        return
    panel = slicer.modules.sampledata.widgetRepresentation()
    for name, text in ATTRIBUTIONS.items():
        for button in slicer.util.findChildren(panel, name=f"{name}PushButton"):
            button.toolTip = _(text)
