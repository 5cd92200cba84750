"""What a calibration learns from poses whose errors are known, and what it refuses."""

import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import BY_AXES, make_head, make_small_model

from E3PoseLib.errors import DatasetError, ModelError, TrainingError
from E3PoseLib.imaging.brain_only import is_brain_only
from E3PoseLib.imaging.volume import Volume, read_volume, write_volume
from E3PoseLib.models.calibration import Calibration, Sum, problem_of_calibration, read_calibration
from E3PoseLib.models.loading import load_model
from E3PoseTraining.calibrate import main
from E3PoseTraining.calibration import collecting
from E3PoseTraining.calibration.collecting import Scans, collect
from E3PoseTraining.calibration.copies import body_without_head, harder, strange_volumes, thicker
from E3PoseTraining.calibration.evidence import Evidence, read_evidence
from E3PoseTraining.calibration.fitting import (
    fit_calibration,
    fit_landmarks,
    fit_only,
    judge,
    landmarks_out_of_fold,
    out_of_fold,
)
from E3PoseTraining.calibration.report import table
from E3PoseTraining.data.tables import read_table, write_table
from E3PoseTraining.evaluation.poses import MATRIX_COLUMNS


def made_evidence(n: int, seed: int) -> Evidence:
    """Poses whose log-odds are 5 − 4 · views − 2 · eyes; the third doubt means nothing, the fourth the contrary."""
    generator = np.random.default_rng(seed)
    views, eyes, nothing, contrary = generator.exponential(0.8, (4, n))
    right = generator.random(n) < 1 / (1 + np.exp(-(5 - 4 * views - 2 * eyes + 0.4 * contrary)))
    # Nine right poses in ten are within 1.645 · 4° · e^(0.3 views), a wrong one is anywhere.
    spread = 4 * np.exp(0.3 * views)
    degrees = np.where(right, np.minimum(np.abs(generator.normal(0, spread)), 14.9), generator.uniform(20, 180, n))
    mm = np.where(right, np.minimum(np.abs(generator.normal(0, 2, n)), 9.9), generator.uniform(5, 60, n))
    doubts = {"views": views, "eyes": eyes, "nothing": nothing, "contrary": contrary}
    groups = np.array([f"fetus {index // 4}" for index in range(n)])
    return Evidence(
        doubts, degrees, mm, np.array(["epi", "haste"] * (n // 2)), groups, np.ones(n, bool), np.zeros(n, int)
    )


@pytest.fixture(scope="module")
def learned() -> Calibration:
    return fit_calibration(made_evidence(1600, 1), np.ones(1600))


def test_the_odds_are_those_that_the_poses_were_made_with(learned):
    assert learned.right.weights["views"] == pytest.approx(-4, abs=0.5)
    assert learned.right.weights["eyes"] == pytest.approx(-2, abs=0.4)
    assert learned.right.weights.get("nothing", 0) == pytest.approx(0, abs=0.2)
    assert "contrary" not in learned.right.weights  # no doubt may make a pose more certain
    assert problem_of_calibration(learned.as_dict()) == ""


def test_probabilities_and_bounds_hold_for_poses_that_were_not_seen(learned):
    unseen = made_evidence(1600, 2)
    probability, bounds = judge(learned, unseen)
    for low, high in ((0.02, 0.5), (0.5, 0.9), (0.9, 0.98), (0.98, 1.0)):
        here = (probability >= low) & (probability < high)
        assert unseen.right[here].mean() == pytest.approx(probability[here].mean(), abs=0.06)
    # Three standard deviations of a share of 0.9, fitted on 1600 poses and counted on as many.
    within = 3 * np.sqrt(2 * 0.9 * 0.1 / 1600)
    assert np.mean(unseen.degrees <= bounds[:, 0]) == pytest.approx(0.9, abs=within)
    assert np.mean(unseen.mm <= bounds[:, 1]) == pytest.approx(0.9, abs=within)
    other_folds, _ = out_of_fold(unseen, np.ones(1600))
    assert np.mean((other_folds - unseen.right) ** 2) == pytest.approx(
        np.mean((probability - unseen.right) ** 2), abs=0.01
    )
    told = table(unseen, probability, bounds).splitlines()
    assert [line.split("|")[1].strip() for line in told[2:]] == ["epi", "haste", "all"]


def test_weights_of_some_doubts_alone_are_learned_beside_the_others(learned):
    evidence = made_evidence(1600, 5)
    forgotten = replace(learned.right, weights={**learned.right.weights, "eyes": 0.0})
    bounds = replace(learned.degrees, constant=learned.degrees.constant - 0.5)
    # Twice as far off where the doubt is, for all poses.
    evidence.doubts["younger"] = np.ones(1600)
    again = fit_only(replace(learned, right=forgotten, degrees=bounds), ["eyes", "younger"], evidence, np.ones(1600))
    assert again.right.weights["eyes"] == pytest.approx(-2, abs=0.3)
    assert again.right.weights["views"] == learned.right.weights["views"]
    assert again.right.constant == learned.right.constant
    assert again.degrees.weights["younger"] == pytest.approx(0.5, abs=0.15)
    assert problem_of_calibration(again.as_dict()) == ""
    # Poses without the doubt tell nothing of its weight.
    evidence.doubts["rare"] = np.arange(1600) < 5
    with pytest.raises(TrainingError, match="of 5 poses about which rare says anything, at least 10"):
        fit_only(learned, ["rare"], evidence, np.ones(1600))
    with pytest.raises(TrainingError, match="there is no doubt 'youth' in the tables; there are views, eyes"):
        fit_only(learned, ["youth"], evidence, np.ones(1600))


EXACT = Calibration(Sum(5.0, {}), Sum(np.log(1.645 * 4), {}), Sum(np.log(1.645 * 2), {}))
"""Bounds that hold for nine in ten of the poses that `marked_by_hand` begins with."""


def marked_by_hand(n: int, seed: int) -> Evidence:
    """Poses 4° and 2 mm off (standard deviations), whose truth by landmarks is 3° and 4 mm off beside that."""
    generator, evidence = np.random.default_rng(seed), made_evidence(n, seed)
    degrees, mm = (np.hypot(*generator.normal(0, scale, (n, 2)).T) for scale in ((4, 3), (2, 4)))
    return replace(evidence, degrees=degrees, mm=mm)


def test_what_landmarks_are_off_is_learned_so_that_bounds_hold_for_them_too():
    before, unseen = marked_by_hand(200, 7), marked_by_hand(800, 8)
    _, too_narrow = judge(EXACT, unseen)
    assert np.mean(unseen.degrees <= too_narrow[:, 0]) < 0.85 and np.mean(unseen.mm <= too_narrow[:, 1]) < 0.65
    again = fit_landmarks(EXACT, before)
    assert (again.right, again.degrees, again.mm) == (EXACT.right, EXACT.degrees, EXACT.mm)
    assert fit_landmarks(again, before) == again  # it is not added to what stands
    within = 3 * np.sqrt(0.9 * 0.1 * (1 / 200 + 1 / 800))
    for probability, bounds in (judge(again, unseen), landmarks_out_of_fold(EXACT, unseen)):
        assert np.array_equal(probability, judge(EXACT, unseen)[0])
        assert np.mean(unseen.degrees <= bounds[:, 0]) == pytest.approx(0.9, abs=within)
        assert np.mean(unseen.mm <= bounds[:, 1]) == pytest.approx(0.9, abs=within)


def test_landmarks_are_learned_from_answers_alone_and_not_from_few():
    evidence = marked_by_hand(200, 7)
    others = fit_landmarks(EXACT, evidence.select(np.arange(200) > 1))
    evidence.mm[0], evidence.mm[1], evidence.taken[1] = np.nan, 1000, False  # no head, and not taken
    assert fit_landmarks(EXACT, evidence) == others
    with pytest.raises(TrainingError, match="8 answers to scans with landmarks: at least 9"):
        fit_landmarks(EXACT, evidence.select(np.arange(200) >= 192))
    # A bound of a pose that is called right is 15° at most: no landmarks explain 20.
    evidence.degrees[2:25] = 20
    with pytest.raises(TrainingError, match="more than 18 of 198 answers are further off than a bound may be"):
        fit_landmarks(EXACT, evidence)


def test_the_answer_that_decides_is_within_its_own_bound():
    evidence = marked_by_hand(10, 3)
    again = fit_landmarks(EXACT, evidence)
    _, bounds = judge(again, evidence)
    assert (evidence.degrees <= bounds[:, 0]).all() and (evidence.mm <= bounds[:, 1]).all()
    assert again.landmark_degrees == pytest.approx(np.sqrt(evidence.degrees.max() ** 2 - 6.58**2), abs=0.01)


def test_poses_without_a_head_count_as_wrong_and_have_no_error():
    evidence = made_evidence(600, 3)
    evidence.degrees[:100] = evidence.mm[:100] = np.nan
    evidence.doubts["views"][:100] = 5.0
    assert not evidence.right[:100].any()
    probability, _ = judge(fit_calibration(evidence, np.ones(600)), evidence)
    assert probability[:100].max() < 0.01


def test_too_few_wrong_poses_teach_nothing():
    evidence = made_evidence(400, 4)
    evidence = evidence.select(evidence.right)
    with pytest.raises(TrainingError, match=r"0 of \d+ poses are wrong"):
        fit_calibration(evidence, np.ones(len(evidence.right)))


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"right": {}}, "without the parts"),
        ({part: {"constant": 1.0} for part in ("right", "degrees", "mm")}, "no constant and weights"),
        ({part: {"constant": "x", "weights": {}} for part in ("right", "degrees", "mm")}, "that is none"),
        ({part: {"constant": 1.0, "weights": {"a": 1e9}} for part in ("right", "degrees", "mm")}, "too large"),
        ({part: {"constant": 1.0, "weights": {"a": 1.0}} for part in ("right", "degrees", "mm")}, "more certain"),
        ([], "without the parts"),
        ({part: {"constant": 10**400, "weights": {}} for part in ("right", "degrees", "mm")}, "too large"),
        (BY_AXES.as_dict() | {"landmarks": {"degrees": 1.0}}, "has no degrees and mm"),
        (BY_AXES.as_dict() | {"landmarks": {"degrees": 1.0, "mm": -1.0}}, "'landmarks' that is none, negative"),
        (BY_AXES.as_dict() | {"landmarks": {"degrees": 1.0, "mm": float("nan")}}, "'landmarks' that is none"),
        (BY_AXES.as_dict() | {"eyes": {}}, "without the parts"),
    ],
)
def test_a_calibration_that_cannot_be_is_refused(document, problem, tmp_path):
    assert problem in problem_of_calibration(document)
    make_small_model().with_header(calibration=document).save(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=problem):
        load_model(tmp_path / "model.safetensors")


