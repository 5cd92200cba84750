"""The files in which results are kept: whole whenever the run is stopped, and never in another's place unasked."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ..errors import OutputError, TransformError
from ..imaging.files import PART_PREFIX
from ..imaging.geometry import read_json, write_itk, write_json, write_npy
from ..imaging.volume import Volume, write_volume
from .tasks import Task

if TYPE_CHECKING:
    # With it comes torch, as with what `_write` needs; a process that only hands out scans need not wait for that.
    from ..method.estimate import PoseEstimate

FORMAT = "e3pose-pose-1"
FAILURE_FORMAT = "e3pose-failure-1"
DIRECTIONS = ("canonical-to-input", "input-to-canonical")
SUFFIXES = {
    "npy": ".npy",
    "tfm": ".tfm",
    "mask": "_mask.nii.gz",
    "resliced": "_resliced.nii.gz",
    "json": ".json",
}
"""How the files of each kind end, in the order in which they take their places: where the last stands, all do."""

Writers = Mapping[str, Callable[[Path, Volume, "PoseEstimate"], None]]
"""How further files of a scan's results are written, a picture for instance, by their endings."""

FAILED_SUFFIX = ".failed"
"""How the record of a scan ends that has failed."""

OLD_PART_SECONDS = 24 * 3600
"""After so long nobody is writing what a run that was killed has left."""


@dataclass(frozen=True)
class Settings:
    """What is written for each scan.

    Parameters
    ----------
    model : str
        Recorded with each result.
    space : str
        "ras" (mm) or "voxel" (indices of the file's own voxels), of the matrix in ``.npy`` and ``poses.csv``.
    direction : str
        "canonical-to-input" or "input-to-canonical".
    save_mask : bool
    precision : str
        As asked for; recorded with each result, beside what the U-Net ran in.
    reslice_spacing : float, optional
        Also write the scan resliced in the head's planes, with voxels of so many mm.
    """

    model: str
    space: str = "ras"
    direction: str = "canonical-to-input"
    save_mask: bool = False
    precision: str = "float32"
    reslice_spacing: float | None = None

    def matrix(self, volume: Volume, estimate: PoseEstimate) -> np.ndarray:
        """The 4×4 matrix asked for; to and from voxels it is affine, exact for any voxel size and handedness."""
        matrix = estimate.canonical_to_ras
        if self.space == "voxel":
            matrix = np.linalg.inv(volume.voxel_to_ras) @ matrix
        return matrix if self.direction == DIRECTIONS[0] else np.linalg.inv(matrix)


