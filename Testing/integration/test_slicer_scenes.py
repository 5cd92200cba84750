"""Scenes saved, closed, loaded and added to one another, and the module reloaded."""

import sys

import pytest

from .conftest import estimate, is_running
from .theirs import Theirs

pytestmark = pytest.mark.usefixtures("panel")


def test_result_survives_saving_and_loading_the_scene(app, panel, scan_node, scene, tmp_path, estimate_at_once):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    shown = {name: getattr(panel.ui, name).text for name in ("positionLabel", "confidenceLabel", "computedLabel")}
    file = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(file), {})
    scene.Clear(0)
    assert panel.ui.positionLabel.text == "–"
    assert panel.ui.inputVolumeSelector.currentNode() is None
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(file)}, None)
    assert panel.ui.inputVolumeSelector.currentNode().GetName() == "phantom"
    assert panel.ui.outputTransformSelector.currentNode() is not None
    assert {name: getattr(panel.ui, name).text for name in shown} == shown
    panel.ui.standardPlanesButton.click()
    assert panel.ui.standardPlanesButton.checked
    estimate_at_once()
    assert panel.ui.statusLabel.text == "Done."


@pytest.fixture
def modules_restored():
    """A reload makes new classes; the tests that follow know the old ones."""
    import slicer

    packages = ("E3Pose", "E3PoseLib", "E3PosePanel")
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in packages}
    yield
    slicer.modules.E3PoseWidget.cleanup()
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]
    sys.modules.update(before)
    del slicer.modules.e3pose


def test_reload(app, panel, scan_node, modules_restored):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate(app, panel)
    pid = panel._run.workerPid
    panel.onReload()
    reloaded = slicer.modules.E3PoseWidget
    assert reloaded is not panel
    app.wait_until(lambda: not is_running(pid), timeout=2)
    assert reloaded.ui.positionLabel.text.startswith("R ")
    estimate(app, reloaded)
    assert reloaded.ui.statusLabel.text == "Done."


def test_reload_with_a_prescription_that_cannot_be(app, panel, scan_node, modules_restored, estimate_at_once):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    parameters = panel._parameterNode
    volume = panel.logic.resliceVolume(scan_node, parameters.outputTransform, spacing=4.0)
    panel.outputs.select("reslicedVolume", volume)
    panel.ui.prescriptionCollapsibleButton.collapsed = False
    parameters.stackThickness, parameters.stackGap = 3.0, -5.0
    panel.ui.showUprightButton.checked = True
    assert panel.views.showsUpright
    panel.onReload()
    assert slicer.modules.E3PoseWidget is not panel


def test_after_a_reload_nodes_of_others_stay_too(app, panel, scene, tmp_path, modules_restored, estimate_at_once):
    import slicer

    theirs = Theirs(scene, tmp_path)
    panel.ui.inputVolumeSelector.setCurrentNode(theirs.a)
    estimate_at_once()
    theirs.remember()
    slicer.util.reloadScriptedModule("E3Pose")
    reloaded = slicer.modules.E3PoseWidget
    for selector in (reloaded.ui.outputTransformSelector, reloaded.ui.outputSegmentationSelector):
        assert selector.currentNode().GetName().startswith("A ")
        selector.removeCurrentNode()
        assert selector.currentNode() is None
    estimate(app, reloaded)
    assert theirs.changed() == []
    assert reloaded.ui.outputTransformSelector.currentNode().GetName().startswith("A ")


def test_reload_by_script(app, panel, scan_node, modules_restored):
    """``slicer.util.reloadScriptedModule`` alone keeps the library's modules; the panel is new all the same."""
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    slicer.util.reloadScriptedModule("E3Pose")
    reloaded = slicer.modules.E3PoseWidget
    assert reloaded is not panel
    assert reloaded.ui.inputVolumeSelector.currentNode() == scan_node
    estimate(app, reloaded)
    assert reloaded.ui.statusLabel.text == "Done."


def test_scene_loaded_while_another_module_is_open(app, panel, scan_node, scene, tmp_path, estimate_at_once, reslice):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    position = panel.ui.positionLabel.text
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    slicer.modules.e3pose.exit()
    scene.Clear(0)
    assert not panel.ui.estimateButton.enabled
    assert panel.ui.positionLabel.text == "–"
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(tmp_path / "scene.mrb")}, None)
    assert panel.ui.positionLabel.text == position
    reslice()
    assert panel.ui.statusLabel.text == "Resliced into phantom upright."


def test_a_scene_added_to_this_one_changes_no_selection(app, panel, scan_node, scene, tmp_path, estimate_at_once):
    import slicer

    other = slicer.vtkMRMLScene()
    other.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "of another fetus")
    other.SetURL(str(tmp_path / "other.mrml"))
    assert other.Commit()
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    selectors = (
        panel.ui.inputVolumeSelector,
        panel.ui.outputTransformSelector,
        panel.ui.outputSegmentationSelector,
    )
    before = [selector.currentNode() for selector in selectors]
    position = panel.ui.positionLabel.text
    for entered in (True, False):
        if not entered:
            slicer.modules.e3pose.exit()
        slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": other.GetURL()}, None)
        assert [selector.currentNode() for selector in selectors] == before
        assert panel.ui.positionLabel.text == position


def test_of_two_scans_the_saved_one_is_selected_again(app, panel, second_scan, scene, tmp_path):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(second_scan)
    assert slicer.util.saveScene(str(tmp_path / "two.mrb"), {})
    scene.Clear(0)
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(tmp_path / "two.mrb")}, None)
    assert panel.ui.inputVolumeSelector.currentNode().GetName() == "second"


def test_a_mask_that_was_hidden_stays_hidden(app, panel, scan_node, scene, tmp_path, estimate_at_once):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    estimate_at_once()
    panel.ui.outputSegmentationSelector.currentNode().GetDisplayNode().SetVisibility(False)
    assert slicer.util.saveScene(str(tmp_path / "hidden.mrb"), {})
    scene.Clear(0)
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(tmp_path / "hidden.mrb")}, None)
    display = panel.ui.outputSegmentationSelector.currentNode().GetDisplayNode()
    assert not display.GetVisibility()
    assert not panel.ui.showMask2DCheckBox.checked and not panel.ui.showMask3DCheckBox.checked
    panel.ui.showMask2DCheckBox.checked = True
    assert display.GetVisibility() and display.GetVisibility2D() and not display.GetVisibility3D()
