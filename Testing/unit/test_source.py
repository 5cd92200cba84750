"""A result remembers its scan: replaced, touched, moved, changed while it is read."""

import json
import os
import shutil

import nibabel as nib
import pytest
from made_results import WITH_ALL, contents, make_scan, write_made
from phantoms import make_head

from E3PoseLib.errors import OutputError, VolumeError
from E3PoseLib.imaging.formats import files_of
from E3PoseLib.imaging.geometry import read_json
from E3PoseLib.running.results.standing import State, is_outdated, state_of_results
from E3PoseLib.running.scans.source import Source
from E3PoseLib.running.scans.tasks import Task


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def task(tmp_path, out):
    task = make_scan(tmp_path / "scans")
    write_made(out, task)
    return task


def swap_keeping_times(path, other):
    """Another file of the same size and time of change takes a file's place, as `rsync -a` and `cp -p` do it."""
    status = path.stat()
    content = other.read_bytes()
    path.unlink()
    path.write_bytes(content[: status.st_size].ljust(status.st_size, b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size and path.stat().st_mtime_ns == status.st_mtime_ns


def replace(task, how):
    other = make_scan(task.path.parent.parent / "others", seed=9).path
    if how == "written over":
        task.path.write_bytes(other.read_bytes())
    elif how == "renamed":
        os.replace(other, task.path)  # noqa: PTH105
    elif how == "by a link":
        task.path.unlink()
        task.path.symlink_to(other)
    else:
        swap_keeping_times(task.path, other)


@pytest.mark.parametrize("how", ["written over", "renamed", "by a link", "same size and time"])
def test_results_of_a_scan_that_was_replaced_are_outdated(task, out, how):
    assert state_of_results(task, out, WITH_ALL) is State.WHOLE and not is_outdated(task, out)
    replace(task, how)
    task = Task(task.path, task.name)
    assert state_of_results(task, out, WITH_ALL) is State.OUTDATED and is_outdated(task, out)
    write_made(out, task, x_mm=2.0)
    assert state_of_results(task, out, WITH_ALL) is State.WHOLE


def test_a_touched_scan_is_not_done_again_and_its_content_not_compared_twice(task, out, monkeypatch):
    before = contents(out)
    os.utime(task.path)
    assert state_of_results(task, out, WITH_ALL) is State.WHOLE
    after = contents(out)
    assert {name for name in before if before[name] != after[name]} == {"scan.json"}
    recorded = read_json(out / "scan.json")["source"]["files"][0]
    assert recorded["modified_ns"] == task.path.stat().st_mtime_ns
    monkeypatch.setattr("E3PoseLib.running.results.standing.content_hash", None)
    assert state_of_results(task, out, WITH_ALL) is State.WHOLE


def test_a_scan_that_was_moved_is_the_same_scan_and_a_copy_is_another(task, out, tmp_path):
    copy = tmp_path / "copies" / task.path.name
    copy.parent.mkdir()
    shutil.copyfile(task.path, copy)
    with pytest.raises(OutputError, match="result of another scan"):
        state_of_results(Task(copy, "scan"), out, WITH_ALL)
    task.path.unlink()
    assert state_of_results(Task(copy, "scan"), out, WITH_ALL) is State.WHOLE
    assert read_json(out / "scan.json")["input"] == str(copy)


def test_results_of_a_scan_that_is_gone_stand(task, out):
    task.path.unlink()
    assert state_of_results(Task(task.path, "scan"), out, WITH_ALL) is State.WHOLE


def test_results_of_a_version_that_did_not_remember_are_done_again(task, out):
    document = read_json(out / "scan.json")
    del document["source"], document["files"]
    (out / "scan.json").write_text(json.dumps(document))
    assert state_of_results(task, out, WITH_ALL) is State.MISSING


def test_a_scan_that_changes_while_it_is_read_is_no_scan_yet(tmp_path):
    task = make_scan(tmp_path)
    source = Source(task.path)
    with task.path.open("ab") as stream:
        stream.write(b"the rest, as it comes over the network")
    with pytest.raises(VolumeError, match="changed while it was being read"):
        source.record()
    task.path.unlink()
    with pytest.raises(VolumeError, match="cannot be read any more"):
        source.record()


def test_all_files_of_a_scan_are_remembered(tmp_path):
    head = make_head()
    nib.save(nib.Nifti1Pair(head.array, head.voxel_to_ras), tmp_path / "pair.img")
    (tmp_path / "meta.mhd").write_text("ObjectType = Image\nElementDataFile = elsewhere.bin\n")
    (tmp_path / "nrrd.nhdr").write_text("NRRD0004\ndata file: nrrd.raw.gz\n")
    for name in ("elsewhere.bin", "nrrd.raw.gz", "pair.json", "pair.nii.gz", "other.img"):
        (tmp_path / name).write_bytes(b"voxels")
    for name, expected in (
        ("pair.img", ["pair.hdr", "pair.img"]),
        ("pair.hdr", ["pair.hdr", "pair.img"]),
        ("pair.nii.gz", ["pair.nii.gz"]),
        ("meta.mhd", ["elsewhere.bin", "meta.mhd"]),
        ("nrrd.nhdr", ["nrrd.nhdr", "nrrd.raw.gz"]),
    ):
        assert [file.name for file in files_of(tmp_path / name)] == expected
    source = Source(tmp_path / "pair.hdr")
    before = source.record()["sha256"]
    (tmp_path / "pair.img").write_bytes(b"other voxels")
    assert Source(tmp_path / "pair.hdr").record()["sha256"] != before


@pytest.mark.parametrize(
    ("name", "header", "voxels"),
    [
        ("a.mhd", "ElementDataFile = v%03d.raw 0 4 2\n", ["v000.raw", "v002.raw", "v004.raw"]),
        ("a.mhd", "ElementDataFile = v%03d.raw 3\n", ["v003.raw", "v004.raw", "v005.raw"]),
        ("a.mhd", "ElementDataFile = v%03d.raw\n", [f"v00{n}.raw" for n in range(1, 6)]),
        ("a.mhd", "ElementDataFile = v%03d.raw 4 5 0\n", ["v004.raw", "v005.raw"]),
        ("a.mhd", "ElementDataFile = LIST\r\nv005.raw\r\nin/v.raw\r\n", ["in/v.raw", "v005.raw"]),
        ("a.mhd", "ElementDataFile = v%0999999999d.raw 0 4 1\n", []),
        ("a.mhd", f"ElementDataFile = {'v' * 3000}\n", []),
        ("a.nhdr", "data file: v%03d.raw 5 4 -1 2\n", ["v004.raw", "v005.raw"]),
        ("a.nhdr", "data file: v%03d.raw 1 999999999 1\n", [f"v00{n}.raw" for n in range(1, 6)]),
        ("a.nhdr", "Data File: LIST 2\nv000.raw\ngone.raw\nv001.raw\n", ["v000.raw", "v001.raw"]),
        ("a.nhdr", "datafile: 100% of it.raw\n", ["100% of it.raw"]),
        ("a.nhdr", "DATAFILE: v000.raw\n", ["v000.raw"]),
    ],
)
def test_all_voxel_files_that_a_header_names_are_remembered(tmp_path, name, header, voxels):
    (tmp_path / "in").mkdir()
    for file in (*(f"v00{n}.raw" for n in range(6)), "in/v.raw", "100% of it.raw"):
        (tmp_path / file).write_bytes(b"voxels")
    (tmp_path / name).write_text(header)
    assert [file.relative_to(tmp_path).as_posix() for file in files_of(tmp_path / name)] == sorted([name, *voxels])
