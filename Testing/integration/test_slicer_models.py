"""The sections Model and Setup: which model, adding one, its card; which packages, and installing them."""

import pytest

from .conftest import SHARED

pytestmark = pytest.mark.usefixtures("panel")


def test_the_model_s_file_is_gone(app, panel, scan_node, installed_model):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    lost = installed_model.with_name("lost.safetensors")
    lost.write_bytes(installed_model.read_bytes())
    panel.modelSection.refresh()
    panel.ui.modelComboBox.setCurrentText("lost")
    lost.unlink()
    panel.ui.estimateButton.click()
    assert not panel._run.busy
    assert "the model 'lost', which this scene names, is not there" in panel.ui.statusLabel.text


def test_the_model_s_file_holds_something_else(app, panel, scan_node, installed_model, tmp_path):
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"no weights at all")
    panel.modelSection.importFiles([wrong])
    assert "not a readable model file" in panel.ui.statusLabel.text
    panel.modelSection.importFiles([tmp_path / "alone.ckpt"])
    assert "one .ckpt and one .pth together" in panel.ui.statusLabel.text
    pair = [tmp_path / "a.ckpt", tmp_path / "a.pth"]
    for file in pair:
        file.write_bytes(b"no weights at all")
    panel.modelSection.importFiles(pair)
    app.wait_until(lambda: not panel._run.busy)
    assert "Not imported" in panel.ui.statusLabel.text
    assert "a.ckpt" in panel.ui.statusLabel.text


def test_a_model_that_is_not_there_is_not_replaced_in_silence(app, panel, scan_node, scene, tmp_path):
    """A scene from another computer names a model that this one lacks."""
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel._parameterNode.model = "of a colleague"
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    scene.Clear(0)
    assert panel.ui.modelComboBox.currentText == "default"
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(tmp_path / "scene.mrb")}, None)
    assert panel.ui.modelComboBox.currentText == ""
    assert not panel.ui.estimateButton.enabled and not panel.ui.modelCardButton.enabled
    assert "the model 'of a colleague', which this scene names, is not there" in panel.ui.estimateButton.toolTip
    assert panel._parameterNode.model == "of a colleague"
    panel.ui.modelComboBox.currentIndex = panel.ui.modelComboBox.findText("default")
    assert panel.ui.estimateButton.enabled and panel.ui.modelCardButton.enabled
    assert panel._parameterNode.model == "default"


def test_import_and_card(app, panel, installed_model, tmp_path):
    copy = tmp_path / "another one.safetensors"
    copy.write_bytes(installed_model.read_bytes())
    panel.modelSection.importFiles([copy])
    assert panel.ui.modelComboBox.currentText == "another one"
    assert panel._parameterNode.model == "another one"
    panel.ui.modelCardButton.click()
    assert "Trained on:\nnothing" in app.message_boxes[-1]
    (installed_model.parent / "another one.safetensors").unlink()
    panel.modelSection.importFiles([copy, installed_model])
    assert "select one .safetensors file" in panel.ui.statusLabel.text
    assert not (installed_model.parent / "another one.safetensors").exists()


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the weights of ../shared")
def test_import_of_an_official_pair(app, panel, installed_model):
    weights = SHARED / "reference"
    panel.modelSection.importFiles([weights / "e3cnn.pth", weights / "unet.ckpt"])
    assert panel._run.busy
    app.wait_until(lambda: not panel._run.busy, timeout=300)
    assert panel.ui.statusLabel.text == "The model 'official' was added."
    assert panel.ui.modelComboBox.currentText == panel._parameterNode.model == "official"
    panel.ui.modelCardButton.click()
    assert "Imported from unet.ckpt and e3cnn.pth" in app.message_boxes[-1]
    (installed_model.parent / "official.safetensors").unlink()


def test_install_asks_first(app, panel, monkeypatch):
    from E3PoseLib import dependencies

    asked = dependencies.Package("e3nn>=99", "0.5.5")
    installed = []
    monkeypatch.setattr(dependencies, "missing", lambda: [asked])
    monkeypatch.setattr(dependencies, "install", installed.append)
    panel.setupSection.refresh()
    assert not panel.ui.setupCollapsibleButton.collapsed
    panel.ui.installButton.click()
    assert "e3nn>=99" in app.message_boxes[-1]
    assert installed == []
    import qt

    app.answers.append(qt.QMessageBox.Ok)
    panel.ui.installButton.click()
    assert installed == [[asked]]


def test_a_second_click_does_not_install_twice(app, panel, monkeypatch):
    """Slicer handles events while pip runs; so does this installation."""
    import qt

    from E3PoseLib import dependencies

    begun = []

    def install(packages):
        begun.append(packages)
        panel.enter()
        assert not panel.ui.installButton.enabled
        panel.setupSection.onInstallButton()

    monkeypatch.setattr(dependencies, "missing", lambda: [dependencies.Package("e3nn>=99", "0.5.5")])
    monkeypatch.setattr(dependencies, "install", install)
    panel.setupSection.refresh()
    app.answers.append(qt.QMessageBox.Ok)
    panel.ui.installButton.click()
    assert len(begun) == 1 and panel.ui.installButton.enabled


def test_missing_packages_disable_the_button(panel, scan_node, monkeypatch):
    from E3PoseLib import dependencies

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    monkeypatch.setattr(dependencies, "missing", lambda: [dependencies.Package("torch>=2.2.2", None)])
    panel.enter()
    assert not panel.ui.estimateButton.enabled
    assert "Not installed: torch" in panel.ui.estimateButton.toolTip


def test_without_the_pytorch_extension_nobody_is_asked(app, panel, monkeypatch):
    from E3PoseLib import dependencies

    monkeypatch.setattr(dependencies, "missing", lambda: [dependencies.Package("torch>=2.4", None)])
    panel.setupSection.refresh()
    panel.ui.installButton.click()
    assert app.message_boxes == []
    assert "install it with the Extensions Manager" in panel.ui.statusLabel.text
