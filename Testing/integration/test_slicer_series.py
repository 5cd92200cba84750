"""All time points of a sequence, in the real panel on real MRML: what plays, what is kept, what never shows wrongly."""

import numpy as np
import pytest

from .conftest import add_blob
from .sequences import SHIFTS, Sequence, outputs

pytestmark = pytest.mark.usefixtures("panel")

SPOILED = 2
"""The time point that has too few voxels for a scan, where a test wants one."""


def column(scene, name: str) -> list:
    table = scene.GetFirstNodeByName("bold head motion").GetTable()
    values = table.GetColumnByName(name)
    return [values.GetValue(row) for row in range(table.GetNumberOfRows())]


def test_the_button_is_for_sequences_alone(panel, scan_node, sequence):
    assert panel.ui.estimateAllButton.enabled
    assert "each of the 5 time points" in panel.ui.estimateAllButton.toolTip
    panel.ui.inputVolumeSelector.setCurrentNode(scan_node)
    assert not panel.ui.estimateAllButton.enabled
    assert panel.ui.estimateAllButton.toolTip == "The scan is no time point of a sequence."


def test_mask_and_planes_move_with_the_head(tracked, sequence, scene):
    from E3PoseLib import mrml

    transform, segmentation = outputs(tracked)
    tracked.ui.standardPlanesButton.click()
    first, voxels = mrml.head_pose(transform), mrml.mask_voxels(segmentation)[1]
    for index, shift in (*enumerate(SHIFTS), (0, 0.0)):
        sequence.play(index)
        moved = first[:3, 3] + [shift, 0, 0]
        assert np.allclose(mrml.head_pose(transform)[:3, 3], moved, atol=0.5)
        assert np.allclose(mrml.mask_voxels(segmentation)[1][:3, 3], voxels[:3, 3] + [shift, 0, 0], atol=0.5)
        red = mrml.to_numpy(mrml.slice_nodes(scene)["Red"].GetSliceToRAS())
        assert np.allclose(red[:3, 3], mrml.head_pose(transform)[:3, 3], atol=1e-3)
        assert mrml.changes_since(transform) == []
        assert mrml.mask_visibility(segmentation) == (True, True)
        assert not segmentation.GetDisplayNode().GetVisibility2DFill()
    tracked.ui.maskOpacitySliderWidget.value = 0.3
    sequence.play(2)
    assert segmentation.GetDisplayNode().GetOpacity2DOutline() == pytest.approx(0.3)


def test_the_motion_is_a_table_and_a_plot_with_the_time_point_shown(tracked, sequence, scene):
    assert column(scene, "time") == [0.0, 2.5, 5.0, 7.5, 10.0]
    assert column(scene, "trans_x") == pytest.approx(SHIFTS, abs=0.5)
    assert column(scene, "framewise_displacement")[1:] == pytest.approx([3.0] * 4, abs=0.5)
    assert np.isnan(column(scene, "framewise_displacement")[0])
    tracked.ui.motionPlotButton.click()
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    with_plot = (layout.SlicerLayoutConventionalPlotView, layout.SlicerLayoutFourUpPlotView)
    assert layout.GetViewArrangement() in with_plot
    chart = scene.GetNodeByID(scene.GetFirstNodeByClass("vtkMRMLSelectionNode").GetActivePlotChartID())
    assert chart.GetName() == "bold head motion plot" and chart.GetXAxisTitle() == "time (s)"
    assert chart.GetNumberOfPlotSeriesNodes() == 9
    sequence.play(3)
    shown = chart.GetNthPlotSeriesNode(8).GetTableNode().GetTable()
    assert [shown.GetColumnByName("time").GetValue(row) for row in (0, 1)] == [7.5, 7.5]


def test_the_views_stay_at_the_time_point_that_is_shown_while_others_are_computed(panel, sequence, answers):
    from E3PoseLib import mrml

    sequence.play(1)
    panel.ui.estimateAllButton.click()
    transform, _ = outputs(panel)
    answers(1)  # of the first time point
    assert sequence.browser.GetSelectedItemNumber() == 1
    assert mrml.read_result(transform) is None and mrml.why_no_pose(transform) == "not estimated yet"
    assert panel.ui.verdictLabel.text == "No pose at this time point: not estimated yet."
    answers(1)
    assert mrml.read_result(transform) is not None
    assert not panel.ui.estimateButton.enabled and panel.ui.cancelButton.visible