def test_a_model_file_carries_its_calibration(tmp_path):
    make_small_model().with_header(calibration=BY_AXES.as_dict()).save(tmp_path / "model.safetensors")
    header = load_model(tmp_path / "model.safetensors").header
    assert read_calibration(header.calibration) == BY_AXES
    assert read_calibration({}) is None
    # What knows nothing of landmarks can be read by what was there before them.
    assert set(BY_AXES.as_dict()) == {"right", "degrees", "mm"}
    marked = replace(BY_AXES, landmark_degrees=4.0, landmark_mm=3.0)
    assert problem_of_calibration(marked.as_dict()) == "" and read_calibration(marked.as_dict()) == marked


@pytest.fixture
def cohort(tmp_path) -> Path:
    """Three scans of a fetus with their poses, and a model whose answers are poor, which is all that matters here."""
    images = tmp_path / "set" / "images"
    images.mkdir(parents=True)
    for seed in range(3):
        write_volume(images / f"s{seed}.nii.gz", make_head(seed=seed))
    write_truth(tmp_path, ["A"] * 3)
    make_small_model().save(tmp_path / "small.safetensors")
    return tmp_path


def write_truth(cohort: Path, fetuses: Sequence[str]) -> None:
    pose = np.eye(4)
    pose[:3, 3] = [10, -20, 30]
    header = ("frame_id", *MATRIX_COLUMNS, "fetus")
    lines = [(f"s{n}", *pose.ravel(), fetus) for n, fetus in enumerate(fetuses)]
    write_table(cohort / "set" / "truth.csv", header, lines)


