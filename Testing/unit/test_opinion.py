"""When the model's second networks are asked, whose pose is taken, and what it is worth that both tell the same."""

from dataclasses import replace

import numpy as np
import pytest

from E3PoseLib.errors import NoHeadFoundError
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.doubt.candidates import TWIN_CERTAINTY, Twins
from E3PoseLib.method.doubt.contrast import Brightened
from E3PoseLib.method.doubt.opinion import SecondOpinion
from E3PoseLib.method.doubt.reading import Reading, read_and_doubt
from E3PoseLib.method.estimate import PoseEstimate
from E3PoseLib.method.prepared import PreparedScan
from E3PoseLib.method.trust.confidence import Confidence
from E3PoseLib.models.calibration import Calibration, Sum

BY_OPINIONS = Calibration(Sum(6.0, {"axes": -15.0, "opinions apart": -2.0}), Sum(1.0, {}), Sum(0.5, {}))


def at(mm: float, concentration: float, **evidence) -> PoseEstimate:
    pose = np.eye(4)
    pose[0, 3] = mm
    confidence = Confidence((concentration,) * 3, 0.0, 200.0, touches_border=False, calibration=BY_OPINIONS, **evidence)
    return PoseEstimate(pose, np.ones((9, 9, 9), bool), confidence, confidence.warnings(), {}, "cpu", "float32")


def settled(first, second, brain=None) -> tuple[Reading, int]:
    """What is decided of both outcomes, and how often the second networks were asked."""
    asked = []

    def read(readings):
        asked.extend(one.is_second_opinion for one in readings)
        return [replace(one, outcome=second if one.is_second_opinion else first) for one in readings]

    (answer,) = read_and_doubt([Reading(scan(brain))], [SecondOpinion(within=())], read)
    return answer, sum(asked)


def scan(brain=None) -> PreparedScan:
    volume = Volume(np.zeros((9, 9, 9), np.float32), np.diag([8.0, 8.0, 8.0, 1.0]))
    whole = tuple(slice(0, n) for n in volume.shape)
    return PreparedScan(volume, volume, whole, volume.array, volume.voxel_to_ras, whole, brain)


def test_a_sure_pose_a_moved_head_and_a_brain_without_skull_need_no_second_opinion():
    for first, brain in (
        (at(0.0, 0.95), None),
        (at(0.0, 0.8, interleave_ratio=1.0, eyes_disagreement_degrees=3.0), None),
        (at(0.0, 0.8), np.ones((9, 9, 9), bool)),
    ):
        answer, asked = settled(first, at(50.0, 0.99), brain)
        assert asked == 0 and answer.estimate is first
    assert settled(at(0.0, 0.8), at(0.0, 0.8))[1] == 1


@pytest.mark.parametrize(("second_mm", "size"), [(0.0, -0.5), (5.0, -0.5), (7.0, -0.3), (15.0, 0.5), (50.0, 1.0)])
def test_a_pose_that_both_tell_is_surer_and_one_that_only_one_tells_less_sure(second_mm, size):
    first = at(0.0, 0.8)  # log-odds of 3
    answer, _ = settled(first, at(second_mm, 0.7))
    assert answer.estimate.canonical_to_ras[0, 3] == 0 and not answer.estimate.confidence.by_second_opinion
    probability = answer.estimate.confidence.probability
    assert np.log(probability / (1 - probability)) == pytest.approx(3.0 - 2.0 * size)
    apart = f"take the head to lie 0° and {second_mm:.0f} mm away"
    assert any(apart in sentence for sentence in answer.estimate.warnings) == (second_mm > 10)


def test_the_surer_pose_is_taken_whoever_tells_it_and_the_other_is_kept():
    answer, _ = settled(at(0.0, 0.7), at(30.0, 0.9))
    taken = answer.estimate
    assert taken.canonical_to_ras[0, 3] == 30 and taken.confidence.by_second_opinion
    assert any("second networks" in sentence for sentence in taken.warnings)
    assert [one.canonical_to_ras[0, 3] for one in answer.considered] == [0]
    assert taken.confidence.opinions_apart_mm == 30


def test_a_doubtful_second_opinion_is_doubted_in_turn_by_the_same_networks():
    asked, outcomes = [], iter([at(0.0, 0.7), at(20.0, 0.6), at(20.0, 0.9)])

    def read(readings):
        asked.extend(one.is_second_opinion for one in readings)
        return [one.with_outcome(next(outcomes)) for one in readings]

    opinion = SecondOpinion(within=[Brightened(within=())])
    (answer,) = read_and_doubt([Reading(scan())], [opinion], read)
    assert asked == [False, True, True]
    taken = answer.estimate.confidence
    assert taken.by_second_opinion and taken.brightened and taken.opinions_apart_mm == 20
    # What was seen on the way there is compared with the opinion of the first networks too.
    assert [one.confidence.opinions_apart_mm for one in answer.considered] == [20.0, 20.0]


def test_what_is_read_later_is_compared_with_the_second_opinion_too():
    """A brighter scan shows the first networks the head where the second ones have seen it, or elsewhere."""
    outcomes = iter([at(0.0, 0.7), at(40.0, 0.68), at(42.0, 0.69)])

    def read(readings):
        return [one.with_outcome(next(outcomes)) for one in readings]

    (answer,) = read_and_doubt([Reading(scan())], [SecondOpinion(within=()), Brightened(within=())], read)
    taken = answer.estimate
    assert taken.canonical_to_ras[0, 3] == 42 and taken.confidence.brightened
    assert taken.confidence.opinions_apart_mm == pytest.approx(2.0)
    assert [one.confidence.opinions_apart_mm for one in answer.considered] == [40.0, 40.0]


def test_heads_that_either_has_found_may_be_twins():
    first, second = at(0.0, 0.75), at(100.0, 0.9)
    answer, _ = settled(first, second)
    assert [one.canonical_to_ras[0, 3] for one in answer.heads_found] == [0, 100]
    twins = Twins().decide(answer, [])
    assert twins.estimate.canonical_to_ras[0, 3] == 100 and twins.estimate.confidence.another_head_mm == 100


def test_a_twin_is_as_likely_to_be_a_head_whatever_the_second_networks_have_found():
    """Of a head that the others did not look at it says nothing that they tell of the one that they did."""
    taken, twin = at(0.0, 0.9), at(100.0, 0.63).with_evidence(opinions_apart_degrees=0.0, opinions_apart_mm=100.0)
    assert twin.confidence.certainty < TWIN_CERTAINTY < at(100.0, 0.63).confidence.certainty
    seen = Reading(scan(), outcome=taken, heads_found=(taken, twin))
    assert Twins().decide(seen, []).estimate.confidence.another_head_mm == 100


def test_where_one_finds_no_head_the_other_speaks_alone():
    none = NoHeadFoundError("no head")
    answer, _ = settled(none, at(30.0, 0.7))
    assert answer.estimate.confidence.by_second_opinion and answer.estimate.confidence.opinions_apart_mm is None
    first = at(0.0, 0.7)
    assert settled(first, none)[0].estimate is first
    assert settled(none, none)[0].outcome is none
