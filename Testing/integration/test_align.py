"""``e3pose align`` and ``e3pose reorient``: stacks in, what a reconstruction takes out."""

import csv
import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from phantoms import make_head
from stacks import moved
from storages import orientations, stored

from E3PoseLib.cli import main
from E3PoseLib.imaging.geometry import pose_difference, read_itk, transform_points
from E3PoseLib.imaging.volume import read_volume, write_volume
from E3PoseLib.running.align import together

MOTION = {"a": moved(0, 0, 0), "b": moved(30, 25, 1), "c": moved(50, 30, 2)}
"""Of the head between the stacks, which are otherwise the same."""


@pytest.fixture
def align(tmp_path, small_model_file):
    """The command, on three stacks of one head unless told otherwise, without registration unless told otherwise."""
    (tmp_path / "in").mkdir()
    for number, (name, motion) in enumerate(MOTION.items()):
        scan = stored(make_head(), list(orientations())[17 * number])
        write_volume(tmp_path / "in" / f"{name}.nii.gz", replace(scan, voxel_to_ras=motion @ scan.voxel_to_ras))

    def run(*arguments, stacks=("a.nii.gz", "b.nii.gz", "c.nii.gz"), refine=False):
        options = ["-o", str(tmp_path / "out"), "--model", str(small_model_file), "--device", "cpu"]
        options += [] if refine else ["--no-refine"]
        return main(["align", *(str(tmp_path / "in" / name) for name in stacks), *options, *map(str, arguments)])

    return run


def rows(folder):
    with (folder / "alignment.csv").open(encoding="utf-8", newline="") as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_stacks_stand_in_one_frame_with_masks_and_commands(align, tmp_path, capsys):
    assert align() == 0
    out = tmp_path / "out"
    each = {f"{kind.format(name)}" for name in MOTION for kind in ("stacks/{}.nii.gz", "masks/{}_mask.nii.gz")}
    each |= {f"transforms/{name}{end}" for name in MOTION for end in (".tfm", ".txt")}
    assert set(contents(out)) == each | {"alignment.csv", "alignment.json", "alignment.png", "next_steps.txt"}
    point, found = np.array([12.0, -8.0, 40.0]), []
    for name, motion in MOTION.items():
        scan, image = read_volume(tmp_path / "in" / f"{name}.nii.gz"), nib.load(out / "stacks" / f"{name}.nii.gz")
        np.testing.assert_array_equal(np.asarray(image.dataobj), scan.array)
        place = read_itk(out / "transforms" / f"{name}.tfm")
        np.testing.assert_allclose(np.loadtxt(out / "transforms" / f"{name}.txt") @ place, np.eye(4), atol=1e-6)
        np.testing.assert_allclose(place @ image.affine, scan.voxel_to_ras, atol=1e-3)
        # One point of the head has one place in the common frame.
        found.append(transform_points(np.linalg.inv(place) @ motion, point))
        mask = nib.load(out / "masks" / f"{name}_mask.nii.gz")
        np.testing.assert_array_equal(mask.affine, image.affine)
        assert 0 < np.asarray(mask.dataobj).mean() < 0.5
    assert np.abs(np.array(found) - found[0]).max() < 0.05
    assert [row["kept"] for row in rows(out).values()] == ["yes"] * 3
    assert sorted(row["order"] for row in rows(out).values()) == ["1", "2", "3"]
    steps = (out / "next_steps.txt").read_text(encoding="utf-8")
    first = next(name for name, row in rows(out).items() if row["order"] == "1")
    assert f"-template stacks/{first}.nii.gz" in steps and "--thicknesses 4 4 4" in steps
    said = capsys.readouterr().out
    assert "likeness 1.00" in said and str(out / "next_steps.txt") in said


