"""Results in their folder: never half, never mixed, never in another's place."""

import json
import os
import shutil
import signal
import time

import numpy as np
import pytest
from damaged import arrays
from made_results import WITH_ALL, contents, kill_at_event, made_estimate, make_scan, write_made
from phantoms import make_head

from E3PoseLib.errors import OutputError
from E3PoseLib.imaging import files
from E3PoseLib.imaging.files import whole_file
from E3PoseLib.running.results.folder import check_folder, prepare_folder
from E3PoseLib.running.results.settings import Settings
from E3PoseLib.running.results.standing import State, state_of_results
from E3PoseLib.running.results.tables import write_tables
from E3PoseLib.running.results.writing import write_results
from E3PoseLib.running.scans.source import Source

FILES = ("scan.npy", "scan.tfm", "scan_mask.nii.gz", "scan_resliced.nii.gz", "scan.json")


@pytest.fixture
def task(tmp_path):
    return make_scan(tmp_path / "scans")


@pytest.fixture
def out(tmp_path):
    return prepare_folder(tmp_path / "out")


def refuse(monkeypatch, locked):
    """Have the system refuse to replace or remove a file, as Windows does while a program has it open."""
    for name in ("replace", "rename", "unlink", "remove"):
        done = getattr(os, name)

        def refused(*paths, done=done, **options):
            if str(locked) in map(str, paths):
                raise PermissionError(13, "The process cannot access the file because it is being used", str(locked))
            return done(*paths, **options)

        monkeypatch.setattr(os, name, refused)


@pytest.mark.parametrize("locked", FILES)
def test_where_one_file_is_open_elsewhere_all_results_stay_as_they_were(task, out, monkeypatch, locked):
    write_made(out, task, WITH_ALL, x_mm=1.0)
    before = contents(out)
    with monkeypatch.context() as system:
        refuse(system, out / locked)
        for settings in (WITH_ALL, Settings("model-1")):
            if settings is not WITH_ALL and locked == "scan_resliced.nii.gz":
                match = rf"out/{locked}: cannot be removed .* close it in the program that has it open"
            elif settings is not WITH_ALL and locked == "scan_mask.nii.gz":
                match = rf"out/{locked}: cannot be removed"
            else:
                match = rf"out/{locked}: cannot be replaced .* close it in the program that has it open"
            with pytest.raises(OutputError, match=match):
                write_made(out, task, settings, x_mm=2.0)
            assert contents(out) == before
            assert state_of_results(task, out, WITH_ALL) is State.WHOLE
    write_made(out, task, Settings("model-1"), x_mm=2.0)
    assert set(contents(out)) == {"scan.npy", "scan.tfm", "scan.json"}


def test_what_a_killed_run_left_stays_marked_where_the_next_one_fails(task, out, monkeypatch):
    write_made(out, task, WITH_ALL, x_mm=1.0)
    (out / "scan.unfinished").write_text('{"format": "e3pose-unfinished-1", "name": "scan", "kinds": ["npy", "json"]}')
    np.save(out / "scan.npy", np.eye(4))  # so far a run had come
    assert state_of_results(task, out, WITH_ALL) is State.MISSING
    with monkeypatch.context() as system:
        refuse(system, out / "scan.tfm")
        with pytest.raises(OutputError, match="cannot be replaced"):
            write_made(out, task, WITH_ALL, x_mm=2.0)
    assert state_of_results(task, out, WITH_ALL) is State.MISSING
    write_made(out, task, WITH_ALL, x_mm=2.0)
    assert state_of_results(task, out, WITH_ALL) is State.WHOLE


def test_an_interrupt_while_results_take_their_places_waits_until_they_stand(task, out, monkeypatch):
    done = os.replace

    def interrupted(source, place, **options):
        done(source, place, **options)
        if str(place).endswith("scan.json"):
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as system:
        system.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_made(out, task, WITH_ALL, x_mm=1.0)
    assert not list(out.glob("*.unfinished")) and not list(out.glob(".part-*"))
    write_tables(out)
    assert "scan" in (out / "poses.csv").read_text(encoding="utf-8")
    assert state_of_results(task, out, WITH_ALL) is State.WHOLE