def test_a_time_point_without_a_pose_shows_none(panel, scene, answers):
    from E3PoseLib import mrml

    sequence = Sequence(scene, spoiled=SPOILED)
    panel.ui.inputVolumeSelector.setCurrentNode(sequence.scan)
    panel.ui.estimateAllButton.click()
    answers()
    assert panel.ui.statusLabel.text.startswith("Done: 5 time points, 1 without a pose")
    transform, segmentation = outputs(panel)
    panel.ui.standardPlanesButton.click()
    sequence.play(SPOILED)
    assert not mrml.has_mask(segmentation)
    with pytest.raises(mrml.pose.TransformError, match="no head pose"):
        mrml.head_pose(transform)
    assert "has 4 × 4 × 4 voxels" in panel.ui.verdictLabel.text
    sequence.play(SPOILED + 1)
    assert panel.ui.standardPlanesButton.checked and mrml.has_mask(segmentation)
    assert np.isnan(column(scene, "trans_x")[SPOILED]) and column(scene, "confidence")[SPOILED] == "none"
    assert column(scene, "doubtful")[SPOILED] == 0.0


def test_doubtful_time_points_are_marked_and_not_hidden(panel, scene, answers, calibrated_model):
    import slicer

    from E3PoseLib import mrml

    blob = add_blob(scene, "bold")
    whole = slicer.util.arrayFromVolume(blob)
    half = np.where(np.arange(whole.shape[2]) < 20, 0, whole)
    # The head at the third time point is cut, and at the fourth 200 mm away, after 5 s.
    sequence = Sequence(scene, scan=blob, shifts=(0.0, 3.0, 6.0, 200.0, 9.0))
    slicer.util.updateVolumeFromArray(scene.GetFirstNodeByName("bold sequence").GetNthDataNode(2), half)
    panel.ui.inputVolumeSelector.setCurrentNode(blob)
    panel._parameterNode.model = calibrated_model
    panel.ui.estimateAllButton.click()
    answers()
    assert panel.ui.statusLabel.text == "Done: 5 time points, 2 doubtful."
    assert column(scene, "marks") == ["", "", "doubtful", "jump", ""]
    assert column(scene, "confidence") == ["high", "high", "low", "high", "high"]
    assert np.nan_to_num(column(scene, "doubtful"), nan=1).tolist() == [1, 1, 0, 0, 1]
    assert column(scene, "trans_x")[3] == pytest.approx(200, abs=1) and np.isfinite(column(scene, "trans_x")[2])
    transform, segmentation = outputs(panel)
    for index, level, marks, words in (
        (1, "high", None, "High"),
        (2, "low", "doubtful", "Low: under 1 % to be right"),
        (3, "high", "jump", "Doubtful (jump); by itself the pose is of high confidence."),
        (4, "high", None, "High"),
    ):
        sequence.play(index)
        assert transform.GetAttribute(mrml.CONFIDENCE_ATTRIBUTE) == level
        assert transform.GetAttribute(mrml.MARKS_ATTRIBUTE) == marks
        assert panel.ui.verdictLabel.text.startswith(words) and mrml.has_mask(segmentation)
    sequence.play(3)
    assert panel.ui.firstWarningLabel.text.startswith("The pose is farther from the last sure one than a head can move")
    panel.ui.prescriptionCollapsibleButton.collapsed = False
    panel.ui.stackFieldOfViewSpinBox.value = 900.0
    assert panel.ui.prescriptionText.plainText.startswith("WARNING: THE POSE IS DOUBTFUL")


def test_the_time_points_are_followed_as_one_series_in_their_times(panel, scene, estimates, monkeypatch):
    asked = []
    sequence = Sequence(scene)
    panel.ui.inputVolumeSelector.setCurrentNode(sequence.scan)

    def estimate(scan, model, options, onFinished, onFailed, isWanted, series):
        volume = scan.volume
        asked.append((series, lambda: onFinished(*estimates(volume, model, options))))

    monkeypatch.setattr(panel._run, "estimate", estimate)
    panel.ui.estimateAllButton.click()
    while len(asked) < 3:
        asked[-1][1]()
    assert [seconds for (_, seconds), _ in asked] == [0.0, 2.5, 5.0]
    panel.onCancelButton()
    # What goes on after a break is a series of its own: the worker has gone, and with it what it knew.
    panel.ui.estimateAllButton.click()
    names = [name for (name, _), _ in asked]
    assert names[0] == names[1] == names[2] != names[3] and asked[3][0][1] == 5.0
    panel.onCancelButton()
    # Where the sequence does not say what its index is, nothing is known of the time between.
    scene.GetFirstNodeByName("bold sequence").SetIndexUnit("")
    panel.ui.estimateAllButton.click()
    assert asked[4][0][1] is None