def test_results_stand_until_a_stack_or_what_is_asked_changes(align, tmp_path, capsys):
    assert align() == 0
    out = tmp_path / "out"
    before = contents(out)
    assert align() == 0 and "already there" in capsys.readouterr().out and contents(out) == before
    assert align("--thickness", "3") == 2 and "thickness" in capsys.readouterr().err
    assert align(stacks=("a.nii.gz", "b.nii.gz")) == 2 and "--overwrite" in capsys.readouterr().err
    assert contents(out) == before
    scan = read_volume(tmp_path / "in" / "a.nii.gz")
    write_volume(tmp_path / "in" / "a.nii.gz", replace(scan, voxel_to_ras=moved(5, 5, 9) @ scan.voxel_to_ras))
    assert align() == 0
    assert contents(out)["transforms/a.txt"] != before["transforms/a.txt"]
    mask = out / "masks" / "b_mask.nii.gz"
    mask.write_bytes((out / "masks" / "c_mask.nii.gz").read_bytes())
    assert align() == 2 and "b_mask.nii.gz: was edited" in capsys.readouterr().err
    assert align("--overwrite", stacks=("a.nii.gz", "b.nii.gz")) == 0
    assert not (out / "stacks" / "c.nii.gz").exists() and (out / "stacks" / "b.nii.gz").is_file()


def test_what_cannot_be_used_is_said_and_the_rest_is_done(align, tmp_path, capsys):
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"no image")
    write_volume(tmp_path / "in" / "other.nii.gz", make_head(seed=3, centre=(300, 0, 0)))
    assert align(stacks=("a.nii.gz", "broken.nii.gz", "b.nii.gz", "other.nii.gz")) == 1
    said = capsys.readouterr()
    assert "broken: left out: " in said.err and "other: left out: its head lies" in said.err
    found = rows(tmp_path / "out")
    assert {name: row["kept"] for name, row in found.items()} == {"a": "yes", "b": "yes", "broken": "no", "other": "no"}
    assert "2 stack(s)" in (tmp_path / "out" / "next_steps.txt").read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "stacks" / "other.nii.gz").exists()
    # Run again, nothing is done, but what is lacking is said once more.
    assert align(stacks=("a.nii.gz", "broken.nii.gz", "b.nii.gz", "other.nii.gz")) == 1
    said = capsys.readouterr()
    assert "already there" in said.out and "other: left out: its head lies" in said.err and "broken: " in said.err


def test_a_stack_under_two_names_counts_once(align, tmp_path, capsys):
    copy = tmp_path / "in" / "copy.nii.gz"
    copy.write_bytes((tmp_path / "in" / "a.nii.gz").read_bytes())
    assert align(stacks=("a.nii.gz", "copy.nii.gz")) == 1
    said = capsys.readouterr()
    assert "copy.nii.gz: is the same stack as" in said.err and "nothing to compare its pose with" in said.out


def test_one_stack_is_turned_upright_and_two_that_disagree_are_not(align, tmp_path, capsys):
    assert align(stacks=("a.nii.gz",)) == 0
    assert "nothing to compare its pose with" in capsys.readouterr().out
    write_volume(tmp_path / "in" / "other.nii.gz", make_head(seed=3, centre=(300, 0, 0)))
    assert align("-o", tmp_path / "two", stacks=("a.nii.gz", "other.nii.gz")) == 1
    assert "no two of the 2 stacks show the same head" in capsys.readouterr().err
    assert not list((tmp_path / "two").iterdir())


def test_masks_and_thicknesses_are_one_for_each_stack(align, tmp_path, capsys):
    for name in MOTION:
        scan = read_volume(tmp_path / "in" / f"{name}.nii.gz")
        write_volume(tmp_path / f"{name}_brain.nii.gz", replace(scan, array=(scan.array > 500).astype(np.uint8)))
    masks = [tmp_path / f"{name}_brain.nii.gz" for name in MOTION]
    assert align("--mask", *masks[:2]) == 2 and "2 given for 3 stacks" in capsys.readouterr().err
    assert align("--mask", masks[1], masks[0], masks[2]) == 1
    said = capsys.readouterr().err
    assert said.count("the brain that was found is used") == 2 and "a_brain.nii.gz: does not fit" in said
    assert align("--mask", masks[1], masks[0], masks[2]) == 1
    assert capsys.readouterr().err.count("the brain that was found was used") == 2
    assert align("--mask", *masks, "--thickness", 3, 4, 5, "--resample", 3, "--overwrite") == 0
    resampled = nib.load(tmp_path / "out" / "stacks" / "a.nii.gz")
    np.testing.assert_allclose(resampled.affine[:3, :3], 3 * np.eye(3))
    assert "without --resample" in (tmp_path / "out" / "next_steps.txt").read_text(encoding="utf-8")