def collect_by_command(cohort: Path, *flags: str) -> int:
    files = [cohort / "set" / "images", cohort / "set" / "truth.csv", "-o", cohort / "out" / "table.csv"]
    return main(["collect", *map(str, files), "--model", str(cohort / "small.safetensors"), *flags])


def scans_of(table: Path) -> set[str]:
    return {row["frame_id"].split(" pose ")[0] for row in read_table(table, ())}


def test_evidence_is_collected_from_scans_and_fitted_by_command(cohort, tmp_path, capsys):
    model, output = tmp_path / "small.safetensors", tmp_path / "evidence.csv"
    sets = [Scans(tmp_path / "set" / "images", tmp_path / "set" / "truth.csv", "balls", copies=1)]
    assert collect(sets, str(model), output) == []
    evidence = read_evidence([output])
    assert set(evidence.kinds) == {"balls", "balls, harder"} and set(evidence.groups) == {"A"}
    assert evidence.taken.sum() == 6 and np.isfinite(evidence.degrees).all() and (evidence.mm < 40).all()
    assert main(["fit", str(output), "-o", str(tmp_path / "out.safetensors"), "--model", str(model)]) == 2
    assert "at least 30 right and 30 wrong" in capsys.readouterr().err
    only = ["fit", str(output), "-o", str(tmp_path / "out.safetensors"), "--model", str(model), "--only", "views"]
    assert main(only) == 2
    assert "has no calibration yet, so there is nothing to keep" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


