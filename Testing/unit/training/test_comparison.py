"""Several methods on the same scans: the table's numbers, and what becomes of it where one method fails."""

import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from phantoms import make_head

from E3PoseLib.cli import main
from E3PoseLib.errors import DatasetError
from E3PoseLib.imaging.rotations import random_rotations
from E3PoseLib.imaging.volume import write_volume
from E3PoseTraining.comparison.command import fetuses_of
from E3PoseTraining.comparison.measures import SUCCESSES, mean_euler_difference, outcome, paired, row
from E3PoseTraining.comparison.process import _Labelled
from E3PoseTraining.data.tables import write_table
from E3PoseTraining.evaluation.poses import MATRIX_COLUMNS, Truth
from E3PoseTraining.training.options import usable_cores

OWN = """
import numpy as np
from E3PoseLib.errors import NoHeadFoundError
from E3PoseTraining.methods.method import Answer, Need
print('a word of its own')
class Right:
    needs = frozenset()
    def __init__(self, means): pass
    def __call__(self, volume, age_weeks):
        return Answer(np.eye(4))
class Flipped(Right):
    def __call__(self, volume, age_weeks):
        if "blob_2" in volume.name:
            raise NoHeadFoundError("nothing is there")
        return Answer(np.diag([-1.0, -1.0, 1.0, 1.0]))
class Aged(Right):
    needs = frozenset({Need.AGE})
class Meeting(Right):
    other = "Other"
    def __call__(self, volume, age_weeks):
        # Each waits until the other one has begun.
        import os, pathlib, time
        (pathlib.Path(__file__).parent / type(self).__name__).touch()
        until = time.monotonic() + 60
        while not (pathlib.Path(__file__).parent / self.other).exists():
            if time.monotonic() > until:
                raise NoHeadFoundError("nobody came")
            time.sleep(0.01)
        return Answer(np.eye(4), figures={"threads": int(os.environ["OMP_NUM_THREADS"])})
class Other(Meeting):
    other = "Meeting"
class Ending(Right):
    def __call__(self, volume, age_weeks):
        import os
        os._exit(3)
"""


@pytest.fixture
def scans(tmp_path):
    (tmp_path / "scans").mkdir()
    names = [f"blob_{number}" for number in range(3)]
    for number, name in enumerate(names):
        write_volume(
            tmp_path / "scans" / f"{name}.nii.gz", make_head(shape=(20, 22, 18), spacing=(8.0,) * 3, seed=number)
        )
    lines = [[name, *np.eye(4).ravel()] for name in [*names, "elsewhere"]]
    write_table(tmp_path / "truth.csv", ("frame_id", *MATRIX_COLUMNS), lines)
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    return tmp_path


