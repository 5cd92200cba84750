"""Whatever a person does to the scene, results go into this scan's own nodes, and everybody else's stay as they are."""

import pytest

from .theirs import Theirs
from .tries import SELECTORS, TRIES, delete_by_data_module


@pytest.fixture
def theirs(panel, scene, tmp_path):
    found = Theirs(scene, tmp_path)
    panel.ui.inputVolumeSelector.setCurrentNode(found.a)
    return found


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