def test_registration_leaves_alone_what_fits(align, tmp_path):
    pytest.importorskip("SimpleITK", reason="needs the optional package SimpleITK")
    assert align(refine=True) == 0
    document = json.loads((tmp_path / "out" / "alignment.json").read_text(encoding="utf-8"))
    assert document["registered"]
    heads = {one["name"]: np.linalg.inv(one["common_to_ras"]) @ MOTION[one["name"]] for one in document["stacks"]}
    for name in "bc":
        degrees, mm = pose_difference(heads["a"], heads[name])
        assert degrees < 1 and mm < 0.7


def test_what_was_left_out_for_want_of_a_package_is_done_once_it_is_there(align, tmp_path, capsys, monkeypatch):
    pytest.importorskip("SimpleITK", reason="needs the optional package SimpleITK")
    out, stacks = tmp_path / "out", ("a.nii.gz", "b.nii.gz")
    with monkeypatch.context() as without:
        without.setattr(together, "can_register", lambda: False)
        assert align(refine=True, stacks=stacks) == 0
        assert "NOTE: SimpleITK is not installed" in (out / "next_steps.txt").read_text(encoding="utf-8")
        capsys.readouterr()
        assert align(refine=True, stacks=stacks) == 0
        said = capsys.readouterr()
        assert "already there" in said.out and "SimpleITK is not installed" in said.err
    assert align(refine=True, stacks=stacks) == 0 and "already there" not in capsys.readouterr().out
    assert json.loads((out / "alignment.json").read_text(encoding="utf-8"))["registered"]
    assert "SimpleITK" not in (out / "next_steps.txt").read_text(encoding="utf-8")
    assert align(refine=True, stacks=stacks) == 0 and "already there" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["reorient", "prescribe", "track"])
def test_labels_are_no_scan(command, tmp_path, small_model_file, capsys):
    scan = make_head()
    labels = replace(scan, array=(scan.array > 500).astype(np.uint8))
    (tmp_path / "in").mkdir()
    for name in ("own", "next"):
        write_volume(tmp_path / "in" / f"{name}.nii.gz", labels)
    given = [tmp_path / "in", "--tr", "2"] if command == "track" else [tmp_path / "in" / "own.nii.gz"]
    options = ["-o", tmp_path / "out", "--model", small_model_file, "--device", "cpu"]
    assert main([command, *map(str, [*given, *options])]) == 1
    assert "holds labels, not a scan" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("resample", [None, 2.0])
def test_reorient_writes_the_volume_in_the_heads_frame(tmp_path, small_model_file, resample):
    write_volume(tmp_path / "own.nii.gz", make_head())
    out = tmp_path / "out"
    call = [
        "reorient",
        str(tmp_path / "own.nii.gz"),
        "-o",
        str(out),
        "--model",
        str(small_model_file),
        "--device",
        "cpu",
    ]
    call += [] if resample is None else ["--resample", str(resample)]
    assert main(call) == 0
    scan, upright = read_volume(tmp_path / "own.nii.gz"), nib.load(out / "own_upright.nii.gz")
    pose = read_itk(out / "own_upright.tfm")
    if resample is None:
        np.testing.assert_array_equal(np.asarray(upright.dataobj), scan.array)
        np.testing.assert_allclose(pose @ upright.affine, scan.voxel_to_ras, atol=1e-3)
    else:
        np.testing.assert_allclose(upright.affine[:3, :3], resample * np.eye(3))
    assert upright.get_qform(coded=True)[1] == upright.get_sform(coded=True)[1] == 2
    mask = nib.load(out / "own_upright_mask.nii.gz")
    # The origin is the brain's centre.
    centre = transform_points(mask.affine, np.argwhere(np.asarray(mask.dataobj) > 0).mean(axis=0))
    assert np.abs(centre).max() < 1.0
    assert json.loads((out / "own_upright.json").read_text(encoding="utf-8"))["source"]["sha256"]
    assert main(call) == 0
    assert main([*call, "--resample", "3"]) == 2
