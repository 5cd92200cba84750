"""``e3pose`` as its users call it: results, resume, failures, and no traceback ever."""

import csv
import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time
from functools import partial

import nibabel as nib
import numpy as np
import pytest
from phantoms import make_head
from storages import orientations, stored

from E3PoseLib.cli import main
from E3PoseLib.imaging.geometry import read_itk, read_npy, transform_points
from E3PoseLib.imaging.volume import read_volume, write_volume


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for seed, orientation in enumerate(list(orientations())[5:12:3]):
        write_volume(folder / f"scan{seed}.nii.gz", stored(make_head(seed=seed), orientation))
    return folder


@pytest.fixture
def estimate(small_model_file, tmp_path):
    def run(*arguments, out=tmp_path / "out"):
        return main(
            ["estimate", *map(str, arguments), "-o", str(out), "--model", str(small_model_file), "--device", "cpu"]
        )

    return run


def test_every_scan_gets_its_files_and_a_row(scans, estimate, tmp_path):
    assert estimate(scans, "--save-mask", "--save-resliced", 4) == 0
    out = tmp_path / "out"
    suffixes = (".npy", ".tfm", ".json", "_mask.nii.gz", "_resliced.nii.gz")
    expected = {f"scan{seed}{suffix}" for seed in range(3) for suffix in suffixes} | {"poses.csv"}
    assert {path.name for path in out.iterdir()} == expected
    with (out / "poses.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["frame_id"] for row in rows] == ["scan0", "scan1", "scan2"]
    assert [row["input"] for row in rows] == [str(path.resolve()) for path in sorted(scans.iterdir())]
    for row in rows:
        matrix = read_npy(out / f"{row['frame_id']}.npy")
        listed = np.reshape([float(row[f"m{i}{j}"]) for i in range(4) for j in range(4)], (4, 4))
        np.testing.assert_array_equal(listed, matrix)
        np.testing.assert_allclose(read_itk(out / f"{row['frame_id']}.tfm"), matrix, atol=1e-9)
        document = json.loads((out / f"{row['frame_id']}.json").read_text())
        np.testing.assert_array_equal(document["canonical_to_ras"], matrix)
        # Upright, the head's centre is the middle of the resliced cube.
        resliced = read_volume(out / f"{row['frame_id']}_resliced.nii.gz")
        header = nib.load(out / f"{row['frame_id']}_resliced.nii.gz").header
        assert (int(header["sform_code"]), int(header["qform_code"])) == (2, 2)  # no longer the scanner's world
        middle = (np.array(resliced.shape) - 1) / 2
        np.testing.assert_allclose(transform_points(resliced.voxel_to_ras, middle), 0, atol=1e-4)


def test_spaces_and_directions_are_one_pose(scans, estimate, tmp_path):
    scan = read_volume(scans / "scan1.nii.gz")
    matrices = {}
    for space in ("ras", "voxel"):
        for direction in ("canonical-to-input", "input-to-canonical"):
            out = tmp_path / f"{space}-{direction}"
            assert estimate(scans / "scan1.nii.gz", "--space", space, "--direction", direction, out=out) == 0
            matrices[space, direction] = read_npy(out / "scan1.npy")
    there = matrices["ras", "canonical-to-input"]
    np.testing.assert_allclose(matrices["ras", "input-to-canonical"] @ there, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(scan.voxel_to_ras @ matrices["voxel", "canonical-to-input"], there, atol=1e-6)
    np.testing.assert_allclose(
        matrices["voxel", "input-to-canonical"] @ matrices["voxel", "canonical-to-input"], np.eye(4), atol=1e-6
    )


def test_what_stands_is_skipped_and_the_rest_done(scans, estimate, tmp_path, capsys):
    assert estimate(scans / "scan0.nii.gz") == 0
    stamp = (tmp_path / "out" / "scan0.json").stat().st_mtime_ns
    assert estimate(scans) == 0
    assert "1 already there, 0 failed" in capsys.readouterr().out
    assert (tmp_path / "out" / "scan0.json").stat().st_mtime_ns == stamp
    (tmp_path / "out" / "scan2.npy").unlink()
    assert estimate(scans) == 0
    assert "2 already there, 0 failed" in capsys.readouterr().out
    assert estimate(scans, "--overwrite") == 0
    assert "3 estimated" in capsys.readouterr().out


def test_what_a_killed_run_has_left_is_no_result_and_goes(scans, estimate, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    left = {name: out / f".part-{name}-lost.failed" for name in ("old", "new")}
    for path in left.values():
        path.write_text('{"format": "e3pose-failure-1", "name": "lost", "reason": "", "input": "", "frame": null}')
    yesterday = time.time() - 25 * 3600
    os.utime(left["old"], (yesterday, yesterday))
    assert estimate(scans) == 0
    assert not left["old"].exists() and left["new"].exists()
    assert not (out / "failures.csv").exists()


def test_results_of_other_settings_are_not_replaced_unasked(scans, estimate, tmp_path, capsys):
    assert estimate(scans) == 0
    before = (tmp_path / "out" / "scan0.npy").read_bytes()
    assert estimate(scans, "--space", "voxel") == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "scan0.npy").read_bytes() == before


def test_results_of_another_model_scan_frame_or_spacing_are_not_replaced_unasked(
    scans, estimate, small_model_file, tmp_path, capsys
):
    assert estimate(scans / "scan0.nii.gz", "--save-resliced", 4) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "scan0.nii.gz").write_bytes((scans / "scan1.nii.gz").read_bytes())
    (tmp_path / "same weights.safetensors").write_bytes(small_model_file.read_bytes())
    for arguments, message in (
        ([scans / "scan0.nii.gz", "--save-resliced", 3], "resliced at 4 mm, not 3"),
        ([tmp_path / "other" / "scan0.nii.gz"], "is the result of another scan"),
        ([scans / "scan0.nii.gz", "--precision", "bfloat16"], "was made with precision 'float32'"),
        ([scans / "scan0.nii.gz", "--direction", "input-to-canonical"], "was made with direction"),
    ):
        assert estimate(*arguments) == 1
        assert message in capsys.readouterr().err
    # The same model and frame by another name are the same.
    assert estimate(scans / "scan0.nii.gz", "--frame", 0) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_files_of_another_origin_are_not_replaced_unasked(scans, estimate, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("scan0.json", "scan1_mask.nii.gz", "scan2.npy"):
        (out / name).write_text("a person's own")
        assert estimate(scans, "--save-mask") == 1
        assert f"{name}: is no result of this program" in capsys.readouterr().err
        assert (out / name).read_text() == "a person's own"
        (out / name).unlink()
        for path in out.iterdir():
            path.unlink()
    matrix = ",".join(f"m{row}{column}" for row in range(4) for column in range(4))
    for foreign in ("subject,yaw,pitch,roll\n", f"frame_id,{matrix},fetus\n"):
        (out / "poses.csv").write_text(foreign)
        assert estimate(scans) == 2
        assert "poses.csv: is another program's" in capsys.readouterr().err
        assert [path.name for path in out.iterdir()] == ["poses.csv"]
        assert (out / "poses.csv").read_text() == foreign
    assert estimate(scans, "--overwrite") == 0


def test_a_mask_of_the_model_before_does_not_outlive_its_pose(scans, estimate, tmp_path, capsys):
    scan, mask = scans / "scan0.nii.gz", tmp_path / "out" / "scan0_mask.nii.gz"
    assert estimate(scan, "--save-mask") == 0 and mask.is_file()
    assert estimate(scan, "--overwrite") == 0 and not mask.is_file()
    assert estimate(scan, "--save-mask") == 0 and mask.is_file()
    assert "1 estimated" in capsys.readouterr().out.splitlines()[-1]


def test_scans_that_are_links_fail_by_name_and_keep_results_out_of_their_folder(scans, estimate, tmp_path, capsys):
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("one.nii.gz", "two.nii.gz"):
        (linked / name).symlink_to(scans / "scan0.nii.gz")
    (linked / "not fetched.nii.gz").symlink_to(tmp_path / "nowhere")
    (linked / "loop.nii.gz").symlink_to(linked / "loop.nii.gz")
    (linked / "._one.nii.gz").write_text("of another system's file browser")
    assert estimate(linked) == 1
    said = capsys.readouterr()
    assert "not fetched: failed: " in said.err and "loop: failed: " in said.err
    assert "2 estimated" in said.out and "2 failed" in said.out
    assert estimate(linked / "one.nii.gz", out=linked) == 2
    assert estimate(linked / "one.nii.gz", out=scans) == 2


def test_a_name_that_is_no_utf8_costs_nobody_the_table(scans, estimate, tmp_path):
    odd = os.fsdecode(b"caf\xe9.nii.gz")
    try:
        (scans / odd).write_bytes((scans / "scan0.nii.gz").read_bytes())
    except OSError:
        pytest.skip("this file system has no such names")
    assert estimate(scans) == 0
    with (tmp_path / "out" / "poses.csv").open(encoding="utf-8") as stream:
        assert [row["frame_id"] for row in csv.DictReader(stream)] == ["caf\\udce9", "scan0", "scan1", "scan2"]


def test_results_never_go_where_the_scans_lie(scans, estimate, capsys):
    (scans / "scan0.json").write_text("made by the scanner's converter")
    before = {path.name: path.read_bytes() for path in scans.iterdir()}
    assert estimate(scans, "--overwrite", "--save-mask", out=scans) == 2
    assert "choose another folder" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in scans.iterdir()} == before


def test_a_scan_named_twice_is_one_scan(scans, estimate, capsys):
    assert estimate(scans, scans / "scan1.nii.gz") == 0
    assert "3 estimated" in capsys.readouterr().out


def test_frames_of_4d_scans(estimate, tmp_path, capsys):
    head = make_head()
    nib.save(nib.Nifti1Image(np.stack([head.array] * 3, axis=-1), head.voxel_to_ras), tmp_path / "bold.nii.gz")
    assert estimate(tmp_path / "bold.nii.gz") == 1
    assert "--frame N" in capsys.readouterr().err
    assert estimate(tmp_path / "bold.nii.gz", "--frame", 1, out=tmp_path / "one") == 0
    assert json.loads((tmp_path / "one" / "bold.json").read_text())["frame"] == 1
    assert estimate(tmp_path / "bold.nii.gz", "--frame", 2, out=tmp_path / "one") == 1
    assert "is the result of frame 1, not 2" in capsys.readouterr().err
    assert estimate(tmp_path / "bold.nii.gz", "--all-frames", out=tmp_path / "all") == 0
    assert sorted(path.stem for path in (tmp_path / "all").glob("*.json")) == [f"bold_frame000{n}" for n in range(3)]


def test_bad_scans_fail_by_name_and_the_rest_go_on(scans, estimate, tmp_path, capsys):
    good = scans / "scan0.nii.gz"
    affine = np.diag([3.0, 3, 3, 1])
    (scans / "a_text.nii.gz").write_text("not an image")
    (scans / "b_cut.nii.gz").write_bytes(good.read_bytes()[:3000])
    # A bit that has flipped: nibabel alone would read on.
    flipped = bytearray(good.read_bytes())
    flipped[-6] ^= 1
    (scans / "b_flipped.nii.gz").write_bytes(flipped)
    (scans / "c_gzip.nii.gz").write_bytes(gzip.compress(b"short"))
    nib.save(nib.Nifti1Image(np.zeros((30, 30), np.float32), affine), scans / "d_flat.nii.gz")
    nib.save(nib.Nifti1Image(np.ones((30, 30, 30), np.float32), affine), scans / "e_constant.nii.gz")
    nib.save(nib.Nifti1Image(np.full((30, 30, 30), np.nan, np.float32), affine), scans / "f_nan.nii.gz")
    nib.save(nib.Nifti1Image(np.random.rand(30, 30, 5).astype(np.float32), affine), scans / "g_thin.nii.gz")
    singular = nib.Nifti1Image(np.random.rand(30, 30, 30).astype(np.float32), None)
    singular.header["sform_code"] = 1
    singular.header["srow_x"] = singular.header["srow_y"] = singular.header["srow_z"] = [1, 0, 0, 0]
    nib.save(singular, scans / "h_singular.nii.gz")
    assert estimate(scans) == 1
    errors = capsys.readouterr().err
    for name in ("a_text", "b_cut", "b_flipped", "c_gzip", "d_flat", "e_constant", "f_nan", "g_thin", "h_singular"):
        assert f"{name}: failed: " in errors
    assert "Traceback" not in errors
    with (tmp_path / "out" / "failures.csv").open() as stream:
        failures = {row["frame_id"]: row for row in csv.DictReader(stream)}
    assert list(failures) == sorted(path.name[:-7] for path in scans.iterdir() if path.name[0] in "abcdefgh")
    assert all(f"{name}: failed: {row['reason']}" in errors for name, row in failures.items())
    assert failures["g_thin"]["input"] == str((scans / "g_thin.nii.gz").resolve())
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.json")) == ["scan0", "scan1", "scan2"]


def test_a_failure_is_listed_until_the_scan_succeeds(scans, estimate, tmp_path, capsys):
    out, good = tmp_path / "out", (scans / "scan1.nii.gz").read_bytes()

    def run(*arguments) -> tuple[int, list[str], list[str]]:
        status = estimate(scans, *arguments)
        tables = []
        for name in ("poses.csv", "failures.csv"):
            lines = (out / name).read_text().splitlines()[1:] if (out / name).exists() else []
            tables.append([line.split(",")[0] for line in lines])
        return status, *tables

    everybody = ["scan0", "scan1", "scan2"]
    (scans / "scan1.nii.gz").write_bytes(good[:3000])
    assert run() == (1, ["scan0", "scan2"], ["scan1"])
    assert f"failures in {out / 'failures.csv'}" in capsys.readouterr().out
    (scans / "scan1.nii.gz").write_bytes(good)
    assert run() == (0, everybody, [])
    assert not list(out.glob("*.failed"))
    # The pose of a scan that has changed, and can no longer be read, stays in its files, and is no longer listed.
    (scans / "scan1.nii.gz").write_bytes(good[:3000])
    pose = (out / "scan1.npy").read_bytes()
    for flags in ([], ["--overwrite"]):
        assert run(*flags) == (1, ["scan0", "scan2"], ["scan1"])
        assert (out / "scan1.npy").read_bytes() == pose
    (scans / "scan1.nii.gz").write_bytes(good)
    assert run() == (0, everybody, [])
    # What is not wanted is no failure any more once it is not asked for again.
    assert run("--space", "voxel") == (1, everybody, everybody)
    assert run() == (0, everybody, [])
    # A file of somebody else's by that name is nobody's to replace.
    (out / "scan1.failed").write_text("my notes")
    (scans / "scan1.nii.gz").write_bytes(good[:3000])
    assert run() == (1, ["scan0", "scan2"], ["scan1"])
    assert (out / "scan1.failed").read_text() == "my notes"


def test_wrong_usage_is_status_2(scans, estimate, small_model_file, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    model = ["--model", str(small_model_file)]
    cases = [
        (["estimate", str(tmp_path / "empty"), "-o", str(tmp_path / "o"), *model], "no .nii"),
        (["estimate", str(scans), "-o", str(tmp_path / "file" / "o"), *model], "cannot be made"),
        (["estimate", str(scans), "-o", str(tmp_path / "o"), "--model", "nobody"], "no model named 'nobody'"),
        (["estimate", str(scans), "-o", str(tmp_path / "o"), "--model", ""], "an argument is empty"),
        (["estimate", str(scans), "-o", ""], "an argument is empty"),
        (["estimate", str(scans), "--output=", *model], "an argument is empty"),
        (["estimate", str(scans), "-o", str(tmp_path / "o"), *model, "--num-nodes", "2"], "by srun --nodes=2"),
        (["estimate", str(scans.parent), "-o", str(tmp_path / "o"), *model], "take those with --recursive"),
        (["reorient", str(scans.parent), "-o", str(tmp_path / "o"), *model], "in its subfolders: name one of these"),
        (["demo", str(scans), "-o", str(tmp_path / "o"), *model], "holds 3 scans"),
        (["estimate", str(scans), "-o", str(tmp_path / "o"), "--unet", "a.ckpt"], "pairs"),
        (["estimate", str(scans), "-o", str(tmp_path / "o"), *model, "--unet", "a.ckpt"], "not both"),
        (["estimate", str(scans), "-o", str(tmp_path / "o"), *model, "--device", "cuda:9"], "cuda:9"),
        (["import-weights", "a.ckpt", "b.pth", "-o", str(tmp_path / "x.safetensors")], "no such file"),
        (["import-weights", "a.ckpt", "b.pth", "-o", str(tmp_path / "x.bin")], "safetensors"),
        (["import-weights", "a.ckpt", "b.pth", "-o", str(small_model_file)], "--overwrite"),
    ]
    for arguments, word in cases:
        assert main(arguments) == 2, arguments
        message = capsys.readouterr().err
        assert word in message and "Traceback" not in message
    wrong = (["--save-resliced", "-1"], ["--devices", "0"], ["--num-nodes", "-2"])
    for arguments in ([], ["estimate"], *(["estimate", str(scans), "-o", "x", *flags] for flags in wrong)):
        with pytest.raises(SystemExit) as status:
            main(arguments)
        assert status.value.code == 2
    # A file that is not there is one scan's failure, not a mistake in the command; nothing of it stays.
    assert estimate(tmp_path / "missing.nii.gz") == 1
    out = tmp_path / "out"
    assert "missing" in (out / "failures.csv").read_text() and not list(out.glob("*.failed"))
    assert estimate(scans / "scan0.nii.gz") == 0
    assert not (out / "failures.csv").exists()
    (tmp_path / "missing.nii.gz").write_bytes(b"no scan")
    assert estimate(tmp_path / "missing.nii.gz") == 1 and (out / "missing.failed").exists()
    (tmp_path / "missing.nii.gz").unlink()
    assert estimate(tmp_path / "missing.nii.gz") == 1
    assert (out / "failures.csv").read_text().count("missing,") == 1 and not (out / "missing.failed").exists()


def test_import_and_list_models(reference, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("E3POSE_MODELS", str(tmp_path))
    assert main(["models"]) == 0
    target = tmp_path / "official.safetensors"
    weights = [str(reference / "unet.ckpt"), str(reference / "e3cnn.pth")]
    assert main(["import-weights", *weights, "-o", str(target)]) == 0
    capsys.readouterr()
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert f"official  ({target})" in listed
    (tmp_path / "broken.safetensors").write_bytes(b"")
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert "broken: " in listed and "official" in listed


def command(scans, out, model, *more):
    arguments = ["estimate", str(scans), "-o", str(out), "--model", str(model), "--device", "cpu", *more]
    return [sys.executable, "-m", "E3PoseLib", *arguments]


def test_a_full_disk_leaves_nothing_half_written(scans, small_model_file, tmp_path):
    """The system refuses to let any file grow beyond 20 kB: the resliced scan fails, in the middle of its write."""
    out = tmp_path / "out"
    run = subprocess.run(
        command(scans / "scan0.nii.gz", out, small_model_file, "--save-resliced", "2"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "scan0_resliced.nii.gz: cannot be written" in run.stderr and "Traceback" not in run.stderr
    assert {path.name for path in out.iterdir()} == {"scan0.failed", "failures.csv"}


def test_results_that_cannot_be_replaced_stand_as_they_were(scans, estimate, small_model_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert estimate(scans / "scan0.nii.gz", "--save-resliced", 2) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    changes = ["--save-resliced", "2", "--space", "voxel", "--overwrite"]
    subprocess.run(
        command(scans / "scan0.nii.gz", out, small_model_file, *changes),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        capture_output=True,
    )
    failure = {out / "scan0.failed", out / "failures.csv"}
    assert {path.name: path.read_bytes() for path in {*out.iterdir()} - failure} == before
    assert estimate(scans / "scan0.nii.gz", "--save-resliced", 2) == 0
    assert "0 estimated, 1 already there" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("end", "flags"),
    [
        (signal.SIGINT, ["--devices", "2"]),
        (signal.SIGTERM, []),
        (signal.SIGHUP, []),
    ],
)
def test_an_interrupt_keeps_what_is_done_and_a_second_run_does_the_rest(small_model_file, tmp_path, capsys, end, flags):
    folder, out = tmp_path / "scans", tmp_path / "out"
    folder.mkdir()
    for number in range(12):
        write_volume(folder / f"scan{number:02d}.nii.gz", make_head(seed=number))
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs start deaf to it
    call = [*command(folder, out, small_model_file), *flags]
    run = subprocess.Popen(call, stderr=subprocess.PIPE, text=True, preexec_fn=heed, start_new_session=True)
    while not list(out.glob("[!.]*.json")):  # hidden ones are still being written
        assert run.poll() is None
        time.sleep(0.02)
    before = len(list(out.glob("[!.]*.json")))
    # A terminal interrupts all processes of a command, and so it does when it closes.
    (os.kill if end == signal.SIGTERM else os.killpg)(run.pid, end)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130 and "Traceback" not in errors and "interrupted" in errors
    done = {path.name for path in out.glob("*.json")}
    # What a process is at it ends; nothing else is begun.
    assert before <= len(done) <= before + (3 if flags else 1) and not list(out.glob(".part-*"))
    with (out / "poses.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == len(done)
    assert main(command(folder, out, small_model_file)[3:]) == 0
    said = capsys.readouterr().out
    assert f"{12 - len(done)} estimated" in said and f"{len(done)} already there" in said


def test_help_and_import_do_not_wait_for_torch():
    code = (
        "import sys, E3PoseLib, E3PoseLib.cli\n"
        "try:\n    E3PoseLib.cli.main(['estimate', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'e3nn', 'nibabel', 'scipy', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
