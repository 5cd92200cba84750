"""Which files of folders are scans, and what their results are called."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from made_results import make_scan
from phantoms import make_head

from E3PoseLib.errors import E3PoseError, VolumeError
from E3PoseLib.imaging.formats.labels import is_label_map, named_as_labels
from E3PoseLib.running.results.files import result_file
from E3PoseLib.running.scans.names import LONGEST_NAME_BYTES, alike, names_told_apart
from E3PoseLib.running.scans.stand_ins import refuse_stand_in
from E3PoseLib.running.scans.tasks import find_tasks


def touch(folder: Path, *names: str) -> Path:
    """Files that nobody reads."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0" * 400)
    return folder


def names(folder, **options) -> dict[str, str]:
    """Names of the results by the scans' paths within the folder."""
    return {task.path.relative_to(folder).as_posix(): task.name for task in find_tasks([folder], **options)}


def left_out(folder, **options) -> dict[str, str]:
    reasons = {}
    find_tasks([folder], on_left_out=lambda path, reason: reasons.update({path.name: reason}), **options)
    return reasons


def test_scans_of_subfolders_are_named_by_their_paths(tmp_path):
    scans = touch(
        tmp_path / "scans", "sub-01/anat/T2w.nii.gz", "sub-02/anat/T2w.nii", "top.nii", ".git/annex/x.nii", "a/.b/c.nii"
    )
    assert names(scans, recursive=True) == {
        "sub-01/anat/T2w.nii.gz": "sub-01_anat_T2w",
        "sub-02/anat/T2w.nii": "sub-02_anat_T2w",
        "top.nii": "top",
    }
    assert names(scans) == {"top.nii": "top"}
    touch(scans, "poses/top_mask.nii.gz", "out/b.nii", "c.nii/readme")
    reason = "subfolders with scans, which --recursive takes"
    assert left_out(scans, recursive=False, apart_from=scans / "out") == {}  # what lies deeper nobody looks for
    touch(scans, "a/d.nii")
    assert left_out(scans, recursive=False, apart_from=scans / "out") == {"a": reason}
    assert left_out(scans, recursive=False) == {"a": reason, "out": reason} and left_out(scans) == {}
    (scans / "top.nii").unlink()
    with pytest.raises(E3PoseError, match="some in its subfolders: take those with --recursive"):
        find_tasks([scans], recursive=False)
    with pytest.raises(E3PoseError, match="some in its subfolders: name one of these"):  # by a command without it
        find_tasks([scans])


def test_names_that_paths_make_alike_are_told_apart(tmp_path):
    scans = touch(tmp_path / "scans", "a_b/c.nii", "a/b_c.nii", "a/b/c.nii", "d/e.nii", "d/e.nii.gz")
    found = names(scans, recursive=True)
    assert len({alike(name) for name in found.values()}) == 5
    assert all(re.fullmatch(r"(a_b_c|d_e)_[0-9a-f]{8}", name) for name in found.values())
    assert found == names(scans, recursive=True)  # the same in the next run


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every folder")
def test_a_subfolder_that_cannot_be_read_stops_nothing(tmp_path):
    scans = touch(tmp_path / "scans", "a/x.nii", "closed/y.nii")
    (scans / "closed").chmod(0)
    try:
        assert list(names(scans, recursive=True).values()) == ["a_x"]
        assert left_out(scans, recursive=True) == {"closed": "a folder that cannot be read"}
    finally:
        (scans / "closed").chmod(0o700)


def test_a_folder_of_results_and_a_folder_seen_twice_are_not_looked_into(tmp_path):
    scans = touch(tmp_path / "scans", "a/x.nii", "poses/y_resliced.nii.gz", "poses/deeper/z.nii")
    (scans / "again").symlink_to(scans / "a", target_is_directory=True)
    (scans / "circle").symlink_to(scans, target_is_directory=True)
    assert list(names(scans, recursive=True, apart_from=scans / "poses").values()) == ["a_x"]
    (scans / "poses" / "y.json").write_text('{"format": "e3pose-pose-1"}')
    assert list(names(scans, recursive=True).values()) == ["a_x", "poses_deeper_z"]
    assert left_out(scans, recursive=True) == {"y_resliced.nii.gz": "a result of E3Pose"}


@pytest.mark.parametrize(
    "pair", [("d1/A.nii.gz", "d2/a.nii.gz"), ("d1/é.nii", "d2/e\u0301.nii"), ("d1/ß.nii", "d2/SS.nii")]
)
def test_names_that_some_file_systems_take_for_one_are_told_apart(tmp_path, pair):
    scans = touch(tmp_path, *pair)
    found = [task.name for task in find_tasks([scans / name for name in pair])]
    assert [name.split("_")[0] for name in found] == ["d1", "d2"]


def test_equal_names_of_different_folders_are_told_apart_by_as_many_folders_as_it_takes():
    paths = [Path(f"/data/{path}/T2w.nii") for path in ("one/anat", "two/anat", "three/func")]
    stems = [("T2w",)] * 3
    assert names_told_apart(paths, stems) == ["one_anat_T2w", "two_anat_T2w", "func_T2w"]
    assert names_told_apart(paths[:1], stems[:1]) == ["T2w"]


