"""Folders as users have them, through ``e3pose estimate``: what becomes of each file, and what is said about it."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from damaged import arrays
from phantoms import make_head
from storages import orientations, stored

import E3PoseLib
from E3PoseLib.cli import main
from E3PoseLib.imaging.geometry import pose_difference, read_npy
from E3PoseLib.imaging.volume import write_volume

LIBRARY = Path(E3PoseLib.__file__).parents[1]


@pytest.fixture(scope="session")
def scan_files(tmp_path_factory):
    """Two scans of one head, stored otherwise, and one of another."""
    folder = tmp_path_factory.mktemp("heads")
    turned = stored(make_head(), list(orientations())[20])
    for name, volume in (("first", make_head()), ("same", turned), ("second", make_head(seed=3))):
        write_volume(folder / f"{name}.nii.gz", volume)
    return folder


@pytest.fixture
def put(scan_files, tmp_path):
    """Put a scan where it is wanted, as any program does."""

    def run(name, path):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        return shutil.copyfile(scan_files / f"{name}.nii.gz", tmp_path / path)

    return run


@pytest.fixture
def estimate(small_model_file, tmp_path, capsys):
    """Run the command; the exit status, what it says last and what it says about errors."""

    def run(*arguments, out="out"):
        flags = ["-o", str(tmp_path / out), "--model", str(small_model_file), "--device", "cpu"]
        status = main(["estimate", *map(str, arguments), *flags])
        said = capsys.readouterr()
        return status, said.out.splitlines()[-1] if said.out else "", said.err

    return run


def listed(table, *columns) -> list[tuple[str, ...]]:
    with table.open(encoding="utf-8", newline="") as stream:
        return [tuple(row[column] for column in columns) for row in csv.DictReader(stream)]


def test_a_pose_that_cannot_be_read_is_estimated_anew_and_the_others_stay(put, estimate, tmp_path):
    put("first", "scans/one.nii.gz")
    put("second", "scans/two.nii.gz")
    assert estimate(tmp_path / "scans")[0] == 0
    before = read_npy(tmp_path / "out" / "one.npy")
    (tmp_path / "out" / "one.npy").write_bytes(arrays()["huge"])
    status, said, _ = estimate(tmp_path / "scans")
    assert status == 0 and said.startswith("1 estimated, 1 already there, 0 failed")
    assert pose_difference(before, read_npy(tmp_path / "out" / "one.npy")) == (0, 0)


def test_another_scan_at_the_same_path_is_estimated_anew(put, estimate, tmp_path):
    put("first", "scans/scan.nii.gz")
    put("first", "scans/other.nii.gz")
    assert estimate(tmp_path / "scans", "--save-mask")[0] == 0
    before = read_npy(tmp_path / "out" / "scan.npy")
    put("second", "scans/scan.nii.gz")
    status, said, _ = estimate(tmp_path / "scans", "--save-mask")
    assert status == 0 and said.startswith("1 estimated, 1 already there, 0 failed; ")
    assert "1 anew, as the scan had changed" in said
    after = read_npy(tmp_path / "out" / "scan.npy")
    assert pose_difference(before, after)[1] > 1
    listed_x = dict(listed(tmp_path / "out" / "poses.csv", "frame_id", "m03"))
    assert float(listed_x["scan"]) == after[0, 3]
    # Touched, or the same once more, it is not.
    for _ in range(2):
        put("second", "scans/scan.nii.gz")
        os.utime(tmp_path / "scans" / "other.nii.gz")
        assert estimate(tmp_path / "scans", "--save-mask")[1].startswith("0 estimated, 2 already there, 0 failed; res")


def test_a_data_set_in_subfolders_by_recursive_and_by_bids(put, estimate, tmp_path):
    for subject in ("sub-01", "sub-02"):
        put("first", f"data/{subject}/anat/T2w.nii.gz")
    status, _, errors = estimate(tmp_path / "data")
    assert status == 2 and "take those with --recursive" in errors
    assert estimate(tmp_path / "data", "--recursive", out="data/poses")[0] == 0
    names = [name for (name,) in listed(tmp_path / "data" / "poses" / "poses.csv", "frame_id")]
    assert names == ["sub-01_anat_T2w", "sub-02_anat_T2w"]
    again = estimate(tmp_path / "data", "--recursive", "--save-resliced", 8, "--overwrite", out="data/poses")
    assert again[1].startswith("2 estimated")
    assert estimate(tmp_path / "data", "--recursive", out="data/poses")[1].startswith("0 estimated, 2 already there")
    for words in ("2 estimated, 0 already", "0 estimated, 2 already"):
        status, said, _ = estimate(tmp_path / "data", "--bids", "--save-mask", out="data/derivatives/e3pose")
        assert status == 0 and said.startswith(words)
    derivatives = tmp_path / "data" / "derivatives" / "e3pose"
    assert listed(derivatives / "poses.csv", "sub", "ses", "run") == [("01", "", ""), ("02", "", "")]
    assert json.loads((derivatives / "dataset_description.json").read_text())["DatasetType"] == "derivative"
    assert (derivatives / "sub-02" / "anat" / "sub-02_space-T2w_desc-brain_mask.nii.gz").is_file()
    assert estimate(tmp_path / "data", "--bids", out="data")[0] == 2  # that is where the scans are


def test_scans_of_one_name_from_different_folders_are_both_done(put, estimate, tmp_path):
    scans = [put("first", "a/T2w.nii.gz"), put("second", "b/T2w.nii.gz"), put("second", "c/t2W.nii.gz")]
    assert estimate(*scans)[1].startswith("3 estimated")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.npy")) == ["a_T2w.npy", "b_T2w.npy", "c_t2W.npy"]
    found = listed(tmp_path / "out" / "poses.csv", "frame_id", "input")
    assert found == list(zip(["a_T2w", "b_T2w", "c_t2W"], map(str, scans), strict=True))


@pytest.mark.parametrize("mask", ["scan_mask.nii.gz", "scan_brain.nii.gz", "aseg.nii.gz"])
def test_a_mask_beside_a_scan_is_left_out_with_a_word(put, estimate, tmp_path, mask):
    scan = nib.load(put("first", "scans/scan.nii.gz"))
    labels = (np.asarray(scan.dataobj) > 600).astype(np.uint8)
    nib.save(nib.Nifti1Image(labels, scan.affine), tmp_path / "scans" / mask)
    status, said, errors = estimate(tmp_path / "scans")
    assert status == 0 and said.startswith("1 estimated, 0 already there, 0 failed")
    assert mask.split(".")[0] in errors and "label" in errors
    assert listed(tmp_path / "out" / "poses.csv", "frame_id") == [("scan",)]
    # Named itself it is said to be none.
    status, _, errors = estimate(tmp_path / "scans" / mask, out="named")
    assert status == 1 and "holds labels, not a scan" in errors


def test_names_as_long_as_a_file_system_allows(put, estimate, tmp_path):
    good, bad = (tmp_path / "scans" / (letter * 243 + ".nii.gz") for letter in "vw")
    put("first", good)
    bad.write_text("no image")
    status, said, errors = estimate(tmp_path / "scans", "--save-resliced", 8, "--save-mask")
    assert status == 1 and said.startswith("1 estimated, 0 already there, 1 failed")
    assert listed(tmp_path / "out" / "poses.csv", "input") == [(str(good),)]
    ((name, reason),) = listed(tmp_path / "out" / "failures.csv", "frame_id", "reason")
    assert name.startswith("w" * 200) and "not" in reason and f"{name}: failed: {reason}" in errors
    assert estimate(good, "--save-resliced", 8, "--save-mask")[1].startswith("0 estimated, 1 already there")


def test_what_is_not_fetched_is_said_and_the_rest_is_done(put, estimate, tmp_path):
    put("first", "scans/a.nii.gz")
    scans = tmp_path / "scans"
    (scans / "b.nii.gz").symlink_to(".git/annex/objects/x/SHA256E-s1--0.nii.gz")
    (scans / "c.nii.gz").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    (scans / "._a.nii.gz").write_bytes(b"\0\5\x16\7")
    status, said, errors = estimate(scans)
    assert status == 1 and said.startswith("1 estimated, 0 already there, 2 failed")
    assert "b.nii.gz: a link of git-annex whose file is not here" in errors and "datalad get" in errors
    assert "c.nii.gz: a pointer of Git LFS" in errors and "git lfs pull" in errors
    assert estimate(scans / "._a.nii.gz")[2].count("macOS's notes") == 1


def test_a_table_that_is_open_elsewhere_hides_no_count(put, estimate, tmp_path, monkeypatch):
    put("first", "scans/scan.nii.gz")
    done = os.replace

    def refused(part, path):
        if str(path).endswith("poses.csv"):
            raise PermissionError(13, "Permission denied", str(path))
        done(part, path)

    with monkeypatch.context() as system:
        system.setattr(os, "replace", refused)
        status, said, errors = estimate(tmp_path / "scans")
    assert status == 1 and said.startswith("1 estimated, 0 already there, 0 failed")
    assert "poses.csv: cannot be replaced" in errors and "run the same command again" in errors
    assert estimate(tmp_path / "scans")[:2] == (
        0,
        f"0 estimated, 1 already there, 0 failed; results in {tmp_path}/out/poses.csv",
    )


def test_a_scanners_document_is_never_replaced(put, estimate, tmp_path):
    put("first", "scans/scan.nii.gz")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scan.json").write_text('{"EchoTime": 0.09}')
    for flags in ([], ["--overwrite"]):
        status, _, errors = estimate(tmp_path / "scans", *flags)
        assert status == 1 and "scan.json: is no result of this program, and is never replaced" in errors
        assert (tmp_path / "out" / "scan.json").read_text() == '{"EchoTime": 0.09}'


@pytest.mark.skipif(sys.platform == "win32", reason="closed by a shell")
@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&- <&-"])
def test_without_standard_error_it_works(put, small_model_file, tmp_path, closed):
    put("first", "č/scan.nii.gz")
    command = f'"{sys.executable}" -m E3PoseLib estimate "{tmp_path}/č" -o "{tmp_path}/out" --device cpu'
    run = subprocess.run(f'{command} --model "{small_model_file}" {closed}', shell=True, capture_output=True)
    assert run.returncode == 0
    assert (tmp_path / "out" / "scan.npy").is_file() and (tmp_path / "out" / "poses.csv").is_file()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_screen_that_lacks_characters_costs_nothing(put, small_model_file, tmp_path, encoding):
    put("first", "scans/扫描 č.nii.gz")
    (tmp_path / "scans" / "bad č.nii.gz").write_text("no image")
    command = [sys.executable, "-m", "E3PoseLib", "estimate", tmp_path / "scans", "-o", tmp_path / "č"]
    run = subprocess.run(
        [*map(str, command), "--device", "cpu", "--model", str(small_model_file)],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
    )
    assert run.returncode == 1 and b"Traceback" not in run.stderr
    assert b"1 estimated, 0 already there, 1 failed" in run.stdout and b"bad" in run.stderr


@pytest.mark.parametrize(
    ("package", "content"),
    [
        ("numpy", "__version__ = '1.16.0'\n"),
        ("numpy", "raise ImportError('built for another Python')\n"),
        ("scipy", "__version__ = '0.19'\nfrom numpy import nothing_of_the_kind\n"),
    ],
)
def test_an_old_package_on_the_path_is_named(put, small_model_file, tmp_path, package, content):
    put("first", "scans/scan.nii.gz")
    (tmp_path / "old" / package).mkdir(parents=True)
    (tmp_path / "old" / package / "__init__.py").write_text(content)
    command = [sys.executable, "-m", "E3PoseLib", "estimate", tmp_path / "scans", "-o", tmp_path / "out"]
    run = subprocess.run(
        [*map(str, command), "--device", "cpu", "--model", str(small_model_file)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "old"), str(LIBRARY)])},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert str(tmp_path / "old" / package) in run.stderr and "PYTHONPATH" in run.stderr


def test_a_decimal_comma_is_explained(estimate, capsys, tmp_path):
    for flag in ("--save-resliced", "--voxel-size"):
        with pytest.raises(SystemExit) as end:
            estimate(tmp_path, flag, "1,5")
        assert end.value.code == 2 and "1,5 is no number; write 1.5" in capsys.readouterr().err


def test_a_voxel_size_that_was_lost_is_given(put, estimate, tmp_path):
    scan = nib.load(put("first", "good/scan.nii.gz"))
    (tmp_path / "lost").mkdir()
    lost = scan.affine @ np.diag([1 / 4, 1 / 4, 1 / 4, 1])
    nib.save(nib.Nifti1Image(np.asarray(scan.dataobj), lost), tmp_path / "lost" / "scan.nii.gz")
    poses = []
    for folder, flags in (("good", []), ("lost", ["--voxel-size", "4"]), ("lost", ["--voxel-size", "4x4x4"])):
        assert estimate(tmp_path / folder, *flags, out=f"{folder}{len(flags)}{len(poses)}")[0] == 0
        poses.append(read_npy(tmp_path / f"{folder}{len(flags)}{len(poses)}" / "scan.npy"))
    for pose in poses[1:]:
        assert pose_difference(poses[0], pose)[0] < 0.5
    status, _, errors = estimate(tmp_path / "lost", "--voxel-size", "5", out="lost21")
    assert status == 1 and "was made with voxel_size [4.0], not [5.0]" in errors
