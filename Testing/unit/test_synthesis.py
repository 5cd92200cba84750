"""Synthetic scans: what the labels show is what the pose says, sizes are the published ones, numbers name scans."""

import itertools
import os
import signal
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from E3PoseLib.errors import OutputError, VolumeError
from E3PoseTraining.synthesis import FetalHeadGenerator
from E3PoseTraining.synthesis.anatomy.body import draw_body
from E3PoseTraining.synthesis.anatomy.drawn_brain import ParametricBrain
from E3PoseTraining.synthesis.anatomy.growth import abdominal_circumference, head_size
from E3PoseTraining.synthesis.anatomy.head import build_head
from E3PoseTraining.synthesis.anatomy.uterus import cavity_distance, fetus_distance
from E3PoseTraining.synthesis.shapes import capsule, coverage, ellipsoid, smooth_noise, smooth_union

BRAINS = Path(__file__).parents[2] / "../shared/data/brains"
needs_brains = pytest.mark.skipif(not BRAINS.is_dir(), reason="no label maps at ../shared/data/brains")


def points_of(scan, label):
    """RAS positions [n, 3] of the voxels with a label."""
    return np.argwhere(scan.labels == label) @ scan.voxel_to_ras[:3, :3].T + scan.voxel_to_ras[:3, 3]


def pose_from_labels(scan):
    """Brain centre and canonical axes by the definition: y through the eyes' mid-point, then 20 degrees about x."""
    centre = points_of(scan, 1).mean(axis=0)
    eyes = points_of(scan, 2)
    on_the_right = (eyes - centre) @ scan.canonical_to_ras[:3, 0] > 0
    left, right = eyes[~on_the_right].mean(axis=0), eyes[on_the_right].mean(axis=0)
    y = (left + right) / 2 - centre
    y /= np.linalg.norm(y)
    z = np.cross(right - left, y)
    z /= np.linalg.norm(z)
    axes = np.stack([np.cross(y, z), y, z], axis=1)
    return centre, axes @ Rotation.from_euler("x", 20, degrees=True).as_matrix()


def angle(a, b):
    return np.degrees(Rotation.from_matrix(a.T @ b).magnitude())


def is_whole(scan):
    """Whether brain and eyes are all inside the field of view."""
    inner = scan.labels[1:-1, 1:-1, 1:-1]
    return np.count_nonzero(inner) == np.count_nonzero(scan.labels) and (scan.labels == 2).any()


def pose_errors(generator, count):
    scans = [scan for scan in map(generator, range(count)) if is_whole(scan)]
    assert len(scans) >= count // 2
    errors = []
    for scan in scans:
        centre, axes = pose_from_labels(scan)
        errors.append(
            (angle(axes, scan.canonical_to_ras[:3, :3]), np.linalg.norm(centre - scan.canonical_to_ras[:3, 3]))
        )
    return np.array(errors).T


@pytest.mark.parametrize("brains", [None, pytest.param(BRAINS, marks=needs_brains)])
def test_labels_show_the_pose(brains):
    degrees, millimetres = pose_errors(
        FetalHeadGenerator(seed=3, brains=brains, field="head", spacing=2.0, motion=0), 5
    )
    assert degrees.max() < 2.0
    assert millimetres.max() < 1.0


def test_pose_is_the_mean_of_what_moving_slices_show():
    degrees, millimetres = pose_errors(FetalHeadGenerator(seed=3, field="head", spacing=2.0, motion=1), 8)
    assert np.median(degrees) < 2.0
    assert millimetres.max() < 1.0


AGES, SPACING = (22, 29, 36), 3.0


@pytest.fixture(scope="module")
def heads_of_ages():
    """Eight scans of heads of each age in weeks."""
    told = {"field": "head", "spacing": SPACING, "motion": 0}
    generators = {age: FetalHeadGenerator(seed=age, age_range=(age, age), **told) for age in AGES}
    return {age: [generator(index) for index in range(8)] for age, generator in generators.items()}