def test_one_command_runs_all_and_a_method_that_fails_stops_no_other(scans, capfd):
    own = scans / "own.py"
    methods = [f"{own}:Ending", "nowhere", f"{own}:Flipped", f"{own}:Right"]
    arguments = ["compare", "--images", str(scans / "scans"), "--truth", str(scans / "truth.csv")]
    arguments += ["-o", str(scans / "out"), "--methods", *methods]
    assert main(arguments) == 1
    said = capfd.readouterr()
    assert "without a scan in" in said.err
    assert "elsewhere" in said.err
    rows = {one["method"]: one for one in json.loads((scans / "out" / "comparison.json").read_text(encoding="utf-8"))}
    assert "there is no method 'nowhere'" in rows["nowhere"]["not run"]
    assert "(status 3)" in rows["Ending"]["not run"]
    right, flipped = rows["Right"]["figures"], rows["Flipped"]["figures"]
    assert right["within 15° and 10 mm (%)"]["value"] == 100
    assert right["rotation median (°)"]["value"] == pytest.approx(0)
    assert (flipped["failures"], flipped["flips"]) == (1, 2)
    assert flipped["rotation median (°)"]["value"] == pytest.approx(180)
    # The three measures differ: half a turn about one axis is 60 in the mean of its three Euler angles.
    assert flipped["mean of absolute Euler angles of the rest (°)"]["value"] == pytest.approx(60)
    for name in ("comparison.md", "comparison.csv", "cases.csv", "cumulative_error.png", "worst_Right.png"):
        assert (scans / "out" / name).stat().st_size > 0
    # Again: nothing that is done is done again.
    assert main([*arguments[:-4], methods[-1]]) == 0
    said = capfd.readouterr()
    assert "0 estimated, 3 already there" in said.err and "a word of its own" in said.err
    # The table is of those that were named; whose results stand beside it is said. Ending has none.
    assert f"not in the table, though their results stand in {scans / 'out'}: Flipped; give them" in said.err
    assert said.out.startswith("| | Right |")  # nothing but the table
    assert {path.name for path in (scans / "out").glob("worst_*")} == {"worst_Right.png"}
    # Results of another version of the method stay, and are not told as this one's.
    own.write_text(OWN + "\n# another version\n", encoding="utf-8")
    assert main([*arguments[:-4], methods[-1]]) == 1
    (right,) = json.loads((scans / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert not right["figures"] and "was made with method" in right["not run"] and "--overwrite" in right["not run"]
    assert main([*arguments[:-4], methods[-1], "--overwrite"]) == 0


def compare(scans, *arguments):
    given = ["compare", "--images", str(scans / "scans"), "--truth", str(scans / "truth.csv"), "-o", str(scans / "out")]
    return main([*given, *map(str, arguments)])


def table(scans):
    rows = json.loads((scans / "out" / "comparison.json").read_text(encoding="utf-8"))
    return {one["method"]: one for one in rows}


def test_methods_run_at_once_where_so_many_workers_are_allowed(scans, capfd, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    own = scans / "own.py"
    methods = [f"{own}:{name}" for name in ("Meeting", "Ending", "Other")]
    assert compare(scans, "--methods", *methods, "--workers", 2) == 1
    table_alone, said = capfd.readouterr()
    assert "a word of its own" not in table_alone and table_alone.count("Meeting") == 1
    # In the order in which they were named, though the one that ends at once is done first.
    assert said.index("Ending was not run to its end") < said.index("Meeting: 3 estimated")
    assert list(table(scans)) == ["Meeting", "Ending", "Other"]
    assert [table(scans)[name]["figures"]["failures"] for name in ("Meeting", "Other")] == [0, 0]
    assert "(status 3)" in table(scans)["Ending"]["not run"]
    share = max(1, usable_cores() // 2)
    for name in ("Meeting", "Other"):
        assert f"{name}: a word of its own" in said and f"{name}: 3 estimated" in said
        document = json.loads((scans / "out" / name / "blob_0.json").read_text(encoding="utf-8"))
        assert document["figures"]["threads"] == share
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.skipif(sys.platform == "win32", reason="nobody sends SIGTERM on Windows")
def test_an_interrupt_ends_all_methods_and_what_is_done_stands(scans):
    # The first is done with one scan when it waits for good, the other one with none.
    (scans / "own.py").write_text(
        OWN
        + """
class Lasting(Right):
    def __call__(self, volume, age_weeks):
        import os, pathlib, time
        if "blob_0" in volume.name and type(self).__name__ == "Lasting":
            return Answer(np.eye(4))
        (pathlib.Path(__file__).parent / f"{type(self).__name__}.pid").write_text(str(os.getpid()))
        time.sleep(600)
class Longer(Lasting):
    pass
""",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "E3PoseLib", "compare", "--images", str(scans / "scans"), "--workers", "2"]
    command += ["--truth", str(scans / "truth.csv"), "-o", str(scans / "out"), "--methods"]
    command += [f"{scans / 'own.py'}:{name}" for name in ("Lasting", "Longer")]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        files = [scans / f"{name}.pid" for name in ("Lasting", "Longer")]
        until = time.monotonic() + 120
        while not all(file.exists() and file.read_text(encoding="utf-8") for file in files):
            assert time.monotonic() < until and first.poll() is None
            time.sleep(0.05)
        first.terminate()
        _, said = first.communicate(timeout=60)
    finally:
        first.kill()
    assert first.returncode == 130 and "interrupted" in said and "Traceback" not in said
    for file in files:
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text(encoding="utf-8")), 0)
    assert (scans / "out" / "Lasting" / "blob_0.json").is_file()


def test_lines_of_methods_that_share_a_screen_are_whole_and_told_apart():
    screen = io.StringIO()
    one, other = _Labelled(screen, "one"), _Labelled(screen, "other")
    print("half a", end="", file=one)
    print("a line", file=other)
    print(" line", file=one)
    for share in range(100):
        other.write(f"\r{share} %")
        one.write(f"{share} %\r")
    one.write("from Windows\r\nwithout an end")
    for each in (one, other):
        each.end_line()
    told = ["other: a line", "one: half a line", "one: from Windows", "one: without an end", "other: 99 %"]
    assert screen.getvalue().splitlines() == told
    assert not one.isatty() and one.writable()


def test_weights_of_a_method_that_cannot_be_loaded_end_nothing(scans, capfd):
    (scans / "broken.py").write_text("import no_such_package", encoding="utf-8")
    weights = scans / "broken.safetensors"
    weights.touch()
    methods = [f"{scans / 'broken.py'}:Broken", f"{scans / 'own.py'}:Right"]
    assert compare(scans, "--methods", *methods, "--weights", f"Broken={weights}") == 1
    assert "ModuleNotFoundError" in table(scans)["Broken"]["not run"]
    assert table(scans)["Right"]["figures"]["failures"] == 0


def test_an_age_told_later_or_of_some_scans_concerns_those_that_need_it(scans, capfd):
    own = scans / "own.py"
    assert compare(scans, "--methods", f"{own}:Right", f"{own}:Aged") == 1
    assert "needs the gestational age" in table(scans)["Aged"]["not run"]
    write_table(scans / "ages.csv", ("frame_id", "gestational_age_weeks"), [["blob_0", 30], ["blob_2", 31]])
    # Neither are results of before in the way, nor does the scan whose age is missing end anything.
    assert compare(scans, "--methods", f"{own}:Aged", f"{own}:Right", "--age", scans / "ages.csv") == 0
    aged, right = (table(scans)[name]["figures"] for name in ("Aged", "Right"))
    assert (aged["failures"], right["failures"]) == (1, 0)
    assert "0 estimated, 3 already there" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--methods", "OWN:Right", "OTHER:Right"), "there is another method Right"),
        (("--methods", "OWN:Right", "--weights", "6drep=six.safetensors"), "no method 6drep is compared"),
        (("--methods", "e3-pose", "--weights", "e3-pose=OWN"), "e3-pose has no use for weights, leave them out; its"),
        (("--methods", "official", "--weights", "official=OWN"), "official has no use for weights, leave them out"),
        (("--methods", "OWN:Right", "--weights", "Right=none.safetensors"), "Right has no use for weights"),
        (("--methods", "OWN:Right", "6drep", "--weights", "6drep=none.safetensors"), "no file none.safetensors"),
        (("--methods", "OWN:Right", "--truth", "SEMICOLONS"), "with commas between them"),
        (("--methods", "OWN:Right", "--truth", "ENDINGS"), "it names blob_0.nii.gz, not blob_0"),
    ],
)
def test_what_would_be_misunderstood_is_said_before_anything_is_run(scans, capfd, arguments, message):
    (scans / "other.py").write_text(OWN, encoding="utf-8")
    text = (scans / "truth.csv").read_text(encoding="utf-8")
    (scans / "semicolons.csv").write_text(text.replace(",", ";"), encoding="utf-8")
    lines = [line.replace(",", ".nii.gz,", 1) if line.startswith("blob") else line for line in text.splitlines()]
    (scans / "endings.csv").write_text("\n".join(lines), encoding="utf-8")
    names = {"OWN": scans / "own.py", "OTHER": scans / "other.py"}
    names |= {"SEMICOLONS": scans / "semicolons.csv", "ENDINGS": scans / "endings.csv"}
    told = []
    for argument in arguments:
        for name, path in names.items():
            argument = argument.replace(name, str(path))
        told.append(argument)
    assert compare(scans, *told) == 2
    assert message in capfd.readouterr().err and not (scans / "out").exists()


