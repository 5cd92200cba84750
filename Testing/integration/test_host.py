"""The stand-in's widgets do what Slicer's own do, where the panel has to reckon with it."""

import pytest


@pytest.fixture
def selector(app, scene):
    """A selector of transforms that may select none."""
    import slicer

    combo_box = slicer.qMRMLNodeComboBox()
    combo_box.nodeTypes = ["vtkMRMLLinearTransformNode"]
    combo_box.noneEnabled = True
    combo_box.setMRMLScene(scene)
    yield combo_box
    combo_box.deleteLater()


def transforms(scene, *names: str) -> list:
    return [scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name) for name in names]


def test_a_selector_jumps_to_the_node_above_the_one_that_goes(selector, scene):
    first, second, third = transforms(scene, "first", "second", "third")
    told = []
    selector.currentNodeChanged.connect(told.append)
    selector.setCurrentNode(third)
    scene.RemoveNode(third)
    assert selector.currentNode() == second
    selector.removeCurrentNode()
    assert selector.currentNode() == first
    scene.RemoveNode(first)
    assert selector.currentNode() is None
    assert told == [third, second, first, None]


def test_a_selector_jumps_away_from_a_node_that_is_hidden(selector, scene):
    first, second = transforms(scene, "first", "second")
    selector.setCurrentNode(second)
    second.SetHideFromEditors(True)
    assert selector.currentNode() == first


def test_who_lets_go_before_the_row_is_removed_stops_the_jump(selector, scene):
    _, second = transforms(scene, "first", "second")
    selector.setCurrentNode(second)
    tag = scene.AddObserver(scene.NodeAboutToBeRemovedEvent, lambda caller, event: selector.setCurrentNode(None))
    scene.RemoveNode(second)
    scene.RemoveObserver(tag)
    assert selector.currentNode() is None


def test_a_selector_of_scans_offers_the_first_to_come(app, scene):
    """Without a row for none, Qt selects the first row that an empty list gets."""
    import slicer

    combo_box = slicer.qMRMLNodeComboBox()
    combo_box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    combo_box.addEnabled = combo_box.removeEnabled = False
    combo_box.setMRMLScene(scene)
    scan = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
    other = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "other")
    assert combo_box.nodes() == [scan, other]
    assert combo_box.currentNode() == scan
    scene.RemoveNode(scan)
    assert combo_box.currentNode() is None
    scan.SetName("renamed")  # it is no longer followed
    assert combo_box.nodes() == [other]
