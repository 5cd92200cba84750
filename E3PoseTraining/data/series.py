"""A series of synthetic scans as a folder in the layout that training reads.

The folder has images/ and labels/ (the same file names, .nii.gz; brain 1, eyes 2) and annotations.csv (frame_id, rot_x,
rot_y, rot_z); besides, poses_ras.csv (frame_id and canonical_to_ras, row by row), scans.csv (what each scan shows) and
options.json (how the series is made). records/ has one file a scan, written last: what stands there is not made again.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from E3PoseLib.errors import OutputError, TransformError, WorkerError
from E3PoseLib.imaging.files import PART_PREFIX
from E3PoseLib.imaging.geometry import read_json, write_json
from E3PoseLib.imaging.volume import Volume, write_volume

from ..synthesis import FetalHeadGenerator
from .annotations import axes_from_pose, write_rotations
from .tables import write_table

BRAIN_SIGNAL = 250.0
"""Stored value of the brain's mean signal: that of clinical EPI scouts, kept as 16-bit integers as theirs
are.
"""

SECONDS_A_LOG_LINE = 10

_SCAN_COLUMNS = ("frame_id", "gestational_age_weeks", "kind", "contrast", "lie", "brain_visible")


@dataclass(frozen=True)
class ScanRecord:
    """What the tables say of one scan; `axes` are the head's axes as rows, in voxel axes."""

    name: str
    axes: np.ndarray
    canonical_to_ras: np.ndarray
    age_weeks: float
    kind: str
    contrast: str
    lie: str
    brain_visible: float


def synthesize(
    generator: FetalHeadGenerator, count: int, output: Path, workers: int = 1, settings: dict | None = None
) -> None:
    """Write scans 0 to count - 1; tables are written last, so a folder with annotations.csv is complete.

    Scans that an earlier run of the same series has finished are kept; a larger `count` adds to them.

    `settings`, what the generator was made with, are noted beside them. Raises OutputError where the folder cannot be
    written, holds scans that are not of this series, or such as were made with other settings; WorkerError where one of
    the `workers` was killed.
    """
    _prepare(output, {f"{generator.name(index)}.nii.gz" for index in range(count)}, settings or {})
    made = _records(generator, count, output, workers)
    interval = 0.1 if sys.stderr.isatty() else SECONDS_A_LOG_LINE
    records = list(tqdm(made, total=count, unit="scan", file=sys.stderr, mininterval=interval))
    write_table(
        output / "scans.csv",
        _SCAN_COLUMNS,
        ((r.name, f"{r.age_weeks:.2f}", r.kind, r.contrast, r.lie, f"{r.brain_visible:.3f}") for r in records),
    )
    write_table(
        output / "poses_ras.csv",
        ("frame_id", *(f"m{row}{column}" for row in range(4) for column in range(4))),
        ((r.name, *(repr(float(v)) for v in r.canonical_to_ras.ravel())) for r in records),
    )
    write_rotations(output / "annotations.csv", {r.name: r.axes for r in records})


def _records(generator, count: int, output: Path, workers: int) -> Iterator[ScanRecord]:
    write = partial(_write_scan, generator, output)
    if workers == 1:
        yield from map(write, range(count))
        return
    with ProcessPoolExecutor(workers, initializer=_adopt, initargs=(generator, output)) as pool:
        try:
            yield from pool.map(_write_adopted, range(count), chunksize=1)
        except BrokenProcessPool as error:
            raise WorkerError(
                "a process was killed, most likely for lack of memory; what is done stays: run the same command again "
                "with fewer --workers"
            ) from error


def _adopt(generator: FetalHeadGenerator, output: Path) -> None:
    """Keep the generator, with its label maps, in the worker: it travels once, not with every scan."""
    global _adopted
    _adopted = partial(_write_scan, generator, output)


def _write_adopted(index: int) -> ScanRecord:
    return _adopted(index)


def _write_scan(generator: FetalHeadGenerator, output: Path, index: int) -> ScanRecord:
    record = _finished(output, generator.name(index))
    return record if record is not None else _make_scan(generator, output, index)


def _finished(output: Path, name: str) -> ScanRecord | None:
    """The record of a scan that an earlier run has written, or None where a part of it is missing."""
    if not all((output / folder / f"{name}.nii.gz").is_file() for folder in ("images", "labels")):
        return None
    try:
        record = ScanRecord(**read_json(output / "records" / f"{name}.json"))
    except (TransformError, TypeError):
        return None
    return replace(record, axes=np.array(record.axes), canonical_to_ras=np.array(record.canonical_to_ras))


def _make_scan(generator: FetalHeadGenerator, output: Path, index: int) -> ScanRecord:
    scan = generator(index)
    image = np.clip(np.round(scan.image * BRAIN_SIGNAL), 0, np.iinfo(np.int16).max).astype(np.int16)
    for folder, array in (("images", image), ("labels", scan.labels)):
        write_volume(output / folder / f"{scan.name}.nii.gz", Volume(array, scan.voxel_to_ras, scan.name))
    record = ScanRecord(
        scan.name,
        axes_from_pose(scan.canonical_to_ras, scan.voxel_to_ras),
        scan.canonical_to_ras,
        scan.age_weeks,
        scan.kind,
        scan.contrast,
        scan.lie,
        scan.brain_visible,
    )
    write_json(output / "records" / f"{scan.name}.json", asdict(record))
    return record


def _prepare(output: Path, names: set[str], settings: dict) -> None:
    note = output / "options.json"
    try:
        (output / "records").mkdir(parents=True, exist_ok=True)
        for folder in (output / "images", output / "labels"):
            folder.mkdir(exist_ok=True)
            for part in folder.glob(f"{PART_PREFIX}*"):
                part.unlink()
            strangers = sorted(
                file.name for file in folder.iterdir() if file.name not in names and file.suffix == ".gz"
            )
            if strangers:
                raise OutputError(f"{folder} holds {strangers[0]}, which is not of this series; give an empty folder")
        before = read_json(note) if note.is_file() else settings
        changed = [f"--{name} {before.get(name)}" for name in settings if before.get(name) != settings[name]]
        if changed:
            raise OutputError(f"{output} holds a series made with {', '.join(changed)}; give an empty folder")
        write_json(note, settings)
        for table in ("annotations.csv", "poses_ras.csv", "scans.csv"):
            (output / table).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error}); choose a folder you may write to") from error