def test_a_virus_scanner_that_lets_go_costs_nothing(task, out, monkeypatch):
    monkeypatch.setattr(files, "_WAITS_SECONDS", (0.01, 0.01))
    done, refusals = os.replace, []

    def refused_twice(part, path):
        refusals.append(path)
        if refusals.count(path) <= 2:
            raise PermissionError(13, "Access is denied", str(path))
        return done(part, path)

    monkeypatch.setattr(os, "replace", refused_twice)
    write_made(out, task)
    assert set(contents(out)) == set(FILES)


def test_a_part_that_cannot_be_removed_is_no_failure(task, out, monkeypatch):
    """A virus scanner has a finished part open when its folder is to go."""
    removed = os.rmdir

    def held(path, *arguments, **options):
        if ".part-" in str(path):
            raise PermissionError(13, "Access is denied", str(path))
        return removed(path, *arguments, **options)

    monkeypatch.setattr(os, "rmdir", held)
    write_made(out, task)
    assert state_of_results(task, out, WITH_ALL) is State.WHOLE


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked to be interrupted")
def test_an_interrupt_while_files_take_their_places_leaves_all_or_none(task, tmp_path):
    was, now, out = tmp_path / "was", tmp_path / "now", tmp_path / "out"
    for folder, x_mm in ((was, 1.0), (now, 2.0)):
        folder.mkdir()
        write_made(folder, task, x_mm=x_mm)
    number, ended, seen = 0, False, set()
    while not ended:
        shutil.copytree(was, out)
        child = os.fork()
        if child == 0:
            try:
                kill_at_event(number, kill=lambda: signal.raise_signal(signal.SIGINT))
                write_made(out, task, x_mm=2.0)
            except KeyboardInterrupt:
                os._exit(3)
            os._exit(0)
        ended = os.waitpid(child, 0)[1] == 0
        if not list(out.glob("*.unfinished")):  # else the next run does it anew
            assert contents(out) in (contents(was), contents(now))
            assert state_of_results(task, out, WITH_ALL) is State.WHOLE
            seen.add(contents(out) == contents(now))
        shutil.rmtree(out)
        number += 1
    assert seen == {True, False} and number > 20


def test_what_a_power_cut_empties_is_written_anew(task, out):
    for name in FILES:
        write_made(out, task, x_mm=1.0)
        assert state_of_results(task, out, WITH_ALL) is State.WHOLE
        for damage in (b"", (out / name).read_bytes()[:100] if name != "scan.json" else b"\0" * 4096):
            (out / name).write_bytes(damage)
            if name != "scan.json":
                assert state_of_results(task, out, WITH_ALL) is State.MISSING
            else:
                with pytest.raises(OutputError, match=r"scan_mask\.nii\.gz: is no result"):
                    state_of_results(task, out, WITH_ALL)
            write_made(out, task, x_mm=1.0)
            assert state_of_results(task, out, WITH_ALL) is State.WHOLE


@pytest.mark.parametrize("kind", sorted(arrays()))
def test_a_pose_that_cannot_be_read_is_written_anew(task, out, kind):
    write_made(out, task, x_mm=1.0)
    (out / "scan.npy").write_bytes(arrays()[kind])
    assert state_of_results(task, out, Settings("model-1")) is State.MISSING


def test_a_mask_corrected_by_hand_is_replaced_only_when_told(task, out, tmp_path):
    write_made(out, task)
    edited = (out / "scan_resliced.nii.gz").read_bytes()
    (out / "scan_mask.nii.gz").write_bytes(edited)
    assert state_of_results(task, out, WITH_ALL) is State.WHOLE
    (out / "scan.npy").rename(tmp_path / "pose.npy")
    with pytest.raises(OutputError, match=r"scan_mask\.nii\.gz: was edited"):
        state_of_results(task, out, WITH_ALL)
    (tmp_path / "pose.npy").rename(out / "scan.npy")
    make_scan(task.path.parent, seed=5)
    with pytest.raises(OutputError, match=r"scan_mask\.nii\.gz: was edited"):
        state_of_results(task, out, WITH_ALL)
    assert (out / "scan_mask.nii.gz").read_bytes() == edited


