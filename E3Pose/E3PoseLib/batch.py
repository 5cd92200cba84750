"""Many scans, one after the other: results to files, restartable, and one bad scan does not stop the rest."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import E3PoseError, OutputError, TransformError
from .files import whole_file
from .geometry import invert_rigid, read_json, write_itk, write_json, write_npy

ALL_DONE, SOME_FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses."""

TABLE = "poses.csv"
DIRECTIONS = ("canonical-to-input", "input-to-canonical")


@dataclass(frozen=True)
class Job:
    """One scan to do: where it is, and what its results are called."""

    source: Path
    name: str


def jobs(inputs: Iterable[Path], suffixes: Iterable[str]) -> list[Job]:
    """The scans in files and folders (with all folders within), named after their files.

    A folder gives the files that end in one of ``suffixes``; a file is taken whatever its name. Files of one name in
    several folders are told apart by their folders' names.

    Raises
    ------
    OutputError
        If two scans would write the same results even so.
    FileNotFoundError
        If an input does not exist.
    """
    endings = tuple(suffix.lower() for suffix in suffixes)
    found: list[tuple[Path, Path]] = []
    for source in map(Path, inputs):
        if source.is_dir():
            files = sorted(file for file in source.rglob("*") if file.name.lower().endswith(endings) and file.is_file())
            found += [(file, file.relative_to(source)) for file in files]
        elif source.exists():
            found.append((source, Path(source.name)))
        else:
            raise FileNotFoundError(f"{source}: no such file or folder")
    stems = [stem(relative.name, endings) for _, relative in found]
    names = [
        name if stems.count(name) == 1 else "_".join((*relative.parent.parts, name))
        for name, (_, relative) in zip(stems, found, strict=True)
    ]
    for name in names:
        if names.count(name) > 1:
            raise OutputError(f"two scans are called {name!r}: rename one, or write them to different folders")
    return [Job(file, name) for name, (file, _) in zip(names, found, strict=True)]


def stem(name: str, endings: tuple[str, ...]) -> str:
    """A file name without its format's ending.

    >>> stem("scan.1.nii.gz", (".nii", ".nii.gz"))
    'scan.1'
    """
    matching = [ending for ending in endings if name.lower().endswith(ending)]
    return name[: -len(max(matching, key=len))] if matching else Path(name).stem


class Results:
    """The folder that results go to.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    direction : str
        Of the matrices in ``NAME.npy`` and ``NAME.tfm``; one of `DIRECTIONS`. The JSON always holds canonical_to_ras.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """

    def __init__(self, folder: Path, direction: str = DIRECTIONS[0]) -> None:
        self.folder = Path(folder)
        self.direction = direction
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be made ({error.strerror})") from error

    def path(self, name: str, suffix: str) -> Path:
        return self.folder / f"{name}{suffix}"

    def done(self, name: str) -> bool:
        """Whether a scan's results are complete: its JSON, which is written last, is there and readable."""
        try:
            return "canonical_to_ras" in read_json(self.path(name, ".json"))
        except TransformError:
            return False

    def write(self, job: Job, summary: dict) -> None:
        """Write one scan's results: matrix, transform, and last of all the JSON that marks it as done."""
        pose = np.array(summary["canonical_to_ras"])
        matrix = pose if self.direction == DIRECTIONS[0] else invert_rigid(pose)
        write_npy(self.path(job.name, ".npy"), matrix)
        write_itk(self.path(job.name, ".tfm"), matrix)
        write_json(self.path(job.name, ".json"), {"name": job.name, "source": str(job.source), **summary})

    def write_table(self) -> None:
        """Write ``poses.csv`` anew from every scan's JSON: canonical_to_ras row by row, and the confidence."""
        header = ["name", *(f"m{row}{column}" for row in range(4) for column in range(4)), "confidence", "warnings"]
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(header)
        for file in sorted(self.folder.glob("*.json")):
            document = read_json(file)
            if "canonical_to_ras" in document:
                numbers = [f"{value:.6f}" for row in document["canonical_to_ras"] for value in row]
                confidence = document["confidence"]
                level = f"{confidence['level']} {confidence['score']:.2f}"
                writer.writerow([document["name"], *numbers, level, "; ".join(document["warnings"])])
        with whole_file(self.folder / TABLE) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")


def run(
    todo: list[Job],
    results: Results,
    process: Callable[[Job], dict],
    report: Callable[[str], None] = print,
    overwrite: bool = False,
) -> int:
    """Do every job that is not done; returns the exit status.

    ``process(job)`` reads the scan, estimates its pose, writes what else is wanted, and returns the summary. A job that
    fails with an E3PoseError or a lack of memory is reported, and the rest go on; Ctrl-C keeps what is done.
    """
    failed = 0
    for number, job in enumerate(todo, start=1):
        if not overwrite and results.done(job.name):
            report(f"[{number}/{len(todo)}] {job.name}: done before")
            continue
        try:
            summary = process(job)
            results.write(job, summary)
        except (E3PoseError, MemoryError) as error:
            failed += 1
            report(f"[{number}/{len(todo)}] {job.name}: failed: {error}")
            continue
        except KeyboardInterrupt:
            results.write_table()
            report(f"interrupted at {job.name}; run the same command again to go on")
            return INTERRUPTED
        confidence = summary["confidence"]
        seconds = summary["timings"].get("total", sum(summary["timings"].values()))
        report(
            f"[{number}/{len(todo)}] {job.name}: confidence {confidence['level']} ({confidence['score']:.2f}), "
            f"{seconds:.1f} s"
        )
    results.write_table()
    report(f"{len(todo) - failed} of {len(todo)} done, {failed} failed")
    return SOME_FAILED if failed else ALL_DONE
