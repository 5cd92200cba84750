"""``e3pose prescribe``: one scan in; slices along the head's planes out, as document, text and picture."""

import json

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread
from phantoms import make_head, make_small_model
from storages import orientations, stored

from E3PoseLib import PoseEstimator
from E3PoseLib.cli import main
from E3PoseLib.imaging.volume import read_volume, write_volume
from E3PoseLib.prescription import PLANES, StackSettings, brain_box, plan_stack, planes_in_numbers, stack_numbers
from E3PoseLib.running.prescribe.picture import draw_stacks

NAMES = {f"own_prescription{suffix}" for suffix in (".json", ".txt", ".png")}


@pytest.fixture
def prescribe(tmp_path, small_model_file):
    """The command, with a scan called own.nii.gz unless told otherwise."""
    write_volume(tmp_path / "own.nii.gz", make_head())

    def run(*arguments, scan="own.nii.gz"):
        options = ["-o", str(tmp_path / "out"), "--model", str(small_model_file), "--device", "cpu"]
        return main(["prescribe", str(tmp_path / scan), *options, *map(str, arguments)])

    return run


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_document_text_and_picture_hold_the_same_stacks(prescribe, tmp_path, capsys):
    options = ["--plane", "coronal", "--plane", "axial", "--fov", "300x280", "--matrix", 150, "--gap", 0.5]
    assert prescribe(*options, "--thickness", 4, "--margin", 6) == 0
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == NAMES
    document = json.loads((out / "own_prescription.json").read_text(encoding="utf-8"))
    scan = read_volume(tmp_path / "own.nii.gz")
    estimate = PoseEstimator(make_small_model(), "cpu").estimate(scan)
    np.testing.assert_allclose(document["canonical_to_ras"], estimate.canonical_to_ras, atol=1e-5)
    settings = StackSettings((300, 280), (150, 150), thickness=4, gap=0.5, margin=6)
    assert list(document["stacks"]) == ["coronal", "axial"]
    text = (out / "own_prescription.txt").read_text(encoding="utf-8")
    for plane, numbers in document["stacks"].items():
        pose = np.array(document["canonical_to_ras"])
        stack = plan_stack(plane, pose, estimate.mask, scan.voxel_to_ras, settings)
        assert numbers == json.loads(json.dumps(stack_numbers(stack)))
        assert len(numbers["dicom"]["ImagePositionPatient"]) == numbers["n_slices"]
        assert numbers["siemens"]["orientation"] in text and numbers["siemens"]["position"] in text
        assert f"{plane.upper()} of the head: {numbers['n_slices']} slices of 4 mm, gap 0.5 mm" in text
    assert "GE: no reliable description" in text and "not for clinical use" in text
    # What is doubtful comes first, in the text and on the screen.
    assert document["confidence"]["level"] == "low" and document["warnings"]
    said = capsys.readouterr().out
    assert said.startswith(text) and text.startswith("WARNING: THE POSE IS DOUBTFUL")
    assert text.index(document["warnings"][-1]) < text.index("CORONAL")
    assert all(str(out / name) in said for name in NAMES)


@pytest.mark.parametrize(("sform", "qform", "said"), [(4, 4, "MNI"), (2, 1, "aligned to"), (0, 2, "qform code 2")])
def test_coordinates_of_another_world_are_no_scanner_s(prescribe, tmp_path, sform, qform, said):
    image = nib.load(tmp_path / "own.nii.gz")
    image.set_sform(image.affine, code=sform)
    image.set_qform(image.affine, code=qform)
    nib.save(image, tmp_path / "other.nii.gz")
    assert prescribe(scan="other.nii.gz") == 0
    first, second, *_ = (tmp_path / "out" / "other_prescription.txt").read_text(encoding="utf-8").splitlines()
    assert (
        first.startswith("WARNING: the file leaves open whether its coordinates are the scanner's") and said in second
    )
    document = json.loads((tmp_path / "out" / "other_prescription.json").read_text(encoding="utf-8"))
    assert said in document["warnings"][0]


def test_a_scan_in_the_scanner_s_coordinates_has_no_such_warning(prescribe, tmp_path):
    assert prescribe() == 0
    text = (tmp_path / "out" / "own_prescription.txt").read_text(encoding="utf-8")
    assert "the file leaves open" not in text


def test_the_document_of_estimate_has_the_same_planes(prescribe, tmp_path, small_model_file):
    assert prescribe() == 0
    arguments = ["estimate", str(tmp_path / "own.nii.gz"), "-o", str(tmp_path / "poses"), "--model", small_model_file]
    assert main([*map(str, arguments), "--device", "cpu"]) == 0
    planes = json.loads((tmp_path / "poses" / "own.json").read_text(encoding="utf-8"))["prescription"]
    stacks = json.loads((tmp_path / "out" / "own_prescription.json").read_text(encoding="utf-8"))["stacks"]
    assert list(planes) == list(stacks) == list(PLANES)
    for plane, numbers in planes.items():
        assert set(numbers) == {"ras", "siemens", "philips"}
        assert numbers == {part: stacks[plane][part] for part in numbers}


