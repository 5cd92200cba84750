"""What a person has made of results, and files that are there, stay; what is lost is asked about first."""

from pathlib import Path

import numpy as np
import pytest

from .theirs import add_segment, clone, content

pytestmark = pytest.mark.usefixtures("panel")

SHIFT = np.array([12.0, 0.0, 0.0])


def shift_under(scene, name: str, shift=SHIFT):
    import slicer

    matrix = np.eye(4)
    matrix[:3, 3] = shift
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    return transform


@pytest.mark.parametrize("is_hardened", [False, True])
def test_a_mask_that_was_moved_by_hand_stays(panel, estimated, scene, estimate_at_once, is_hardened):
    from E3PoseLib import mrml

    mask = panel.ui.outputSegmentationSelector.currentNode()
    before = mrml.mask_to_world(mask)[:3, 3]
    mask.SetAndObserveTransformNodeID(shift_under(scene, "my shift").GetID())
    if is_hardened:
        mask.HardenTransform()
    panel._refreshResult()
    estimate_at_once()
    assert panel.ui.outputSegmentationSelector.currentNode() != mask
    assert "changed by hand" in panel.ui.statusLabel.text
    assert np.allclose(mrml.mask_to_world(mask)[:3, 3], before + SHIFT)


def test_a_mask_moved_by_hand_is_known_as_such_after_its_scan_has_moved_too(panel, estimated, scan_node, scene):
    from E3PoseLib import mrml

    mask = panel.ui.outputSegmentationSelector.currentNode()
    scan_node.SetAndObserveTransformNodeID(shift_under(scene, "of the scan").GetID())
    panel._refreshResult()
    assert not mrml.is_edited_mask(mask)  # it went with its scan
    scan_node.SetAndObserveTransformNodeID(None)
    panel._refreshResult()
    assert not mrml.is_edited_mask(mask)
    mask.SetAndObserveTransformNodeID(shift_under(scene, "by hand", (0, 7, 0)).GetID())
    scan_node.SetAndObserveTransformNodeID(shift_under(scene, "once more").GetID())
    panel._refreshResult()
    scan_node.SetAndObserveTransformNodeID(None)
    panel._refreshResult()
    assert mrml.is_edited_mask(mask)


def test_a_mask_keeps_the_name_colour_and_tags_that_it_was_given(panel, estimated, estimate_at_once):
    mask = panel.ui.outputSegmentationSelector.currentNode()
    segment = mask.GetSegmentation().GetNthSegment(0)
    segment.SetName("Fetal brain (AB)")
    segment.SetColor(1, 0, 0)
    segment.SetTag("note", "reviewed")
    estimate_at_once()
    assert panel.ui.outputSegmentationSelector.currentNode() == mask
    segment = mask.GetSegmentation().GetNthSegment(0)
    assert (segment.GetName(), segment.GetColor(), segment.HasTag("note")) == ("Fetal brain (AB)", (1, 0, 0), True)


def test_a_segmentation_with_other_segments_keeps_its_grid_and_is_not_hidden_with_the_mask(
    panel, scene, scan_node, second_scan, estimate_at_once
):
    from E3PoseLib import mrml

    theirs = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "placenta")
    theirs.SetReferenceImageGeometryParameterFromVolumeNode(second_scan)
    add_segment(theirs, "Placenta", second_scan)
    theirs.CreateDefaultDisplayNodes()

    def grid():
        geometry = theirs.GetSegmentation().GetConversionParameter("Reference image geometry")
        return geometry, theirs.GetNodeReferenceID("referenceImageGeometryRef")

    before = grid()
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.outputSegmentationSelector.setCurrentNode(theirs)
    estimate_at_once()
    assert theirs.GetSegmentation().GetNumberOfSegments() == 2 and grid() == before
    display = theirs.GetDisplayNode()
    placenta = theirs.GetSegmentation().GetSegmentIdBySegmentName("Placenta")
    for wanted in (False, True):
        panel.ui.showMask2DCheckBox.checked = wanted
        panel.ui.showMask3DCheckBox.checked = wanted
        assert mrml.mask_visibility(theirs) == (wanted, wanted)
        assert display.GetVisibility() and display.GetVisibility2D()
        assert display.GetSegmentVisibility(placenta) and display.GetSegmentVisibility2DOutline(placenta)