def test_pose_is_a_proper_rotation_whatever_the_storage(heads_of_ages):
    orders, handed = set(), set()
    for scan in itertools.chain.from_iterable(heads_of_ages.values()):
        rotation = scan.canonical_to_ras[:3, :3]
        assert np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0, abs=1e-12)
        orders.add(nib.aff2axcodes(scan.voxel_to_ras))
        handed.add(np.sign(np.linalg.det(scan.voxel_to_ras[:3, :3])))
    assert handed == {-1.0, 1.0}
    assert len(orders) >= 15


def test_a_number_names_one_scan():
    first, again, other = FetalHeadGenerator(seed=5)(4), FetalHeadGenerator(seed=5)(4), FetalHeadGenerator(seed=6)(4)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.labels.tobytes() == again.labels.tobytes()
    assert np.array_equal(first.canonical_to_ras, again.canonical_to_ras)
    assert first.image.shape != other.image.shape or not np.allclose(first.image, other.image)


def test_scans_are_clinical():
    generator = FetalHeadGenerator(seed=2)
    lies, contrasts = set(), set()
    for index in range(12):
        scan = generator(index)
        spacing = np.linalg.norm(scan.voxel_to_ras[:3, :3], axis=0)
        assert 2 <= spacing.min() <= spacing.max() <= 6
        assert scan.image.dtype == np.float32
        assert scan.image.min() >= 0
        assert np.isfinite(scan.image).all()
        assert set(np.unique(scan.labels)) <= {0, 1, 2}
        assert 20 <= scan.age_weeks <= 38
        lies.add(scan.lie)
        contrasts.add(scan.contrast)
    assert {"cephalic", "breech"} <= lies
    assert {"epi", "t2"} <= contrasts


def test_brain_is_as_large_as_the_growth_curves_say(heads_of_ages):
    for age, scans in heads_of_ages.items():
        lengths, breadths = [], []
        for scan in scans:
            inside = (points_of(scan, 1) - scan.canonical_to_ras[:3, 3]) @ scan.canonical_to_ras[:3, :3]
            breadths.append(np.ptp(inside[:, 0]) + SPACING)
            lengths.append(np.ptp(inside[:, 1]) + SPACING)
        # The brain fills the skull but for 1.5 mm of bone on each side.
        assert np.median(breadths) == pytest.approx(head_size(age).biparietal_diameter - 3, rel=0.08)
        assert np.median(lengths) == pytest.approx(head_size(age).occipitofrontal_diameter - 3, rel=0.08)


@pytest.mark.parametrize(
    ("age", "occipitofrontal", "biparietal"), [(14, 35, 28), (20, 57, 45), (30, 94, 74), (38, 107, 88), (39, 107, 89)]
)
def test_published_head_diameters(age, occipitofrontal, biparietal):
    size = head_size(age)
    assert size.occipitofrontal_diameter == occipitofrontal
    assert size.biparietal_diameter == biparietal


def test_published_eye_sizes():
    size = head_size(30)
    assert size.eye_diameter == pytest.approx(13.4)
    assert size.binocular_distance == pytest.approx(45.86)
    assert size.interocular_distance == pytest.approx(32.46)
    with pytest.raises(ValueError, match="14 to 40 weeks"):
        head_size(41)


@pytest.mark.parametrize(("age", "published"), [(20, 150), (24, 197), (30, 261), (36, 318), (38, 336)])
def test_published_abdomen(age, published):
    assert abdominal_circumference(age) == pytest.approx(published, abs=3)


@pytest.fixture(scope="module", params=[21, 30, 38])
def lattice_fetus(request):
    """A fetus of an age; points of a lattice of its body's frame; the ml of a cell of it."""
    rng = np.random.default_rng(3)
    head = build_head(request.param, ParametricBrain(), 3.0, rng)
    body = draw_body(head, request.param, rng)
    reach = 2.6 * body.scale
    return request.param, head, body, np.ix_(*[np.arange(-reach, reach, 8.0, np.float32)] * 3), 0.512