def test_a_scan_that_cannot_be_read_is_named_and_the_rest_is_kept(cohort, capsys):
    damaged = cohort / "set" / "images" / "s1.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:3000])
    assert collect_by_command(cohort) == 1
    table = cohort / "out" / "table.csv"  # in a folder that is made
    assert scans_of(table) == {"scans set s0", "scans set s2"}
    assert f"s1 was left out: {damaged}" in capsys.readouterr().err
    # What stands is not replaced unasked, and that is said before any scan is estimated.
    before = table.read_bytes()
    assert collect_by_command(cohort, "--kind", "others") == 2
    said = capsys.readouterr().err
    assert f"{table}: stands already" in said and "scan/s" not in said and table.read_bytes() == before
    assert collect_by_command(cohort, "--kind", "others", "--overwrite") == 1
    assert scans_of(table) == {"others set s0", "others set s2"}


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_after_an_interrupt_what_is_done_is_kept(cohort, capsys, monkeypatch, ended_by):
    if sys.platform == "win32" and ended_by == signal.SIGTERM:
        pytest.skip("nobody sends SIGTERM on Windows")
    whole = collecting._rows_of_job

    def ends_in_the_last(job):
        if job.image.name == "s2.nii.gz":
            signal.raise_signal(ended_by)
        return whole(job)

    monkeypatch.setattr(collecting, "_rows_of_job", ends_in_the_last)
    assert collect_by_command(cohort) == 130
    said = capsys.readouterr().err
    part = cohort / "out" / "table.csv.part"
    assert f"{part}: has the poses of 2 of 3 scans" in said and "interrupted; run the same command again" in said
    # What lacks scans is not called the table.
    assert scans_of(part) == {"scans set s0", "scans set s1"} and not (cohort / "out" / "table.csv").exists()


