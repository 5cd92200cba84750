"""The panel's form and the sample data."""

import hashlib
import os
import re
import sys
import types
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from .conftest import REPOSITORY, SHARED

FORM = ElementTree.parse(REPOSITORY / "E3Pose" / "Resources" / "UI" / "E3Pose.ui").getroot()


def widgets(class_name="*") -> list:
    return [widget for widget in FORM.iter("widget") if class_name in ("*", widget.get("class"))]


def test_every_bound_widget_has_its_parameter_and_every_parameter_its_widget(app):
    from E3PosePanel.parameters import E3PoseParameterNode

    bound = [
        entry.findtext("string")
        for widget in widgets()
        for entry in widget.findall("property")
        if entry.get("name") == "SlicerParameterName"
    ]
    assert len(bound) == len(set(bound))
    # The models' names are not known before the form is, so the panel fills that box; how the views were has no widget.
    assert set(bound) | {"model", "planesBefore", "layoutBefore"} == set(E3PoseParameterNode.allParameters)


def test_every_node_selector_gets_the_scene():
    connected = {
        connection.findtext("receiver")
        for connection in FORM.find("connections")
        if connection.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)"
    }
    assert connected == {widget.get("name") for widget in widgets("qMRMLNodeComboBox")}


def test_sections_stand_in_order_and_everything_explains_itself():
    titles = [
        entry.findtext("string")
        for widget in widgets("ctkCollapsibleButton")
        for entry in widget.findall("property")
        if entry.get("name") == "text"
    ]
    of_one = ["Input", "Model", "Output", "Result", "View", "Check"]
    of_more = ["Over time", "Align stacks", "Slice prescription"]
    assert titles == [*of_one, *of_more, "Advanced", "Setup"]
    for kind in ("QPushButton", "QComboBox", "QCheckBox", "QDoubleSpinBox", "qMRMLNodeComboBox", "ctkSliderWidget"):
        for widget in widgets(kind):
            tips = [entry for entry in widget.findall("property") if entry.get("name") == "toolTip"]
            assert tips, widget.get("name")


@pytest.fixture
def sources(app, monkeypatch):
    """What is registered with the Sample Data module, which only the application has; its signature is Slicer's."""
    from E3PosePanel import sample_data

    registered = {}

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataSource(  # noqa: N802
            category, sampleName, uris, fileNames, nodeNames, customDownloader, thumbnailFileName, checksums=None
        ):
            registered[sampleName] = types.SimpleNamespace(**locals())

    module = types.ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    monkeypatch.setitem(sys.modules, "SampleData", module)
    sample_data.registerSampleData()
    return registered


def test_sample_data_is_registered_with_thumbnails(sources):
    assert set(sources) == {"FetalEPIScout", "SyntheticFetalEPI"}
    for source in sources.values():
        assert Path(source.thumbnailFileName).is_file()
        assert source.category == "E3Pose"


def test_layouts_are_known_from_the_start_on(app, panel, scene, sources):
    """Else a scene that was saved in one would show no view until the panel is opened."""
    layout = scene.GetSingletonNode("vtkMRMLLayoutNode", "vtkMRMLLayoutNode")
    numbers = range(7300, 7306)
    for number in numbers:
        layout.SetLayoutDescription(number, "")
    assert not any(layout.IsLayoutDescription(number) for number in numbers)
    app.startupCompleted.emit()
    assert all(layout.IsLayoutDescription(number) for number in numbers)


@pytest.mark.skipif(not SHARED.is_dir(), reason="compares with the copy in ../shared")
def test_the_scout_s_checksum_is_that_of_the_published_file(sources):
    digest = hashlib.sha256((SHARED / "data" / "epi" / "ep2d_13.nii.gz").read_bytes()).hexdigest()
    assert sources["FetalEPIScout"].checksums == f"SHA256:{digest}"
    assert sources["FetalEPIScout"].uris.startswith("https://github.com/mu40/fetal-align/")


def test_the_synthetic_scan_comes_with_the_module(sources):
    from E3PosePanel.sample_data import SYNTHETIC_FILE

    source = sources["SyntheticFetalEPI"]
    assert source.uris == SYNTHETIC_FILE.as_uri()
    assert source.checksums == f"SHA256:{hashlib.sha256(SYNTHETIC_FILE.read_bytes()).hexdigest()}"


@pytest.mark.skipif("SLICER_PYTHON_DIR" not in os.environ, reason="runs Slicer's own Sample Data module")
def test_slicer_s_own_sample_data_module_loads_the_synthetic_scan(app, scene, monkeypatch):
    """By name, as scripts do, and by its button's function; both check the sum, and neither needs a network."""
    import slicer

    from E3PoseLib import mrml
    from E3PosePanel import sample_data

    modules = Path(os.environ["SLICER_PYTHON_DIR"]).parents[1] / "Modules" / "Scripted"
    if not (modules / "SampleData" / "SampleData.py").is_file():
        pytest.skip("SLICER_PYTHON_DIR is not in a whole source tree")
    monkeypatch.syspath_prepend(str(modules / "SampleData"))
    import SampleData

    sample_data.registerSampleData()
    logic = SampleData.SampleDataLogic()
    node = logic.downloadSample("SyntheticFetalEPI")
    assert node.GetName() == "SyntheticFetalEPI"
    head = np.linalg.inv(mrml.voxel_to_world(node)) @ sample_data.syntheticPose()[:, 3]
    assert all(0 < index < size for index, size in zip(head[:3], mrml.voxels(node).shape, strict=True))
    (source,) = (s for s in slicer.modules.sampleDataSources["E3Pose"] if s.sampleName == "SyntheticFetalEPI")
    (described,) = source.customDownloader(source)
    assert "nobody was scanned" in described.GetDescription()


def test_a_newcomer_s_click_loads_the_sample_scan(panel, scene):
    from E3PosePanel.sample_data import SYNTHETIC_NAME

    panel.ui.sampleScanButton.click()
    scan = panel.ui.inputVolumeSelector.currentNode()
    assert scan.GetName() == SYNTHETIC_NAME and "nobody was scanned" in scan.GetDescription()
    assert scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode").GetBackgroundVolumeID() == scan.GetID()
    assert panel.ui.estimateButton.enabled


def test_what_is_this_opens_the_first_steps(panel):
    from PySide6 import QtCore, QtGui

    class Browser(QtCore.QObject):
        @QtCore.Slot(QtCore.QUrl)
        def show(self, url):
            self.page = Path(url.toLocalFile())

    browser = Browser()
    QtGui.QDesktopServices.setUrlHandler("file", browser, "show")
    try:
        panel.ui.firstStepsButton.click()
    finally:
        QtGui.QDesktopServices.unsetUrlHandler("file")
    page = browser.page.read_text(encoding="utf-8")
    images = [browser.page.parent / name for name in re.findall(r'src="([^"]+)"', page)]
    assert images and all(image.is_file() for image in images)
    # It names the buttons as they are called.
    for button in (panel.ui.sampleScanButton, panel.ui.estimateButton, panel.ui.standardPlanesButton):
        assert button.text in page
    for button in (panel.ui.resliceButton, panel.ui.correctButton, panel.ui.savePoseButton, panel.ui.installButton):
        assert button.text in page
