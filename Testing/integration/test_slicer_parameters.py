"""Settings kept in a scene that this version cannot read; the real panel on real MRML."""

import pytest

pytestmark = pytest.mark.usefixtures("panel")


@pytest.mark.parametrize(
    ("name", "text", "default"),
    [
        ("device", "METAL", "AUTO"),
        ("direction", "SIDEWAYS", "ALIGN"),
        ("planesBefore", "{broken", ""),
        ("planesBefore", "[1]", ""),
        ("planesBefore", '{"Red": {"slice_to_ras": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}}', ""),
        ("reslicedSpacing", "abc", "1.0"),
        ("reslicedSpacing", "-7", "1.0"),
        ("reslicedSpacing", "", "1.0"),
        ("layoutBefore", "1.5", "0"),
    ],
)
def test_a_setting_that_cannot_be_read_is_the_default_again(panel, scan_node, name, text, default):
    import slicer

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.maskOpacitySliderWidget.value = 0.4
    panel.setParameterNode(None)
    kept = slicer.mrmlScene.GetSingletonNode("E3Pose", "vtkMRMLScriptedModuleNode")
    kept.SetParameter(name, text)
    panel.initializeParameterNode()
    assert kept.GetParameter(name) == default
    assert panel.ui.statusLabel.text == f"Not readable in this scene, so as at first: {name}."
    assert panel._parameterNode.inputVolume == scan_node and panel._parameterNode.maskOpacity == 0.4
    panel.ui.showAxesCheckBox.checked = True  # the panel is bound
    assert kept.GetParameter("showAxes") == "True"


def test_settings_that_can_be_read_stay_and_nothing_is_said(panel, scan_node):
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.maskOpacitySliderWidget.value = 0.4
    panel.setParameterNode(None)
    panel.initializeParameterNode()
    assert panel._parameterNode.maskOpacity == 0.4
    assert panel.ui.statusLabel.text == ""
