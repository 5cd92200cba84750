"""``Slicer --python-script E3PoseBatch.py`` in the stand-in: formats, outputs, resume, exit status."""

import csv
import json
import os
import runpy
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest
from head_phantom import head_phantom

from E3PoseLib.models.catalog import resources, sample_scan

from .conftest import REPOSITORY, SHARED

SCRIPT = REPOSITORY / "E3Pose" / "Scripts" / "E3PoseBatch.py"
BUNDLED = resources() / "Models" / "default.safetensors"


def start(*arguments, cwd=REPOSITORY) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "Testing"), "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-m", "host", "--no-main-window", "--python-script", str(SCRIPT), *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd
    )


def run_apart(*arguments, cwd=REPOSITORY) -> tuple[int, str]:
    """As Slicer runs it: in a process of its own, which takes ten seconds to begin."""
    process = start(*arguments, cwd=cwd)
    output, _ = process.communicate(timeout=900)
    return process.returncode, output


@pytest.fixture
def run(app, capsys):
    """``run(*arguments)`` runs the script in this process; returns its status and what it has said."""
    main = runpy.run_path(str(SCRIPT))["main"]

    def in_this_process(*arguments) -> tuple[int, str]:
        capsys.readouterr()
        status = main([*map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out + said.err

    return in_this_process


def start_until(file, *arguments) -> subprocess.Popen:
    """A batch that has written a file, and goes on."""
    process = start(*arguments)
    end = time.monotonic() + 300
    while not file.exists():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.002)
    return process


@pytest.fixture(scope="module")
def scans(app, tmp_path_factory):
    """The phantom as NIfTI (left-handed), NRRD and MetaImage, and a file that is none."""
    import slicer

    from E3PoseLib import mrml

    folder = tmp_path_factory.mktemp("scans")
    array, voxel_to_ras = head_phantom()
    array, voxel_to_ras = array[::3, ::3, ::3], voxel_to_ras @ np.diag([3, 3, 3, 1.0])
    mirrored = voxel_to_ras @ np.diag([1, 1, -1, 1.0])
    mirrored[:3, 3] = (voxel_to_ras @ [0, 0, array.shape[2] - 1, 1])[:3]
    nib.save(nib.Nifti1Image(array[:, :, ::-1], mirrored), folder / "a.nii.gz")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "phantom")
    slicer.util.updateVolumeFromArray(node, array.transpose(2, 1, 0))
    node.SetIJKToRASMatrix(mrml.to_vtk(voxel_to_ras))
    (folder / "deeper").mkdir()
    assert slicer.util.saveNode(node, str(folder / "b.nrrd"), {})
    assert slicer.util.saveNode(node, str(folder / "deeper" / "c.mha"), {})
    (folder / "d.nii").write_text("this is not an image")
    slicer.mrmlScene.Clear(0)
    return folder


def test_batch_of_formats_with_a_bad_one_then_resume(scans, installed_model, tmp_path, run):
    from E3PoseLib.imaging.volume import read_volume
    from E3PoseLib.running.session import Session

    every = [scans / "a.nii.gz", scans / "b.nrrd", scans / "deeper" / "c.mha", scans / "d.nii"]
    wanted = ("--output", tmp_path, "--save-mask", "--save-resliced", 4, "--save-scene")
    status, output = run_apart("--input", *every, *wanted)
    assert status == 1, output
    assert "d: failed" in output and "Slicer cannot read it" in output
    assert "3 estimated, 0 already there, 1 failed; 3 of low confidence" in output
    expected = Session().estimate(read_volume(scans / "a.nii.gz"), {"model": str(installed_model)}, "cpu")
    for name in "abc":
        document = json.loads((tmp_path / f"{name}.json").read_text())
        assert np.allclose(document["canonical_to_ras"], expected.canonical_to_ras, atol=2e-3)
        assert np.allclose(np.load(tmp_path / f"{name}.npy"), document["canonical_to_ras"])
        assert (tmp_path / f"{name}.tfm").read_text().startswith("#Insight Transform File")
        assert nib.load(tmp_path / f"{name}_resliced.nii.gz").header.get_zooms() == pytest.approx((4, 4, 4))
        assert (tmp_path / f"{name}.mrb").stat().st_size > 10_000
    mask = nib.load(tmp_path / "a_mask.nii.gz")
    assert int(np.asarray(mask.dataobj).sum()) == int(expected.mask.sum())
    rows = list(csv.DictReader((tmp_path / "poses.csv").open()))
    assert [row["frame_id"] for row in rows] == ["a", "b", "c"]
    assert float(rows[0]["m03"]) == pytest.approx(expected.canonical_to_ras[0, 3], abs=2e-3)

    (tmp_path / "b.npy").unlink()
    untouched = (tmp_path / "a.npy").stat().st_mtime_ns
    status, output = run("--input", *every[:2], *wanted)
    assert status == 0, output
    assert "1 estimated, 1 already there, 0 failed" in output
    assert (tmp_path / "a.npy").stat().st_mtime_ns == untouched


