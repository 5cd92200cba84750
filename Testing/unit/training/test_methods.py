"""Other methods through the command line: the page of docs/methods.md, and what is said where one cannot be used."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from phantoms import make_head

from E3PoseLib.cli import main
from E3PoseLib.imaging.volume import read_volume, write_volume

PAGE = Path(__file__).parents[3] / "docs" / "methods.md"

OWN = """
import numpy as np
from E3PoseTraining.methods.method import Answer, Need
class Told:
    needs = frozenset({Need.AGE})
    def __init__(self, means): pass
    def __call__(self, volume, age_weeks):
        pose = np.eye(4); pose[0, 3] = age_weeks
        return Answer(pose)
class Sheared(Told):
    needs = frozenset()
    def __call__(self, volume, age_weeks):
        pose = np.eye(4); pose[0, 1] = 0.5
        return Answer(pose)
class OtherShape(Told):
    needs = frozenset()
    def __call__(self, volume, age_weeks):
        return Answer(np.eye(4), mask=np.ones((9, 9, 9)))
class Soft(Told):
    needs = frozenset()
    def __call__(self, volume, age_weeks):
        return Answer(np.eye(4), mask=np.full(volume.shape, 0.3))
class Unsure(Soft):
    def __call__(self, volume, age_weeks):
        return Answer(np.eye(4), figures={"likeness": float("nan")})
class Careless(Soft):
    def __call__(self, volume, age_weeks):
        volume.array[:] = 0
        volume.voxel_to_ras[:3, 3] += 100
        return Answer(np.eye(4), mask=np.ones(volume.shape))
class Learned(Told):
    needs = frozenset({Need.WEIGHTS})
class Registered(Soft):
    needs = frozenset({Need.TEMPLATES})
    def __call__(self, volume, age_weeks):
        return Answer(np.eye(4))