def test_a_mask_beside_another_segment_can_be_written_again_after_the_scene_was_saved(
    app, panel, scene, scan_node, estimate_at_once, tmp_path
):
    """Segments on one grid share a label map once they are saved: the mask is no longer 1 in it."""
    import slicer

    from E3PoseLib import mrml

    theirs = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "placenta")
    theirs.SetReferenceImageGeometryParameterFromVolumeNode(scan_node)
    add_segment(theirs, "Placenta", scan_node)
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    panel.ui.outputSegmentationSelector.setCurrentNode(theirs)
    estimate_at_once()
    panel.ui.showMask3DCheckBox.checked = False
    count = np.count_nonzero(mrml.mask_voxels(theirs)[0])
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    scene.Clear(0)
    app.coreIOManager().loadNodes("SceneFile", {"fileName": str(tmp_path / "scene.mrb")}, None)
    theirs = scene.GetFirstNodeByName("placenta")
    assert not mrml.is_edited_mask(theirs)
    estimate_at_once()
    assert panel.ui.outputSegmentationSelector.currentNode() == theirs
    assert np.count_nonzero(mrml.mask_voxels(theirs)[0]) == count > 0
    assert not mrml.is_edited_mask(theirs) and not mrml.mask_visibility(theirs)[1]


@pytest.fixture
def upright(panel, estimated, reslice):
    """The upright volume of the phantom."""
    panel.ui.reslicedSpacingSliderWidget.value = 4.0
    reslice()
    return panel.ui.reslicedVolumeSelector.currentNode()


def paint(upright, scene):
    import slicer

    slicer.util.arrayFromVolume(upright)[5:8] = 7
    slicer.util.arrayFromVolumeModified(upright)


def crop(upright, scene):
    import slicer

    from E3PoseLib import mrml

    array, to_parent = slicer.util.arrayFromVolume(upright).copy(), mrml.voxel_to_parent(upright)
    to_parent[:3, 3] = (to_parent @ [5, 5, 5, 1])[:3]
    slicer.util.updateVolumeFromArray(upright, array[5:, 5:, 5:])
    upright.SetIJKToRASMatrix(mrml.to_vtk(to_parent))
    assert mrml.head_in_upright(upright) is None  # where the head is in it nobody has noted


def register(upright, scene):
    upright.SetAndObserveTransformNodeID(shift_under(scene, "to the atlas").GetID())


def register_and_harden(upright, scene):
    register(upright, scene)
    upright.HardenTransform()


@pytest.mark.parametrize("go_on", [paint, crop, register, register_and_harden])
def test_an_upright_volume_that_somebody_has_gone_on_with_stays(app, panel, upright, scene, estimate_at_once, go_on):
    go_on(upright, scene)
    before = content(upright)
    estimate_at_once()  # which reslices as well
    app.wait_until(lambda: not panel._reslicingRun.busy, timeout=60)
    assert content(upright) == before
    other = panel.ui.reslicedVolumeSelector.currentNode()
    assert other is not None and other != upright and "changed by hand" in panel.ui.statusLabel.text


def test_an_upright_volume_that_nobody_has_touched_is_written_anew_in_the_window_it_has(
    app, panel, upright, scene, estimate_at_once, tmp_path
):
    import slicer

    from E3PoseLib import mrml

    upright.GetDisplayNode().SetWindowLevel(11, 5)
    estimate_at_once()
    app.wait_until(lambda: not panel._reslicingRun.busy, timeout=60)
    assert panel.ui.reslicedVolumeSelector.currentNode() == upright
    assert (upright.GetDisplayNode().GetWindow(), upright.GetDisplayNode().GetLevel()) == (11, 5)
    name, mask = upright.GetName(), panel.ui.outputSegmentationSelector.currentNode().GetName()
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    scene.Clear(0)
    app.coreIOManager().loadNodes("SceneFile", {"fileName": str(tmp_path / "scene.mrb")}, None)
    assert not mrml.is_edited_upright(scene.GetFirstNodeByName(name))
    assert not mrml.is_edited_mask(scene.GetFirstNodeByName(mask))


