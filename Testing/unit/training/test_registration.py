"""Registration to a template: what is found of a head whose pose is known, and what a folder of templates holds."""

import csv
import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from E3PoseLib.alignment.likeness import likeness
from E3PoseLib.alignment.stack import PosedStack, grid_points, grid_to_frame, sampled
from E3PoseLib.errors import MethodError
from E3PoseLib.imaging.geometry import pose_difference, rigid, transform_points
from E3PoseLib.imaging.volume import Volume, read_volume, write_volume
from E3PoseTraining.evaluation.poses import MATRIX_COLUMNS
from E3PoseTraining.make_templates import main
from E3PoseTraining.methods.registration.templates import read_templates
from E3PoseTraining.methods.registration.to_template import (
    AROUND_MM,
    OUTSIDE,
    STARTS,
    ToTemplate,
    best_starts,
    brain_of_template,
    compared_region,
)
from E3PoseTraining.methods.registry import find_method

SHAPE, SPACING = (56, 60, 52), 3.0
POSES = [
    rigid(Rotation.from_euler("xyz", angles, degrees=True).as_matrix(), centre)
    for angles, centre in (((0, 0, 0), (0, 0, 0)), ((80, -50, 130), (8, -5, 6)), ((-160, 20, 40), (-4, 3, 9)))
]


def head(points):
    """Signal and brain of a head in its own frame: no half turn takes it into itself."""
    x, y, z = np.moveaxis(points, -1, 0)
    cerebrum = (x / 34) ** 2 + (y / 46) ** 2 + ((z - 6) / 34) ** 2 < 1
    hindbrain = (x / 20) ** 2 + ((y + 22) / 16) ** 2 + ((z + 28) / 18) ** 2 < 1
    brain = cerebrum | hindbrain
    frontal = np.exp(-((x / 14) ** 2 + ((y - 26) / 12) ** 2 + ((z - 8) / 12) ** 2))
    signal = np.where(brain, 1 + 0.4 * frontal - 0.3 * hindbrain, 0.3)
    return signal, brain