def test_a_saved_scene_opens_on_the_head(scans, panel, scene, tmp_path, run):
    """The batch has no window, and so no views; the scene brings them."""
    import slicer

    from E3PoseLib import mrml

    assert run("--input", scans / "b.nrrd", "--output", tmp_path, "--save-scene")[0] == 0
    pose = np.load(tmp_path / "b.npy")
    scene.Clear(0)
    slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(tmp_path / "b.mrb")}, None)
    scan = scene.GetFirstNodeByName("b")
    assert {node.GetBackgroundVolumeID() for node in mrml.slice_composites(scene).values()} == {scan.GetID()}
    columns = {
        "Red": 2,
        "Yellow": 0,
        "Green": 1,
    }  # of the pose: the normal of the head's axial, sagittal, coronal plane
    for name, view in mrml.slice_nodes(scene).items():
        plane = mrml.to_numpy(view.GetSliceToRAS())
        assert np.allclose(np.abs(plane[:3, 2] @ pose[:3, columns[name]]), 1, atol=1e-4)
        assert np.allclose(plane[:3, 3], pose[:3, 3], atol=1e-3)
    camera = scene.GetSingletonNode("1", "vtkMRMLCameraNode")
    assert np.allclose(camera.GetFocalPoint(), pose[:3, 3], atol=1e-3)
    segmentation = scene.GetFirstNodeByName("b brain mask")
    assert mrml.mask_visibility(segmentation) == (True, True)
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    assert segmentation.GetSegmentation().ContainsRepresentation(surface)
    # The panel shows the result, and its button turns the views back.
    assert panel.ui.inputVolumeSelector.currentNode() == scan
    right, anterior, superior = pose[:3, 3]
    assert panel.ui.positionLabel.text == f"R {right:.1f}   A {anterior:.1f}   S {superior:.1f} mm"
    model = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))["settings"]["model"]
    assert panel.ui.computedLabel.text.endswith(f" by {model}")
    assert panel.ui.standardPlanesButton.checked
    panel.ui.standardPlanesButton.click()
    assert scene.GetSingletonNode("Red", "vtkMRMLSliceNode").GetOrientation() == "Axial"


def test_another_scan_at_the_same_path_is_estimated_anew(scans, installed_model, tmp_path, run):
    scan = tmp_path / "scans" / "scan.nii.gz"
    scan.parent.mkdir()
    scan.write_bytes((scans / "a.nii.gz").read_bytes())
    inputs = ("--input", tmp_path / "scans", "--recursive", "--output", tmp_path / "poses")
    assert run(*inputs)[0] == 0
    before = np.load(tmp_path / "poses" / "scan.npy")
    image = nib.load(scans / "a.nii.gz")
    shift = np.eye(4)
    shift[:3, 3] = (7, 0, 0)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), shift @ image.affine), scan)
    status, output = run(*inputs)
    assert status == 0 and "1 estimated, 0 already there, 0 failed" in output and "1 anew" in output
    moved = np.load(tmp_path / "poses" / "scan.npy")[:3, 3] - before[:3, 3]
    assert np.allclose(moved, (7, 0, 0), atol=1e-3)
    scan.touch()
    assert "0 estimated, 1 already there" in run(*inputs)[1]


def test_a_scene_goes_with_its_pose_and_never_takes_anothers_place_unasked(scans, installed_model, tmp_path, run):
    scene = tmp_path / "b.mrb"
    scene.write_text("a person's own")
    inputs = ("--input", scans / "b.nrrd", "--output", tmp_path)
    assert run(*inputs)[0] == 0
    status, output = run(*inputs, "--save-scene")
    assert status == 1 and "b.mrb: is no result of this program" in output
    assert scene.read_text() == "a person's own"
    assert run(*inputs, "--save-scene", "--overwrite")[0] == 0
    assert scene.stat().st_size > 10_000
    assert "1 already there" in run(*inputs, "--save-scene")[1]
    assert run(*inputs, "--overwrite")[0] == 0 and not scene.exists()


def test_killed_half_way_and_rerun_computes_only_the_rest(scans, installed_model, tmp_path, run):
    inputs = ["--input", scans / "a.nii.gz", scans / "b.nrrd", scans / "deeper" / "c.mha", "--output", tmp_path]
    process = start_until(tmp_path / "a.json", *inputs)
    while list(tmp_path.glob(".part-*")):  # that what was written is in its place is not yet the end of writing it
        time.sleep(0.002)
    process.kill()
    process.communicate()
    done = {file.stem for file in tmp_path.glob("*.json")}
    assert "c" not in done
    status, output = run(*inputs)
    assert status == 0, output
    assert f"{3 - len(done)} estimated, {len(done)} already there, 0 failed" in output
    assert not list(tmp_path.glob(".part-*"))