def test_a_fetus_weighs_what_it_should(lattice_fetus):
    age, head, body, points, cell = lattice_fetus
    # Hadlock et al., Radiology 181:129-133, 1991: g, and a fetus is hardly denser than water.
    weight = np.exp(0.578 + 0.332 * age - 0.00354 * age**2)
    assert np.count_nonzero(fetus_distance(points, head, body) < 0) * cell == pytest.approx(weight, rel=0.25)


@pytest.mark.parametrize("volume", [400.0, 900.0])
def test_the_uterus_holds_the_fluid_asked_for(lattice_fetus, volume):
    _, head, body, points, cell = lattice_fetus
    fetus = fetus_distance(points, head, body)
    ras_is_body = np.linalg.inv(body.body_to_canonical)
    found = []
    for seed in range(6):  # the wall is uneven, in each draw in another way
        cavity = cavity_distance(points, head, body, volume, ras_is_body, np.random.default_rng(seed))
        found.append(np.count_nonzero((cavity < 0) & (fetus > 0)) * cell)
    assert np.mean(found) == pytest.approx(volume, rel=0.15)


def test_slices_of_one_pass_agree_and_passes_differ():
    """Interleaved motion: labels jump between neighbouring slices, not between every second one."""
    still = FetalHeadGenerator(seed=8, field="head", spacing=2.0, motion=0)
    moving = FetalHeadGenerator(seed=8, field="head", spacing=2.0, motion=5)

    def jaggedness(scan):
        roughest = 0.0
        for axis in range(3):
            areas = (scan.labels == 1).sum(axis=tuple({0, 1, 2} - {axis})).astype(float)
            bulge = np.abs(areas[1:-1] - (areas[:-2] + areas[2:]) / 2)
            roughest = max(roughest, bulge.sum() / areas.sum())
        return roughest

    pairs = [(jaggedness(still(i)), jaggedness(moving(i))) for i in range(4)]
    assert np.median([moved / quiet for quiet, moved in pairs]) > 1.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed -1"),
        ({"shape": (64, 64)}, "three numbers of voxels"),
        ({"shape": (8, 64, 64)}, "at least 16"),
        ({"shape": (64, 64, 9999)}, "at most 512"),
        ({"spacing": 0.1}, "spacing 0.1 mm"),
        ({"shape": (110, 16, 16), "spacing": 10.0}, "have 1100 mm; give 20.002 to 999.9 mm"),
        ({"shape": (16, 16, 16), "spacing": 0.5}, "have 8 mm; give 20.002 to 999.9 mm"),
        ({"shape": (20, 20, 20), "spacing": 1.0}, "have 20 mm; give 20.002 to 999.9 mm"),
        ({"shape": (500, 16, 16), "spacing": 2.0}, "have 1000 mm; give 20.002 to 999.9 mm"),
        ({"shape": (512, 16, 16)}, "longest edge of epi would have 1024 to 2048 mm"),
        ({"shape": (16, 16, 176)}, "longest edge of epi would have 352 to 1056 mm"),
        ({"shape": (16,) * 3, "kinds": {"epi": 1, "brain-only": 1}}, r"of brain-only would have 8 to 17\.6 mm"),
        ({"field": "arm"}, "'uterus' or 'head'"),
        ({"age_range": (10, 20)}, "age range"),
        ({"age_range": (30, 25)}, "youngest first"),
        ({"motion": -1}, "motion -1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FetalHeadGenerator(**arguments)


def test_a_scan_little_longer_than_the_least_is_made():
    scan = FetalHeadGenerator(seed=1, shape=(16, 16, 21), spacing=1.0, field="head")(0)
    edges = np.linalg.norm(scan.voxel_to_ras[:3, :3], axis=0) * scan.image.shape
    assert sorted(edges) == pytest.approx([16, 16, 21])


def test_brain_folder_is_checked(tmp_path):
    with pytest.raises(VolumeError, match="no file named GA"):
        FetalHeadGenerator(brains=tmp_path)
    (tmp_path / "GA28_parcellation.nii.gz").write_bytes(b"not an image")
    with pytest.raises(VolumeError, match=r"GA28_parcellation\.nii\.gz"):
        FetalHeadGenerator(brains=tmp_path)
    nib.save(nib.Nifti1Image(np.full((20, 20, 20), 9, np.uint8), np.eye(4)), tmp_path / "GA28_parcellation.nii.gz")
    with pytest.raises(VolumeError, match="labels must be 1 to 8"):
        FetalHeadGenerator(brains=tmp_path)


def test_ellipsoid_distance_is_exact_for_a_ball_and_good_at_a_surface():
    x = np.linspace(-20, 20, 81, dtype=np.float32)
    points = (x, np.zeros_like(x), np.zeros_like(x))
    assert np.allclose(ellipsoid(points, (1, 0, 0), (7, 7, 7)), np.abs(x - 1) - 7, atol=1e-4)
    near = np.abs(np.abs(x) - 10) < 1
    assert np.allclose(ellipsoid(points, (0, 0, 0), (10, 4, 25))[near], (np.abs(x) - 10)[near], atol=0.1)


def test_capsule_distance():
    points = tuple(np.array([value], np.float32) for value in (5.0, 3.0, 0.0))
    assert capsule(points, (0, 0, 0), (10, 0, 0), 1, 1)[0] == pytest.approx(2.0, abs=1e-5)
    assert capsule(points, (0, 0, 0), (10, 0, 0), 1, 2)[0] == pytest.approx(1.5, abs=1e-5)


def test_coverage_sums_to_the_volume_of_a_ball():
    axis = np.arange(-15, 15, dtype=np.float32) + np.float32(0.3)
    ball = ellipsoid(np.ix_(axis, axis, axis), (0, 0, 0), (10, 10, 10))
    assert coverage(ball, 1.0).sum() == pytest.approx(4 / 3 * np.pi * 1000, rel=0.005)
    assert np.all(smooth_union([ball, ball + 30], 5) <= ball + 1e-5)


def test_smooth_noise_is_smooth_and_mirrors():
    rng = np.random.default_rng(0)
    field = smooth_noise(rng, (40, 30, 20), (5, 4, 3), mirror=True)
    assert np.allclose(field, field[::-1], atol=1e-4)
    assert field.std() == pytest.approx(1.0, abs=0.15)
    assert np.abs(np.diff(field, axis=1)).max() < 0.6


def test_a_folder_is_written_whole_or_not_at_all(tmp_path, capsys):
    from E3PoseTraining.synthesize import main

    output = tmp_path / "scans"
    arguments = ["--n", "2", "-o", str(output), "--seed", "9", "--field", "head"]
    assert main(arguments) == 0
    generator = FetalHeadGenerator(seed=9, field="head")
    annotations = (output / "annotations.csv").read_text().splitlines()
    assert annotations[0] == "frame_id,rot_x,rot_y,rot_z"
    poses = np.loadtxt(output / "poses_ras.csv", delimiter=",", skiprows=1, usecols=range(1, 17)).reshape(-1, 4, 4)
    for index, row in enumerate(annotations[1:]):
        scan = generator(index)
        name, *angles = row.split(",")
        image, labels = (nib.load(output / folder / f"{name}.nii.gz") for folder in ("images", "labels"))
        assert np.array_equal(np.asarray(labels.dataobj), scan.labels)
        assert np.allclose(image.affine, scan.voxel_to_ras, atol=1e-4)
        assert np.allclose(poses[index], scan.canonical_to_ras, atol=1e-12)
        # The rows are the head's axes in voxel axes; right is a pseudovector.
        rows = Rotation.from_euler("xyz", [float(a) for a in angles], degrees=True).as_matrix()
        cosines = scan.voxel_to_ras[:3, :3] / np.linalg.norm(scan.voxel_to_ras[:3, :3], axis=0)
        in_ras = rows @ np.linalg.inv(cosines)
        in_ras[0] *= np.sign(np.linalg.det(cosines))
        assert np.allclose(in_ras, scan.canonical_to_ras[:3, :3].T, atol=1e-6)
    assert not list(output.rglob(".part-*"))
    # Another series must not be mixed into this folder, and what is there stays.
    assert main([*arguments[:-3], "10", "--field", "head"]) == 2
    assert main([*arguments, "--motion", "0"]) == 2
    assert "made with --motion 1.0" in capsys.readouterr().err
    assert (output / "annotations.csv").is_file()
    assert len(list((output / "images").iterdir())) == 2
    # What a run that was killed has left is no other series.
    (output / "labels" / ".part-x-synthetic_9_00001.nii.gz").touch()
    (output / "annotations.csv").unlink()
    assert main(arguments) == 0
    assert (output / "annotations.csv").is_file() and not list(output.rglob(".part-*"))


def test_workers_make_the_same_files(tmp_path):
    from E3PoseTraining.data.series import synthesize

    generator = FetalHeadGenerator(seed=4, field="head")
    synthesize(generator, 3, tmp_path / "one", workers=1)
    synthesize(generator, 3, tmp_path / "two", workers=2)
    for file in (tmp_path / "one" / "images").iterdir():
        other = tmp_path / "two" / "images" / file.name
        assert np.array_equal(np.asarray(nib.load(file).dataobj), np.asarray(nib.load(other).dataobj))
    assert (tmp_path / "one/annotations.csv").read_text() == (tmp_path / "two/annotations.csv").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="what a test replaces reaches forked processes alone")