@pytest.mark.parametrize(
    "content", ["made by the scanner's converter", '{"EchoTime": 0.09}', "[1, 2]", '{"format": "another-1"}', "{"]
)
def test_a_document_of_another_origin_is_never_replaced(task, out, content):
    (out / "scan.json").write_text(content)
    with pytest.raises(OutputError, match=r"scan\.json: is no result of this program, and is never replaced"):
        state_of_results(task, out, WITH_ALL)
    with pytest.raises(OutputError, match="never replaced"):
        write_made(out, task)
    assert contents(out) == {"scan.json": content.encode()}


def test_results_never_go_into_the_scans_folder_whatever_it_is_called(task, out, tmp_path):
    link = tmp_path / "another name"
    link.symlink_to(tmp_path / "scans", target_is_directory=True)
    for folder in (tmp_path / "scans", link, tmp_path / "out" / ".." / "scans"):
        with pytest.raises(OutputError, match=r"holds scans \(scan\.nii\.gz\)"):
            check_folder(folder, [task])
    check_folder(tmp_path / "out", [task])


def test_folders_are_compared_by_what_they_are(task, tmp_path, monkeypatch):
    """A bind mount, or another case where that makes no difference: two names, none a link, of one folder."""
    mount = tmp_path / "MOUNT"
    mount.mkdir()
    seen = os.stat

    def mounted(path, *arguments, **options):
        return seen(str(path).replace(str(mount), str(tmp_path / "scans")), *arguments, **options)

    monkeypatch.setattr(os, "stat", mounted)
    with pytest.raises(OutputError, match="holds scans"):
        check_folder(mount, [task])


def test_parts_are_old_by_the_clock_of_the_disk(tmp_path, monkeypatch):
    out = tmp_path / "out"
    for name, age_hours in ((".part-running", 0), (".part-killed", 25)):
        (out / name).mkdir(parents=True)
        then = time.time() - 3600 * age_hours
        os.utime(out / name, (then, then))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 2 * 24 * 3600)  # this computer's clock is two days ahead
    prepare_folder(out)
    assert [path.name for path in out.iterdir()] == [".part-running"]


def test_a_path_that_windows_does_not_allow_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LONGEST_PATH", 40)
    explained = pytest.raises(OutputError, match=r"a path of \d+ characters, and Windows allows 40: choose a folder")
    with explained, whole_file(tmp_path / "missing" / "poses.csv"):
        pass


def test_content_is_on_the_disk_before_a_name_leads_to_it(task, out, monkeypatch):
    done = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor):
        done.append(os.fstat(descriptor).st_ino)
        sync(descriptor)

    def replaced(part, path):
        assert part.stat().st_ino in done, f"{path} was not synced"
        replace(part, path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_made(out, task)
    with whole_file(out / "poses.csv") as temporary:
        temporary.write_text("a")
    assert out.stat().st_ino in done


def test_a_further_file_has_its_own_name_while_it_is_written(task, out):
    names = []

    def draw(path, volume, estimate):
        names.append(path.name)
        path.write_bytes(b"a picture")

    volume = make_head((16, 18, 14), (8.0, 8.0, 8.0))
    source = Source(task.path)
    write_results(out, task, volume, made_estimate(volume), WITH_ALL, source.record(), {".png": draw})
    assert names == ["scan.png"] and (out / "scan.png").read_bytes() == b"a picture"
    assert state_of_results(task, out, WITH_ALL, [".png"]) is State.WHOLE
    assert set(json.loads((out / "scan.json").read_text())["files"]) == {".png", "npy", "tfm", "mask", "resliced"}
    with pytest.raises(OutputError, match=r"scan\.mrb: is no result"):
        (out / "scan.mrb").write_text("a person's own")
        state_of_results(task, out, WITH_ALL, [".mrb"])