def test_a_method_that_answers_nothing_is_in_the_table_and_no_success(scans, capfd):
    (scans / "own.py").write_text(OWN.replace("Answer(np.eye(4))", "None"), encoding="utf-8")
    assert compare(scans, "--methods", f"{scans / 'own.py'}:Right") == 1
    assert "gave no Answer, but NoneType" in capfd.readouterr().err
    assert table(scans)["Right"]["figures"]["rotation median (°)"]["value"] == 180
    assert "nan" not in (scans / "out" / "comparison.md").read_text(encoding="utf-8")


def test_a_method_that_nobody_named_may_lack_what_it_needs(scans, monkeypatch, capfd):
    from E3PoseTraining.comparison import command
    from E3PoseTraining.methods.registry import METHODS

    own = f"{scans / 'own.py'}:Right"
    monkeypatch.setattr(command, "METHODS", {"6drep": METHODS["6drep"], own: ""})
    arguments = ["compare", "--images", str(scans / "scans"), "--truth", str(scans / "truth.csv")]
    assert main([*arguments, "-o", str(scans / "out")]) == 0
    said = capfd.readouterr()
    assert "6drep was not run: 6drep needs its weights" in said.err and "6drep" in said.out
    assert main([*arguments, "-o", str(scans / "out"), "--methods", "6drep"]) == 1


