"""The tables of a folder: what they list, and that neither names nor other programs harm them."""

import csv
import json
import os

import pytest
from made_results import WITH_ALL, make_scan, write_made

from E3PoseLib.errors import OutputError
from E3PoseLib.running.results.data_set import describe_data_set
from E3PoseLib.running.results.failures import failure, forget_failure, record_failure
from E3PoseLib.running.results.folder import prepare_folder
from E3PoseLib.running.results.tables import check_tables, write_tables
from E3PoseLib.running.scans.tasks import find_tasks


def rows(table) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def out(tmp_path):
    return prepare_folder(tmp_path / "out")


@pytest.mark.parametrize(
    "name", ["=cmd|'C calc'!A0", "+1", "@SUM(1+1)*cmd", "-2+3", " =1", "\t=1", "＝1", "a=b", "'=1"]
)
def test_no_name_is_a_formula(tmp_path, out, name):
    write_made(out, make_scan(tmp_path / "scans", f"{name}.nii.gz"))
    write_tables(out)
    (row,) = rows(out / "poses.csv")
    shown = row["frame_id"]
    assert shown.removeprefix("'") in (name, name.removeprefix("'"))
    assert not shown.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "＝"))
    assert (float(row["m03"]), float(row["m00"])) == (1.0, 1.0)


def test_negative_numbers_stay_numbers(tmp_path, out):
    write_made(out, make_scan(tmp_path / "scans"), x_mm=-1.5)
    write_tables(out)
    assert rows(out / "poses.csv")[0]["m03"] == "-1.5"


def test_a_failure_that_cannot_be_recorded_is_listed(tmp_path, out):
    task = make_scan(tmp_path / "scans")
    (out / "scan.failed").write_text("my notes")
    document = failure(task, "the reason", outdated=False)
    assert not record_failure(out, task, document)
    write_tables(out, [document])
    assert [(row["frame_id"], row["reason"]) for row in rows(out / "failures.csv")] == [("scan", "the reason")]
    forget_failure(out, task)
    assert (out / "scan.failed").read_text() == "my notes"


def test_the_pose_of_a_scan_that_changed_and_failed_is_not_listed(tmp_path, out):
    task = make_scan(tmp_path / "scans")
    write_made(out, task)
    for outdated, listed in ((False, ["scan"]), (True, [])):
        assert record_failure(out, task, failure(task, "the reason", outdated))
        write_tables(out)
        assert [row["frame_id"] for row in rows(out / "poses.csv")] == listed if listed else True
        assert (out / "poses.csv").exists() == bool(listed)
        assert [row["frame_id"] for row in rows(out / "failures.csv")] == ["scan"]


def test_a_table_open_elsewhere_is_named_and_the_other_one_written(tmp_path, out, monkeypatch):
    task = make_scan(tmp_path / "scans")
    write_made(out, task)
    record_failure(out, task, failure(task, "the reason", outdated=False))
    done = os.replace

    def refused(part, path):
        if str(path).endswith("poses.csv"):
            raise PermissionError(13, "Permission denied", str(path))
        done(part, path)

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(OutputError, match=r"poses\.csv: cannot be replaced .* close it in the program"):
        write_tables(out)
    assert (out / "failures.csv").exists() and not (out / "poses.csv").exists()


def test_a_document_that_was_changed_costs_nobody_the_table(tmp_path, out):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_made(out, make_scan(tmp_path / "scans", name))
    document = json.loads((out / "a.json").read_text())
    del document["matrix"]
    (out / "a.json").write_text(json.dumps(document))
    write_tables(out)
    assert [row["frame_id"] for row in rows(out / "poses.csv")] == ["b"]


def test_an_empty_table_is_nobodys(out):
    for content in (b"", b"\0" * 512):
        (out / "poses.csv").write_bytes(content)
        check_tables(out)


def test_a_data_set_of_derivatives(tmp_path, out):
    data = tmp_path / "data"
    for name in ("sub-01/ses-1/anat/sub-01_ses-1_run-2_T2w.nii.gz", "sub-02/anat/sub-02_T2w.nii.gz"):
        make_scan((data / name).parent, (data / name).name)
    tasks = find_tasks([data], bids=True)
    describe_data_set(out, tasks)
    for task in tasks:
        write_made(out, task)
    write_tables(out)
    listed = [tuple(row[key] for key in ("frame_id", "sub", "ses", "run")) for row in rows(out / "poses.csv")]
    assert listed == [("sub-01_ses-1_run-2_T2w", "01", "1", "2"), ("sub-02_T2w", "02", "", "")]
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative" and description["GeneratedBy"][0]["Name"] == "E3Pose"
    assert description["SourceDatasets"] == [{"URL": data.as_uri()}] and description["BIDSVersion"]
    describe_data_set(out, tasks)
    assert {path.name for path in (out / "sub-02" / "anat").iterdir()} == {
        "sub-02_desc-pose_T2w.json",
        "sub-02_desc-pose_T2w.npy",
        "sub-02_desc-pose_T2w.tfm",
        "sub-02_space-T2w_desc-brain_mask.nii.gz",
        "sub-02_desc-upright_T2w.nii.gz",
    }
    assert WITH_ALL.save_mask


def test_results_are_listed_wherever_in_a_subject_they_lie(tmp_path, out):
    data = tmp_path / "data"
    for name in ("sub-01/sub-01_T2w.nii.gz", "sub-02/ses-1/anat/raw/one/sub-02_T2w.nii.gz", "sub-03/anat/T2w.nii.gz"):
        make_scan((data / name).parent, (data / name).name)
    tasks = find_tasks([data], bids=True)
    describe_data_set(out, tasks)
    for task in tasks:
        write_made(out, task)
        assert record_failure(out, task, failure(task, "the reason", outdated=False))
    hidden = out / "sub-01" / ".part-killed"
    hidden.mkdir()
    (hidden / "half.json").write_bytes((out / "sub-01" / "sub-01_desc-pose_T2w.json").read_bytes())
    write_tables(out)
    for table in ("poses.csv", "failures.csv"):
        assert [row["frame_id"] for row in rows(out / table)] == ["sub-01_T2w", "sub-02_T2w", "sub-03_anat_T2w"]


def test_another_data_set_is_not_made_ours(tmp_path, out):
    make_scan(tmp_path / "data" / "sub-01" / "anat", "sub-01_T2w.nii.gz")
    tasks = find_tasks([tmp_path / "data"], bids=True)
    for content in ('{"Name": "A data set", "BIDSVersion": "1.8.0"}', "no JSON"):
        (out / "dataset_description.json").write_text(content)
        with pytest.raises(OutputError, match="another data set"):
            describe_data_set(out, tasks)
        assert (out / "dataset_description.json").read_text() == content
