"""Kinds of synthetic scans: voxels, fields of view, passes, shading and masks are what is said of them."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import center_of_mass
from scipy.spatial.transform import Rotation

from E3PoseTraining.synthesis import FetalHeadGenerator
from E3PoseTraining.synthesis.anatomy.drawn_brain import ParametricBrain
from E3PoseTraining.synthesis.anatomy.fetus import draw_fetus
from E3PoseTraining.synthesis.anatomy.head import brain_and_eyes, build_head
from E3PoseTraining.synthesis.anatomy.label_map_brain import read_label_maps
from E3PoseTraining.synthesis.kinds import KINDS
from E3PoseTraining.synthesis.kinds.kind import Wanted
from E3PoseTraining.synthesis.kinds.reconstruction import LOOSE, SKULL, TIGHT, draw_mask
from E3PoseTraining.synthesis.scanner.artifacts import Artifacts, blank_margins, dark_plane, slice_gains
from E3PoseTraining.synthesis.scanner.fields import coil_shading
from E3PoseTraining.synthesis.scanner.grid import Grid
from E3PoseTraining.synthesis.scanner.motion import interleaved_times
from E3PoseTraining.synthesis.tissues import Tissue
from E3PoseTraining.synthesize import main as synthesize

BRAINS = Path(__file__).parents[3] / "../shared/data/brains"
needs_brains = pytest.mark.skipif(not BRAINS.is_dir(), reason="no label maps at ../shared/data/brains")
SCOUT = {  # measured at 7d98b29, before there were kinds
    "shape": (121, 56, 121),
    "mean": 0.263348,
    "std": 0.302102,
    "brain": 12426,
    "centre": (-9.66593, -46.51689, -83.07198),
}
ACQUIRED = ["t2-stack", "t2-volume", "bold", "dwi"]


@pytest.fixture(scope="module")
def fetus():
    return draw_fetus(32.0, ParametricBrain(), 3.0, np.random.default_rng(1))


def grids(fetus, name: str, count: int, field: str = "uterus") -> list[Grid]:
    """Fields of view of one fetus by a kind."""
    kind, wanted, rng = KINDS[name], Wanted(field=field), np.random.default_rng(2)
    return [kind.draw_grid(fetus, kind.draw_spacing(wanted, rng), wanted, rng) for _ in range(count)]


@pytest.mark.parametrize(
    ("name", "in_plane", "thickness"),
    [
        ("t2-stack", (0.4, 1.8), (2.0, 7.0)),
        ("t2-volume", (0.9, 3.6), (0.9, 3.6)),
        ("bold", (1.8, 3.5), (2.0, 5.0)),
        ("dwi", (1.4, 3.0), (2.0, 6.0)),
    ],
)
def test_voxels_are_as_groups_have_them(fetus, name, in_plane, thickness):
    spacing = np.array([grid.spacing for grid in grids(fetus, name, 300)])
    assert (spacing[:, 0] == spacing[:, 1]).all()
    for drawn, (low, high) in ((spacing[:, 0], in_plane), (spacing[:, 2], thickness)):
        assert low <= drawn.min() < low + 0.25 * (high - low)
        assert low + 0.6 * (high - low) < drawn.max() <= high
    assert (spacing[:, 2] >= spacing[:, 0]).all()
    assert max(max(grid.shape[:2]) for grid in grids(fetus, name, 300)) <= 288


@pytest.mark.parametrize("name", ACQUIRED)
def test_the_middle_of_the_head_is_in_view_and_some_heads_are_cut(fetus, name):
    length = fetus.head.size.occipitofrontal_diameter
    nearest = []
    for grid in grids(fetus, name, 300):
        voxel = (np.linalg.inv(grid.voxel_to_ras) @ fetus.canonical_to_ras[:, 3])[:3]
        nearest.append(np.minimum(voxel + 0.5, grid.shape - voxel - 0.5) * grid.spacing)
    assert np.array(nearest).min() > 0.08 * length
    # Half a head is on each side of its middle.
    in_plane = np.array(nearest)[:, :2].min(axis=1)
    assert 0.05 < np.mean(in_plane < 0.41 * length) < 0.2


def test_stacks_are_cut_close_or_slabs_or_whole(fetus):
    length = fetus.head.size.occipitofrontal_diameter
    extents = np.array([grid.extent for grid in grids(fetus, "t2-stack", 400)])
    close, whole = extents[:, :2].max(axis=1) < 1.8 * length, extents[:, 2] > 1.75 * length
    assert 0.3 < close.mean() < 0.75  # those with voxels too small for more as well
    assert 0.08 < whole.mean() < 0.25
    assert extents[close, 2].max() < 1.7 * length
    assert all(grid.extent[:2].max() < 1.8 * length for grid in grids(fetus, "t2-stack", 50, field="head"))


def test_planes_are_those_of_the_head_or_of_the_mother(fetus):
    tilts = []
    for grid in grids(fetus, "t2-stack", 300):
        through = grid.voxel_to_ras[:3, 2] / grid.spacing[2]
        in_frames = [np.abs(axes.T @ through).max() for axes in (fetus.canonical_to_ras[:3, :3], np.eye(3))]
        tilts.append(np.degrees(np.arccos(np.clip(in_frames, -1, 1))))
        assert np.linalg.det(grid.voxel_to_ras[:3, :3]) > 0
    of_head, of_mother = np.array(tilts).T
    assert 0.4 < np.mean(of_head < 20) < 0.85
    assert 0.2 < np.mean(of_mother < 12) < 0.6


@pytest.mark.parametrize("passes", [1, 2, 4, 6])
def test_a_pass_takes_every_nth_slice(passes):
    times = interleaved_times(36, passes, np.random.default_rng(0))
    assert sorted(times) == pytest.approx(np.arange(36) / 36)
    starts = [times[first::passes] for first in range(passes)]
    assert all(np.allclose(np.diff(of_pass), 1 / 36) for of_pass in starts)
    assert sorted(int(of_pass[0] * passes + 1e-9) for of_pass in starts) == list(range(passes))


def test_slices_excited_together_have_one_time():
    times = interleaved_times(30, 2, np.random.default_rng(0), at_once=3)
    assert (times[:10] == times[10:20]).all() and (times[:10] == times[20:]).all()
    assert len(set(times)) == 10


def test_stacks_have_one_to_six_passes():
    """The first step in time between neighbours tells the number of passes."""
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        times = KINDS["t2-stack"].draw_trajectory(60, Wanted(), rng).times
        order = np.argsort(times)
        found.append(int(order[1] - order[0]))
    assert set(found) == {1, 2, 3, 4, 5, 6}
    assert 0.3 < np.mean(np.array(found) == 2) < 0.6


def test_three_dimensional_scans_stand_still_and_stacks_move():
    rng = np.random.default_rng(0)
    assert np.allclose(KINDS["t2-volume"].draw_trajectory(40, Wanted(), rng).fetus, np.eye(4))
    shifts = []
    for _ in range(100):
        fetus = KINDS["t2-stack"].draw_trajectory(40, Wanted(), rng).fetus
        shifts.append(np.linalg.norm(np.diff(fetus[:, :3, 3], axis=0), axis=1).max())
    assert np.median(shifts) < 4 and max(shifts) > 8  # mm


@pytest.mark.parametrize("darkest", [0.1, 0.5])
def test_shading_goes_down_to_what_is_asked_for(darkest):
    grid = Grid.about(np.zeros(3), np.eye(3), np.array([40, 30, 20]), np.array([3.0, 3.0, 6.0]))
    for seed in range(5):
        field = coil_shading(grid, darkest, np.random.default_rng(seed))
        assert field.max() == pytest.approx(1) and field.min() == pytest.approx(darkest, rel=1e-4)
        assert max(np.abs(np.diff(np.log(field), axis=axis)).max() for axis in range(3)) < 0.7  # smooth


def test_a_plane_excited_before_is_dark_by_its_distance():
    grid = Grid.about(np.zeros(3), np.eye(3), np.array([60, 60, 30]), np.array([1.0, 1.0, 2.0]))
    factor = dark_plane(grid, np.random.default_rng(4))
    assert 0.05 <= factor.min() <= 0.75 and factor.max() > 0.99
    dark = np.argwhere(factor < (1 + factor.min()) / 2) * grid.spacing
    # What is darkest lies in a plane of 1.5 to 5 mm standard deviation, seen through half its maximum.
    thinnest = np.linalg.svd(dark - dark.mean(0), compute_uv=False)[-1] / np.sqrt(len(dark))
    assert 0.7 < thinnest < 4


def test_passes_differ_in_signal_and_slices_are_lost():
    times = interleaved_times(200, 2, np.random.default_rng(1))
    kept = Artifacts(lost=0.0, slice_gain=(0.05, 0.05))
    differences = []
    for seed in range(20):
        gains = slice_gains(times, kept, np.random.default_rng(seed))
        differences.append(abs(gains[::2].mean() - gains[1::2].mean()))
    assert 0.01 < np.median(differences) < 0.2
    lost = slice_gains(times, Artifacts(lost=0.1, slice_gain=(0.0, 0.0)), np.random.default_rng(0))
    assert 0.04 < np.mean(lost < 0.9) < 0.18


def test_margins_are_zero_and_leave_most_of_the_field():
    for seed in range(10):
        image = np.ones((40, 50, 30), np.float32)
        blank_margins(image, np.random.default_rng(seed))
        inside = np.argwhere(image)
        assert image[tuple(slice(a, b + 1) for a, b in zip(inside.min(0), inside.max(0), strict=True))].all()
        assert (np.ptp(inside, axis=0) + 1 >= 0.7 * np.array(image.shape)).all()


@pytest.fixture(scope="module")
def reconstructions():
    generator = FetalHeadGenerator(seed=12, kinds={"brain-only": 1}, spacing=2.0)
    return [generator(index) for index in range(24)]


def test_nothing_is_left_beside_a_brain_alone(reconstructions):
    backgrounds = []
    for scan in reconstructions:
        values, counts = np.unique(scan.image, return_counts=True)
        backgrounds.append(values[counts.argmax()])
        outside = scan.image == backgrounds[-1]
        assert 0.1 < outside.mean() < 0.97
        assert not outside[scan.labels == 1].any() or backgrounds[-1] == 0
    assert 2 <= np.count_nonzero(backgrounds) <= 10


def test_the_pose_of_a_brain_alone_is_that_of_what_is_seen(reconstructions):
    for scan in reconstructions:
        centre = scan.voxel_to_ras[:3] @ [*center_of_mass(scan.labels == 1), 1]
        assert np.linalg.norm(centre - scan.canonical_to_ras[:3, 3]) < 1e-6
        assert 0.5 < scan.brain_visible <= 1


def test_a_brain_alone_fills_a_grid_that_is_smaller_than_it():
    # 48 mm, of brains that are 70 mm and more.
    generator = FetalHeadGenerator(
        seed=12, kinds={"brain-only": 1}, shape=(24, 24, 24), spacing=2.0, age_range=(30, 36)
    )
    for index in range(3):
        assert (generator(index).labels == 1).mean() > 0.9


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"brain-only"}))
def test_voxels_lie_within_what_a_kind_says_of_them_and_reach_it(name):
    kind, rng = KINDS[name], np.random.default_rng(3)
    drawn = np.array([kind.draw_spacing(Wanted(), rng) for _ in range(2000)])
    smallest, largest = np.array(kind.spacings)
    assert (drawn >= smallest).all() and (drawn <= largest).all()
    assert (drawn.min(axis=0) < 1.1 * smallest).all() and (drawn.max(axis=0) > 0.95 * largest).all()


def test_reconstructions_are_fine():
    kind, rng, spacings = KINDS["brain-only"], np.random.default_rng(0), []
    for _ in range(3):
        made = kind.make(19.0, lambda age, rng: ParametricBrain(), Wanted(), rng)
        spacings.append(np.linalg.norm(made.voxel_to_ras[:3, :3], axis=0))
        assert spacings[-1].min() >= 0.5 and spacings[-1].max() <= 1.1
        assert kind.spacings == ((0.5, 0.5, 0.5), (1.1, 1.1, 1.1))
        assert np.ptp(spacings[-1]) < 1e-9
    assert len({round(s[0], 6) for s in spacings}) == 3


def test_masks_are_tight_or_loose():
    head = build_head(28.0, ParametricBrain(), 2.0, np.random.default_rng(0))
    brain = brain_and_eyes(head)[0]
    tight, skull, loose = (draw_mask(head, kind, np.random.default_rng(1)) for kind in (TIGHT, SKULL, LOOSE))
    assert 0.6 < tight.sum() / brain.sum() < 1.05
    assert 2 * np.count_nonzero(skull & brain) / (skull.sum() + brain.sum()) > 0.93
    assert 1.15 < loose.sum() / brain.sum() < 2.2
    assert not (tight & (head.tissue == Tissue.VITREOUS)).any()


@pytest.mark.parametrize("source", ["drawn", pytest.param("map", marks=needs_brains)])
def test_enlarged_ventricles_are_larger(source):
    brain = ParametricBrain() if source == "drawn" else read_label_maps(BRAINS)[8][1]
    volumes = []
    for atrium in (7.0, 14.0, 22.0):
        heads = [build_head(29.0, brain, 2.0, np.random.default_rng(seed), atrium) for seed in range(4)]
        volumes.append(np.median([np.count_nonzero(head.tissue == Tissue.VENTRICLES) * 8e-3 for head in heads]))
    assert 1.5 * volumes[0] < volumes[1]
    assert 1.25 * volumes[1] < volumes[2]
    assert volumes[2] < 150  # ml, of some 250


@pytest.mark.parametrize("name", ACQUIRED)
def test_labels_show_the_pose(name):
    """At rest, brain and eyes of the labels give the pose by its definition."""
    generator = FetalHeadGenerator(
        seed=5, kinds={name: 1}, field="head", shape=(96, 96, 96), spacing=2.0, motion=0, age_range=(24, 32)
    )
    scans = [scan for scan in map(generator, range(4)) if scan.brain_visible > 0.97 and (scan.labels == 2).any()]
    assert len(scans) >= 2
    for scan in scans:
        assert scan.kind == name
        points = [np.argwhere(scan.labels == label) @ scan.voxel_to_ras[:3, :3].T for label in (1, 2)]
        points = [of_label + scan.voxel_to_ras[:3, 3] for of_label in points]
        centre = points[0].mean(0)
        assert np.linalg.norm(centre - scan.canonical_to_ras[:3, 3]) < 1
        on_the_right = (points[1] - centre) @ scan.canonical_to_ras[:3, 0] > 0
        left, right = points[1][~on_the_right].mean(0), points[1][on_the_right].mean(0)
        y = (left + right) / 2 - centre
        z = np.cross(right - left, y)
        axes = np.stack([np.cross(y, z) / np.linalg.norm(y), y, z / np.linalg.norm(z)], axis=1)
        axes = axes / np.linalg.norm(axes, axis=0) @ Rotation.from_euler("x", 20, degrees=True).as_matrix()
        assert np.degrees(Rotation.from_matrix(axes.T @ scan.canonical_to_ras[:3, :3]).magnitude()) < 3


def test_a_scan_of_a_kind_is_the_same_in_every_mixture():
    kinds = {"epi": 1.0, "brain-only": 1.0}
    mixture = FetalHeadGenerator(seed=21, kinds=kinds, field="head", spacing=3.0)
    alone = {name: FetalHeadGenerator(seed=21, kinds={name: 1}, field="head", spacing=3.0) for name in kinds}
    seen = set()
    for index in range(6):
        scan = mixture(index)
        same = alone[scan.kind](index)
        assert np.array_equal(scan.image, same.image) and np.array_equal(scan.labels, same.labels)
        seen.add(scan.kind)
    assert seen == set(kinds)
    before = FetalHeadGenerator(seed=21, field="head", spacing=3.0)(0)
    assert np.array_equal(before.image, alone["epi"](0).image)


def test_a_scout_of_a_seed_is_what_it_was():
    """Numbers of the first scan of seed 5 as it was before there were kinds; sums may round by machine."""
    scan = FetalHeadGenerator(seed=5)(0)
    assert scan.image.shape == SCOUT["shape"]
    assert scan.image.mean() == pytest.approx(SCOUT["mean"], rel=1e-4)
    assert scan.image.std() == pytest.approx(SCOUT["std"], rel=1e-4)
    assert np.count_nonzero(scan.labels == 1) == pytest.approx(SCOUT["brain"], abs=5)
    assert scan.canonical_to_ras[:3, 3] == pytest.approx(SCOUT["centre"], abs=1e-3)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"arm": 1}, "give some of epi, t2-stack"),
        ({"epi": 0}, "share above 0"),
        ({"epi": float("inf")}, "finite share"),
        ({"epi": float("nan")}, "finite share"),
        ({"epi": 1e308, "t2-stack": 1e308}, "finite share"),
    ],
)
def test_kinds_are_checked(kinds, message):
    with pytest.raises(ValueError, match=message):
        FetalHeadGenerator(kinds=kinds)


def test_the_command_writes_the_kind_into_the_table(tmp_path, capsys):
    flags = ["--n", "4", "--field", "head", "--spacing", "4", "--seed", "3"]
    assert synthesize([*flags, "-o", str(tmp_path / "a"), "--kinds", "epi", "brain-only=3"]) == 0
    with (tmp_path / "a" / "scans.csv").open(newline="", encoding="utf-8") as file:
        kinds = [row["kind"] for row in csv.DictReader(file)]
    generator = FetalHeadGenerator(seed=3, kinds={"epi": 1, "brain-only": 3}, field="head", spacing=4.0)
    assert kinds == [generator(index).kind for index in range(4)]
    with pytest.raises(SystemExit):
        synthesize([*flags, "-o", str(tmp_path / "b"), "--kinds", "arm"])
    assert "give some of epi" in capsys.readouterr().err
    assert synthesize([*flags, "-o", str(tmp_path / "a")]) == 2
    assert "made with --kinds" in capsys.readouterr().err
