"""``e3pose compare``: several methods on the same scans, against the truth, in one table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from E3PoseLib.cli import add_device_option, positive_int
from E3PoseLib.errors import DatasetError, E3PoseError, MethodError, OutputError
from E3PoseLib.running.ending import SOME_FAILED, SUCCESS
from E3PoseLib.running.results.files import result_file
from E3PoseLib.running.results.folder import check_folder, prepare_folder
from E3PoseLib.running.results.record import FORMAT, documents
from E3PoseLib.running.results.settings import Settings
from E3PoseLib.running.results.standing import state_of_results
from E3PoseLib.running.scans.tasks import Task, find_tasks

from ..data.tables import groups_of, read_table
from ..evaluation.poses import Truth, read_poses
from ..methods.command import settings_of_method, usable_method
from ..methods.method import Means, Need
from ..methods.registry import E3_POSE, METHODS, find_method, label_of, weights_of
from .measures import Outcome, Row, outcome, row
from .process import Job, run_apart
from .writing import draw, markdown, write_tables

FETUS = "fetus"

NAMED = 5
"""Scans that are named where many are left out."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="the scans")
    parser.add_argument("--recursive", action="store_true", help="also those of the folders in it")
    parser.add_argument(
        "--truth", type=Path, required=True, metavar="CSV", help="frame_id with m00 … m33, the 4×4 canonical to RAS"
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        metavar="NAME|FILE.py:CLASS",
        help=f"default: {', '.join(METHODS)}, those of them that have what they need; the table says what others lack",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="results, tables, figures")
    parser.add_argument(
        "--age", metavar="WEEKS|CSV", help="gestational age, or a table of frame_id and gestational_age_weeks"
    )
    parser.add_argument(
        "--fetuses",
        type=Path,
        metavar="CSV",
        help="frame_id and fetus: intervals are over fetuses (default: the column fetus of --truth, else each scan)",
    )
    parser.add_argument("--templates", type=Path, metavar="DIR", help="templates of heads, for registration")
    parser.add_argument(
        "--weights",
        nargs="+",
        default=[],
        metavar="METHOD=FILE",
        help="weights of learned methods (default: those of the project)",
    )
    parser.add_argument("--model", default="default", metavar="NAME|FILE", help="of E(3)-Pose (default: default)")
    parser.add_argument(
        "--workers",
        type=positive_int,
        default=1,
        metavar="N",
        help="methods at a time, each with its share of the cores: their seconds are then of that (default: 1)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that stand")
    add_device_option(parser)


def run(options: argparse.Namespace) -> int:
    """Runs the methods, prints the table, writes it and its figures; returns the exit status.

    Raises
    ------
    E3PoseError
        What is wrong with the input or the output folder.
    """
    methods = labelled(options.methods or METHODS)
    weights = _weights(options.weights, methods)
    truths, tasks = scans_with_truth(options.images, options.truth, options.recursive)
    fetuses = fetuses_of(truths, options.fetuses)
    output = prepare_folder(options.output)
    check_folder(output, tasks)
    _tell_of_others(output, methods)
    jobs, outcomes, failed = [], dict[str, Outcome](), False
    for label, name in methods.items():
        means = Means(
            options.device, {"source": options.model}, options.templates, weights.get(label) or weights_of(name)
        )
        job = Job(label, name, tasks, means, options.age, output / label, options.overwrite)
        try:
            usable_method(name, means, options.age)
            if not options.overwrite:
                own_results(job)
        except E3PoseError as error:
            failed |= options.methods is not None  # else nobody has asked for it
            print(f"{label} was not run: {error}", file=sys.stderr)
            outcomes[label] = read_outcome(label, [], truths, str(error))
        else:
            jobs.append(job)
    rows = _tell(output, methods, outcomes, truths, fetuses) if outcomes else []
    with closing(run_apart(jobs, options.workers)) as ended:
        for job, refused in ended:
            if refused:
                print(f"{job.label} was not run to its end: {refused}", file=sys.stderr)
            own: list[Path] = []
            try:
                own = own_results(job)
            except MethodError as error:  # somebody has changed them meanwhile
                refused = refused or str(error)
            failed |= bool(refused) or not own
            outcomes[job.label] = read_outcome(job.label, own, truths, refused)
            # After each: whatever ends the run, what is done can be read.
            rows = _tell(output, methods, outcomes, truths, fetuses)
    in_order = [outcomes[label] for label in methods]
    draw(output, in_order, truths, {task.name: task.path for task in tasks})
    print(markdown(rows))
    return SOME_FAILED if failed else SUCCESS


def _tell(
    output: Path,
    methods: Iterable[str],
    outcomes: Mapping[str, Outcome],
    truths: Sequence[Truth],
    fetuses: Sequence[str],
) -> list[Row]:
    """Writes the tables of the methods that are done, in the order in which they were asked for."""
    done = [outcomes[label] for label in methods if label in outcomes]
    reference = next((one for one in done if one.method == E3_POSE and one.errors.answered.any()), None)
    rows = [row(one, reference, fetuses) for one in done]
    write_tables(output, rows, done, truths)
    return rows