def prepare_folder(folder: str | os.PathLike) -> Path:
    """Make the folder of the results and try it; what a run that was killed has left in it for a day goes.

    Raises
    ------
    OutputError
        If it cannot be made or written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror}); choose another output folder") from error
    try:
        # Nameless, so that processes which share the folder do not meet.
        tempfile.TemporaryFile(dir=folder).close()
        for part in folder.glob(f"{PART_PREFIX}*"):
            # What another process has finished meanwhile is gone.
            with contextlib.suppress(FileNotFoundError):
                if part.stat().st_mtime < time.time() - OLD_PART_SECONDS:
                    shutil.rmtree(part) if part.is_dir() else part.unlink()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written to ({error.strerror}); choose another output folder") from error
    return folder


def check_folder(folder: Path, tasks: Iterable[Task]) -> None:
    """Keep results out of the scans' own folder.

    A scan's JSON, or a mask drawn by hand, may have the very name of a result, and the next run would take masks for
    scans.

    Raises
    ------
    OutputError
        If one of the scans, or a file that it is a link to, lies in the folder of the results.
    """
    place = folder.resolve()
    for task in tasks:
        if place in (task.path.parent.resolve(), task.real_path.parent):
            raise OutputError(f"{folder}: holds scans ({task.path.name}); choose another folder for the results")


def _files(folder: Path, task: Task, with_mask: bool, with_resliced: bool, further: Iterable[str]) -> dict[str, Path]:
    left_out = {kind for kind, wanted in (("mask", with_mask), ("resliced", with_resliced)) if not wanted}
    suffixes = {ending: ending for ending in further}
    suffixes |= {kind: suffix for kind, suffix in SUFFIXES.items() if kind not in left_out}
    return {kind: folder / f"{task.name}{suffix}" for kind, suffix in suffixes.items()}


def _wanted(folder: Path, task: Task, settings: Settings, further: Iterable[str]) -> dict[str, Path]:
    return _files(folder, task, settings.save_mask, settings.reslice_spacing is not None, further)


def _recorded(folder: Path, task: Task) -> tuple[dict | None, dict[str, Path]]:
    """The JSON of a result that stands, or None, and the files that belong to it by kind."""
    try:
        document = read_json(folder / f"{task.name}{SUFFIXES['json']}")
        settings = document["settings"]
        with_resliced = settings["reslice_spacing"] is not None
        files = _files(folder, task, settings["save_mask"], with_resliced, document.get("further", ()))
    except (TransformError, KeyError, TypeError):
        return None, {}
    return document, files


def stands(task: Task, folder: Path, settings: Settings, further: Iterable[str] = ()) -> bool:
    """Whether the results of a scan are there, all that are asked for.

    Parameters
    ----------
    task : Task
    folder : Path
    settings : Settings
    further : iterable of str
        Endings of further files without which they do not stand.

    Raises
    ------
    OutputError
        If results of other settings, or files of another origin, would have to be replaced.
    """
    wanted = _wanted(folder, task, settings, further)
    document, files = _recorded(folder, task)
    foreign = [path for kind, path in wanted.items() if kind not in files and os.path.lexists(path)]
    if foreign:
        raise OutputError(
            f"{foreign[0]}: is no result of this program; choose another output folder, or replace it by --overwrite"
        )
    if document is None:
        return False
    recorded = document["settings"]
    clashes = [
        f"was made with {key} {recorded.get(key)!r}, not {getattr(settings, key)!r}"
        for key in ("model", "space", "direction", "precision")
        if recorded.get(key) != getattr(settings, key)
    ]
    if None not in (spacings := (recorded["reslice_spacing"], settings.reslice_spacing)) and len(set(spacings)) > 1:
        clashes.append("goes with a scan resliced at {:g} mm, not {:g}".format(*spacings))
    if Path(document["input"]) != task.real_path:
        clashes.append(f"is the result of another scan, {document['input']}, or the scan was there then")
    if (document.get("frame") or 0) != (task.frame or 0):
        clashes.append(f"is the result of frame {document.get('frame')}, not {task.frame}")
    if clashes:
        raise OutputError(f"{wanted['json']}: {clashes[0]}; choose another output folder, or replace it by --overwrite")
    return set(wanted) <= set(files) and all(path.is_file() for path in wanted.values())


def write_results(
    folder: Path,
    task: Task,
    volume: Volume,
    estimate: PoseEstimate,
    settings: Settings,
    further: Writers = MappingProxyType({}),
) -> dict[str, Path]:
    """Write everything about one scan; returns the files by kind.

    All is written before any of it takes its place, so where that fails, the results before stand. What these had
    beyond the new ones, a mask for instance, goes with them. Further files are named, as a kind, by their endings.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    files = _wanted(folder, task, settings, further)
    with _unfinished(folder) as place:
        parts = _wanted(place, task, settings, further)
        for ending, write in further.items():
            write(parts[ending], volume, estimate)
        _write(parts, task, volume, estimate, settings, list(further))
        for path in _recorded(folder, task)[1].values():
            if path not in files.values():
                path.unlink(missing_ok=True)
        # Where the run is killed from here on, no JSON says that the files beside it are whole.
        files["json"].unlink(missing_ok=True)
        for kind, path in files.items():
            parts[kind].replace(path)
    return files


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A hidden folder for what is not whole yet; it goes with all that is left in it."""
    try:
        with tempfile.TemporaryDirectory(prefix=PART_PREFIX, dir=folder) as place:
            yield Path(place)
    except OSError as error:
        raise OutputError(f"{folder}: the results cannot be written there ({error.strerror or error})") from error


def _write(
    parts: dict[str, Path],
    task: Task,
    volume: Volume,
    estimate: PoseEstimate,
    settings: Settings,
    further: list[str],
) -> None:
    from ..imaging.resampling import reslice
    from .summary import eyes_in_numbers

    matrix = settings.matrix(volume, estimate)
    write_npy(parts["npy"], matrix)
    inward = settings.direction == DIRECTIONS[1]
    write_itk(parts["tfm"], estimate.ras_to_canonical if inward else estimate.canonical_to_ras)
    if "mask" in parts:
        write_volume(parts["mask"], Volume(estimate.mask, volume.voxel_to_ras, name=f"mask of {volume.name}"))
    if "resliced" in parts:
        write_volume(parts["resliced"], reslice(volume, estimate.canonical_to_ras, settings.reslice_spacing))
    write_json(
        parts["json"],
        {
            "format": FORMAT,
            "name": task.name,
            "input": str(task.real_path),
            "frame": task.frame,
            "settings": asdict(settings),
            "further": further,
            "matrix": matrix,
            "canonical_to_ras": estimate.canonical_to_ras,
            "ras_to_canonical": estimate.ras_to_canonical,
            "canonical_to_voxel": np.linalg.inv(volume.voxel_to_ras) @ estimate.canonical_to_ras,
            "confidence": estimate.confidence.as_dict(),
            "eyes": eyes_in_numbers(estimate),
            "warnings": list(estimate.warnings),
            "timings_seconds": estimate.timings,
            "device": estimate.device,
            "precision": estimate.precision,
        },
    )


def record_failure(folder: Path, task: Task, reason: str) -> None:
    """Keep why a scan has failed beside what became of the others, until it succeeds; results before stay.

    Where that cannot be written, or a file of another origin has its name, there is no record.
    """
    path = folder / f"{task.name}{FAILED_SUFFIX}"
    if os.path.lexists(path) and not _is_failure(path):
        return
    with contextlib.suppress(OutputError):
        write_json(
            path,
            {
                "format": FAILURE_FORMAT,
                "name": task.name,
                "input": str(task.real_path),
                "frame": task.frame,
                "reason": reason,
            },
        )


def forget_failure(folder: Path, task: Task) -> None:
    """Remove the record of a scan that has failed before."""
    path = folder / f"{task.name}{FAILED_SUFFIX}"
    if _is_failure(path):
        path.unlink(missing_ok=True)


def _is_failure(path: Path) -> bool:
    return next(documents([path], FAILURE_FORMAT), None) is not None


def documents(paths: Iterable[Path], format: str) -> Iterator[dict]:
    """The JSON documents of a format among files."""
    for path in paths:
        with contextlib.suppress(TransformError):
            document = read_json(path)
            if isinstance(document, dict) and document.get("format") == format:
                yield document