def test_what_will_not_do_is_said_before_any_scan_is_estimated(cohort, capsys):
    (cohort / "out").touch()
    assert collect_by_command(cohort) == 2
    assert f"{cohort / 'out'}: cannot be made" in capsys.readouterr().err
    (cohort / "out").unlink()
    assert collect_by_command(cohort, "--labels", str(cohort / "set" / "images"), "--model", "none.safetensors") == 2
    assert "none.safetensors" in capsys.readouterr().err
    (cohort / "set" / "labels").mkdir()
    write_volume(cohort / "set" / "labels" / "s1.nii.gz", make_head())
    (cohort / "set" / "images" / "s2.nii.gz").unlink()
    assert collect_by_command(cohort, "--labels", str(cohort / "set" / "labels")) == 2
    said = capsys.readouterr().err
    assert "lists s2, but" in said and "has no label of s0" in said and "scan/s" not in said
    write_truth(cohort, ["A", " "])
    assert collect_by_command(cohort) == 2
    assert "s1 has no fetus; give it for every scan" in capsys.readouterr().err
    assert not list((cohort / "out").iterdir())


def test_a_table_of_scans_of_ones_own_need_not_tell_kinds(cohort):
    beside, table = cohort / "set" / "scans.csv", cohort / "out" / "table.csv"
    beside.write_text("frame_id,gestational_age_weeks\ns0,30\n", encoding="utf-8")
    write_truth(cohort, ["F1", "F1 ", "F2"])
    assert collect_by_command(cohort) == 0
    evidence = read_evidence([table])
    assert set(evidence.kinds) == {"scans"} and set(evidence.groups) == {"F1", "F2"}
    # As a spreadsheet writes it, with a mark at its beginning.
    beside.write_text("frame_id,kind\ns0,epi\ns1,\n", encoding="utf-8-sig")
    write_truth(cohort, [""] * 3)
    assert collect_by_command(cohort, "--kind", "t2", "--overwrite") == 0
    assert scans_of(table) == {"epi set s0", "t2 set s1", "t2 set s2"}
    assert set(read_evidence([table]).groups) == {"set s0", "set s1", "set s2"}


def test_a_label_on_another_grid_cuts_no_head_off(cohort, capsys):
    labels = cohort / "set" / "labels"
    labels.mkdir()
    scan = read_volume(cohort / "set" / "images" / "s0.nii.gz")
    label = replace(scan, array=np.zeros(scan.shape, np.uint8))
    label.array[2:6, 20:30, 20:30] = 1
    write_volume(labels / "s0.nii.gz", label)
    mirrored = label.voxel_to_ras @ np.diag([-1.0, 1, 1, 1])
    mirrored[:3, 3] += label.voxel_to_ras[:3, 0] * (scan.shape[0] - 1)  # the same places in RAS, stored the other way
    write_volume(labels / "s1.nii.gz", Volume(label.array[::-1].copy(), mirrored))
    write_volume(labels / "s2.nii.gz", Volume(label.array[::2, ::2, ::2].copy(), label.voxel_to_ras * [2, 2, 2, 1]))
    assert collect_by_command(cohort, "--labels", str(labels)) == 1
    said = capsys.readouterr().err
    assert f"s1 was left out: {labels / 's1.nii.gz'} lies elsewhere in the patient than its image" in said
    assert f"s2 was left out: {labels / 's2.nii.gz'} has shape" in said
    assert scans_of(cohort / "out" / "table.csv") >= {"scans set s0"}
    assert not [name for name in scans_of(cohort / "out" / "table.csv") if "s0" not in name]
    with pytest.raises(DatasetError, match="lies elsewhere in the patient"):
        body_without_head(scan, read_volume(labels / "s1.nii.gz"))
    with pytest.raises(DatasetError, match="has no voxel above 0"):
        body_without_head(scan, replace(label, array=np.zeros(scan.shape, np.uint8)))
    write_volume(labels / "s0.nii.gz", replace(label, array=np.zeros(scan.shape, np.uint8)))
    assert collect_by_command(cohort, "--labels", str(labels), "--overwrite") == 2
    assert "No scan can be used, 3 problems" in capsys.readouterr().err