def test_long_names_leave_room_for_every_ending(tmp_path):
    long = ["v" * 243, "v" * 242 + "w", "ä" * 121]
    for name in long:
        (tmp_path / f"{name}.nii.gz").write_bytes(b"\0")
    tasks = find_tasks([tmp_path])
    assert len({task.name for task in tasks}) == 3
    for task in tasks:
        assert len(os.fsencode(task.name)) <= LONGEST_NAME_BYTES
        for kind in ("resliced", ".failed", ".unfinished"):
            result_file(tmp_path, task, kind).write_text("fits")


def test_label_maps_of_a_folder_are_left_out_and_tried_when_named(tmp_path):
    others = [
        "scan_mask.nii.gz",
        "scan_dseg.nii",
        "scan-label.nii",
        "seg_scan.nii",
        "brainmask.nii",
        "Parcellation.nii",
    ]
    touch(tmp_path, "scan.nii", "scan_brain.nii", "masked_scan.nii", *others)
    assert sorted(names(tmp_path).values()) == ["masked_scan", "scan", "scan_brain"]
    assert set(left_out(tmp_path)) == set(others)
    assert [task.name for task in find_tasks([tmp_path / "scan_mask.nii.gz"])] == ["scan_mask"]
    (tmp_path / "only").mkdir()
    touch(tmp_path / "only", "a_mask.nii")
    with pytest.raises(E3PoseError, match="1 that are no scans"):
        find_tasks([tmp_path / "only"])


def test_labels_are_known_by_their_voxels():
    scan = make_head().array
    assert not is_label_map(scan) and not is_label_map((scan / 4).astype(np.uint8))
    assert not is_label_map(np.full((8, 8, 8), 7)) and not is_label_map(np.zeros((8, 8, 8)))
    brain = scan > 500
    for labels in (brain, brain.astype(np.float64), brain * 255, np.digitize(scan, [100, 400, 700, 900])):
        assert is_label_map(labels)
    assert not named_as_labels("T2_unmasked") and not named_as_labels("segregated")


@pytest.mark.parametrize("background", [-1024, -1, 1, 255])
def test_a_scan_of_few_values_on_any_background_is_no_label_map(background):
    scan = make_head().array
    values = np.clip(scan / 8, 0, 200).astype(np.int16)
    inside = np.zeros(scan.shape, bool)
    inside[12:-12, 12:-12, 12:-12] = True
    assert np.count_nonzero(inside) < inside.size / 2 and len(np.unique(values)) < 256
    for background_too in (0, background):
        assert not is_label_map(np.where(inside, values, background_too))
    brain = scan > 500
    for labels in (~brain, np.where(brain, 3, background), np.where(brain, np.digitize(scan, [600, 900]), background)):
        assert is_label_map(labels)


def test_real_scans_are_no_labels_and_real_labels_are(epi):
    import nibabel as nib

    for path in sorted(epi.glob("*.nii.gz")):
        assert not is_label_map(np.asarray(nib.load(path).dataobj))
    for path in sorted((epi.parent / "brains").glob("*34*_parcellation.nii.gz")):
        assert is_label_map(np.asarray(nib.load(path).dataobj))


STAND_INS = {
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
    "annex": (b"/annex/objects/SHA256E-s123--4d7a.nii.gz\n", "datalad get"),
    "web": (b"<!DOCTYPE html><html><head><title>Sign in</title>", "web page"),
    "empty": (b"", "empty file"),
}


@pytest.mark.parametrize("name", STAND_INS)
def test_what_stands_in_for_a_scan_is_named_as_what_it_is(tmp_path, name):
    content, word = STAND_INS[name]
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(content)
    with pytest.raises(VolumeError, match=rf"scan\.nii\.gz: .*{word}"):
        refuse_stand_in(path)


@pytest.mark.parametrize(
    ("target", "word"),
    [
        ("../.git/annex/objects/Fj/0W/SHA256E-s1--4d.nii.gz/SHA256E-s1--4d.nii.gz", "datalad get"),
        ("nowhere.nii.gz", "a link to nowhere.nii.gz, which is not there"),
        ("scan.nii.gz", "a link to scan.nii.gz"),  # in a circle
    ],
)
def test_links_that_lead_nowhere_say_where(tmp_path, target, word):
    path = tmp_path / "scan.nii.gz"
    path.symlink_to(target)
    with pytest.raises(VolumeError, match=word):
        refuse_stand_in(path)


def test_notes_of_macos_are_no_scan_and_a_scan_is_one(tmp_path):
    touch(tmp_path, "._scan.nii", "scan.nii")
    assert list(names(tmp_path)) == ["scan.nii"]
    with pytest.raises(VolumeError, match="macOS's notes"):
        refuse_stand_in(tmp_path / "._scan.nii")
    refuse_stand_in(make_scan(tmp_path / "real").path)
    refuse_stand_in(tmp_path / "missing.nii")  # reading it says so