def labelled(names: Iterable[str]) -> dict[str, str]:
    """What the table calls each method, and the folder of its results.

    Raises
    ------
    MethodError
        If two would have one.
    """
    methods: dict[str, str] = {}
    for name in dict.fromkeys(names):
        label = label_of(name)
        if label in methods or (label in METHODS and name != label):
            raise MethodError(f"{name}: there is another method {label}; give the class a name of its own")
        methods[label] = name
    return methods


def scans_with_truth(images: Path, table: Path, recursive: bool = False) -> tuple[list[Truth], list[Task]]:
    """The scans of a folder whose pose is known, by name; those that lack one of the two are said on the screen.

    Raises
    ------
    E3PoseError
        If there are none, or either cannot be read.
    """
    truths = {truth.frame_id: truth for truth in read_poses(table)}
    tasks = {task.name: task for task in find_tasks([images], recursive=recursive)}
    both = sorted(truths.keys() & tasks.keys())
    if not both:
        named = f"it names {min(truths)}" if truths else "it names none"
        raise DatasetError(f"{table} has no pose of any of the scans in {images}: {named}, not {min(tasks)}.")
    for names, words in (
        (tasks.keys() - truths.keys(), f"without a pose in {table}, left out"),
        (truths.keys() - tasks.keys(), f"without a scan in {images}, left out"),
    ):
        if names:
            shown = ", ".join(sorted(names)[:NAMED])
            print(f"{words}: {shown}{f' and {len(names) - NAMED} more' if len(names) > NAMED else ''}", file=sys.stderr)
    return [truths[name] for name in both], [tasks[name] for name in both]


def fetuses_of(truths: Sequence[Truth], table: Path | None) -> list[str]:
    """Which fetus each scan shows; where nothing is told each scan shows another.

    Raises
    ------
    DatasetError
        If the table lacks the column or a scan.
    """
    frames = [truth.frame_id for truth in truths]
    if table is None:
        return groups_of(frames, [t.columns.get(FETUS) for t in truths], FETUS, "--truth", needed=False) or frames
    of_scan = {line["frame_id"]: line[FETUS] for line in read_table(table, (FETUS,))}
    return groups_of(frames, [of_scan.get(frame) for frame in frames], FETUS, table)


def own_results(job: Job) -> list[Path]:
    """The documents in the folder of a method's results.

    Raises
    ------
    MethodError
        If one is of other settings, or of another version of the method: it would be told as if it were this one's.
    """
    settings, own = settings_of_method(job.name, job.means, job.age, Settings(model="")), []
    for task in job.tasks:
        try:
            of_task = settings.for_task(task)
        except E3PoseError:  # it has no age, and so no results
            continue
        try:
            state_of_results(task, job.folder, of_task)
        except OutputError as error:
            raise MethodError(str(error)) from error
        own.append(result_file(job.folder, task, "json"))
    return [path for path in own if path.is_file()]


def read_outcome(method: str, files: Sequence[Path], truths: Sequence[Truth], refused: str) -> Outcome:
    """What stands in the documents of a method's results."""
    found = {document["name"]: document for document in documents(files, FORMAT)}
    estimates, seconds, memory = [], [], []
    for truth in truths:
        document = found.get(truth.frame_id)
        estimates.append(None if document is None else np.array(document["canonical_to_ras"]))
        seconds.append(np.nan if document is None else document["timings_seconds"]["total"])
        memory.append(np.nan if document is None else document["figures"].get("peak_memory_mib", np.nan))
    poses = [truth.canonical_to_ras for truth in truths]
    return outcome(method, estimates, poses, np.array(seconds), np.array(memory), refused)


def _tell_of_others(output: Path, methods: Mapping[str, str]) -> None:
    """Says whose results of an earlier run stand in the folder and will not be in the table."""
    having_results = sorted({path.parent.name for path in output.glob("*/*.json")})
    others = [name for name in having_results if name not in methods]
    if others:
        print(
            f"not in the table, though their results stand in {output}: {', '.join(others)}; give them to --methods as "
            "before, what is estimated stands",
            file=sys.stderr,
        )


def _weights(told: Sequence[str], methods: Mapping[str, str]) -> dict[str, Path]:
    weights: dict[str, Path] = {}
    for text in told:
        method, sign, path = text.partition("=")
        if not sign:
            raise MethodError(f"--weights {text}: give METHOD=FILE, such as 6drep=6drep.safetensors")
        if method not in methods:
            raise MethodError(f"--weights {text}: no method {method} is compared; there are {', '.join(methods)}")
        if method in weights:
            raise MethodError(f"--weights {text}: {method} has weights already, {weights[method]}")
        if not _may_take_weights(methods[method]):
            instead = "; its model is told by --model" if method == E3_POSE else ""
            raise MethodError(f"--weights {text}: {method} has no use for weights, leave them out{instead}")
        if not Path(path).is_file():
            raise MethodError(f"--weights {text}: there is no file {path}")
        weights[method] = Path(path)
    return weights


def _may_take_weights(name: str) -> bool:
    try:
        return Need.WEIGHTS in find_method(name).needs
    except E3PoseError:  # it cannot be loaded, which its row in the table will say
        return True
