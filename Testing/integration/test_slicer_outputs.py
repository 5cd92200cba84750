"""Whatever a person does to the scene, results go into this scan's own nodes, and everybody else's stay as they are."""

import pytest

from .conftest import nodes
from .theirs import Theirs, content
from .tries import SELECTORS, TRIES, delete_by_data_module


@pytest.fixture
def theirs(panel, scene, tmp_path):
    found = Theirs(scene, tmp_path)
    panel.ui.inputVolumeSelector.setCurrentNode(found.a)
    return found


def test_what_cannot_be_written_leaves_no_node_behind(panel, scene, scan_node, estimate_at_once, monkeypatch):
    from E3PoseLib import mrml
    from E3PoseLib.errors import OutputError

    write_mask = mrml.write_mask

    def fail_at_the_end(*arguments):
        write_mask(*arguments)
        raise OutputError("no room")

    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    before = nodes(scene)
    monkeypatch.setattr(mrml, "write_mask", fail_at_the_end)
    with pytest.raises(OutputError, match="no room"):
        estimate_at_once()
    assert nodes(scene) == before


def selected(panel) -> list:
    return [getattr(panel.ui, name).currentNode() for name in SELECTORS]


def all_results(panel, estimate_at_once, reslice) -> list:
    """Estimate and reslice: the three results."""
    panel.ui.reslicedSpacingSliderWidget.value = 4.0
    estimate_at_once()
    reslice()
    return selected(panel)


@pytest.mark.parametrize("what", TRIES, ids=lambda what: what.__name__)
def test_no_node_of_others_is_written_into(panel, theirs, estimate_at_once, reslice, what):
    results = all_results(panel, estimate_at_once, reslice)
    made = what(panel, theirs, results) or []
    theirs.remember(*made)
    scan = panel.ui.inputVolumeSelector.currentNode()
    for _ in range(2):  # the second time into what the first time has made
        estimate_at_once()
        reslice()
        assert theirs.changed() == []
    assert not set(theirs.nodes) & set(selected(panel))
    assert all(node.GetName().startswith(f"{scan.GetName()} ") for node in selected(panel))


def test_nothing_changes_before_the_click_either(panel, theirs, estimate_at_once, reslice):
    results = all_results(panel, estimate_at_once, reslice)
    theirs.remember()
    delete_by_data_module(panel, theirs, results)
    assert theirs.changed() == []
    assert selected(panel) == [None, None, None]


def test_a_transform_that_was_chosen_is_asked_about_once(app, panel, theirs, estimate_at_once):
    import qt

    from E3PoseLib import mrml

    panel.ui.outputTransformSelector.setCurrentNode(theirs.transform)
    app.answers.append(qt.QMessageBox.Ok)
    estimate_at_once()
    assert len(app.message_boxes) == 1
    assert "'registration' holds something else. Write the head pose of 'A' over it?" in app.message_boxes[0]
    assert panel.ui.outputTransformSelector.currentNode() == theirs.transform
    assert mrml.is_result_of(theirs.transform, theirs.a)
    estimate_at_once()
    assert len(app.message_boxes) == 1
    assert panel.ui.outputTransformSelector.currentNode() == theirs.transform


def test_a_segmentation_that_was_chosen_takes_the_mask_beside_what_it_holds(app, panel, theirs, estimate_at_once):
    from E3PoseLib import mrml

    segmentation = theirs.segmentation.GetSegmentation()
    before = content(theirs.segmentation)
    panel.ui.outputSegmentationSelector.setCurrentNode(theirs.segmentation)
    estimate_at_once()
    assert app.message_boxes == []
    assert mrml.has_mask(theirs.segmentation) and segmentation.GetNumberOfSegments() == 2
    placenta = segmentation.GetSegmentIdBySegmentName("Placenta")
    assert content(theirs.segmentation)[placenta] == before[placenta]