BIDS = (
    "sub-01/ses-1/anat/sub-01_ses-1_run-2_T2w.nii.gz",
    "sub-01/ses-1/anat/sub-01_ses-1_run-2_T1w.nii.gz",
    "sub-01/ses-1/anat/sub-01_ses-1_desc-brain_mask.nii.gz",
    "sub-01/ses-1/fmap/sub-01_ses-1_phasediff.nii.gz",
    "sub-02/anat/T2w.nii.gz",
    "sub-02/anat/T2w.nii",
    "derivatives/other/sub-01/anat/sub-01_T2w.nii.gz",
    "sourcedata/sub-01/scan.nii.gz",
)


def test_a_bids_data_set(tmp_path):
    data = touch(tmp_path / "data", *BIDS)
    tasks = {task.name: task for task in find_tasks([data], bids=True)}
    assert list(tasks) == ["sub-01_ses-1_run-2_T1w", "sub-01_ses-1_run-2_T2w", "sub-02_anat_T2w"]
    entities = [[task.bids.entity(key) for key in ("sub", "ses", "run")] for task in tasks.values()]
    assert entities == [["01", "1", "2"], ["01", "1", "2"], ["02", "", ""]]
    kinds = ("json", "mask", "resliced", ".failed")
    results = {name: [result_file(Path(), task, kind).as_posix() for kind in kinds] for name, task in tasks.items()}
    assert results["sub-01_ses-1_run-2_T2w"] == [
        "sub-01/ses-1/anat/sub-01_ses-1_run-2_desc-pose_T2w.json",
        "sub-01/ses-1/anat/sub-01_ses-1_run-2_space-T2w_desc-brain_mask.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_run-2_desc-upright_T2w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_run-2_desc-pose_T2w.failed",
    ]
    assert results["sub-02_anat_T2w"][0] == "sub-02/anat/sub-02_desc-pose_T2w.json"
    assert len({path for paths in results.values() for path in paths}) == len(tasks) * len(kinds)
    assert left_out(data, bids=True) == {
        "sub-01_ses-1_desc-brain_mask.nii.gz": "a label map or mask by its name",
        "sub-01_ses-1_phasediff.nii.gz": "a field map",
        "T2w.nii.gz": "named like T2w.nii, which BIDS allows once",
    }


def test_a_subject_or_a_file_of_a_bids_data_set(tmp_path, monkeypatch):
    data = touch(tmp_path / "data", *BIDS)
    whole = {task.name: task.bids for task in find_tasks([data], bids=True)}
    for given, expected in ((data / "sub-02", ["sub-02_anat_T2w"]), (data / BIDS[0], ["sub-01_ses-1_run-2_T2w"])):
        tasks = find_tasks([given], bids=True)
        assert [(task.name, task.bids) for task in tasks] == [(name, whole[name]) for name in expected]
    monkeypatch.chdir(data / "sub-02")
    assert [task.name for task in find_tasks(["."], bids=True)] == ["sub-02_anat_T2w"]
    with pytest.raises(E3PoseError, match="no BIDS data set"):
        find_tasks([touch(tmp_path / "plain", "scan.nii")], bids=True)
    with pytest.raises(E3PoseError, match="none of its 1 subjects has a scan"):
        find_tasks([touch(tmp_path / "empty", "sub-1/anat/notes.txt")], bids=True)


def test_a_bids_data_set_below_a_folder_that_is_named_like_a_subject(tmp_path):
    data = touch(tmp_path / "sub-projects" / "data", *BIDS)
    whole = {task.name: task.bids for task in find_tasks([data], bids=True)}
    assert list(whole) == ["sub-01_ses-1_run-2_T1w", "sub-01_ses-1_run-2_T2w", "sub-02_anat_T2w"]
    assert [bids.folder for bids in whole.values()] == [("sub-01", "ses-1", "anat")] * 2 + [("sub-02", "anat")]
    for given, name in ((data / "sub-02", "sub-02_anat_T2w"), (data / BIDS[0], "sub-01_ses-1_run-2_T2w")):
        assert [(task.name, task.bids) for task in find_tasks([given], bids=True)] == [(name, whole[name])]
    described = touch(tmp_path / "sub-projects" / "described", "dataset_description.json", "derivatives/x/scan.nii")
    with pytest.raises(E3PoseError, match="no BIDS data set, as it has no folders sub-"):
        find_tasks([described], bids=True)
    series = touch(tmp_path / "data" / "sub-04" / "anat", "sub-04_T2w/scan.nii")
    assert find_tasks([series], bids=True)[0].bids.folder == ("sub-04", "anat", "sub-04_T2w")
    alone = touch(tmp_path / "plain", "sub-03_T2w.nii") / "sub-03_T2w.nii"
    assert [(task.name, task.bids.folder) for task in find_tasks([alone], bids=True)] == [("sub-03_T2w", ())]
