"""A series beside what there is: segments of others, results that it has, time points that are taken out."""

import numpy as np
import pytest

from .sequences import Sequence, outputs
from .theirs import add_segment, content

pytestmark = pytest.mark.usefixtures("panel")


def test_a_series_takes_no_segment_of_others(panel, scene, answers):
    sequence = Sequence(scene)
    panel.ui.inputVolumeSelector.setCurrentNode(sequence.scan)
    theirs = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "placenta")
    add_segment(theirs, "Placenta", sequence.scan)
    before = content(theirs)
    panel.ui.outputSegmentationSelector.setCurrentNode(theirs)
    panel.ui.estimateAllButton.click()
    answers()
    assert content(theirs) == before and outputs(panel)[1] != theirs


def test_a_series_that_has_poses_is_estimated_anew_only_if_a_person_says_so(app, tracked, sequence, answers):
    import qt

    from E3PoseLib import mrml

    results = mrml.series_results_of(sequence.scan, mrml.find_time_points(sequence.scan))
    first = results.poses.GetNthDataNode(0)
    tracked.ui.estimateAllButton.click()  # answered by Cancel
    assert len(app.message_boxes) == 1
    assert "5 time points of 'bold' have a pose. Estimate all of them anew?" in app.message_boxes[0]
    assert not tracked.isBusy and results.missing() == [] and results.poses.GetNthDataNode(0) == first
    app.answers.append(qt.QMessageBox.Ok)
    tracked.ui.estimateAllButton.click()
    assert results.missing() == [0, 1, 2, 3, 4]
    answers()
    assert results.missing() == []


def test_another_device_goes_on_with_a_series(app, panel, sequence, answers):
    from E3PoseLib import mrml

    panel.ui.estimateAllButton.click()
    answers(3)
    panel.ui.cancelButton.click()
    panel.ui.deviceComboBox.currentIndex = 1
    panel.ui.estimateAllButton.click()
    results = mrml.series_results_of(sequence.scan, mrml.find_time_points(sequence.scan))
    assert app.message_boxes == [] and results.missing() == [3, 4]


def test_a_time_point_that_is_taken_out_meanwhile_is_no_other_one(panel, sequence, answers):
    from E3PoseLib import mrml

    panel.ui.estimateAllButton.click()
    answers(2)
    items = sequence.browser.GetMasterSequenceNode()
    items.RemoveDataNodeAtValue(items.GetNthIndexValue(0))
    items.RemoveDataNodeAtValue(items.GetNthIndexValue(items.GetNumberOfDataNodes() - 1))
    answers()
    assert not panel.series.busy and panel.ui.statusLabel.text.startswith("Done: 3 time points")
    results = mrml.series_results_of(sequence.scan, mrml.find_time_points(sequence.scan))
    centres = [result["canonical_to_ras"][0][3] for result in results.results()]
    assert np.allclose(np.diff(centres), 3.0, atol=0.7)  # each lies where its own image shows it


def test_a_time_point_whose_image_was_replaced_is_estimated_again(tracked, sequence, answers):
    import slicer

    from E3PoseLib import mrml

    results = mrml.series_results_of(sequence.scan, mrml.find_time_points(sequence.scan))
    item = results.points.sequence.GetNthDataNode(2)
    slicer.util.updateVolumeFromArray(item, np.roll(slicer.util.arrayFromVolume(item), 4, axis=2).copy())
    assert results.missing() == [2]
    sequence.play(1)
    assert "NOT OF THE IMAGE SHOWN" not in tracked.ui.verdictLabel.text
    sequence.play(2)
    assert tracked.ui.verdictLabel.text.startswith("NOT OF THE IMAGE SHOWN")
    tracked.ui.estimateAllButton.click()
    tracked.ui.cancelButton.click()
    assert tracked.ui.statusLabel.text == "Cancelled: 4 time points, 4 doubtful, 1 left: press again to go on."
    tracked.ui.estimateAllButton.click()
    answers()
    assert results.missing() == [] and "NOT OF" not in tracked.ui.verdictLabel.text


def test_an_image_in_which_nothing_was_found_is_looked_at_again_once_it_is_another(panel, scene, answers):
    import slicer

    from E3PoseLib import mrml

    sequence = Sequence(scene, spoiled=2)
    panel.ui.inputVolumeSelector.setCurrentNode(sequence.scan)
    panel.ui.estimateAllButton.click()
    answers()
    results = mrml.series_results_of(sequence.scan, mrml.find_time_points(sequence.scan))
    assert results.missing() == [] and results.results()[2] is None
    items = results.points.sequence
    good = slicer.util.arrayFromVolume(items.GetNthDataNode(1))
    slicer.util.updateVolumeFromArray(items.GetNthDataNode(2), good.copy())
    assert results.missing() == [2]
    panel.ui.estimateAllButton.click()
    answers()
    assert results.missing() == [] and results.results()[2] is not None


def test_poses_stay_with_their_images_where_one_before_is_taken_out(tracked, sequence):
    from E3PoseLib import mrml

    transform = outputs(tracked)[0]
    items = sequence.browser.GetMasterSequenceNode()
    items.RemoveDataNodeAtValue(items.GetNthIndexValue(1))
    sequence.play(0)
    sequence.play(1)
    assert mrml.changes_since(transform) == []
    assert "time point" not in tracked.ui.warningsLabel.text