def test_ctrl_c_leaves_whole_results_and_their_table(scans, installed_model, tmp_path):
    inputs = ["--input", scans / "a.nii.gz", scans / "b.nrrd", scans / "deeper" / "c.mha", "--output", tmp_path]
    process = start_until(tmp_path / "a.json", *inputs)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in output, output
    rows = list(csv.DictReader((tmp_path / "poses.csv").open()))
    assert rows[0]["frame_id"] == "a" and len(rows) < 3
    assert not list(tmp_path.glob(".part-*"))


def test_a_file_of_several_frames_says_so_and_the_rest_goes_on(scans, installed_model, tmp_path):
    array = np.random.default_rng(0).random((12, 12, 12, 3)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, np.diag([3, 3, 3, 1])), tmp_path / "series.nii.gz")
    (tmp_path / "b.nrrd").write_bytes((scans / "b.nrrd").read_bytes())
    status, output = run_apart("--input", "series.nii.gz", "b.nrrd", "--output", "poses", cwd=tmp_path)
    assert status == 1, output
    assert "holds 3 frames; 'e3pose estimate' takes one with --frame N" in output
    assert "1 estimated, 0 already there, 1 failed" in output
    assert (tmp_path / "poses" / "b.npy").is_file()


@pytest.mark.parametrize("kept", [0.75, 20_000])
def test_a_file_cut_short_is_refused_by_name(installed_model, tmp_path, kept, run):
    """Slicer's own reader fills with zeros what is missing."""
    content = sample_scan().read_bytes()
    file = tmp_path / "damaged.nii.gz"
    file.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    status, output = run("--input", file, "--output", tmp_path / "poses")
    assert status == 1 and "damaged.nii.gz: the file is damaged or cut short" in output
    assert "damaged or cut short" in (tmp_path / "poses" / "failures.csv").read_text(encoding="utf-8")
    assert not list((tmp_path / "poses").glob("*.npy"))


def test_an_unforeseen_error_still_ends_slicer(app, tmp_path):
    main = runpy.run_path(str(SCRIPT))["main"]

    def fail(chosen):
        raise ZeroDivisionError("nobody foresaw this")

    main.__globals__["run"] = fail
    assert main(["--input", "scan.nii", "--output", str(tmp_path)]) == 1


def test_the_stand_in_knows_a_script_that_slicer_would_not_end_after(app, tmp_path):
    script = tmp_path / "script.py"
    for text, expected in (("print('done')", 124), ("1 / 0", 124), ("import sys; sys.exit(3)", 3)):
        script.write_text(text)
        process = subprocess.run(
            [sys.executable, "-m", "host", "--no-main-window", "--python-script", str(script)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "Testing"), "QT_QPA_PLATFORM": "offscreen"},
        )
        assert process.returncode == expected


def test_wrong_usage(scans, installed_model, tmp_path, run):
    status, output = run()
    assert status == 2 and "--save-scene" in output
    status, output = run("--output", tmp_path)
    assert status == 2 and "--input" in output
    status, output = run("--input", scans, "--output", tmp_path, "--save-resliced", "0")
    assert status == 2 and "no voxel size" in output
    (tmp_path / "empty").mkdir()
    status, output = run("--input", tmp_path / "empty", "--output", tmp_path)
    assert status == 2 and "in this folder" in output
    status, output = run("--input", scans, "--output", tmp_path, "--model", "nobody")
    assert status == 2 and "nobody" in output


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the clinical scans of ../shared")
def test_clinical_scan_as_by_the_library(app, tmp_path):
    """A left-handed clinical stack: Slicer's reader and the library give one pose.

    By the bundled model: the reference weights' axes turn by 0.14° where a header is rounded otherwise by 1e-7 mm.
    """
    from E3PoseLib.imaging.volume import read_volume
    from E3PoseLib.running.session import Session

    scan = SHARED / "data" / "epi" / "ep2d_14.nii.gz"
    status, output = run_apart("--input", scan, "--output", tmp_path / "out", "--model", BUNDLED, "--device", "cpu")
    assert status == 0, output
    expected = Session().estimate(read_volume(scan), {"model": str(BUNDLED)}, "cpu").canonical_to_ras
    found = np.load(tmp_path / "out" / "ep2d_14.npy")
    assert np.allclose(found[:3, 3], expected[:3, 3], atol=0.01)
    assert np.degrees(np.arccos(np.clip((np.trace(found[:3, :3].T @ expected[:3, :3]) - 1) / 2, -1, 1))) < 0.01
