"""Stacks of one head are brought together by what they show; those of another, or with a wrong pose, are noticed."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from stacks import Brain, moved

from E3PoseLib.alignment.common_frame import common_frame
from E3PoseLib.alignment.consensus import brought_together
from E3PoseLib.alignment.likeness import likeness, pairwise
from E3PoseLib.alignment.quality import common_brain, quality, seen_together
from E3PoseLib.alignment.registration import registered
from E3PoseLib.alignment.stack import region, sampled
from E3PoseLib.errors import AlignmentError
from E3PoseLib.imaging.geometry import pose_difference, rigid
from E3PoseLib.imaging.masks import dice_overlap

needs_registration = pytest.mark.usefixtures("simple_itk")


@pytest.fixture
def simple_itk():
    pytest.importorskip("SimpleITK", reason="needs the optional package SimpleITK")


@pytest.fixture(scope="module")
def brain():
    return Brain()


@pytest.fixture(scope="module")
def truth():
    """Where the head lies in each of three stacks: it moves between them."""
    return {"axial": moved(40, 30, 1), "coronal": moved(48, 38, 1), "sagittal": moved(55, 27, 1)}


@pytest.fixture(scope="module")
def right(brain, truth):
    return [brain.stack(plane, place) for plane, place in truth.items()]


def off(stack, degrees, mm, seed):
    """The same stack with a pose that is wrong by that much."""
    return replace(stack, canonical_to_ras=stack.canonical_to_ras @ moved(degrees, mm, seed))


def errors(placed, truth):
    """Of the stacks to each other: degrees and mm, the largest."""
    heads = [np.linalg.inv(one.frame_to_ras) @ truth[one.stack.name.split()[0]] for one in placed if one.is_kept]
    return np.max([pose_difference(heads[0], head) for head in heads[1:]], axis=0)


@needs_registration
def test_poses_that_are_off_are_brought_together(right, truth):
    stacks = [off(stack, 9, 5, seed) for seed, stack in enumerate(right)]
    before = errors(brought_together(stacks, None), truth)
    placed = brought_together(stacks, registered)
    degrees, mm = errors(placed, truth)
    assert before.min() > 4 and degrees < 1.5 and mm < 0.8
    assert all(one.is_kept and one.likeness > 0.9 and not one.notes for one in placed)
    # The common frame is the head's, nearer than the poses were.
    assert pose_difference(placed[0].frame_to_ras, truth["axial"])[0] < 7


def shaded(stack, seed):
    """The same stack with coils elsewhere: from one side of the head to the other intensities change threefold."""
    grid = np.moveaxis(np.indices(stack.volume.shape), 0, -1) / np.array(stack.volume.shape) - 0.5
    direction = moved(0, 1, seed)[:3, 3]
    factor = np.exp(1.8 * grid @ direction)
    return replace(stack, volume=replace(stack.volume, array=(stack.volume.array * factor).astype(np.float32)))


def test_shading_makes_no_difference(right):
    before, after = (
        pairwise([sampled(stack, stack.canonical_to_ras) for stack in stacks])
        for stacks in (right, [shaded(stack, seed) for seed, stack in enumerate(right)])
    )
    assert before.min() > 0.9 and np.abs(after - before).max() < 0.05


@needs_registration
def test_shaded_stacks_are_brought_together(right, truth):
    stacks = [off(shaded(stack, seed), 7, 4, seed) for seed, stack in enumerate(right[:2])]
    placed = brought_together(stacks, registered)
    degrees, mm = errors(placed, truth)
    assert all(one.is_kept for one in placed) and degrees < 1.5 and mm < 2


@needs_registration
def test_registration_does_not_go_to_where_a_stack_shows_the_opposite(right):
    others = sampled(right[0], right[0].canonical_to_ras)
    where, array = region(others.brain), right[1].volume.array
    opposite = replace(right[1], volume=replace(right[1].volume, array=array.max() - array))
    start = opposite.canonical_to_ras @ moved(3, 2, 0)
    place = registered(opposite, others, where, start)
    before, after = (likeness(sampled(opposite, at, where), others, where) for at in (start, place))
    assert before < -0.7 and after > before + 0.3


@needs_registration
@pytest.mark.parametrize(("degrees", "mm"), [(170, 20), (30, 110)])
def test_a_wrong_pose_is_mended_from_the_others(right, truth, degrees, mm):
    stacks = [right[0], off(right[1], 5, 3, 0), off(right[2], degrees, mm, 7)]
    placed = brought_together(stacks, registered)
    apart = errors(placed, truth)
    assert all(one.is_kept for one in placed) and apart[0] < 1.5 and apart[1] < 0.8
    assert "was mended" in placed[2].notes[0] and not placed[0].notes


@needs_registration
def test_the_same_stacks_give_the_same_answer(right):
    others = sampled(right[0], right[0].canonical_to_ras)
    start = off(right[1], 8, 4, 2).canonical_to_ras
    one, again = (registered(right[1], others, others.brain > 0.5, start) for _ in range(2))
    assert pose_difference(one, start)[0] > 2
    # Threads add in another order each time, and no more.
    np.testing.assert_allclose(one, again, atol=1e-3)


@pytest.mark.parametrize("register", [None, registered], ids=["as estimated", "registered"])
def test_another_head_is_left_out_and_moves_nothing(right, truth, register, request):
    if register is not None:
        request.getfixturevalue("simple_itk")
    elsewhere = rigid(np.eye(3), (0, 150, 0)) @ truth["axial"]
    another = Brain(5, size=0.85)
    other, twin = (another.stack("axial", place, name) for name, place in (("o", truth["axial"]), ("t", elsewhere)))
    placed = brought_together([right[0], other, *right[1:], twin], register)
    assert [one.is_kept for one in placed] == [True, False, True, True, False]
    assert "something else" in placed[1].reason
    assert placed[1].likeness < min(one.likeness for one in placed if one.is_kept) - 0.3
    assert "another fetus" in placed[4].reason
    assert errors(placed, truth)[0] < 1.5


def test_a_stack_that_is_little_like_the_others_is_kept_with_a_word(right):
    volume = right[2].volume
    noise = np.random.default_rng(0).normal(0, 1200, volume.shape)
    noisy = replace(right[2], volume=replace(volume, array=(volume.array + noise).clip(0)))
    placed = brought_together([*right[:2], noisy], None)
    assert [one.is_kept for one in placed] == [True] * 3
    assert 0.45 < placed[2].likeness < 0.6 < placed[0].likeness
    assert "look whether it shows the same fetus" in placed[2].notes[0]
    assert not placed[0].notes and not placed[1].notes


def test_without_registration_a_pose_that_is_far_off_is_noticed(right):
    placed = brought_together([*right, off(replace(right[0], name="axial 2"), 40, 10, 3)], None)
    assert [one.is_kept for one in placed] == [True, True, True, False]
    assert np.array_equal(placed[0].frame_to_ras.round(6), right[0].canonical_to_ras.round(6))


def test_one_stack_alone_and_stacks_that_share_nothing(right, truth):
    (alone,) = brought_together(right[:1], None)
    assert alone.is_kept and "nothing to compare" in alone.notes[0] and alone.likeness is None
    with pytest.raises(AlignmentError, match="no two of the 2 stacks show the same head"):
        brought_together([right[0], Brain(seed=5).stack("coronal", truth["coronal"], "other")], None)


def test_a_stack_is_worth_what_it_shows_in_its_place(right):
    moving = right[0].volume.array.copy()
    moving[:, :, 10:20] = np.roll(moving[:, :, 10:20], 12, axis=0)
    half = right[1].volume.array[:, :, :16]
    cut = replace(right[1], volume=replace(right[1].volume, array=half), brain=right[1].brain[:, :, :16])
    stacks = [right[0], replace(right[0], volume=replace(right[0].volume, array=moving)), cut, right[2]]
    placed = brought_together(stacks, None)
    together = seen_together(placed)
    whole, within, part, _ = (quality(one, together) for one in placed)
    assert whole.coverage > 0.99 and whole.slices_at_place > 0.95
    assert within.slices_at_place < 0.8 and part.coverage == pytest.approx(0.5, abs=0.1)
    assert whole.worth > max(within.worth, part.worth)
    assert dice_overlap(common_brain(placed[3], together) > 0, right[2].brain > 0) > 0.93


def test_the_frame_in_the_middle_is_where_most_agree():
    wrong = moved(90, 60, 3)
    claims = {index: (moved(20 * index, 10 * index, index), np.eye(4)) for index in range(4)}
    heads = [moved(2, 1, 10), moved(2, 1, 11), moved(2, 1, 12), wrong]
    claims = {index: (frame, frame @ head) for (index, (frame, _)), head in zip(claims.items(), heads, strict=True)}
    degrees, mm = pose_difference(common_frame(claims), np.eye(4))
    assert degrees < 3 and mm < 1.5
    mean = Rotation.from_matrix([head[:3, :3] for head in heads]).mean().magnitude()
    assert np.rad2deg(mean) > 15