def test_a_fetus_is_told_of_every_scan_or_of_none(tmp_path):
    def told_by_truth(*fetuses):
        return fetuses_of([Truth(f"s{n}", np.eye(4), {"fetus": one}) for n, one in enumerate(fetuses)], None)

    assert told_by_truth("F1", "F1 ", " F2") == ["F1", "F1", "F2"]
    assert told_by_truth("", None, " ") == ["s0", "s1", "s2"]
    with pytest.raises(DatasetError, match="--truth: s1 has no fetus; give it for every scan"):
        told_by_truth("F1", " ", "F2")
    truths = [Truth(f"s{n}", np.eye(4), {"fetus": ""}) for n in range(2)]
    write_table(tmp_path / "fetuses.csv", ("frame_id", "fetus"), [["s0", "F1 "], ["s1", "F1"], ["elsewhere", ""]])
    assert fetuses_of(truths, tmp_path / "fetuses.csv") == ["F1", "F1"]
    write_table(tmp_path / "fetuses.csv", ("frame_id", "fetus"), [["s0", ""], ["elsewhere", "F1"]])
    with pytest.raises(DatasetError, match="s0 and 1 more have no fetus"):
        fetuses_of(truths, tmp_path / "fetuses.csv")


def outcome_of(method, poses):
    unknown = np.full(len(poses), np.nan)
    return outcome(method, poses, [np.eye(4)] * len(poses), unknown, unknown)


def turned(degrees):
    pose = np.eye(4)
    pose[:2, :2] = [
        [np.cos(np.deg2rad(degrees)), -np.sin(np.deg2rad(degrees))],
        [np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))],
    ]
    return pose


def test_methods_are_paired_over_fetuses():
    reference = outcome_of("e3-pose", [turned(4)] * 12)
    worse = outcome_of("worse", [turned(14)] * 11 + [None])
    fetuses = np.repeat(list("ABCDEF"), 2)
    figures = paired(worse, reference, fetuses)
    # Eleven scans are 10 degrees worse; the one without an answer counts as 180.
    assert figures["rotation against e3-pose (°)"].value == pytest.approx((11 * 10 + 176) / 12)
    # Six fetuses that all go one way: p = 2 / 2**6, whatever the number of scans.
    assert figures["p, rotation"] == pytest.approx(2 / 64)
    assert figures["p, success"] == 1.0
    # Scans of one fetus are one piece of evidence, and differences of rounding are none.
    failed = outcome_of("failed", [turned(90)] * 12)
    assert paired(failed, reference, np.repeat(["A"], 12))["p, success"] == 1.0
    assert paired(failed, reference, fetuses)["p, success"] == pytest.approx(2 / 64)
    assert paired(failed, reference, np.arange(12))["p, success"] == pytest.approx(2 / 2**12)
    assert paired(outcome_of("same", [turned(4 + 1e-7)] * 12), reference, fetuses)["p, rotation"] == 1.0
    table = row(worse, reference, list(fetuses)).figures
    assert table["failures"] == 1
    assert table[f"within {SUCCESSES[0][0]:g}° and {SUCCESSES[0][1]:g} mm (%)"].value == pytest.approx(100 * 11 / 12)


def test_euler_differences_go_the_short_way_round():
    for rotation in random_rotations(5).double().numpy():
        assert mean_euler_difference(rotation, rotation) == pytest.approx(0, abs=1e-4)
    assert mean_euler_difference(turned(179)[:3, :3], turned(-179)[:3, :3]) == pytest.approx(2 / 3)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_networks_that_are_trained_are_compared_and_the_next_set_follows(tmp_path):
    recipe = Path(__file__).parents[3] / "E3PoseTraining" / "comparison" / "compare.mk"
    command = ["make", "--dry-run", "--file", str(recipe), f"WORK={tmp_path}", "EPI=scouts", "BRAINS=maps", "compare"]

    def comparisons():
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        lines = done.stdout.replace("\\\n", " ").splitlines()
        return [" ".join(line.split()) for line in lines if "E3PoseLib compare" in line]

    synthetic, scouts = comparisons()
    assert f"--templates {tmp_path}/templates" in synthetic and "--weights" not in synthetic
    assert "--fetuses scouts/landmarks.csv" in scouts.replace('"', "")
    assert synthetic.endswith("|| [ $? -eq 1 ]") and scouts.endswith("|| [ $? -eq 1 ]")
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "6drep.safetensors").touch()
    (synthetic, _) = comparisons()
    assert f"--templates {tmp_path}/templates --workers 2 --weights 6drep={tmp_path}/networks/6drep" in synthetic