def written(evidence: Evidence, path: Path, fetuses: Sequence[str] | None = None) -> Path:
    """The table of evidence that `collect` would write, of two doubts."""
    n = len(evidence.right)
    columns = {"frame_id": range(n), "kind": evidence.kinds, "group": fetuses or evidence.groups, "taken": [1] * n}
    columns |= {"degrees": evidence.degrees, "mm": evidence.mm, "views": evidence.doubts["views"]}
    columns |= {"eyes": evidence.doubts["eyes"]}
    write_table(path, tuple(columns), zip(*columns.values(), strict=True))
    return path


def test_landmarks_alone_are_fitted_by_command(tmp_path, capsys):
    make_small_model().with_header(calibration=EXACT.as_dict()).save(tmp_path / "small.safetensors")
    real = written(marked_by_hand(60, 9), tmp_path / "real.csv")
    flags = ["--model", str(tmp_path / "small.safetensors"), "-o", str(tmp_path / "out.safetensors")]
    assert main(["fit", *flags, "--landmarks", str(real)]) == 0
    told = capsys.readouterr().out
    again = read_calibration(load_model(tmp_path / "out.safetensors").header.calibration)
    assert again == fit_landmarks(EXACT, read_evidence([real]))
    assert f"landmarks: {again.landmark_degrees:.2f}°, {again.landmark_mm:.2f} mm" in told
    with pytest.raises(SystemExit, match="2"):
        main(["fit", *flags])
    assert "give tables to learn from, or --landmarks" in capsys.readouterr().err
    # Of two fetuses there are too few without one of them: the model is made all the same.
    few = written(marked_by_hand(12, 9), tmp_path / "few.csv", fetuses=["A", "B"] * 6)
    assert main(["fit", *flags, "--landmarks", str(few), "--overwrite"]) == 0
    assert "not judged, as without one of the fetuses there are too few: 6 answers" in capsys.readouterr().out
    # Networks that are fitted anew are compared with landmarks of the same hands.
    flags = ["--model", str(tmp_path / "out.safetensors"), "-o", str(tmp_path / "anew.safetensors")]
    assert main(["fit", str(written(made_evidence(800, 6), tmp_path / "table.csv")), *flags]) == 0
    before, anew = (read_calibration(load_model(flags[k]).header.calibration) for k in (1, 3))
    assert anew.right != before.right and anew.landmark_degrees == before.landmark_degrees > 0


def test_few_fetuses_are_enough_and_one_is_not(tmp_path, capsys):
    make_small_model().save(tmp_path / "small.safetensors")
    flags = ["--model", str(tmp_path / "small.safetensors"), "-o", str(tmp_path / "out.safetensors")]
    evidence = made_evidence(800, 6)
    four = written(evidence, tmp_path / "four.csv", fetuses=list("ABCD") * 200)
    assert main(["fit", str(four), *flags]) == 0
    assert "each fetus by a fit without it" in capsys.readouterr().out
    again = read_calibration(load_model(tmp_path / "out.safetensors").header.calibration)
    assert again.right.weights["views"] == pytest.approx(-4, abs=0.6)
    # Of unseen fetuses nine in ten are within their bounds: three standard deviations of that share.
    probability, bounds = out_of_fold(read_evidence([four]), np.ones(800))
    assert np.mean(evidence.degrees <= bounds[:, 0]) == pytest.approx(0.9, abs=3 * np.sqrt(0.9 * 0.1 / 800))
    assert ((probability > 0) & (probability < 1)).all()
    # Without one of two fetuses one is left: the model is made all the same.
    two = written(evidence, tmp_path / "two.csv", fetuses=list("AB") * 400)
    before = (tmp_path / "out.safetensors").read_bytes()
    assert main(["fit", str(two), *flags]) == 2
    assert "out.safetensors: stands already" in capsys.readouterr().err
    assert (tmp_path / "out.safetensors").read_bytes() == before
    assert main(["fit", str(two), *flags, "--overwrite"]) == 0
    assert (tmp_path / "out.safetensors").read_bytes() != before
    assert "not judged on fetuses that a fit has not seen: all poses whose" in capsys.readouterr().out
    (tmp_path / "out.safetensors").unlink()
    one = written(evidence, tmp_path / "one.csv", fetuses=["A"] * 800)
    assert main(["fit", str(one), *flags]) == 2
    assert "all poses whose error is known are of one fetus (A)" in capsys.readouterr().err
    for wrong in ("-1", "0", "nan", "inf"):
        with pytest.raises(SystemExit, match="2"):
            main(["fit", str(four), "--weight", wrong, *flags])
        assert f"--weight {wrong}: give numbers above 0" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


