"""Tables of evidence: of each pose that a model found in scans with known poses, its doubts and how far off it is."""

from __future__ import annotations

import contextlib
import csv
import multiprocessing
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from E3PoseLib import PoseEstimator, load_model, read_volume
from E3PoseLib.errors import DatasetError, E3PoseError, VolumeError
from E3PoseLib.imaging.geometry import pose_difference
from E3PoseLib.imaging.volume import Volume
from E3PoseLib.models.calibration import RIGHT_DEGREES, RIGHT_MM

from ..data.folders import volumes_by_id
from ..data.tables import number, read_table, write_table
from ..evaluation.poses import Truth, read_truth
from .copies import body_without_head, harder, strange_volumes

_KNOWN = ("frame_id", "kind", "group", "taken", "degrees", "mm")
NO_HEAD = "no head"


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
        Of the scans; where a ``scans.csv`` lies beside the poses, as `synthesize` writes it, that tells.
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
class Evidence:
    """Poses that were found, N of them.

    Parameters
    ----------
    doubts : dict of str to np.ndarray
        ``[N]`` each, `sizes_of_doubts`.
    degrees, mm : np.ndarray
        ``[N]``, how far off; NaN where the scan has no head, and every pose is wrong.
    kinds, groups : np.ndarray
        ``[N]``, text: of the scan, and of the fetus.
    taken : np.ndarray
        ``[N]``, bool: the model's answer; others were found and not taken.
    tables : np.ndarray
        ``[N]``, number of the table that each is of, from 0.
    """

    doubts: dict[str, np.ndarray]
    degrees: np.ndarray
    mm: np.ndarray
    kinds: np.ndarray
    groups: np.ndarray
    taken: np.ndarray
    tables: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """``[N]``, bool."""
        return (self.degrees <= RIGHT_DEGREES) & (self.mm <= RIGHT_MM)

    def select(self, keep: np.ndarray) -> Evidence:
        """Those of the poses."""
        doubts = {name: values[keep] for name, values in self.doubts.items()}
        others = (self.degrees, self.mm, self.kinds, self.groups, self.taken, self.tables)
        return Evidence(doubts, *(one[keep] for one in others))


def collect(sets: Sequence[Scans], model: str, output: Path, workers: int = 1, strange: int = 0) -> None:
    """Estimate all poses and write the table.

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

    Raises
    ------
    DatasetError
        A table or a scan is missing or damaged.
    OutputError
        The table cannot be written.
    """
    jobs = [(one, truth, kind) for one in sets for truth, kind in _with_kinds(one)]
    volumes = [
        (f"{kind} {n}", volume) for n, (kind, volume) in enumerate(strange_volumes(strange, np.random.default_rng(0)))
    ]
    rows: list[dict] = []
    with _map(model, workers) as apply:
        for work, things in ((_rows_of_job, jobs), (_rows_of_strange, volumes)):
            for of_one in tqdm(apply(work, things), total=len(things), unit="scan", file=sys.stderr):
                rows += of_one
    if not rows:
        raise DatasetError("no head was found in any scan: there is nothing to learn from")
    write_table(output, tuple(rows[0]), (tuple(row.values()) for row in rows))


def read_evidence(tables: Iterable[Path]) -> Evidence:
    """The poses of tables that `collect` has written.

    Raises
    ------
    DatasetError
        A table is missing, or is none of evidence.
    """
    rows, counts, names = [], [], None
    for path in tables:
        of_table = read_table(path, _KNOWN)
        columns = tuple(of_table[0])[len(_KNOWN) :] if of_table else ()
        if names is not None and columns != names:
            raise DatasetError(f"{path} tells of other doubts than the tables before. Make all of them anew.")
        names = columns
        rows += [(row, path) for row in of_table]
        counts.append(len(of_table))
    if not rows or not names:
        raise DatasetError("the tables of evidence are empty")
    return Evidence(
        {name: np.array([number(row, name, path) for row, path in rows]) for name in names},
        *(np.array([float(row[name] or "nan") for row, _ in rows]) for name in ("degrees", "mm")),
        *(np.array([row[name] for row, _ in rows]) for name in ("kind", "group")),
        np.array([row["taken"] == "1" for row, _ in rows]),
        np.repeat(np.arange(len(counts)), counts),
    )


def _with_kinds(scans: Scans) -> Iterator[tuple[Truth, str]]:
    kinds = {}
    told = scans.truth.with_name("scans.csv")
    if told.is_file():
        with told.open(newline="", encoding="utf-8") as file:
            kinds = {row["frame_id"]: row["kind"] for row in csv.DictReader(file)}
    for truth in read_truth(scans.truth):
        yield truth, kinds.get(truth.frame_id, scans.kind)


@contextmanager
def _map(model: str, workers: int) -> Iterator[Callable]:
    """What `map` does, in this process or in several."""
    if workers == 1:
        _begin(model, workers)
        yield map
        return
    # Started anew: a copy of a process whose PyTorch has run may wait for threads that it does not have.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(model, workers)) as pool:
        yield pool.map


def _begin(model: str, workers: int) -> None:
    global _estimator
    if workers > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    _estimator = PoseEstimator(load_model(model), "cpu")


def _rows_of_job(job: tuple[Scans, Truth, str]) -> list[dict]:
    scans, truth, kind = job
    files = volumes_by_id(scans.images)
    if truth.frame_id not in files:
        raise DatasetError(f"{scans.truth} lists {truth.frame_id}, but {scans.images} has no such scan.")
    scan, pose = read_volume(files[truth.frame_id]), truth.canonical_to_ras
    group = truth.columns.get("fetus") or f"{scans.images.parent.name} {truth.frame_id}"
    name = f"{kind} {scans.images.parent.name} {truth.frame_id}"
    rows = _rows(scan, name, kind, group, pose)
    # By the name, so that a scan gives the same copies whatever else is in the table.
    seed = zlib.crc32(truth.frame_id.encode())
    for copy in range(scans.copies):
        with contextlib.suppress(VolumeError):  # of the thickest slices some copies are too few
            other = harder(scan, pose[:3, 3], np.random.default_rng([seed, copy]))
            rows += _rows(other, f"{name} harder {copy}", f"{kind}, harder", group, pose)
    if scans.labels is not None:
        body = body_without_head(scan, read_volume(scans.labels / files[truth.frame_id].name))
        rows += [] if body is None else _rows(body, f"{name} without head", NO_HEAD, group, None)
    return rows


def _rows_of_strange(job: tuple[str, Volume]) -> list[dict]:
    name, volume = job
    return _rows(volume, name, NO_HEAD, name, None)


def _rows(scan: Volume, name: str, kind: str, group: str, truth: np.ndarray | None) -> list[dict]:
    """A row for each pose that was found; none where no head was."""
    try:
        found = _estimator.consider(scan)
    except E3PoseError:
        return []
    rows = []
    # What is of one half of the slices is judged by a rule.
    of_scan = [estimate for estimate in found if not estimate.confidence.is_of_one_half]
    for n, estimate in enumerate(of_scan):
        off: tuple[float | str, float | str] = ("", "")
        if truth is not None:
            off = pose_difference(estimate.canonical_to_ras, truth)
        taken = int(estimate is found[-1])
        rows.append(dict(zip(_KNOWN, (f"{name} pose {n}", kind, group, taken, *off), strict=True)))
        rows[-1] |= estimate.confidence.doubts
    return rows