def test_a_worker_that_is_killed_ends_the_command_in_words_and_the_same_command_completes(
    tmp_path, capsys, monkeypatch
):
    from E3PoseTraining.data import series
    from E3PoseTraining.synthesize import main

    def killed(generator, output, index):
        os.kill(os.getpid(), signal.SIGKILL)

    command = ["--n", "2", "--field", "head", "--spacing", "6", "--workers", "2", "-o", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(series, "_write_scan", killed)
        assert main(command) == 2
    assert "synthesize: a process was killed, most likely for lack of memory; what is done" in capsys.readouterr().err
    assert not (tmp_path / "annotations.csv").exists()
    assert main(command) == 0
    assert len((tmp_path / "annotations.csv").read_text().splitlines()) == 3


def test_a_series_that_was_cut_off_goes_on(tmp_path):
    from E3PoseTraining.data.series import synthesize

    generator, whole, cut = FetalHeadGenerator(seed=4, field="head", spacing=4.0), tmp_path / "whole", tmp_path / "cut"
    synthesize(generator, 3, whole)
    synthesize(generator, 2, cut)
    kept, half = (cut / "images" / f"{generator.name(index)}.nii.gz" for index in (0, 1))
    # Ended between the second scan's files: its label is missing, and the tables are.
    (cut / "labels" / half.name).unlink()
    for table in ("annotations.csv", "poses_ras.csv", "scans.csv"):
        (cut / table).unlink()
    times = kept.stat().st_mtime_ns, half.stat().st_mtime_ns
    synthesize(generator, 3, cut)
    assert kept.stat().st_mtime_ns == times[0] and half.stat().st_mtime_ns > times[1]
    for table in ("annotations.csv", "poses_ras.csv", "scans.csv"):
        assert (cut / table).read_text() == (whole / table).read_text()
    assert len(list((cut / "labels").iterdir())) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["--n", "0"],
        ["--n", "1", "--workers", "99999"],
        ["--n", "1", "--age", "5", "9"],
        ["--n", "1", "--size", "16", "16", "16", "--kinds", "brain-only"],
    ],
)
def test_bad_command_lines_are_refused(arguments, tmp_path, capsys):
    from E3PoseTraining.synthesize import main

    with pytest.raises(SystemExit) as refused:
        main([*arguments, "-o", str(tmp_path / "scans")])
    assert refused.value.code == 2
    assert "give" in capsys.readouterr().err
    assert not (tmp_path / "scans").exists()


def test_output_that_cannot_be_a_folder(tmp_path):
    from E3PoseTraining.data.series import synthesize

    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        synthesize(FetalHeadGenerator(field="head"), 1, tmp_path / "file")