def test_poses_that_would_count_twice_are_refused(tmp_path, capsys):
    make_small_model().save(tmp_path / "small.safetensors")
    flags = ["--model", str(tmp_path / "small.safetensors"), "-o", str(tmp_path / "out.safetensors")]
    evidence = made_evidence(400, 6)
    evidence.degrees[:30] = evidence.mm[:30] = np.nan  # no head: noise, which every table has
    table, same = written(evidence, tmp_path / "table.csv"), written(evidence, tmp_path / "same.csv")
    assert main(["fit", str(table), str(same), *flags]) == 2
    said = capsys.readouterr().err
    assert f"{table} and {same}: have poses in common, such as '30' (370 in all)" in said
    with pytest.raises(DatasetError, match="have poses in common"):
        read_evidence([table, table])
    # Other scans of the same names are other scans.
    other = made_evidence(400, 7)
    other.degrees[:30] = other.mm[:30] = np.nan
    both = read_evidence([table, written(other, tmp_path / "other.csv")])
    assert len(both.degrees) == 800 and np.isnan(both.degrees).sum() == 60


def test_scans_that_a_fit_has_seen_are_not_called_other_scans(tmp_path, capsys):
    make_small_model().save(tmp_path / "small.safetensors")
    flags = ["--model", str(tmp_path / "small.safetensors"), "-o", str(tmp_path / "out.safetensors"), "--overwrite"]
    table = written(made_evidence(400, 6), tmp_path / "table.csv")
    assert main(["fit", str(table), *flags, "--judge", str(table)]) == 0
    said = capsys.readouterr().out
    assert "Not all are other scans: of 400 answers 400 are of fetuses, or scans, that by name" in said
    assert "On other scans" not in said
    # Other scans of some of the fetuses, which are called "fetus 0" to "fetus 99".
    others = made_evidence(200, 7)
    half = written(others, tmp_path / "half.csv", fetuses=[f"fetus {50 + n // 2}" for n in range(200)])
    assert main(["fit", str(table), *flags, "--judge", str(half)]) == 0
    assert "of 200 answers 100 are of fetuses" in capsys.readouterr().out
    unseen = written(others, tmp_path / "unseen.csv", fetuses=["unseen"] * 200)
    assert main(["fit", str(table), *flags, "--judge", str(unseen)]) == 0
    assert "\nOn other scans:\n" in capsys.readouterr().out


def test_where_every_doubt_means_the_contrary_the_constant_alone_is_left():
    evidence = made_evidence(400, 8)
    log_odds = np.log(evidence.right.mean() / (1 - evidence.right.mean()))
    # What grows as poses get better; and a doubt that is the same for all, which is never any use.
    contrary = {"contrary": evidence.right + np.arange(400) % 2, "same": np.ones(400)}
    mm = np.random.default_rng(9).uniform(1, 5, 400) * np.exp(-contrary["contrary"])
    alone = replace(evidence, doubts=contrary, mm=mm)
    found = fit_calibration(alone, np.ones(400))
    assert found.right.weights == found.mm.weights == {}
    assert found.right.constant == pytest.approx(log_odds, abs=0.01)
    assert np.mean(alone.mm <= np.exp(found.mm.constant)) == pytest.approx(0.9, abs=0.01)
    assert problem_of_calibration(found.as_dict()) == ""