"""


@pytest.fixture
def scans(tmp_path):
    """Two scans of a blob whose middle is known."""
    (tmp_path / "scans").mkdir()
    for number in range(2):
        write_volume(tmp_path / "scans" / f"blob_{number}.nii.gz", make_head(seed=number, centre=(10.0, -20.0, 30.0)))
    return tmp_path / "scans"


@pytest.fixture
def own(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN, encoding="utf-8")
    return file


def estimate(scans, out, *flags):
    return main(["estimate", str(scans), "-o", str(out), *map(str, flags)])


def document(out, name="blob_0"):
    return json.loads((out / f"{name}.json").read_text(encoding="utf-8"))


def test_the_page_of_the_docs_is_a_method(scans, tmp_path):
    _, code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code.splitlines()) < 60
    file = tmp_path / "my_method.py"
    file.write_text(code, encoding="utf-8")
    assert estimate(scans, tmp_path / "out", "--method", f"{file}:Moments", "--save-mask") == 0
    volume = read_volume(scans / "blob_0.nii.gz")
    mask = read_volume(tmp_path / "out" / "blob_0_mask.nii.gz").array > 0
    inside = np.argwhere(mask) @ volume.voxel_to_ras[:3, :3].T + volume.voxel_to_ras[:3, 3]
    result = document(tmp_path / "out")
    pose = np.array(result["canonical_to_ras"])
    np.testing.assert_allclose(pose[:3, 3], inside.mean(axis=0), atol=1e-3)
    # The head's anterior axis is the one along which the mask is longest.
    spread = np.std((inside - inside.mean(axis=0)) @ pose[:3, :3], axis=0)
    assert spread[1] > spread[2] > spread[0]
    assert result["figures"]["elongation"] == pytest.approx(spread[1] / spread[0], rel=1e-3)
    assert result["confidence"]["level"] == "not judged"
    with (tmp_path / "out" / "poses.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["frame_id"] for row in rows] == ["blob_0", "blob_1"]
    assert [row["confidence"] for row in rows] == ["not judged"] * 2


def test_each_scan_is_told_its_age_and_one_without_fails_alone(scans, own, tmp_path, capsys):
    table = tmp_path / "ages.csv"
    table.write_text("frame_id,gestational_age_weeks\nblob_1,31.5\n", encoding="utf-8")
    out = tmp_path / "out"
    assert estimate(scans, out, "--method", f"{own}:Told", "--age", table) == 1
    assert "has no gestational_age_weeks of blob_0" in capsys.readouterr().err
    assert document(out, "blob_1")["canonical_to_ras"][0][3] == 31.5
    assert document(out, "blob_1")["settings"]["known"] == {"age_weeks": 31.5}
    # Another age is another result.
    table.write_text("frame_id,gestational_age_weeks\nblob_0,20\nblob_1,32\n", encoding="utf-8")
    assert estimate(scans, out, "--method", f"{own}:Told", "--age", table) == 1
    assert "made with known" in capsys.readouterr().err
    assert document(out, "blob_0")["canonical_to_ras"][0][3] == 20.0
    assert document(out, "blob_1")["canonical_to_ras"][0][3] == 31.5


def test_what_stands_is_skipped_and_other_methods_are_not_mixed_in(scans, own, tmp_path, capsys):
    out = tmp_path / "out"
    flags = ("--method", f"{own}:Told", "--age", "30")
    assert estimate(scans, out, *flags) == 0
    assert estimate(scans, out, *flags) == 0
    assert "0 estimated, 2 already there" in capsys.readouterr().out
    own.write_text(OWN + "\n# changed\n", encoding="utf-8")
    assert estimate(scans, out, *flags) == 1
    assert "was made with method 'Told " in capsys.readouterr().err
    assert estimate(scans, out, "--method", f"{own}:Told", "--age", "30", "--overwrite") == 0


def test_results_by_other_templates_are_other_results(scans, own, tmp_path, capsys):
    """The index of both sets is the same: as many scans, of one age and kind."""
    sets, out = [tmp_path / name for name in ("first", "second")], tmp_path / "out"
    for seed, folder in enumerate(sets):
        folder.mkdir()
        (folder / "templates.json").write_text('{"templates": [{"contrast": "epi", "file": "epi_30"}]}', "utf-8")
        write_volume(folder / "epi_30.nii.gz", make_head(seed=seed))
    first, second = (("--method", f"{own}:Registered", "--templates", folder) for folder in sets)
    assert estimate(scans, out, *first) == 0
    assert estimate(scans, out, *second) == 1
    assert "was made with model" in capsys.readouterr().err
    # They are known by what they hold, not by where they lie; what is no template has no part in it.
    (sets[0] / "epi_30.nii.gz").replace(sets[1] / "epi_30.nii.gz")
    (sets[1] / "epi_30.png").write_bytes(b"a picture")
    assert estimate(scans, out, *second) == 0
    assert "0 estimated, 2 already there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "flags", "status", "word"),
    [
        ("nowhere", (), 2, "there is no method 'nowhere'; choose one of e3-pose"),
        ("OWN:Missing", (), 2, "has no class 'Missing'"),
        ("OWN:np", (), 2, "has no class 'np'"),
        ("OWN:Answer", (), 2, "Answer is no method"),
        ("OWN:Told", (), 2, "needs the gestational age: give --age WEEKS"),
        ("OWN:Told", ("--age", "300"), 2, "300 is no gestational age"),
        ("OWN:Told", ("--age", "none.csv"), 2, "neither a number of weeks nor a CSV"),
        ("OWN:Told", ("--age", "30", "--save-mask"), 1, "gives no mask; do without --save-mask"),
        ("OWN:Told", ("--age", "30", "--localiser", "one.safetensors"), 2, "takes no mask of another localiser"),
        ("OWN:Told", ("--age", "30", "--weights", "one.safetensors"), 2, "has no use for --weights: leave it out"),
        ("OWN:Told", ("--age", "30", "--templates", "."), 2, "has no use for --templates: leave it out"),
        ("OWN:Learned", (), 2, "needs its weights"),
        ("OWN:Learned", ("--weights", "none.safetensors"), 2, "none.safetensors: does not exist"),
        ("OWN:Sheared", (), 1, "is no pose"),
        ("OWN:OtherShape", (), 1, "has shape (9, 9, 9), the scan (40, 44, 36)"),
        ("OWN:Soft", (), 1, "must be 1 in the brain and 0 elsewhere"),
        ("OWN:Unsure", (), 1, "the figure 'likeness' of"),
        ("OWN:Told", ("--age", "30", "--devices", "2"), 2, "--devices is of E(3)-Pose alone"),
    ],
)
def test_what_cannot_be_done_is_said(scans, own, tmp_path, capsys, name, flags, status, word):
    assert estimate(scans, tmp_path / "out", "--method", name.replace("OWN", str(own)), *flags) == status
    assert word in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*.json"))


def test_what_a_method_does_to_its_scan_stays_with_it(scans, own, tmp_path):
    flags = ("--method", f"{own}:Careless", "--save-mask", "--save-resliced", "4")
    assert estimate(scans, tmp_path / "out", *flags) == 0
    scan = read_volume(scans / "blob_0.nii.gz")
    np.testing.assert_allclose(read_volume(tmp_path / "out" / "blob_0_mask.nii.gz").voxel_to_ras, scan.voxel_to_ras)
    assert read_volume(tmp_path / "out" / "blob_0_resliced.nii.gz").array.max() > 0.5 * scan.array.max()


def test_e3_pose_itself_takes_nothing_of_the_others(scans, tmp_path, capsys):
    assert estimate(scans, tmp_path / "out", "--age", "30") == 2
    assert "--age is of other methods" in capsys.readouterr().err
