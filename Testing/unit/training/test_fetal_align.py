"""Fetal-Align on a made head and a real scan, and what it says where it cannot work."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from E3PoseLib.errors import DependencyError, MethodError, NoHeadFoundError
from E3PoseLib.imaging.geometry import pose_difference, rigid, transform_points
from E3PoseLib.imaging.masks import centre_of_mass, dice_overlap
from E3PoseLib.imaging.volume import Volume, read_volume
from E3PoseTraining.data.tables import read_table
from E3PoseTraining.evaluation.poses import read_truth
from E3PoseTraining.methods.estimator import MethodEstimator
from E3PoseTraining.methods.method import Means
from E3PoseTraining.methods.registry import find_method
from E3PoseTraining.synthesis.anatomy.growth import head_size

AGE = 30.0
SHAPE, SPACING = (64, 60, 44), 3.0


@pytest.fixture(scope="module")
def method():
    pytest.importorskip("cv2", reason="needs the optional package opencv-python-headless")
    return find_method("fetal-align")(Means())


def scan_of(pose, with_eyes=True):
    """A head in fluid in a body, whose odd slices lie 2 mm aside, and its brain.

    The brain is an ellipsoid whose longest axis rises 25 degrees in the head's frame, in a dark skull; the eyes lie in
    a dark face, 20 degrees below the frame's y.
    """
    size = head_size(AGE)
    half, broad = size.occipitofrontal_diameter / 2, size.biparietal_diameter / 2
    voxel_to_ras = np.diag([SPACING, SPACING, SPACING, 1.0])
    voxel_to_ras[:3, 3] = -SPACING * (np.array(SHAPE) - 1) / 2
    world = transform_points(voxel_to_ras, np.moveaxis(np.indices(SHAPE), 0, -1))
    world[:, :, 1::2, 0] += 2.0
    points = transform_points(np.linalg.inv(pose), world)
    rising = Rotation.from_euler("x", 25, degrees=True).as_matrix()
    in_brain = np.linalg.norm(points @ rising / [0.94 * broad, 0.94 * half, 0.94 * broad], axis=-1)
    face = np.linalg.norm((points - [0, 0.62 * half, -0.5 * half]) / (0.55 * half), axis=-1)
    rng = np.random.default_rng(0)
    body = 0.5 + 0.15 * ndimage.gaussian_filter(rng.normal(0, 8, SHAPE), 2)
    signal = np.where(np.linalg.norm(points, axis=-1) < 1.5 * half, 1.4, body)
    signal[(in_brain < 1.17) | (face < 1)] = 0.2
    signal[in_brain < 1] = 1.0
    for side in (-1, 1):
        eye = np.array([side * size.interocular_distance / 2, np.cos(np.pi / 9) * half, -np.sin(np.pi / 9) * half])
        apart = np.linalg.norm(points - eye, axis=-1)
        signal[apart < 0.85 * size.eye_diameter] = 0.2
        if with_eyes:
            signal[apart < size.eye_diameter / 2] = 1.1
    signal = 1000 * np.maximum(ndimage.gaussian_filter(signal, 0.3) + rng.normal(0, 0.03, SHAPE), 0)
    return Volume(signal.astype(np.float32), voxel_to_ras, "made"), in_brain < 1


@pytest.mark.parametrize("stored_otherwise", [False, True])
def test_a_head_is_found_however_it_lies_and_however_the_scan_is_stored(method, stored_otherwise):
    angles = (150, 25, -100) if stored_otherwise else (20, -30, 40)
    pose = rigid(Rotation.from_euler("xyz", angles, degrees=True).as_matrix(), [6.0, -5.0, 4.0])
    scan, brain = scan_of(pose)
    if stored_otherwise:
        flip, order = np.diag([-1.0, 1, 1, 1]), [2, 0, 1]
        flip[0, 3] = SHAPE[0] - 1
        scan = Volume(scan.array[::-1].transpose(order), scan.voxel_to_ras @ flip @ np.eye(4)[:, [*order, 3]])
        brain = brain[::-1].transpose(order)
    assert scan.is_left_handed is stored_otherwise
    answer = method(scan, AGE)
    degrees, mm = pose_difference(answer.canonical_to_ras, pose)
    assert degrees < 6
    assert mm < 4
    assert dice_overlap(answer.mask > 0, brain) > 0.9
    assert answer.warnings == ()


def test_a_head_whose_eyes_are_not_seen_is_warned_of(method):
    pose = rigid(Rotation.from_euler("xyz", (20, -30, 40), degrees=True).as_matrix(), [6.0, -5.0, 4.0])
    scan, brain = scan_of(pose, with_eyes=False)
    answer = method(scan, AGE)
    assert dice_overlap(answer.mask > 0, brain) > 0.9
    assert answer.figures["eyes_score"] < 0.6
    assert any("hardly looks like eyes" in sentence for sentence in answer.warnings)


def test_a_clinical_scan(method, epi):
    (truth,) = (each.canonical_to_ras for each in read_truth(epi / "poses_ras.csv") if each.frame_id == "ep2d_10")
    (age,) = (
        float(row["gestational_age_weeks"])
        for row in read_table(epi / "landmarks.csv", ("gestational_age_weeks",))
        if row["frame_id"] == "ep2d_10"
    )
    scan = read_volume(epi / "ep2d_10.nii.gz")
    answer = method(scan, age)
    degrees, mm = pose_difference(answer.canonical_to_ras, truth)
    assert degrees < 10
    assert mm < 5
    middle = transform_points(scan.voxel_to_ras, centre_of_mass(answer.mask > 0))
    assert np.linalg.norm(middle - truth[:3, 3]) < 5


def test_what_it_cannot_do_is_said(method, monkeypatch):
    noise = np.random.default_rng(0).normal(100, 5, (24, 24, 24)).astype(np.float32)
    scan = Volume(noise, np.diag([4.0, 4.0, 4.0, 1.0]), name="noise")
    with pytest.raises(MethodError, match=r"noise: age 12.0 weeks.*14 to 40"):
        method(scan, 12.0)
    with pytest.raises(NoHeadFoundError, match="noise: fetal-align found no"):
        method(scan, 30.0)
    with pytest.raises(MethodError, match=r"made: fetal-align needs the gestational age: give --age"):
        MethodEstimator(type(method), "fetal-align", Means(device="cpu")).estimate(replace(scan, name="made"))
    for name in list(sys.modules):
        if "fetal_align" in name:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(DependencyError, match="fetal-align needs the package cv2"):
        find_method("fetal-align")