def test_the_weight_of_one_doubt_alone_is_fitted_by_command(tmp_path):
    evidence, known = made_evidence(800, 6), {"right": -2.0, "degrees": 0.0, "mm": 0.0}
    standing = {part: {"constant": 5.0 if part == "right" else 1.0, "weights": {"eyes": known[part]}} for part in known}
    # The tables do not know it; it is no doubt about any of their poses.
    standing["right"]["weights"]["older"] = -3.0
    make_small_model().with_header(calibration=standing).save(tmp_path / "small.safetensors")
    written(evidence, tmp_path / "table.csv")
    flags = ["--only", "views", "--model", str(tmp_path / "small.safetensors"), "-o", str(tmp_path / "out.safetensors")]
    assert main(["fit", str(tmp_path / "table.csv"), *flags]) == 0
    learned = load_model(tmp_path / "out.safetensors").header.calibration
    assert learned["right"]["weights"].pop("views") == pytest.approx(-4, abs=0.6)
    assert learned["degrees"]["weights"].pop("views") > 0.3
    assert learned["right"] == standing["right"]
    assert all(learned[part]["constant"] == standing[part]["constant"] for part in standing)


def test_a_table_that_is_none_of_evidence_is_named(tmp_path):
    (tmp_path / "table.csv").write_text("frame_id,kind\na,b\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="has no column group"):
        read_evidence([tmp_path / "table.csv"])


def test_harder_copies_show_the_same_head_and_bodies_none():
    scan = make_head(shape=(60, 44, 36))
    centre = np.array([10.0, -20, 30])
    copy = harder(scan, centre, np.random.default_rng(2))
    assert not np.array_equal(copy.array.shape, scan.shape) or not np.array_equal(copy.array, scan.array)
    assert thicker(scan, 2, 2.0).spacing == pytest.approx(scan.spacing * [1, 1, 2])
    label = np.zeros((60, 44, 36), np.uint8)
    label[2:10, 10:30, 10:30] = 1
    body = body_without_head(scan, replace(scan, array=label))
    first = (np.linalg.inv(scan.voxel_to_ras) @ body.voxel_to_ras)[:3, 3]
    assert first[0] > 10 and body.shape[0] == 60 - round(first[0])


def test_of_strange_volumes_bare_ellipsoids_are_taken_for_brains_without_skull():
    volumes = list(strange_volumes(4, np.random.default_rng(2)))
    kinds = [kind for kind, _ in volumes]
    assert kinds == ["noise", "smooth noise", "adult ellipsoid", "bare ellipsoid"] * 4
    taken = [is_brain_only(volume.array, float(np.prod(volume.spacing)) / 1000) for _, volume in volumes]
    assert taken == [kind == "bare ellipsoid" for kind in kinds]
    bare = [volume for kind, volume in volumes if kind == "bare ellipsoid"]
    millilitres = [np.count_nonzero(one.array) * np.prod(one.spacing) / 1000 for one in bare]
    ball = 4 / 3 * np.pi / 1000  # of 1 mm, ml; radii are of 18 to 50 mm
    assert all(0.98 * ball * 18**3 < one < 1.02 * ball * 50**3 for one in millilitres) and len(set(millilitres)) == 4
    # Turned anyhow: their longest axes lie elsewhere.
    longest = [np.linalg.eigh(np.cov(np.argwhere(one.array).T))[1][:, -1] for one in bare]
    assert all(abs(longest[0] @ other) < 0.99 for other in longest[1:])
    # The other kinds are as they are without them.
    noise = np.abs(np.random.default_rng(2).normal(size=(90, 90, 90)))
    assert np.array_equal(volumes[0][1].array, (500 * noise).astype(np.int16))
