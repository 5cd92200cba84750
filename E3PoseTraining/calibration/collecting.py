"""Collects evidence: estimates scans whose poses are known, copies that are harder to read, and what shows no head."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from E3PoseLib import PoseEstimator, load_model, read_volume
from E3PoseLib.errors import DatasetError, E3PoseError, VolumeError, WorkerError
from E3PoseLib.imaging.geometry import pose_difference
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.running.ending import ENDS
from E3PoseLib.running.results.folder import prepare_folder, refuse_standing
from E3PoseLib.running.team import end_with_the_first

from ..data.folders import listing, volumes_by_id
from ..data.tables import columns_of, groups_of, read_table, write_table
from ..evaluation.poses import Truth, read_truth
from .copies import body_without_head, harder, strange_volumes
from .evidence import KNOWN, NO_HEAD


@dataclass(frozen=True)
class Scans:
    """Scans with known poses, and what is made of them.

    Parameters
    ----------
    images : Path
        Folder of the scans.
    truth : Path
        CSV of their poses, `evaluation.poses.read_truth`. A column ``fetus`` tells which scans belong together.
    kind : str
        Of the scans; where a ``scans.csv`` with a column ``kind`` lies beside the poses, as `synthesize` writes it,
        that tells.
    copies : int
        That are harder to read, of each.
    labels : Path or None
        Folder of brain labels, by which each scan gives one without its head; None for none.
    """

    images: Path
    truth: Path
    kind: str
    copies: int = 0
    labels: Path | None = None


@dataclass(frozen=True, eq=False)
class _Job:
    """One scan; `place` is the name of its data set."""

    image: Path
    label: Path | None
    truth: Truth
    kind: str
    group: str
    place: str
    copies: int


_Found = tuple[list[dict], str]
"""Rows of a scan, and why it was left out, or ""."""


def collect(
    sets: Sequence[Scans], model: str, output: Path, workers: int = 1, strange: int = 0, overwrite: bool = False
) -> list[str]:
    """Estimate all poses and write the table. Where the work is cut off, what is done is in a table ``OUTPUT.part``.

    Parameters
    ----------
    sets : sequence of Scans
    model : str
        Name or file.
    output : Path
        The CSV.
    workers : int
        Processes.
    strange : int
        Of each kind of `strange_volumes`.
    overwrite : bool
        Whether a table that stands is replaced.

    Returns
    -------
    list of str
        Of each scan that was left out, why.

    Raises
    ------
    DatasetError
        A table is missing or damaged, names a scan that is not there, or no scan can be used.
    ModelError
        There is no such model.
    OutputError
        The table stands already, or cannot be written.
    WorkerError
        A process was killed.
    """
    refuse_standing([output], overwrite)
    jobs = [job for one in sets for job in _jobs(one)]
    prepare_folder(output.parent)
    volumes = [
        (f"{kind} {n}", volume) for n, (kind, volume) in enumerate(strange_volumes(strange, np.random.default_rng(0)))
    ]
    total = len(jobs) + len(volumes)
    rows, left_out, done = list[dict](), list[str](), 0
    with _map(model, workers) as apply:
        try:
            found = chain(apply(_rows_of_job, jobs), apply(_rows_of_strange, volumes))
            for of_one, problem in tqdm(found, total=total, unit="scan", file=sys.stderr):
                rows += of_one
                left_out += [problem] if problem else []
                done += 1
        except BrokenExecutor as error:
            raise WorkerError(
                "a process was killed, most likely for lack of memory: run the same command again with fewer --workers"
            ) from error
        finally:
            part = output.with_name(f"{output.name}.part")
            if rows:
                table = output if done == total else part
                write_table(table, tuple(rows[0]), (tuple(row.values()) for row in rows))
            if done == total:
                part.unlink(missing_ok=True)
            elif rows:
                print(f"{part}: has the poses of {done} of {total} scans", file=sys.stderr)
    if not rows and left_out:
        raise DatasetError(listing("No scan can be used", left_out))
    if not rows:
        raise DatasetError("no head was found in any scan: there is nothing to learn from")
    return left_out


def _jobs(scans: Scans) -> list[_Job]:
    truths = read_truth(scans.truth)
    frames, images = [truth.frame_id for truth in truths], volumes_by_id(scans.images)
    labels = volumes_by_id(scans.labels) if scans.labels is not None else {}
    problems = [f"{scans.truth} lists {f}, but {scans.images} has no such scan" for f in frames if f not in images]
    if scans.labels is not None:
        problems += [f"{scans.labels} has no label of {frame}" for frame in frames if frame not in labels]
    if problems:
        raise DatasetError(listing("The scans cannot be used", problems))
    kinds, place = _kinds_beside(scans.truth), scans.images.parent.name
    fetuses = groups_of(frames, [t.columns.get("fetus") for t in truths], "fetus", scans.truth, needed=False)
    groups = fetuses or [f"{place} {frame}" for frame in frames]
    return [
        _Job(images[f], labels.get(f), truth, kinds.get(f) or scans.kind, group, place, scans.copies)
        for f, truth, group in zip(frames, truths, groups, strict=True)
    ]


def _kinds_beside(truth: Path) -> dict[str, str]:
    """What `synthesize` tells of its scans; another table of that name tells nothing."""
    told = truth.with_name("scans.csv")
    if not told.is_file() or not {"frame_id", "kind"} <= set(columns_of(told)):
        return {}
    return {row["frame_id"]: (row["kind"] or "").strip() for row in read_table(told, ("kind",))}


@contextmanager
def _map(model: str, workers: int) -> Iterator[Callable]:
    """What `map` does, in this process or in several."""
    if workers == 1:
        _begin(model, workers)
        yield map
        return
    load_model(model)  # what is wrong with it is said by this process
    # Started anew: a copy of a process whose PyTorch has run may wait for threads that it does not have.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(model, workers))
    try:
        yield pool.map
    except BaseException:
        # Nobody wants what they are at.
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(model: str, workers: int) -> None:
    global _estimator
    if workers > 1:
        threading.Thread(target=end_with_the_first, daemon=True).start()
        for end in ENDS:  # from the keyboard they come to all: the first process ends the others
            if end != signal.SIGTERM:
                signal.signal(end, signal.SIG_IGN)
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    _estimator = PoseEstimator(load_model(model), "cpu")


def _rows_of_job(job: _Job) -> _Found:
    try:
        return _rows_of_scan(job), ""
    except E3PoseError as error:
        return [], f"{job.truth.frame_id} was left out: {error}"


def _rows_of_scan(job: _Job) -> list[dict]:
    scan, pose = read_volume(job.image), job.truth.canonical_to_ras
    # First of all: a label that does not fit is known before minutes are spent.
    body = None if job.label is None else body_without_head(scan, read_volume(job.label))
    name = f"{job.kind} {job.place} {job.truth.frame_id}"
    rows = _rows(scan, name, job.kind, job.group, pose)
    # By the name, so that a scan gives the same copies whatever else is in the table.
    seed = zlib.crc32(job.truth.frame_id.encode())
    for copy in range(job.copies):
        with contextlib.suppress(VolumeError):  # of the thickest slices some copies are too few
            other = harder(scan, pose[:3, 3], np.random.default_rng([seed, copy]))
            rows += _rows(other, f"{name} harder {copy}", f"{job.kind}, harder", job.group, pose)
    if body is not None:
        with contextlib.suppress(VolumeError):  # there may be nothing to see in it
            rows += _rows(body, f"{name} without head", NO_HEAD, job.group, None)
    return rows


def _rows_of_strange(job: tuple[str, Volume]) -> _Found:
    name, volume = job
    try:
        return _rows(volume, name, NO_HEAD, name, None), ""
    except VolumeError:  # there may be nothing to see in it
        return [], ""


def _rows(scan: Volume, name: str, kind: str, group: str, truth: np.ndarray | None) -> list[dict]:
    """A row for each pose that was found; none where no head was."""
    found = _estimator.consider(scan)
    rows = []
    # What is of one half of the slices is judged by a rule.
    of_scan = [estimate for estimate in found if not estimate.confidence.is_of_one_half]
    for n, estimate in enumerate(of_scan):
        off: tuple[float | str, float | str] = ("", "")
        if truth is not None:
            off = pose_difference(estimate.canonical_to_ras, truth)
        taken = int(estimate is found[-1])
        rows.append(dict(zip(KNOWN, (f"{name} pose {n}", kind, group, taken, *off), strict=True)))
        rows[-1] |= estimate.confidence.doubts
    return rows