def test_what_was_computed_stays_when_it_is_cancelled_and_the_rest_comes_later(panel, sequence, answers):
    from E3PoseLib import mrml

    panel.ui.estimateAllButton.click()
    answers(2)
    panel.onCancelButton()
    assert "2 time points" in panel.ui.statusLabel.text and "3 left" in panel.ui.statusLabel.text
    assert not panel.isBusy and panel.ui.estimateAllButton.enabled
    answers()  # one that comes too late
    results = mrml.series_results_of(sequence.scan, mrml.find_time_points(sequence.scan))
    assert results.missing() == [2, 3, 4]
    first = results.poses.GetNthDataNode(0)
    panel.ui.estimateAllButton.click()
    answers()
    assert results.missing() == [] and results.poses.GetNthDataNode(0) == first
    assert panel.ui.statusLabel.text.startswith("Done: 5 time points")


def test_a_scan_that_is_moved_in_between_is_no_motion_of_the_head(panel, sequence, answers, scene):
    from E3PoseLib import mrml

    panel.ui.estimateAllButton.click()
    answers(2)
    panel.ui.cancelButton.click()
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "T")
    transform.SetMatrixTransformToParent(
        mrml.to_vtk(np.array([[0, -1, 0, 5], [1, 0, 0, 25], [0, 0, 1, 0], [0, 0, 0, 1]]))
    )
    sequence.scan.SetAndObserveTransformNodeID(transform.GetID())
    panel.ui.estimateAllButton.click()
    answers()
    for name, expected in (("trans_x", SHIFTS), ("trans_y", np.zeros(5)), ("rot_z_degrees", np.zeros(5))):
        assert np.allclose(column(scene, name), expected, atol=0.7), name


def test_other_settings_estimate_all_anew(app, tracked, sequence, answers):
    import qt

    from E3PoseLib import mrml

    transform, _ = outputs(tracked)
    tracked.ui.directionComboBox.currentIndex = 1
    assert "all time points again" in tracked.ui.statusLabel.text and tracked.ui.directionComboBox.currentIndex == 0
    results = mrml.series_results_of(sequence.scan, mrml.find_time_points(sequence.scan))
    app.answers.append(qt.QMessageBox.Ok)  # it asks before what there is goes
    tracked.ui.estimateAllButton.click()
    assert results.missing() == [0, 1, 2, 3, 4]
    answers()
    assert results.missing() == [] and outputs(tracked)[0] == transform


def test_one_time_point_estimated_alone_does_not_change_the_series(tracked, sequence, answers):
    series = outputs(tracked)
    sequence.play(1)
    before = series[0].GetAttribute("E3Pose.Result")
    tracked.ui.estimateButton.click()
    answers()
    assert series[0].GetAttribute("E3Pose.Result") == before
    assert not set(series) & set(outputs(tracked))
    assert "shows an item of a sequence" in tracked.ui.statusLabel.text


def test_a_pose_of_many_is_not_corrected_where_that_would_be_lost(tracked):
    assert not tracked.ui.correctButton.enabled and not tracked.ui.checkedCheckBox.enabled
    assert tracked.ui.savePoseButton.enabled


def test_a_sequence_that_is_deleted_ends_it(panel, sequence, answers, scene):
    panel.ui.estimateAllButton.click()
    answers(1)
    scene.RemoveNode(sequence.browser)
    panel.series._next()
    assert not panel.series.busy
    assert panel.ui.statusLabel.text.startswith("Stopped: the sequence was deleted")


def test_a_scene_brings_all_of_it_back(tracked, scene, tmp_path):
    import slicer

    from E3PoseLib import mrml

    poses = []
    browser = scene.GetFirstNodeByName("bold browser")
    for index in range(5):
        browser.SetSelectedItemNumber(index)
        poses.append(mrml.head_pose(outputs(tracked)[0]))
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    scene.Clear(0)
    slicer.util.loadScene(path)
    tracked.enter()
    browser, (transform, segmentation) = scene.GetFirstNodeByName("bold browser"), outputs(tracked)
    for index in (4, 0, 1, 2, 3):
        browser.SetSelectedItemNumber(index)
        assert np.allclose(mrml.head_pose(transform), poses[index], atol=1e-5)
        assert mrml.read_result(transform)["confidence"]["level"] in ("high", "moderate", "low")
        assert mrml.has_mask(segmentation) and mrml.changes_since(transform) == []
    assert column(scene, "trans_x") == pytest.approx(SHIFTS, abs=0.5)
    assert tracked.ui.motionPlotButton.enabled
    volume = scene.GetFirstNodeByName("bold")
    assert mrml.series_results_of(volume, mrml.find_time_points(volume)).missing() == []


def test_the_worker_stays_warm_from_time_point_to_time_point(app, panel, sequence):
    panel.ui.estimateAllButton.click()
    pids = set()

    def is_over() -> bool:
        pids.add(panel._run.workerPid)
        return not panel.series.busy

    app.wait_until(is_over, timeout=300)
    assert panel.ui.statusLabel.text.startswith("Done: 5 time points")
    assert len(pids - {None}) == 1