def test_an_upright_volume_whose_file_is_gone_does_no_harm(app, panel, upright):
    import slicer

    from E3PoseLib import mrml

    upright.SetAndObserveImageData(None)
    slicer.modules.e3pose.exit()
    slicer.modules.e3pose.enter()
    assert mrml.head_in_upright(upright) is None and mrml.is_edited_upright(upright)
    assert not panel.ui.showUprightButton.enabled


def test_a_copy_of_the_box_is_a_person_s_own(panel, estimated, scene):
    import slicer

    from E3PoseLib import mrml

    panel.ui.showBoxCheckBox.checked = True
    (box,) = slicer.util.getNodesByClass(mrml.BOX_CLASS)
    copy = clone(box, "my crop box")
    panel._refreshResult()
    assert copy.GetDisplayNode().GetVisibility()
    centre = list(copy.GetCenter())
    scene.RemoveNode(box)
    panel._refreshResult()
    panel.ui.showBoxCheckBox.checked = True
    transform = panel.ui.outputTransformSelector.currentNode()
    pose = mrml.head_pose(transform)
    pose[0, 3] += 20
    mrml.correct_pose(transform, pose)
    panel._refreshResult()
    assert len(slicer.util.getNodesByClass(mrml.BOX_CLASS)) == 2 and list(copy.GetCenter()) == centre


def test_files_beside_the_one_that_was_named_are_asked_about(app, panel, estimated, tmp_path):
    import qt

    (tmp_path / "case.tfm").write_text("of another program")
    panel.correction.saveTo(tmp_path / "case.01")
    assert app.message_boxes == [] and (tmp_path / "case.tfm").read_text() == "of another program"
    assert sorted(path.name for path in tmp_path.glob("case.01*")) == ["case.01.json", "case.01.npy", "case.01.tfm"]
    panel.correction.saveTo(tmp_path / "case.json")  # answered by Cancel
    assert "Replace case.tfm too?" in app.message_boxes[-1]
    assert not (tmp_path / "case.json").exists() and (tmp_path / "case.tfm").read_text() == "of another program"
    app.answers.append(qt.QMessageBox.Ok)
    panel.correction.saveTo(tmp_path / "case.json")
    assert (tmp_path / "case.tfm").read_text().startswith("#Insight Transform File")


def test_a_name_that_no_file_can_have_is_not_proposed(panel, estimated, scan_node, scene, tmp_path, monkeypatch):
    import qt

    asked = []
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *arguments: asked.append(arguments) or "")
    monkeypatch.setattr(panel.correction, "_savedIn", None)  # the panel is that of the tests before
    scan_node.SetName("3: T2/HASTE ")
    panel.ui.savePoseButton.click()
    # Where Slicer saves scenes, and then where the last pose went.
    assert asked[-1][2] == str(Path(scene.GetRootDirectory(), "3_ T2_HASTE.json"))
    panel.correction.saveTo(tmp_path / "pose.json")
    panel.ui.savePoseButton.click()
    assert asked[-1][2] == str(tmp_path / "3_ T2_HASTE.json")


def test_what_a_person_has_set_can_be_taken_back_by_undo(panel, estimated, scene):
    from E3PoseLib import mrml

    transform = panel.ui.outputTransformSelector.currentNode()
    scene.SetUndoOn()
    try:
        pose = mrml.head_pose(transform)
        pose[0, 3] += 10
        mrml.correct_pose(transform, pose)
        panel._refreshResult()
        panel.ui.resetPoseButton.click()
        assert not np.allclose(mrml.head_pose(transform), pose)
        scene.Undo()
        assert np.allclose(mrml.head_pose(transform), pose)
        assert mrml.review_state(mrml.read_result(transform)) == mrml.CORRECTED
    finally:
        scene.ClearUndoStack()
        scene.SetUndoOff()


def test_handles_are_let_go_where_a_pose_is_on_its_way(panel, estimated, monkeypatch):
    panel.ui.correctButton.checked = True
    monkeypatch.setattr(type(panel._run), "busy", property(lambda run: True))
    panel._onBusy()
    buttons = (panel.ui.correctButton, panel.ui.checkedCheckBox, panel.ui.resetPoseButton)
    assert not panel.ui.correctButton.checked and not any(button.enabled for button in buttons)
    monkeypatch.undo()
    panel._onBusy()
    assert panel.ui.correctButton.enabled and panel.ui.checkedCheckBox.enabled
