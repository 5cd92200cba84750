"""A head followed from scan to scan: what is believed, what is marked, when the whole scan is searched."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import BY_AXES

from E3PoseLib.errors import NoHeadFoundError
from E3PoseLib.imaging.geometry import rigid
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.estimate import PoseEstimate
from E3PoseLib.method.tracking.tracker import DOUBTFUL, FAILED, FORGOTTEN_AFTER, JUMP, JUMP_WARNING, PoseTracker
from E3PoseLib.method.trust.confidence import Confidence

SCAN = Volume(np.arange(1000.0).reshape(10, 10, 10), np.diag([10.0, 10, 10, 1]))
SURE = Confidence((0.95, 0.95, 0.95), 1.0, 200.0, False, brain_agreement=0.9, eyes_agree=True, calibration=BY_AXES)
LOW = replace(SURE, axis_concentration=(0.3, 0.9, 0.9))
MOVED = replace(LOW, interleave_ratio=1.1)
HALFWAY = replace(SURE, interleave_ratio=1.1, halves_apart_degrees=5.0, halves_apart_mm=3.0)

# Clear, but the head lay otherwise in the other half of the slices; they need not differ by much.
OF_ONE_HALF = replace(HALFWAY, interleave_ratio=0.88, halves_apart_degrees=45.0)


def at(x, confidence=SURE) -> PoseEstimate:
    """An estimate of a head so many mm to the right."""
    mask = np.zeros(SCAN.shape, np.uint8)
    mask[4:6, 4:6, 4:6] = 1
    return PoseEstimate(rigid(np.eye(3), [x, 0, 0]), mask, confidence, (), {}, "cpu", "float32")


class Scripted:
    """Answers as it is told, in place of an estimator: by the networks none of these cases comes at will.

    `near` are the answers around a brain, `whole` those of whole scans; each an estimate or an error.
    """

    can_follow = True

    def __init__(self, near=(), whole=()):
        self.near, self.whole, self.asked, self.wanted_halves = list(near), list(whole), [], []
        self.brightened = []

    def estimate_around(self, volume, brain, before, wants_halves):
        self.brightened.append(before.brightened)
        self.asked.append(round(float(brain.voxel_to_ras[0, 3]), 3))
        found = answer(self.near)
        self.wanted_halves.append(wants_halves(found))
        return found

    def estimate(self, volume, progress=None, *, thorough=True, halves=True):
        self.asked.append(("thorough" if thorough else "whole") + ("" if halves else ", no halves"))
        return answer(self.whole)


def answer(script):
    one = script.pop(0)
    if isinstance(one, Exception):
        raise one
    return one


def follow(estimator, n, step=2.0):
    tracker = PoseTracker(estimator)
    return [tracker.add(SCAN, index * step) for index in range(n)]


def test_only_the_first_scan_is_searched_while_the_head_is_where_it_was():
    estimator = Scripted(near=[at(2), at(4)], whole=[at(0)])
    frames = follow(estimator, 3)
    # Around the brain where it was found last, which this stand-in leaves in one place.
    assert estimator.asked == ["thorough", 0.0, 0.0]
    assert [one.was_searched for one in frames] == [True, False, False]
    assert [one.estimate.canonical_to_ras[0, 3] for one in frames] == [0, 2, 4]
    assert not any(one.marks for one in frames)


def test_from_farther_the_scan_is_read_again_around_the_brain_carried_to_where_the_head_is():
    estimator = Scripted(near=[at(14), at(15)], whole=[at(0)])
    frames = follow(estimator, 2)
    assert estimator.asked == ["thorough", 0.0, 14.0]
    assert frames[1].estimate.canonical_to_ras[0, 3] == 15 and not frames[1].was_searched


@pytest.mark.parametrize(
    "near",
    [
        [at(1, LOW)],
        [at(14), at(40)],
        [NoHeadFoundError("not there")],
        [at(14, replace(LOW, interleave_ratio=1.0)), at(40, replace(LOW, interleave_ratio=1.0))],
    ],
    ids=["doubtful", "does not settle", "outside", "noise"],
)
def test_what_cannot_be_followed_is_searched(near):
    estimator = Scripted(near=near, whole=[at(0), at(20)])
    frames = follow(estimator, 2)
    assert frames[1].was_searched and estimator.asked[-1] == "whole"
    assert frames[1].estimate.canonical_to_ras[0, 3] == 20 and not frames[1].marks


def test_halves_of_the_slices_are_read_around_the_brain_that_is_followed_and_not_in_a_search():
    estimator = Scripted(near=[at(14, MOVED), at(14, HALFWAY), at(15)], whole=[at(0)])
    frames = follow(estimator, 3)
    assert estimator.wanted_halves == [False, True, True]  # not from too far away
    assert not any(one.marks or one.was_searched for one in frames[1:])
    assert frames[1].estimate.confidence.level == "moderate"


@pytest.mark.parametrize(
    "near",
    [[at(1, MOVED)], [at(14, MOVED), at(40, MOVED)], [at(3, OF_ONE_HALF)]],
    ids=["settled", "not settled", "of one half"],
)
def test_a_scan_that_is_spoiled_by_motion_is_marked_and_the_next_one_searched(near):
    estimator = Scripted(near=[*near, at(2, MOVED), at(21)], whole=[at(0), at(20)])
    frames = follow(estimator, 4)
    assert [one.marks for one in frames] == [(), (DOUBTFUL,), (), ()]
    assert [one.was_searched for one in frames] == [True, False, True, False]
    # Its halves were read before.
    assert [one for one in estimator.asked if isinstance(one, str)] == ["thorough", "whole, no halves"]


def test_marked_scans_are_kept_and_not_gone_on_from():
    whole = [at(0), NoHeadFoundError("nothing"), at(3, LOW), at(200), at(4)]
    estimator = Scripted(near=[at(1, LOW)] * 4, whole=whole)
    frames = follow(estimator, 5)
    assert [one.marks for one in frames] == [(), (FAILED,), (DOUBTFUL,), (JUMP,), ()]
    assert frames[1].estimate is None and "nothing" in str(frames[1].error)
    assert frames[3].estimate.canonical_to_ras[0, 3] == 200
    assert [one.estimate is not None and JUMP_WARNING in one.estimate.warnings for one in frames] == [0, 0, 0, 1, 0]
    # Always around where it was last believed.
    assert [one for one in estimator.asked if one not in ("whole", "thorough")] == [0.0] * 4


def test_a_jump_is_one_for_the_time_since_the_last_pose_that_is_believed():
    frames = follow(Scripted(near=[at(1, LOW)] * 3, whole=[at(0), at(150), at(150), at(150)]), 4)
    # 60, 120, then 180 mm may have been gone.
    assert [one.marks for one in frames] == [(), (JUMP,), (JUMP,), ()]


def test_without_times_nothing_is_a_jump():
    tracker = PoseTracker(Scripted(near=[at(1, LOW)], whole=[at(0), at(500)]))
    assert [tracker.add(SCAN, None).marks for _ in range(2)] == [(), ()]


def test_the_total_time_of_a_frame_is_that_of_all_that_was_done():
    frames = follow(Scripted(near=[at(1)], whole=[at(0)]), 2)
    assert all(one.estimate.timings["total"] == one.seconds > 0 for one in frames)


def test_a_head_that_is_lost_for_long_is_searched_as_thoroughly_as_at_the_start():
    n = FORGOTTEN_AFTER
    dark = NoHeadFoundError("dark")
    estimator = Scripted(near=[at(0, LOW)] * n, whole=[at(0), *[dark] * (n + 5), at(500)])
    frames = follow(estimator, n + 7, step=0.1)
    searches = [one for one in estimator.asked if isinstance(one, str)]
    # And that once, as it takes long.
    assert searches == ["thorough", *["whole"] * n, "thorough", *["whole"] * 5]
    assert not frames[-1].marks


def test_another_head_seen_in_the_whole_scan_is_not_forgotten_while_one_is_followed():
    estimator = Scripted(near=[at(1)], whole=[at(0, replace(SURE, another_head_mm=90.0))])
    frames = follow(estimator, 2)
    assert frames[1].estimate.confidence.another_head_mm == 90 and frames[1].estimate.confidence.level == "moderate"
    assert any("another head" in warning for warning in frames[1].estimate.warnings)


def test_a_head_that_was_found_in_the_dark_is_followed_there():
    in_the_dark = replace(SURE, brightened=True)
    estimator = Scripted([at(1, in_the_dark), at(2, in_the_dark)], [at(0, in_the_dark)])
    follow(estimator, 3)
    assert estimator.brightened == [True, True]
    estimator = Scripted([at(1)], [at(0)])
    follow(estimator, 2)
    assert estimator.brightened == [False]


def test_a_model_without_close_up_networks_searches_every_scan():
    estimator = Scripted(whole=[at(0), at(1), at(2)])
    estimator.can_follow = False
    assert all(one.was_searched and not one.marks for one in follow(estimator, 3))