def test_the_picture_shows_the_brain_between_the_slices(tmp_path):
    scan = make_head()
    estimate = PoseEstimator(make_small_model(), "cpu").estimate(scan)
    pose, mask, voxel_to_ras = estimate.canonical_to_ras, estimate.mask, scan.voxel_to_ras
    stack = plan_stack("axial", pose, mask, voxel_to_ras, StackSettings(max_slices=99, margin=0))
    draw_stacks(tmp_path / "stack.png", scan, estimate, [stack])
    picture = imread(tmp_path / "stack.png")[..., :3]
    # The last two views are the coronal and the sagittal plane of the head: slices lie level there.
    coronal = picture[picture.shape[0] // 6 :, 2 * picture.shape[1] // 3 : 5 * picture.shape[1] // 6]
    red, green, blue = np.moveaxis(coronal, -1, 0)
    orange = np.argwhere((red > 0.9) & (abs(green - 0.44) < 0.1) & (blue < 0.4))
    yellow = np.argwhere((red > 0.9) & (green > 0.7) & (blue < 0.5))
    (top, left), (bottom, right) = orange.min(axis=0), orange.max(axis=0)
    assert len(yellow) > 50 and yellow[:, 0].min() >= top - 2 and yellow[:, 0].max() <= bottom + 2
    # The box is as long and as wide as the stack, in the same scale.
    assert (bottom - top) / (right - left) == pytest.approx(stack.length / 256, abs=0.03)


def test_all_storages_of_a_scan_give_one_prescription():
    scan = make_head()
    estimator = PoseEstimator(make_small_model(), "cpu")
    found = []
    for orientation in orientations():
        other = stored(scan, orientation)
        estimate = estimator.estimate(other)
        found.append(planes_in_numbers(estimate.canonical_to_ras, estimate.mask, other.voxel_to_ras))
        low, high = brain_box(estimate.canonical_to_ras, estimate.mask, other.voxel_to_ras)
        assert (high - low).min() > 20
    assert len(found) == 48
    for planes in found[1:]:
        for plane, numbers in planes.items():
            assert numbers["siemens"] == found[0][plane]["siemens"]
            for name, vector in numbers["ras"].items():
                np.testing.assert_allclose(vector, found[0][plane]["ras"][name], atol=2e-4)


def test_a_stack_that_cannot_cover_the_brain_says_how_many_slices_are_needed(prescribe, tmp_path, capsys):
    assert prescribe("--plane", "sagittal", "--max-slices", 5) == 2
    said = capsys.readouterr().err
    assert "5 are allowed" in said
    # A brain that no stack covers may be none: what is doubtful comes first here, too.
    assert said.startswith("WARNING: THE POSE IS DOUBTFUL")
    needed = int(said.split("sagittal: ")[1].split(" slices")[0])
    assert not list((tmp_path / "out").iterdir())
    assert prescribe("--plane", "sagittal", "--max-slices", needed) == 0


@pytest.mark.parametrize("name", sorted(NAMES))
def test_files_of_another_origin_are_replaced_only_when_told(name, prescribe, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("typed by hand")
    assert prescribe("--plane", "axial") == 2
    assert str(out / name) in capsys.readouterr().err
    assert contents(out) == {name: b"typed by hand"}
    assert prescribe("--plane", "axial", "--overwrite") == 0
    assert set(contents(out)) == NAMES and contents(out)[name] != b"typed by hand"


def test_where_one_file_cannot_take_its_place_none_does(prescribe, tmp_path, capsys):
    assert prescribe("--plane", "axial") == 0
    out = tmp_path / "out"
    (out / "own_prescription.txt").unlink()
    (out / "own_prescription.txt").mkdir()
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert prescribe("--plane", "coronal", "--overwrite") == 2
    assert "is a folder" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_own_prescriptions_are_written_anew_but_not_edited_ones_or_others(prescribe, tmp_path, capsys):
    out = tmp_path / "out"
    assert prescribe("--plane", "axial") == 0
    before = contents(out)
    (out / "own_prescription.txt").write_text("with a remark")
    assert prescribe("--plane", "axial") == 2
    assert "own_prescription.txt: was edited" in capsys.readouterr().err
    assert prescribe("--plane", "axial", "--overwrite") == 0
    (out / "own_prescription.png").unlink()
    assert prescribe("--plane", "axial") == 0
    assert contents(out) == before
    for changed, word in ((["--thickness", 5], "thickness 3.0, not 5.0"), (["--plane", "coronal"], "planes")):
        assert prescribe("--plane", "axial", *changed) == 2
        assert word in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    write_volume(tmp_path / "other" / "own.nii.gz", make_head(seed=1))
    assert prescribe("--plane", "axial", scan="other/own.nii.gz") == 2
    assert "own_prescription.json" in capsys.readouterr().err
    assert contents(out) == before


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--plane", "oblique"), "oblique"),
        (("--fov", "wide"), "wide"),
        (("--matrix", "1x2x3"), "1x2x3"),
        (("--thickness", "-3"), "slice thickness"),
        (("--thickness", "nan"), "slice thickness"),
        (("--fov", "60"), "field of view of 60 × 60 mm does not cover"),
    ],
)
def test_wrong_usage_is_refused(arguments, word, prescribe, tmp_path, capsys):
    try:
        status = prescribe(*arguments)
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2 and word in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*"))


def test_a_scan_that_cannot_be_used_fails_as_in_estimate(prescribe, tmp_path, capsys):
    assert prescribe(scan="none.nii.gz") == 1
    assert "none: failed: " in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*"))


def test_results_do_not_go_into_the_scans_folder(prescribe, tmp_path, capsys):
    assert prescribe("-o", tmp_path) == 2
    assert "choose another folder" in capsys.readouterr().err