def scan_of(pose, name="scan", noise=0.02):
    """A head as a scan on oblique voxels, and its brain."""
    voxel_to_ras = np.eye(4)
    voxel_to_ras[:3, :3] = Rotation.from_euler("y", 12, degrees=True).as_matrix() * SPACING
    voxel_to_ras[:3, 3] = -voxel_to_ras[:3, :3] @ (np.array(SHAPE) - 1) / 2
    points = transform_points(np.linalg.inv(pose) @ voxel_to_ras, np.moveaxis(np.indices(SHAPE), 0, -1))
    signal, brain = head(points)
    signal = signal + np.random.default_rng(0).normal(0, noise, SHAPE)
    return Volume(signal.astype(np.float32), voxel_to_ras, name), brain


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """Three scans in the layout of E3PoseTraining.synthesize, two of an age."""
    folder = tmp_path_factory.mktemp("scans")
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    with (folder / "poses_ras.csv").open("w", newline="", encoding="utf-8") as poses:
        writer = csv.writer(poses)
        writer.writerow(["frame_id", *MATRIX_COLUMNS])
        for number, pose in enumerate(POSES):
            volume, brain = scan_of(pose)
            write_volume(folder / "images" / f"s{number}.nii.gz", volume)
            write_volume(folder / "labels" / f"s{number}.nii.gz", Volume(brain.astype(np.uint8), volume.voxel_to_ras))
            writer.writerow([f"s{number}", *pose.ravel()])
    (folder / "scans.csv").write_text(
        "frame_id,gestational_age_weeks,kind,brain_visible\ns0,28.4,epi,1.0\ns1,27.7,epi,1.0\ns2,34.0,epi,0.7\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def templates(data_set, tmp_path_factory):
    folder = tmp_path_factory.mktemp("templates")
    assert main([str(data_set), "--kinds", "epi", "--ages", "28", "34", "-o", str(folder)]) == 0
    return folder


def test_a_template_is_a_head_in_its_own_frame(templates):
    (template,) = read_templates(templates, 33.0)
    assert (template.age_weeks, template.contrast) == (28.0, "epi")
    brain = template.sample.brain > 0.5
    assert template.sample.brain[brain].mean() > 0.9
    _, wanted = head(grid_points())
    assert 2 * (brain & wanted).sum() / (brain.sum() + wanted.sum()) > 0.95


def test_heads_cut_off_make_no_template(data_set, templates, tmp_path, capsys):
    index = json.loads((templates / "templates.json").read_text(encoding="utf-8"))
    assert [(one["age_weeks"], one["scans"]) for one in index["templates"]] == [(28.0, 2)]
    assert main([str(data_set), "--kinds", "epi", "--ages", "34", "-o", str(tmp_path)]) != 0
    assert "no scans within" in capsys.readouterr().err


def test_of_a_template_the_brain_alone_is_compared(templates):
    template = brain_of_template(read_templates(templates, 28.0)[0])
    far = np.linalg.norm(grid_points(), axis=-1) > 65
    np.testing.assert_allclose(template.sample.values[far], OUTSIDE, atol=0.01)
    compared = compared_region(template)
    assert compared[template.sample.brain > 0.5].all()
    assert compared.sum() < (np.abs(grid_points()).max(axis=-1) < 46 + AROUND_MM).sum()


def found_by(register, templates, pose):
    """The pose that a registration finds, told where the brain is."""
    volume, brain = scan_of(pose, noise=0.05)
    method = object.__new__(register)
    method._templates = templates
    method._find_brain = lambda scan: brain
    method._device = "cpu"
    return volume, brain, method(volume, 28.0)


@pytest.mark.parametrize(("package", "name"), [("SimpleITK", "sitk"), ("ants", "ants"), ("fireants", "fireants")])
def test_a_turned_head_is_found(templates, package, name):
    pytest.importorskip(package)
    pose = rigid(Rotation.from_euler("xyz", (170, -30, 75), degrees=True).as_matrix(), [6.0, -4.0, 5.0])
    _, brain, answer = found_by(find_method(name), templates, pose)
    degrees, millimetres = pose_difference(answer.canonical_to_ras, pose)
    assert degrees < 3
    assert millimetres < 2
    np.testing.assert_array_equal(answer.mask, brain)
    assert answer.figures["template"] == "epi 28 weeks"
    assert answer.figures["correlation"] > 0.9


def test_starts_lie_apart_and_one_is_near(templates):
    pose = POSES[1]
    volume, brain = scan_of(pose)
    template = brain_of_template(read_templates(templates, 28.0)[0])
    starts = best_starts(PosedStack("scan", volume, pose, brain), [template])
    assert len(starts) == STARTS
    rotations = Rotation.from_matrix([start[:3, :3] for _, start in starts])
    between = [(one.inv() * rotations[:n]).magnitude().min() for n, one in enumerate(rotations) if n]
    assert np.rad2deg(min(between)) >= 30
    assert min(pose_difference(start, pose)[0] for _, start in starts) < 30


def test_a_registration_that_leads_nowhere_leaves_the_best_start(templates):
    class Still(ToTemplate):
        def register(self, scan, template, compared, start, *, roughly=False):
            return start

    pose = POSES[2]
    volume, brain, answer = found_by(Still, templates, pose)
    template = brain_of_template(read_templates(templates, 28.0)[0])
    assert pose_difference(answer.canonical_to_ras, pose)[0] < 40
    scan = PosedStack("scan", volume, pose, brain)
    at_truth = likeness(sampled(scan, pose), template.sample, compared_region(template))
    assert answer.figures["correlation"] < at_truth + 0.1


@pytest.mark.parametrize("index", [None, "{}", '{"templates": []}', '{"templates": [{"contrast": "epi"}]}'])
def test_a_folder_without_templates_is_said(tmp_path, index):
    if index is not None:
        (tmp_path / "templates.json").write_text(index, encoding="utf-8")
    with pytest.raises(MethodError, match="holds no templates"):
        read_templates(tmp_path, 30.0)


def test_templates_lie_in_the_grid_that_they_are_compared_in(templates):
    np.testing.assert_allclose(read_volume(templates / "epi_28.nii.gz").voxel_to_ras, grid_to_frame(), atol=1e-5)
