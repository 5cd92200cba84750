"""Of several things that may be the brain: which is taken, and whether another is said to be another head."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import BY_AXES

from E3PoseLib.errors import NoHeadFoundError
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.method.doubt.candidates import (
    MIDDLE_MM,
    NOT_THE_LARGEST,
    CoreOfBrain,
    MiddleOfScan,
    OtherCandidate,
    Twins,
)
from E3PoseLib.method.doubt.reading import Reading, read_and_doubt
from E3PoseLib.method.estimate import PoseEstimate
from E3PoseLib.method.prepared import PreparedScan
from E3PoseLib.method.trust.confidence import Confidence


def block(start: int, edge: int) -> np.ndarray:
    mask = np.zeros((60, 20, 20), bool)
    mask[start : start + edge, :edge, :edge] = True
    return mask


def at(mm: float, concentration: float, **evidence) -> PoseEstimate:
    pose = np.eye(4)
    pose[0, 3] = mm
    evidence = {"calibration": BY_AXES, **evidence}
    confidence = Confidence((concentration,) * 3, 0.0, 200.0, touches_border=False, **evidence)
    return PoseEstimate(pose, block(0, 10), confidence, confidence.warnings(), {}, "cpu", "float32")


def settled(first: PoseEstimate, second: PoseEstimate, second_edge: int = 8) -> tuple[PoseEstimate, list[int]]:
    """The answer where the second is a smaller thing, and how large those things were that were looked at."""
    looked_at = []

    def read(readings):
        looked_at.extend(np.count_nonzero(reading.brains[0]) for reading in readings)
        return [
            replace(reading, outcome=first if np.count_nonzero(reading.brains[0]) == 1000 else second)
            for reading in readings
        ]

    volume = Volume(np.zeros((60, 20, 20), np.float32), np.eye(4))
    whole = tuple(slice(0, n) for n in volume.shape)
    scan = PreparedScan(volume, volume, whole, volume.array, volume.voxel_to_ras, whole)
    doubts = (OtherCandidate(1), CoreOfBrain(), Twins())
    (answer,) = read_and_doubt([Reading(scan, (block(0, 10), block(40, second_edge)))], doubts, read)
    assert looked_at.pop(0) == 1000
    return answer.estimate, looked_at


@pytest.mark.parametrize(
    ("second", "another"),
    [
        (at(100.0, 0.9), 100.0),
        (at(100.0, 0.62), 100.0),  # log-odds of 0.3
        (at(100.0, 0.58), None),  # and of -0.3
        (at(50.0, 0.9), None),
        (at(100.0, 0.9, in_ghost=True), None),
    ],
)
def test_what_is_likelier_right_than_wrong_beside_a_sure_pose_is_another_head(second, another):
    answer, looked_at = settled(at(0.0, 0.95), second)
    assert answer.canonical_to_ras[0, 3] == 0 and looked_at == [512]
    assert answer.confidence.another_head_mm == another
    assert answer.confidence.level == ("high" if another is None else "moderate")
    assert any("another head 100 mm away" in sentence for sentence in answer.warnings) == (another is not None)


def test_beside_a_sure_pose_nothing_small_is_looked_at():
    answer, looked_at = settled(at(0.0, 0.95), at(100.0, 0.95), second_edge=6)
    assert looked_at == [] and answer.confidence.another_head_mm is None


@pytest.mark.parametrize(("concentration_of_first", "another"), [(0.7, 100.0), (0.1, None)])
def test_the_surer_one_is_taken_and_a_doubtful_largest_one_may_be_a_head_too(concentration_of_first, another):
    answer, _ = settled(at(0.0, concentration_of_first), at(100.0, 0.9), second_edge=6)
    assert answer.canonical_to_ras[0, 3] == 100 and NOT_THE_LARGEST in answer.warnings
    assert answer.confidence.another_head_mm == another


def test_a_pose_by_the_core_is_taken_where_it_is_surer_even_so_and_all_that_was_found_is_kept():
    whole, core = at(0.0, 0.7), at(50.0, 0.95)
    hanging = block(0, 10)
    hanging[10:60, :4, :4] = True  # what hangs on the ball is more than a quarter of it
    volume = Volume(np.zeros((60, 20, 20), np.float32), np.eye(4))
    extent = tuple(slice(0, n) for n in volume.shape)
    scan = PreparedScan(volume, volume, extent, volume.array, volume.voxel_to_ras, extent)

    def read(readings):
        return [replace(one, outcome=whole if one.brains[0].sum() == hanging.sum() else core) for one in readings]

    (taken,) = read_and_doubt([Reading(scan, (hanging,))], [CoreOfBrain()], read)
    assert taken.estimate.canonical_to_ras[0, 3] == 50 and taken.estimate.confidence.by_core
    assert [one.canonical_to_ras[0, 3] for one in taken.considered] == [0]


def of_edge(edge: int) -> PreparedScan:
    """A scan of so many voxels of 3 mm along its longest edge, the middle of a grid that is larger."""
    volume = Volume(np.zeros((70, 50, 50), np.float32), np.diag([3.0, 3.0, 3.0, 1.0]))
    shown = (slice(10, 10 + edge), slice(10, 40), slice(10, 40))
    return PreparedScan(volume, volume, shown, volume.array, volume.voxel_to_ras, shown)


def looked_for_in_middle(
    scan: PreparedScan, first: PoseEstimate | None, there: PoseEstimate
) -> tuple[Reading, list[np.ndarray]]:
    """What comes of a scan in which at first this was found, or nothing; and what was read then."""
    seen = []

    def read(readings):
        one = readings[0]
        if not one.brains or (first is not None and one.brains[0] is first.mask):
            return [one.with_outcome(first) if first is not None else one.with_brains([])]
        seen.append(one.brains[0])
        return [one.with_outcome(there)]

    brains = () if first is None else (first.mask,)
    (answer,) = read_and_doubt([Reading(scan, brains)], [MiddleOfScan()], read)
    return answer, seen


def in_middle(concentration: float, **evidence) -> PoseEstimate:
    return at(7.0, concentration, **{"brain_agreement": 0.5, **evidence})


def test_where_no_brain_was_found_a_close_scan_is_looked_at_in_its_middle():
    answer, (ball,) = looked_for_in_middle(of_edge(40), None, in_middle(0.95))
    found = answer.estimate
    assert found.canonical_to_ras[0, 3] == 7 and found.confidence.by_middle
    assert found.confidence.probability > 0.99 and found.confidence.level == "moderate"  # no calibration knows such
    told = " ".join(found.warnings)
    assert "the middle of the scan was looked at" in told and "different brains" not in told
    np.testing.assert_allclose(np.argwhere(ball).mean(axis=0), [29.5, 24.5, 24.5], atol=1e-9)
    assert np.count_nonzero(ball) * 0.027 == pytest.approx(4 / 3 * np.pi * (MIDDLE_MM / 10) ** 3, rel=0.02)


@pytest.mark.parametrize(
    "there",
    [in_middle(0.5), in_middle(0.95, brain_agreement=0.0), in_middle(0.95, calibration=None)],
    ids=["likelier wrong", "no brain but the ball", "how likely is not known"],
)
def test_what_is_there_has_to_be_a_head(there):
    refused, seen = looked_for_in_middle(of_edge(40), None, there)
    assert len(seen) == 1 and isinstance(refused.result, NoHeadFoundError)


@pytest.mark.parametrize(("concentration", "taken_mm"), [(0.75, 7), (0.65, 1)])
def test_what_is_there_has_to_be_surer_than_what_was_found(concentration, taken_mm):
    answer, seen = looked_for_in_middle(of_edge(40), at(1.0, 0.7), in_middle(concentration))
    assert len(seen) == 1 and answer.estimate.canonical_to_ras[0, 3] == taken_mm


def test_what_both_sets_of_networks_find_in_the_middle_is_compared():
    second = at(57.0, 0.7, by_second_opinion=True)
    for concentration, taken_mm in ((0.75, 7), (0.65, 57)):
        answer, _ = looked_for_in_middle(of_edge(40), second, in_middle(concentration))
        assert answer.estimate.canonical_to_ras[0, 3] == taken_mm
        assert answer.estimate.confidence.opinions_apart_mm == 50
        assert any("50 mm away" in sentence for sentence in answer.estimate.warnings)


@pytest.mark.parametrize(
    ("edge", "first"),
    [(60, None), (40, at(1.0, 0.95)), (40, at(1.0, 0.5, eyes_disagreement_degrees=5.0, eyes_probability=0.9))],
    ids=["the scan shows more", "the pose is sure", "eyes speak for it"],
)
def test_the_middle_is_not_looked_at(edge, first):
    answer, seen = looked_for_in_middle(of_edge(edge), first, in_middle(0.99))
    assert seen == [] and answer.estimate is first
